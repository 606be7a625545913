# %% [markdown]
# # What a step of gradient descent costs
# A step on ||w||^2 / 2 moves 12 vectors of d numbers through memory. What it takes beyond that has
# two causes: calls from Python, and new memory in each backward.
# Example outputs: Linux x86_64 cpu, 1 thread, torch 2.15.0+cu132.

# %%
import argparse
import ctypes
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from platform import machine, system

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.utils.benchmark import Timer

present = ["cpu", *(name for name in ("cuda", "mps") if getattr(torch, name).is_available())]
parser = argparse.ArgumentParser(description="What a step of gradient descent costs")
parser.add_argument("--device", choices=present, default="cpu")
DEVICE = parser.parse_args([] if hasattr(sys, "ps1") else None).device  # in a notebook: edit here
LARGE = 2**25  # numbers in the copy that is the ceiling
SIZES = [1, 1000, 1_000_000, 10_000_000]  # d
THREADS, ROUNDS, SECONDS = 1, 4, 0.04  # seconds for each variant at each size
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
# ## A step, and the vectors it moves
# The loss w.dot(w) / 2 reads w (1). Backward multiplies each of the two factors by a number, which
# reads and writes (4), and adds the products (3). The norm reads the gradient (1). The update
# reads w and the gradient and writes w (3); where eta * grad is a tensor of its own, 2 more.

# %%
OURS = "w.sub_(grad, alpha=eta)"
VECTORS = {OURS: 12, "torch.optim.SGD": 12, "w -= eta * grad": 14}

def step(w: torch.Tensor, update: Callable) -> float:
    """A step of gradient descent on ||w||^2 / 2, shape (d,), with the norm that a loop logs."""
    L = 0.5 * w.dot(w)
    L.backward()
    norm = w.grad.dot(w.grad).item() ** 0.5
    with torch.no_grad():
        update()
    w.grad = None
    return norm

def updates(w: torch.Tensor, eta: float) -> dict:
    """Three ways to write w <- w - eta grad."""
    ways = lambda: w.sub_(w.grad, alpha=eta), torch.optim.SGD([w], lr=eta).step
    return dict(zip(VECTORS, [*ways, lambda: w.sub_(eta * w.grad)]))

# %%
for name, vectors in VECTORS.items():
    w = torch.tensor([4.0, -2.0], device=DEVICE, requires_grad=True)
    norm = step(w, updates(w, 0.5)[name])
    print(f"{name:<24} ||grad|| = {norm:.4f}, w = {w.tolist()}, vectors moved: {vectors}")
# Output:
# w.sub_(grad, alpha=eta)  ||grad|| = 4.4721, w = [2.0, -1.0], vectors moved: 12
# torch.optim.SGD          ||grad|| = 4.4721, w = [2.0, -1.0], vectors moved: 12
# w -= eta * grad          ||grad|| = 4.4721, w = [2.0, -1.0], vectors moved: 14

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
# ## Keep what is freed
# glibc's malloc gives freed memory back to the system, a block above 32 MiB at once. The next
# gradient is new to the process, and comes page by page. This tells malloc to keep what is freed.

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

# %% [markdown]
# ## The cost of a step, and its causes taken away
# Predicted is what 12 vectors, or 14, take at the speed of a large copy. At d = 1 they are next to
# nothing: what is left is calls. Where malloc keeps freed memory, no gradient waits for new memory.

# %%
large, copy = torch.ones(2, LARGE, device=DEVICE)
speed = 2 * large.nbytes / take_turns({"copy": lambda: copy.copy_(large)})["copy"][0]
table = ["         d  memory   update               median (ms)     quartiles   predicted    ratio"]
results = {}
print(table[0])
for memory, setting in ("new", nullcontext), ("kept", freed_memory_kept):
    with setting() as kept:
        for d in SIZES:
            w = torch.full((d,), 1e-3, device=DEVICE, requires_grad=True)
            # with a tiny eta w stays normal, however many steps it takes
            ways = {name: partial(step, w, update) for name, update in updates(w, 1e-5).items()}
            all_ways = memory == "new" and d == SIZES[-1]
            times = take_turns(ways if all_ways else {OURS: ways[OURS]})
            for name, seconds in times.items():
                (low, ms, high), predicted = 1e3 * seconds, 4e3 * VECTORS[name] * d / speed
                row = f"{d:10,}  {memory:<7}  {name:<23} {ms:11.4f}  {low:8.4f} {high:8.4f}"
                table.append(f"{row}  {predicted:9.4f} {ms / predicted:9.2f}")
                print(table[-1], flush=True)
                results.setdefault((memory, name), []).append(seconds)
        del w, ways  # here, so that their memory is given back, too
print("malloc keeps freed memory?", kept)
new, sgd, temporary = (results["new", name][-1] for name in VECTORS)
print("claim: with freed memory kept a step beats torch.optim.SGD:", verdict(sgd, times[OURS]))
print("claim: sub_ beats w -= eta * grad:", verdict(temporary, new))
fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
for memory, color, marker in ("new", "#0072B2", "o"), ("kept", "#009E73", "s"):
    low, ms, high = 1e3 * np.transpose(results[memory, OURS])
    look = {"marker": marker, "color": color, "label": f"a step, {memory} memory"}
    ax.errorbar(SIZES, ms, [ms - low, high - ms], **look)
traffic = [4e3 * VECTORS[OURS] * d / speed for d in SIZES]
ax.plot(SIZES, traffic, color="0.6", zorder=0, label="12 vectors, as fast as a large copy")
ax.set(xscale="log", yscale="log", xlabel="dimension $d$", ylabel="time of a step (ms)")
ax.set_ylim(bottom=1e3 * new[1] / 1e4)
finding = f"new memory makes a step {new[1] / times[OURS][1]:.1f} times as long"
ax.set_title(f"d = {d:,}: {finding if kept else 'malloc keeps nothing here, both are new'}")
fig.legend(loc="outside lower center", ncols=3, title=MACHINE, title_fontsize=7, frameon=False)
save(fig, "gd_nd_cost.png", "\n".join(table))
# Example output:
#          d  memory   update               median (ms)     quartiles   predicted    ratio
#          1  new      w.sub_(grad, alpha=eta)      0.0467    0.0460   0.0480     0.0000  19314.12
#      1,000  new      w.sub_(grad, alpha=eta)      0.0481    0.0475   0.0486     0.0024     19.89
#  1,000,000  new      w.sub_(grad, alpha=eta)      1.2435    0.9496   2.6766     2.4179      0.51
# 10,000,000  new      w.sub_(grad, alpha=eta)     50.2944   49.8511  50.7270    24.1793      2.08
# 10,000,000  new      torch.optim.SGD             51.1700   50.3112  51.5425    24.1793      2.12
# 10,000,000  new      w -= eta * grad             70.8422   70.4939  71.4868    28.2092      2.51
#          1  kept     w.sub_(grad, alpha=eta)      0.0464    0.0460   0.0472     0.0000  19183.67
#      1,000  kept     w.sub_(grad, alpha=eta)      0.0479    0.0474   0.0486     0.0024     19.81
#  1,000,000  kept     w.sub_(grad, alpha=eta)      1.0385    0.9895   1.0705     2.4179      0.43
# 10,000,000  kept     w.sub_(grad, alpha=eta)     16.9025   16.6736  17.1690    24.1793      0.70
# malloc keeps freed memory? True
# claim: with freed memory kept a step beats torch.optim.SGD: held here, 3.03 times (2.93 to 3.09)
# claim: sub_ beats w -= eta * grad: held here, 1.41 times (1.39 to 1.43)
# figure: ...gd_nd_cost.png
