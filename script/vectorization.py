# %% [markdown]
# # Vectorization
# The sum of w_i^2: number by number in Python, by one call that reads all of w, or by two. The
# five million numbers of the lecture take the loop seconds, which it announces.
# Example outputs: Linux x86_64 cpu, 1 thread, torch 2.15.0+cu132.

# %%
import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from platform import machine, system

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.utils.benchmark import Timer

present = ["cpu", *(name for name in ("cuda", "mps") if getattr(torch, name).is_available())]
parser = argparse.ArgumentParser(description="Vectorization")
parser.add_argument("--device", choices=present, default="cpu")
DEVICE = parser.parse_args([] if hasattr(sys, "ps1") else None).device  # in a notebook: edit here
SIZES = [100, 10_000, 5_000_000]  # numbers in w
LARGE = 2**25  # numbers in the copy that is the ceiling
LONGEST_LOOP = 5_000_000 if DEVICE == "cpu" else 1000  # a GPU hands over single numbers slowly
THREADS, ROUNDS, SECONDS = 1, 6, 0.06  # seconds for each variant at each size
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
# ## Four ways to one sum
# `w[i]` makes a tensor of one number, `.item()` a Python number of that. A list holds Python
# numbers already. `w * w` writes all squares to memory, for `sum` to read; `dot` adds as it reads.

# %%
def loop(w: torch.Tensor) -> float:
    """Sum of squares of a tensor w, shape (n,), number by number."""
    total = 0.0
    for i in range(len(w)):
        total += w[i].item() ** 2
    return total

def loop_over_list(numbers: list) -> float:
    """Sum of squares of a list of Python floats, number by number."""
    total = 0.0
    for number in numbers:
        total += number**2
    return total

def once(run: Callable) -> np.ndarray:
    """Seconds of a single call, in the place of quartiles: for what takes too long for turns."""
    start = time.perf_counter()
    run()
    return np.full(3, time.perf_counter() - start)

def bytes_moved(n: int) -> dict:
    """Bytes read and written, 4 for each number; a list holds 8-byte pointers to 24-byte floats."""
    return {"loop": 4 * n, "loop, list": 32 * n, "sum(w * w)": 4 * (3 * n + 1),
            "dot(w, w)": 4 * (n + 1)}

# %%
w = torch.tensor([1.0, 2.0, 3.0, 4.0]).to(DEVICE)
print("loop:", loop(w), " over a list:", loop_over_list(w.tolist()))
print("sum(w * w):", torch.sum(w * w).item(), " dot(w, w):", torch.dot(w, w).item())
# Output:
# loop: 30.0  over a list: 30.0
# sum(w * w): 30.0  dot(w, w): 30.0

# %% [markdown]
# ## The order of adding decides the error
# A running sum in float32, here `np.cumsum`, rounds each time with a bias: small squares are added
# to a large sum. It errs by far more than the sqrt(n) eps/2 of random roundings; 32 of them, added
# up in the end, by far less. `sum` adds short runs, then their sums. How good `dot` is depends on
# how many partial sums its library keeps.

# %%
torch.manual_seed(0)
w = torch.randn(5_000_000)
exact, eps = w.double().square().sum().item(), torch.finfo(torch.float32).eps
totals = [torch.sum(w * w), torch.dot(w, w), np.cumsum((w * w).numpy())[-1],
          np.cumsum((w * w).numpy().reshape(-1, 32), axis=0)[-1].sum()]  # one for each column
by_sum, by_dot, running, by_32 = (abs(float(total) - exact) / exact for total in totals)
print(f"float64: {exact:.2f}")
print("sum(w * w) errs by less than 1e-6?", by_sum < 1e-6, " dot by less than 2e-3?", by_dot < 2e-3)
print(f"a running sum errs by {running:.0e}, which is", end=" ")
print(f"{running / (len(w) ** 0.5 * eps / 2):.0f} times sqrt(n) eps/2; 32 of them by {by_32:.0e}")
# Output:
# float64: 4997394.78
# sum(w * w) errs by less than 1e-6? True  dot by less than 2e-3? True
# a running sum errs by 6e-03, which is 43 times sqrt(n) eps/2; 32 of them by 3e-05

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
# ## A loop, a loop over a list, two passes, one pass
# Predicted is what the bytes take at the speed of a large copy; less shows a cache. The loop over a
# list takes the tensors away: what is left is Python's own loop. The longest loops run once, and so
# show no spread.

# %%
large, copy = torch.ones(2, LARGE, device=DEVICE)
speed = 2 * large.nbytes / take_turns({"copy": lambda: copy.copy_(large)})["copy"][0]
table = ["        n  variant     median (ms)       quartiles         predicted      ratio"]
results = {}
print(table[0])
for n in SIZES:
    w = torch.ones(n, device=DEVICE)
    runs = {"sum(w * w)": lambda w=w: torch.sum(w * w), "dot(w, w)": partial(torch.dot, w, w)}
    loops = {"loop": partial(loop, w), "loop, list": partial(loop_over_list, w.tolist())}
    if n > LONGEST_LOOP:
        times = take_turns(runs)
    elif n < SIZES[-1]:
        times = take_turns(loops | runs)
    else:
        expected = results["loop"][-1][1] * n / SIZES[-2]
        print(f"now the loop over {n:,} numbers, once: about {expected:.1f} s", flush=True)
        times = {name: once(run) for name, run in loops.items()} | take_turns(runs)
    for name, seconds in times.items():
        (low, ms, high), predicted = 1e3 * seconds, 1e3 * bytes_moved(n)[name] / speed
        row = f"{n:9,}  {name:<11}{ms:12.4f} {low:10.4f} {high:10.4f} {predicted:10.5f}"
        table.append(f"{row} {ms / predicted:10.2f}")
        print(table[-1], flush=True)
        results.setdefault(name, []).append(seconds)
size = len(results["loop"]) - 1  # of the longest loop
loop_time, dot_time = results["loop"][size], results["dot(w, w)"][size]
print("claim: one call beats a loop over w:", verdict(loop_time, dot_time))
print("claim: one pass is faster than two:", verdict(times["sum(w * w)"], times["dot(w, w)"]))
fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
for i, name in enumerate(results):
    counts = SIZES[: len(results[name])]
    low, ns, high = 1e9 * np.transpose(results[name]) / counts
    style = {"marker": "s^Do"[i], "color": ["#E69F00", "#CC79A7", "#009E73", "#0072B2"][i]}
    ax.errorbar(counts, ns, [ns - low, high - ns], label=name, **style)
ax.axhline(4e9 / speed, color="0.6", zorder=0, label="4 bytes, as fast as a large copy")
ax.set(xscale="log", yscale="log", xlabel="numbers in $w$, $n$", ylabel="time per number (ns)")
ratio, listed = (results[name][size][1] / results["dot(w, w)"][size][1] for name in loops)
ax.set_title(f"n = {SIZES[size]:,}: dot(w, w) is {ratio:,.0f} times as fast as a loop over w, "
             f"{listed:,.0f} times a loop over a list", fontsize="medium")
fig.legend(loc="outside lower center", ncols=5, title=MACHINE, title_fontsize=7, frameon=False)
save(fig, "vectorization_timing.png", "\n".join(table))
# Example output:
#         n  variant     median (ms)       quartiles         predicted      ratio
#       100  loop             0.1049     0.1045     0.1069    0.00002    5602.41
#       100  loop, list       0.0034     0.0034     0.0036    0.00015      22.97
#       100  sum(w * w)       0.0025     0.0025     0.0025    0.00006      44.20
#       100  dot(w, w)        0.0009     0.0009     0.0010    0.00002      50.24
#    10,000  loop            10.6122    10.5601    10.6492    0.00187    5667.89
#    10,000  loop, list       0.3471     0.3452     0.3488    0.01498      23.17
#    10,000  sum(w * w)       0.0037     0.0037     0.0037    0.00562       0.65
#    10,000  dot(w, w)        0.0017     0.0017     0.0017    0.00187       0.91
# now the loop over 5,000,000 numbers, once: about 5.3 s
# 5,000,000  loop          5326.7310  5326.7310  5326.7310    0.93617    5689.91
# 5,000,000  loop, list     161.6975   161.6975   161.6975    7.48938      21.59
# 5,000,000  sum(w * w)       1.5527     1.4026     1.7265    2.80852       0.55
# 5,000,000  dot(w, w)        0.4482     0.4061     0.5319    0.93617       0.48
# claim: one call beats a loop over w: held here, 11,885.53 times (10,014.94 to 13,115.68)
# claim: one pass is faster than two: held here, 3.46 times (2.64 to 4.25)
# figure: ...vectorization_timing.png
