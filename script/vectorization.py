# %% [markdown]
# # Vectorization
#
# A Python loop over the numbers of a tensor `w` can add up their squares. `torch.sum(w * w)` does
# so without one. To replace the loop by operations on whole tensors is called vectorization: the
# loop then runs in PyTorch's compiled code, and not in Python. For five million numbers the Python
# loop takes seconds, and `torch.sum(w * w)` takes milliseconds. This script shows what the Python
# loop spends its time on, and why the two sums of random numbers differ a little.
#
# Example outputs: the lecture's machine, Linux, Intel Xeon (x86_64), torch 2.15.0.

# %%
import os
import platform
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch.utils.benchmark import Timer

plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"

# %% [markdown]
# ## Four ways to one sum
#
# Each way avoids some work of the way before it.
#
# - The loop over `w`: for each number, `w[i]` makes a new tensor that holds only this number, and
#   `item()` makes a Python number of it.
# - The loop over `w.tolist()`: `tolist` makes a list of all Python numbers in one call, before the
#   loop. The loop itself does not use PyTorch.
# - `torch.sum(w * w)` has no Python loop. `w * w` makes a tensor of all squares, and `torch.sum`
#   adds them up.
# - `w.dot(w)`, the dot product of `w` with itself, adds up the squares while it reads `w`. It makes
#   no tensor of them.

# %%
def loop_over_tensor(w: torch.Tensor) -> float:
    """The sum of the squares of w, shape (n,)."""
    total = 0.0
    for i in range(len(w)):
        number = w[i].item()
        total += number * number
    return total

def loop_over_list(numbers: list[float]) -> float:
    """The sum of the squares of the numbers."""
    total = 0.0
    for number in numbers:
        total += number * number
    return total

# %%
w = torch.tensor([1.0, 2.0, 3.0, 4.0])
print("w[1]:", w[1], " w[1].item():", w[1].item())
print("loop over w:", loop_over_tensor(w))
print("loop over w.tolist():", loop_over_list(w.tolist()))
print("torch.sum(w * w):", torch.sum(w * w).item())
print("w.dot(w):", w.dot(w).item())
# Output:
# w[1]: tensor(2.)  w[1].item(): 2.0
# loop over w: 30.0
# loop over w.tolist(): 30.0
# torch.sum(w * w): 30.0
# w.dot(w): 30.0

# %% [markdown]
# ## How long do they take?
#
# `w` now holds 100,000 whole numbers from 0 to 9. Float32, the type of these numbers, holds every
# whole number up to 2^24, some 16.8 million. The sum of the squares is at most 100,000 * 81 = 8.1
# million, so no way rounds, and the four sums must be equal.
#
# `milliseconds` calls a function for at least 0.05 s, on one thread, and returns the median time of
# a call. The lecture's machine is shared with other programs, which can double a time. So only
# large differences count.

# %%
# for a GPU: DEVICE=cuda python script/vectorization.py, or edit the next line
DEVICE = os.environ.get("DEVICE", "cpu")
N = 100_000

def milliseconds(function):
    """The median time of a call of function, in ms."""
    timer = Timer("function()", globals={"function": function})
    return 1000 * timer.blocked_autorange(min_run_time=0.05).median

# %%
torch.manual_seed(0)
w = torch.randint(10, (N,), dtype=torch.float32, device=DEVICE)
loop_sums = [loop_over_tensor(w), loop_over_list(w.tolist())]
print("same sums?", loop_sums == [torch.sum(w * w).item(), w.dot(w).item()])

over_w = milliseconds(lambda: loop_over_tensor(w))
over_list = milliseconds(lambda: loop_over_list(w.tolist()))
by_sum = milliseconds(lambda: torch.sum(w * w))
by_dot = milliseconds(lambda: w.dot(w))
print(f"loop over w           {over_w:8.3f} ms")
print(f"loop over w.tolist()  {over_list:8.3f} ms")
print(f"torch.sum(w * w)      {by_sum:8.3f} ms")
print(f"w.dot(w)              {by_dot:8.3f} ms")
# Example output:
# same sums? True
# loop over w            292.402 ms
# loop over w.tolist()     7.443 ms
# torch.sum(w * w)         0.026 ms
# w.dot(w)                 0.009 ms

# %% [markdown]
# ## What a call costs
#
# Why is the loop over `w` so slow? It calls PyTorch twice per number, for `w[i]` and for `item()`.
# Each call has to check its arguments, to find the code for their dtype and device, and to make an
# object for the result. If these calls are what the loop spends its time on, then it takes about as
# long as 100,000 times `w[0].item()`.
#
# `w.dot(w)` pays this price only once, for all its numbers. So it should take about as long for 100
# numbers as for one.

# %%
w = torch.ones(N, device=DEVICE)
single = milliseconds(lambda: w[0].item())
over_w = milliseconds(lambda: loop_over_tensor(w))
print(f"w[0].item()            {1000 * single:8.2f} us")
print(f"{N:,} times that     {N * single:8.1f} ms")
print(f"loop over w            {over_w:8.1f} ms")
for n in [1, 100]:
    w = torch.ones(n, device=DEVICE)
    by_dot = milliseconds(lambda: w.dot(w))
    print(f"w.dot(w), n = {n:<3}      {1000 * by_dot:8.2f} us")
# Example output:
# w[0].item()                3.00 us
# 100,000 times that        299.8 ms
# loop over w               291.0 ms
# w.dot(w), n = 1            2.44 us
# w.dot(w), n = 100          2.46 us

# %% [markdown]
# ## Where the time goes
#
# On the lecture's machine the calls alone take about as long as the loop, so they are nearly all
# that it pays for. And `w.dot(w)` takes about as long for 100 numbers as for one. The other three
# ways make only one or two calls. Where does their time go?
#
# - The loop over a list pays for Python, which checks the type of every value and makes a new
#   object for every product and every sum.
# - In `torch.sum(w * w)` compiled code does the loop. All numbers of a tensor have the same type,
#   so it needs no such checks, and it lets the processor handle several numbers at once.
# - `torch.sum(w * w)` still writes the squares to memory and reads them again. `w.dot(w)` does not.
#
# ## Over the sizes
#
# We measure the time per number, up to the lecture's five million numbers. A loop pays for every
# number, so its time per number falls little once n is large. A call of `torch.sum` or `w.dot` is
# paid once, so its time per number falls as n grows, until the work on the numbers takes longer
# than the call.
#
# Then it can rise again. Up to 100,000 numbers `w` and its squares have at most 0.4 MB each, and
# stay in the processor's fast memory, the cache. Five million numbers have 20 MB. This is less than
# the 32 MiB above which inplace.py finds page faults, but more than most caches near the processor
# hold. Which way suffers more, `torch.sum(w * w)` or `w.dot(w)`?
#
# The loop over five million numbers takes seconds. It takes longer on a GPU, because each `item()`
# waits for the GPU. So this loop runs only once, and says beforehand how long it will take.

# %%
SIZES = [1, 10, 100, 1000, 10_000, 100_000, 5_000_000]

def time_longest_loop(w: torch.Tensor) -> float:
    """The time of one loop over w in ms. Prints an estimate before."""
    short = w[:1000]
    seconds = milliseconds(lambda: loop_over_tensor(short)) / 1000 * len(w) / len(short)
    print(f"The loop over {len(w):,} numbers will take about {seconds:.0f} s.", flush=True)
    start = time.perf_counter()
    loop_over_tensor(w)
    return 1000 * (time.perf_counter() - start)

def save(fig: plt.Figure, name: str) -> None:
    """Save fig as FIGURES/name and print where it lies, or why it could not be saved."""
    path = FIGURES / name
    try:
        FIGURES.mkdir(parents=True, exist_ok=True)
        fig.savefig(path, dpi=200)
        print("figure:", path.as_uri())
    except OSError as error:
        print("no figure:", path.as_uri(), ascii(error))

# %%
longest = time_longest_loop(torch.ones(SIZES[-1], device=DEVICE))
print("nanoseconds per number")
print("numbers in w  loop over w  loop over w.tolist()  torch.sum(w * w)  w.dot(w)")
table = []
for n in SIZES:
    w = torch.ones(n, device=DEVICE)
    to_ns = 1_000_000 / n  # from ms per call to ns per number
    if n == SIZES[-1]:
        over_w = to_ns * longest
    else:
        over_w = to_ns * milliseconds(lambda: loop_over_tensor(w))
    over_list = to_ns * milliseconds(lambda: loop_over_list(w.tolist()))
    by_sum = to_ns * milliseconds(lambda: torch.sum(w * w))
    by_dot = to_ns * milliseconds(lambda: w.dot(w))
    table.append([over_w, over_list, by_sum, by_dot])
    print(f"{n:12,} {over_w:12.1f} {over_list:21.1f} {by_sum:17.3f} {by_dot:9.3f}")

ns = torch.tensor(table, dtype=torch.float64)
fig, ax = plt.subplots(figsize=(8, 5), layout="constrained")
ax.plot(SIZES, ns[:, 0], "s-", color="#E69F00", label="loop over w")
ax.plot(SIZES, ns[:, 1], "^-.", color="#CC79A7", label="loop over w.tolist()")
ax.plot(SIZES, ns[:, 2], "D--", color="#009E73", label="torch.sum(w * w)")
ax.plot(SIZES, ns[:, 3], "o-", color="#0072B2", label="w.dot(w)")
ax.set(xscale="log", yscale="log", xlabel="numbers in w", ylabel="time per number (ns)")
ax.set_title(
    f"{n:,} numbers: a loop over w takes {over_w / by_sum:,.0f} times as long as\n"
    f"torch.sum(w * w), and {over_w / by_dot:,.0f} times as long as w.dot(w)"
)
ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4, frameon=False)
fig.supxlabel(f"{platform.system()} {platform.machine()}, torch {torch.__version__}", size=7)
save(fig, "vectorization_timing.png")
# Example output:
# The loop over 5,000,000 numbers will take about 14 s.
# nanoseconds per number
# numbers in w  loop over w  loop over w.tolist()  torch.sum(w * w)  w.dot(w)
#            1       4209.0                 690.2          6020.190  2380.195
#           10       1686.4                  88.3           338.063   127.079
#          100       1481.7                  50.5            33.628    21.887
#        1,000       2823.8                  67.6             6.782     1.197
#       10,000       2501.9                  66.9             0.815     0.325
#      100,000       2951.8                  66.8             0.254     0.092
#    5,000,000       2147.9                  97.0             0.669     0.220
# figure: ...vectorization_timing.png

# %% [markdown]
# ## Few numbers and many
#
# For one number the loop over a list is the fastest on the lecture's machine: vectorization saves
# nothing. `torch.sum(w * w)` takes longer than `w.dot(w)`, because it makes two calls and a tensor
# of squares. From 1000 numbers on both ways without a Python loop are far ahead of both loops.
#
# From 100,000 numbers to five million `torch.sum(w * w)` rises by more nanoseconds than `w.dot(w)`:
# it reads `w`, writes the squares and reads them: three passes over memory, where `w.dot(w)` makes
# one. The list and its Python numbers take 160 MB, so the loop over a list
# can rise, too. The loop over `w` still spends its time on its calls.
#
# ## Two sums that differ
#
# Now `w` has five million random numbers, as in the lecture. They are float32, with some 7 decimal
# digits. Python's numbers are float64, with some 16 digits. So the loops multiply and add with 16
# digits, and PyTorch with 7. PyTorch also adds in another order than the loops. Which of the two
# makes the sums differ? We let PyTorch compute once more with the numbers in float64. It adds in
# an order of its own then, too, but has the digits of the loops.
#
# (Both loops do the same arithmetic, so we take the faster one.)

# %%
torch.manual_seed(0)
w = torch.randn(5_000_000)
by_loop = loop_over_list(w.tolist())
w64 = w.double()
in_float64 = torch.sum(w64 * w64).item()
by_sum = torch.sum(w * w).item()
by_dot = w.dot(w).item()
print(f"loop over w.tolist():        {by_loop:.2f}")
print(f"torch.sum(w * w) in float64: {in_float64:.2f}")
print(f"torch.sum(w * w):            {by_sum:.2f}")
print(f"w.dot(w):                    {by_dot:.2f}")

sum_error = abs(by_sum / by_loop - 1)
dot_error = abs(by_dot / by_loop - 1)
print(f"relative error of torch.sum: {sum_error:.0e}")
print(f"relative error of w.dot(w):  {dot_error:.0e}")
# Example output:
# loop over w.tolist():        4997394.78
# torch.sum(w * w) in float64: 4997394.78
# torch.sum(w * w):            4997394.50
# w.dot(w):                    4997373.00
# relative error of torch.sum: 6e-08
# relative error of w.dot(w):  4e-06

# %% [markdown]
# ## Why they differ
#
# In float64 PyTorch prints the loop's digits, in spite of its own order. So the cause is float32,
# which has to round. Near five million, float32 numbers are 0.5 apart: no float32 sum ends in .78.
#
# How much is rounded depends on the order. The larger a sum is, the more of what is added to it
# gets lost (see dtypes.py). `torch.sum` keeps most of its sums small, and its result was within 0.5
# of the loop's on the processors that we tried. `w.dot(w)` keeps some sums side by side, and adds
# these at the end. Their number depends on the processor and the threads. With 128 sums these
# squares give an error of 4e-06, as in the example, and with 4 sums one of 7e-04, which is 3600 in
# five million.
#
# ## What to take away
#
# - Write a computation for whole tensors, in few calls. A call takes about as long for one number
#   as for a hundred.
# - If a loop over single numbers cannot be avoided, call `tolist` once, before the loop. The price:
#   a number takes 4 bytes in the tensor, but in the list 8 for its address and 24 for the Python
#   object, and PyTorch records no gradient through `tolist` or `item`.
# - One call that does the whole job is faster than two, but `dot` may be less accurate than `sum`.
#   If the digits matter, compute in float64.
#
# ## Try it
#
# Predict first, then change the line and run its cell.
#
# 1. In "Four ways to one sum", replace `torch.sum(w * w).item()` by
#    `torch.sum(w[1:] * w[:-1]).item()`. Which loop does it stand for, and what does it print?
# 2. In "Two sums that differ", replace `torch.randn(5_000_000)` by `torch.ones(5_000_000)`. Do the
#    sums still differ?
