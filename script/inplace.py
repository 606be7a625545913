# %% [markdown]
# # In-place operations
# `x + y` takes new memory, `x.add_(y)` that of x. Both read two numbers for each that they write.
# Example outputs: Linux x86_64 cpu, 1 thread, torch 2.15.0+cu132.

# %%
import argparse
import ctypes
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from platform import machine, system

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.utils.benchmark import Timer

present = ["cpu", *(name for name in ("cuda", "mps") if getattr(torch, name).is_available())]
parser = argparse.ArgumentParser(description="In-place operations")
parser.add_argument("--device", choices=present, default="cpu")
DEVICE = parser.parse_args([] if hasattr(sys, "ps1") else None).device  # in a notebook: edit here
SIZES, LARGE = [1000, 1_000_000, 10_000_000], 2**25  # numbers in x, and in the ceiling's copy
BYTES = 3 * 4  # moved for each number of x: two are read, one is written
THREADS, ROUNDS, SECONDS = 1, 5, 0.05  # seconds for each variant at each size
MACHINE = f"{system()} {machine()} {DEVICE}, {THREADS} thread, torch {torch.__version__}"
plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"

def save(fig: plt.Figure, name: str, table: str = "") -> None:
    """Save fig, with the table that it was drawn from inside, and print where it lies."""
    try:
        FIGURES.mkdir(parents=True, exist_ok=True)
        fig.savefig(FIGURES / name, dpi=200, metadata={"Description": table})
    except OSError as error:
        sys.exit(f"no figure: {error}")
    print("figure:", (FIGURES / name).as_posix().removeprefix(f"{Path.cwd().as_posix()}/"))

# %% [markdown]
# ## The _ suffix
# An operation whose name ends in `_` changes its first operand. `x = x + y` does not: the name x
# moves to a new tensor, and another name stays with the old one.

# %%
x, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 20.0, 30.0])
print("out-of-place:", x + y)
print("x unchanged:", x)
alias, x = x, x + y  # x = x + y, and alias stays with the old tensor
print("after x = x + y, alias:", alias)
print("in-place:", alias.add_(y), " alias:", alias)
# Output:
# out-of-place: tensor([11., 22., 33.])
# x unchanged: tensor([1., 2., 3.])
# after x = x + y, alias: tensor([1., 2., 3.])
# in-place: tensor([11., 22., 33.])  alias: tensor([11., 22., 33.])

# %% [markdown]
# ## When in-place is wrong
# Backward through exp needs its result, exp(w), which `add_` has overwritten. Autograd notices.
# Backward through a sum needs no value, so there `add_` does no harm.

# %%
w = torch.zeros(3, requires_grad=True)
try:
    w.exp().add_(1).sum().backward()
except RuntimeError as error:
    print("backward failed:", str(error).split(":")[0])
(w + 1).add_(1).sum().backward()
print("after a sum it works, w.grad:", w.grad)
# Output:
# backward failed: one of the variables needed for gradient computation has been modified by ...
# after a sum it works, w.grad: tensor([1., 1., 1.])

# %% [markdown]
# ## One sum, three memories
# The three write the same numbers, and err by one rounding: at most half an eps of float32.

# %%
def sums(x: torch.Tensor, y: torch.Tensor) -> dict:
    """The three ways to add x and y, each shape (n,): into new memory, existing memory, x."""
    z = torch.empty_like(x)
    existing, in_place = lambda: torch.add(x, y, out=z), lambda: x.add_(y)
    return {"x + y": lambda: x + y, "add(out=z)": existing, "x.add_(y)": in_place}

# %%
x, y = torch.rand(2, 1000).to(DEVICE) + 1
exact = x.cpu().double() + y.cpu().double()
new, existing, in_place = (add().cpu() for add in sums(x, y).values())
print("equal?", torch.equal(new, existing) and torch.equal(new, in_place), end="  ")
print("error at most eps/2?", ((new.double() - exact) / exact).abs().max().item() <= 2**-24)
# Output:
# equal? True  error at most eps/2? True

# %% [markdown]
# ## How to time
# Warm up, and take turns, so that a slow phase of the machine hits all variants alike. A median
# with quartiles shows a spread that a mean hides. `Timer` waits for a GPU; the CPU needs no wait.

# %%
def take_turns(variants: dict) -> dict:
    """Seconds a call of each function of a dict: first quartile, median, third, by name."""
    options = {"num_threads": THREADS} | ({"timer": time.perf_counter} if DEVICE == "cpu" else {})
    timers = {name: Timer("f()", globals={"f": f}, **options) for name, f in variants.items()}
    times = {name: [] for name in timers}
    for _ in range(ROUNDS):
        for name, timer in timers.items():  # each turn begins with calls that do not count
            times[name] += timer.blocked_autorange(min_run_time=SECONDS / ROUNDS).times
    return {name: np.percentile(found, [25, 50, 75]) for name, found in times.items()}

def verdict(slow: np.ndarray, fast: np.ndarray) -> str:
    """Did slow take longer than fast? How many times as long, from and to by the quartiles?"""
    low, ratio, high = slow / fast[::-1]
    held = "held here" if low > 1 else "did not hold here" if high < 1 else "not decided here"
    return f"{held}, {ratio:,.2f} times ({low:,.2f} to {high:,.2f})"

# %% [markdown]
# ## New memory, existing memory, in place
# Predicted: what 12 bytes a number take at the speed of a large copy. Less: a cache, or writes that
# go where a read has just been. More: for 1000 numbers a call, for 10,000,000 new memory.

# %%
large, copy = torch.ones(2, LARGE, device=DEVICE)
speed = 2 * large.nbytes / take_turns({"copy": lambda: copy.copy_(large)})["copy"][0]
table, results = ["         n  variant    median (ms)      quartiles      predicted  ratio"], []
print(table[0])
for n in SIZES:
    times = take_turns(sums(torch.ones(n, device=DEVICE), torch.ones(n, device=DEVICE)))
    for name, seconds in times.items():
        (low, ms, high), predicted = 1e3 * seconds, 1e3 * BYTES * n / speed
        row = f"{n:10,}  {name:<11}{ms:11.4f}  {low:8.4f} {high:8.4f}  {predicted:9.4f}"
        table.append(f"{row} {ms / predicted:6.2f}")
        print(table[-1], flush=True)
    results.append(list(times.values()))
new, _, in_place = times.values()
print("claim: x.add_(y) is faster than x + y:", verdict(new, in_place))
fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
for i, (name, color) in enumerate(zip(times, ["#E69F00", "#009E73", "#0072B2"])):
    low, ns, high = 1e9 * np.array(results)[:, i].T / SIZES
    ax.errorbar(SIZES, ns, [ns - low, high - ns], marker="sDo"[i], color=color, label=name)
ax.axhline(1e9 * BYTES / speed, color="0.6", zorder=0, label="12 bytes, as fast as a large copy")
ax.set(xscale="log", yscale="log", xlabel="numbers in $x$, $n$", ylabel="time per number (ns)")
ax.set_title(f"{n:,} numbers: x + y takes {new[1] / in_place[1]:.1f} times as long as x.add_(y)")
fig.legend(loc="outside lower center", ncols=4, title=MACHINE, title_fontsize=7, frameon=False)
save(fig, "inplace_allocation.png", "\n".join(table))
# Example output:
#          n  variant    median (ms)      quartiles      predicted  ratio
#      1,000  x + y           0.0012    0.0012   0.0012     0.0005   2.30
#      1,000  add(out=z)      0.0011    0.0011   0.0011     0.0005   2.10
#      1,000  x.add_(y)       0.0008    0.0008   0.0008     0.0005   1.59
#  1,000,000  x + y           0.1451    0.1438   0.1510     0.5224   0.28
#  1,000,000  add(out=z)      0.1455    0.1439   0.1502     0.5224   0.28
#  1,000,000  x.add_(y)       0.0956    0.0946   0.0990     0.5224   0.18
# 10,000,000  x + y          24.0154   23.9763  24.3836     5.2242   4.60
# 10,000,000  add(out=z)      5.0012    4.9439   5.1245     5.2242   0.96
# 10,000,000  x.add_(y)       3.1358    3.0006   3.2502     5.2242   0.60
# claim: x.add_(y) is faster than x + y: held here, 7.66 times (7.38 to 8.13)
# figure: ...inplace_allocation.png

# %% [markdown]
# ## The cause, taken away
# glibc's malloc gives a freed block above 32 MiB back to the system. The next one is new to the
# process and comes page by page. Tell malloc to keep what is freed, and `x + y` is as fast as into
# existing memory; the others take what they took.

# %%
@contextmanager
def freed_memory_kept():
    """Inside, malloc keeps what is freed (man mallopt). Yields whether it does: glibc's can."""
    TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
    libc = ctypes.CDLL(None) if system() == "Linux" else None
    can = hasattr(libc, "mallopt") and libc.mallopt(MMAP_MAX, 0) == 1
    if kept := can and libc.mallopt(TRIM_THRESHOLD, 2**31 - 1) == 1:
        torch.ones(2**27)  # half a GiB, freed at once: a stock to take from
    try:
        yield kept
    finally:
        if can:  # as in any process that has freed a large block
            for option, size in (MMAP_MAX, 2**16), (MMAP_THRESHOLD, 2**25), (TRIM_THRESHOLD, 2**26):
                libc.mallopt(option, size)
            libc.malloc_trim(0)
            [libc.malloc(2**25) for _ in range(48)]  # gaps that large blocks would reuse

# %%
variants = sums(torch.ones(SIZES[-1], device=DEVICE), torch.ones(SIZES[-1], device=DEVICE))
before = take_turns(variants)
with freed_memory_kept() as kept:
    within = take_turns(variants)
after = take_turns(variants)
print(f"median (ms)       before  kept ({kept})       after")
for name in variants:
    print(f"{name:<12}", *(f"{1e3 * times[name][1]:11.3f}" for times in (before, within, after)))
print("claim: x + y waits for new memory:", verdict(before["x + y"], within["x + y"]))
# Example output:
# median (ms)       before  kept (True)       after
# x + y             22.681       5.070      22.041
# add(out=z)         5.074       4.784       4.993
# x.add_(y)          3.042       2.858       2.905
# claim: x + y waits for new memory: held here, 4.47 times (4.12 to 4.81)
