# %% [markdown]
# # Memory layout: sums along rows and down columns
# In a row-major matrix the next number along a row is next in memory, down a column a row away.
# Example outputs: Linux x86_64 cpu, 1 thread, torch 2.15.0+cu132.

# %%
import argparse
import sys
import time
import timeit
from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path
from platform import machine, system

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.utils.benchmark import Timer

present = ["cpu", *(name for name in ("cuda", "mps") if getattr(torch, name).is_available())]
parser = argparse.ArgumentParser(description="Memory layout")
parser.add_argument("--device", choices=present, default="cpu")
DEVICE = parser.parse_args([] if hasattr(sys, "ps1") else None).device  # in a notebook: edit here
ROWS, COLUMNS, LARGE = 512, [512, 4096, 32768], 2**25  # numbers in the ceiling's copy
COLUMNS = COLUMNS if DEVICE == "cpu" else [8 * m for m in COLUMNS]
LINE = 32 if DEVICE == "cuda" else 128 if machine() == "arm64" else 64  # bytes, of a cache line
THREADS, ROUNDS, SECONDS = 1, 6, 0.06  # seconds for each variant at each size
MACHINE = f"{system()} {machine()} {DEVICE}, {THREADS} thread, torch {torch.__version__}"
PAIRS = ("A.sum(dim=1)", "A.sum(dim=0)"), ("A[i].sum()", "F[i].sum()")  # fast, slow
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
# ## The same matrix, stored twice
# A is row-major, F column-major. dim=1 sums along rows, dim=0 down columns. In whatever order, a
# sum of positive float32 errs by (terms - 1) eps/2 of itself at most.

# %%
def column_major(A: torch.Tensor) -> torch.Tensor:
    """A copy of A, shape (n, m), with its columns one after the other: strides (1, n)."""
    return A.t().contiguous().t()

# %%
A = torch.rand(512, 512).to(DEVICE)
F, exact = column_major(A), A.cpu().double()
print("A.stride():", A.stride(), " F.stride():", F.stride(), " equal?", torch.equal(A, F))
errors = [X.sum(d).cpu() / exact.sum(d) - 1 for X in (A, F) for d in (0, 1)]
print("errors allowed?", all(error.abs().max() <= 511 * 2**-24 for error in errors))
# Output:
# A.stride(): (512, 1)  F.stride(): (1, 512)  equal? True
# errors allowed? True

# %% [markdown]
# ## Not the notes' timer
# It returns the total of its repeats, where the text says average.

# %%
print("notes' timer: 50 ms for 1 ms?", timeit.timeit(lambda: time.sleep(1e-3), number=50) >= 0.05)
# Output:
# notes' timer: 50 ms for 1 ms? True

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
# ## Along rows and down columns
# All sums in one call, then one row at a time. Predicted is what the bytes take at the speed of a
# large copy. Memory comes in lines: a row of F takes a whole one for each number. A.sum(dim=0) adds
# many columns at once, and so uses whole lines: they are not why it is slower, see the last cell.

# %%
def next_row_sum(A: torch.Tensor) -> Callable:
    """A function that returns the sum of one row of A, shape (n, m): of the next, each call."""
    rows = cycle(A.unbind(0))
    return lambda: next(rows).sum()

def line_bytes(count: int, stride: int) -> int:
    """Bytes of the lines that hold count float32, each stride numbers after the one before."""
    return LINE * min(count, -(-(4 * stride * (count - 1) + 4) // LINE))  # rounded up

def bytes_moved(n: int, m: int) -> dict:
    """Bytes that each variant reads and writes, for A and F of shape (n, m)."""
    return {"A.sum(dim=1)": 4 * (n * m + n), "A.sum(dim=0)": 4 * (n * m + m),
            "A[i].sum()": line_bytes(m, 1) + 4, "F[i].sum()": line_bytes(m, n) + 4}

# %%
large, copy = torch.ones(2, LARGE, device=DEVICE)
speed = 2 * large.nbytes / take_turns({"copy": lambda: copy.copy_(large)})["copy"][0]
table, results = ["      m  variant       median (ms)       quartiles      predicted  ratio"], []
print(table[0])
for m in COLUMNS:
    A = torch.ones(ROWS, m, device=DEVICE)
    whole = {"A.sum(dim=1)": partial(A.sum, dim=1), "A.sum(dim=0)": partial(A.sum, dim=0)}
    F = column_major(A)
    times = take_turns(whole | {"A[i].sum()": next_row_sum(A), "F[i].sum()": next_row_sum(F)})
    for name, seconds in times.items():
        (low, ms, high), predicted = 1e3 * seconds, 1e3 * bytes_moved(ROWS, m)[name] / speed
        row = f"{m:7,}  {name:<13}{ms:11.4f}  {low:8.4f} {high:8.4f}  {predicted:9.4f}"
        table.append(f"{row} {ms / predicted:6.2f}")
        print(table[-1], flush=True)
    results.append(times)
print("claim: row sums beat column sums:", verdict(times["A.sum(dim=0)"], times["A.sum(dim=1)"]))
print("claim: step 1 beats step 512:", verdict(times["F[i].sum()"], times["A[i].sum()"]))
columns, row = (times[slow][1] / times[fast][1] for fast, slow in PAIRS)
fig, axes = plt.subplots(1, 2, figsize=(8, 4.5), sharey=True, layout="constrained")
names = ("row sums,\nstep 1", "column sums,\nstep $m$"), ("of A,\nstep 1", "of F,\nstep 512")
for ax, pair, labels, numbers, title in zip(axes, PAIRS, names, (ROWS, 1), ("a matrix", "a row")):
    for name, label, color, marker in zip(pair, labels, ("#0072B2", "#D55E00"), "os"):
        low, ns, high = 1e9 * np.transpose([found[name] for found in results]) / numbers / COLUMNS
        ax.errorbar(COLUMNS, ns, [ns - low, high - ns], color=color, marker=marker)
        side = "bottom" if times[name][1] == max(times[each][1] for each in pair) else "top"
        ax.text(1.4 * COLUMNS[-1], ns[-1], label, color=color, va=side)
    ax.plot(COLUMNS, [4e9 / speed] * len(COLUMNS), color="0.6", zorder=0)
    ax.set(xscale="log", yscale="log", xlim=(COLUMNS[0] / 2, 40 * COLUMNS[-1]), ymargin=0.15)
    ax.set(xlabel="numbers in a row, $m$", title=f"{title} at a time")
    ax.set_xticks(COLUMNS, COLUMNS, minor=False)
    ax.minorticks_off()
axes[0].set_ylabel("time per number (ns)")
axes[1].text(COLUMNS[0] / 1.8, 3.8e9 / speed, "4 bytes, as fast as a copy", color="0.4", va="top")
fig.suptitle(f"m = {m:,}: column sums take {columns:.1f} times as long as row sums,\n"
             f"a row of F takes {row:.0f} times as long as a row of A")
fig.supxlabel(MACHINE, size=7, color="0.4")
save(fig, "memory_layout_efficiency.png", "\n".join(table))
# Example output:
#       m  variant       median (ms)       quartiles      predicted  ratio
#     512  A.sum(dim=1)      0.0144    0.0142   0.0146     0.0397   0.36
#     512  A.sum(dim=0)      0.0255    0.0253   0.0257     0.0397   0.64
#     512  A[i].sum()        0.0015    0.0015   0.0015     0.0001  19.14
#     512  F[i].sum()        0.0026    0.0026   0.0027     0.0012   2.13
#   4,096  A.sum(dim=1)      0.0916    0.0910   0.0925     0.3173   0.29
#   4,096  A.sum(dim=0)      0.3188    0.3048   0.3262     0.3178   1.00
#   4,096  A[i].sum()        0.0020    0.0019   0.0021     0.0006   3.21
#   4,096  F[i].sum()        0.0241    0.0237   0.0250     0.0099   2.43
#  32,768  A.sum(dim=1)      2.5028    2.4005   2.6094     2.5378   0.99
#  32,768  A.sum(dim=0)      6.9240    6.8765   7.2027     2.5427   2.72
#  32,768  A[i].sum()        0.0065    0.0060   0.0070     0.0050   1.32
#  32,768  F[i].sum()        0.1806    0.1774   0.1848     0.0793   2.28
# claim: row sums beat column sums: held here, 2.77 times (2.64 to 3.00)
# claim: step 1 beats step 512: held here, 27.65 times (25.34 to 30.66)
# figure: ...memory_layout_efficiency.png

# %% [markdown]
# ## The causes, taken away
# `ones @ A` makes the column sums in steps of 1; in F rows and columns change places. Steps of 2048
# bytes fall on few places of a cache: a gap after each column of F spreads them. Rows next to each
# other share lines, which a cache may still hold for the next call; rows a line apart share none.

# %%
A, ones = torch.ones(ROWS, COLUMNS[-1], device=DEVICE), torch.ones(ROWS, device=DEVICE)
F, gap = column_major(A), torch.ones(COLUMNS[-1], ROWS + 16, device=DEVICE)[:, :ROWS].t()
times = take_turns({
    "row sums of A": lambda: A.sum(dim=1), "column sums of A": lambda: A.sum(dim=0),
    "ones @ A": lambda: ones @ A, "column sums of F": lambda: F.sum(dim=0),
    "row sums of F": lambda: F.sum(dim=1), "a row of A": next_row_sum(A),
    "a row of F": next_row_sum(F), "a row of F, gaps": next_row_sum(gap),
    "a row a line apart": next_row_sum(F[:: LINE // 4])})
for name, (_, median, _) in times.items():
    ratio = median / times["a row of A" if name.startswith("a row") else "row sums of A"][1]
    print(f"{name:<20} {1e3 * median:9.4f} ms {ratio:7.2f} times")
# Example output:
# row sums of A           2.6825 ms    1.00 times
# column sums of A        7.1732 ms    2.67 times
# ones @ A                2.9506 ms    1.10 times
# column sums of F        2.5345 ms    0.94 times
# row sums of F           7.1089 ms    2.65 times
# a row of A              0.0073 ms    1.00 times
# a row of F              0.1855 ms   25.46 times
# a row of F, gaps        0.0782 ms   10.73 times
# a row a line apart      0.2456 ms   33.70 times
