# %% [markdown]
# # In-place operations
#
# `x + y` stores the sum in a new tensor. `x.add_(y)` stores it in `x` itself, over the numbers
# that were there. Such an operation is called in-place. It saves memory, and for large tensors
# often most of the time. This script shows what `x + y` waits for, how a program can avoid the
# wait, and when it is an error to overwrite a tensor.
#
# Example outputs: the lecture's machine, Linux, Intel Xeon (x86_64), torch 2.15.0+cu132, one thread.

# %%
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.utils.benchmark import Timer

plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"

# %% [markdown]
# ## The underscore
#
# A method whose name ends in `_` overwrites the tensor that it is called on. `x + y` leaves `x`
# as it was, and `x.add_(y)` changes it. There is a third way: `torch.add(x, y, out=z)` stores the
# sum in a tensor `z` that exists already.

# %%
x = torch.tensor([1.0, 2.0, 3.0])
y = torch.tensor([10.0, 20.0, 30.0])
print("out-of-place:", x + y)
z = torch.empty(3)
torch.add(x, y, out=z)
print("with out=z, z:", z)
print("x unchanged:", x)
x.add_(y)
print("in-place:", x)
# Output:
# out-of-place: tensor([11., 22., 33.])
# with out=z, z: tensor([11., 22., 33.])
# x unchanged: tensor([1., 2., 3.])
# in-place: tensor([11., 22., 33.])

# %% [markdown]
# ## Two names for one tensor
#
# After `other = x` both names stand for the same tensor, so a change in place is seen through
# both. `x += y` is such a change. `x = x + y` is not: it makes a new tensor and calls the new one
# `x`, while `other` still stands for the old one.

# %%
y = torch.tensor([10.0, 20.0, 30.0])

x = torch.tensor([1.0, 2.0, 3.0])
other = x
x += y
print("after x += y, other:", other)

x = torch.tensor([1.0, 2.0, 3.0])
other = x
x = x + y  # a new tensor
print("after x = x + y, other:", other)
# Output:
# after x += y, other: tensor([11., 22., 33.])
# after x = x + y, other: tensor([1., 2., 3.])

# %% [markdown]
# ## Views and NumPy arrays
#
# `A[0]` is a view: it has no numbers of its own, but shows the first row of `A`. So a change of
# `A[0]` in place changes `A`. In the same way `torch.from_numpy` makes a tensor that uses the
# memory of a NumPy array. If the old numbers are still needed, copy them first with `clone()`.

# %%
A = torch.zeros(2, 3)
copy = A.clone()
A[0].add_(1)
print("A:   ", A.tolist())
print("copy:", copy.tolist())

array = np.zeros(3)
shared = torch.from_numpy(array)
shared.add_(1)
print("array:", array)
# Output:
# A:    [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
# copy: [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
# array: [1. 1. 1.]

# %% [markdown]
# ## How long does a sum take?
#
# We add ten million numbers in the three ways. The function `milliseconds` calls each way many
# times, in one thread, and returns the median of the times. Compare the first two lines. Both ways
# read and write equally many numbers. The only difference is that `x + y` has to get memory for its
# result first.

# %%
# for a GPU: DEVICE=cuda python script/inplace.py, or edit the next line
DEVICE = os.environ.get("DEVICE", "cpu")

def milliseconds(function):
    """The median time of a call of function, in ms."""
    timer = Timer("function()", globals={"function": function})
    return 1000 * timer.blocked_autorange(min_run_time=0.05).median

def sum_milliseconds(n):
    """The times of the three ways to add n numbers, in ms."""
    x = torch.ones(n, device=DEVICE)
    y = torch.ones(n, device=DEVICE)
    z = torch.empty(n, device=DEVICE)
    new = milliseconds(lambda: x + y)
    existing = milliseconds(lambda: torch.add(x, y, out=z))
    in_place = milliseconds(lambda: x.add_(y))
    return new, existing, in_place

N = 10_000_000

# %%
new, existing, in_place = sum_milliseconds(N)
print(f"x + y                   {new:6.2f} ms")
print(f"torch.add(x, y, out=z)  {existing:6.2f} ms")
print(f"x.add_(y)               {in_place:6.2f} ms")
print(f"x + y takes {new / existing:.1f} times as long as torch.add(x, y, out=z)")
# Example output:
# x + y                    31.23 ms
# torch.add(x, y, out=z)   10.61 ms
# x.add_(y)                 6.28 ms
# x + y takes 2.9 times as long as torch.add(x, y, out=z)

# %% [markdown]
# ## What the times say
#
# On the lecture's machine, getting the memory takes more than half of the time of `x + y`. The
# fastest way is `x.add_(y)`. It touches two tensors, and `torch.add(x, y, out=z)` touches three.
#
# ## Large blocks are not kept
#
# Why does it take so long to get memory? A program gets its memory in blocks, from a library called
# malloc. When a tensor is not used any more, its block goes back to malloc. On Linux this is mostly
# the malloc of glibc, the system's C library. It usually keeps a freed block for the next tensor if
# the block has at most 32 MiB (a MiB is 2^20 bytes). It returns a larger block to the operating
# system at once, and the next tensor of that size needs new memory.
#
# A number of the type float32 has 4 bytes. Look for the size from which `x + y` needs new memory.

# %%
for n in [1_000_000, 8_000_000, 9_000_000, 10_000_000]:
    mebibytes = n * torch.float32.itemsize / 2**20
    print(f"{n:10,} numbers: {mebibytes:4.1f} MiB, more than 32? {mebibytes > 32}")
# Output:
#  1,000,000 numbers:  3.8 MiB, more than 32? False
#  8,000,000 numbers: 30.5 MiB, more than 32? False
#  9,000,000 numbers: 34.3 MiB, more than 32? True
# 10,000,000 numbers: 38.1 MiB, more than 32? True

# %% [markdown]
# ## New memory comes page by page
#
# The operating system hands out new memory in pages, of 4,096 bytes on most computers. At first a
# page is only promised. When the program writes to it for the first time, the processor interrupts
# the program, and the operating system finds free memory for the page and fills it with zeros. This
# interruption is called a page fault. A result with ten million numbers has 9,766 pages of 4,096
# bytes, so `x + y` would wait for 9,766 page faults.
#
# ## An experiment: malloc keeps large blocks
#
# If this explanation is right, then `x + y` becomes slow between 8 and 9 million numbers, where its
# page faults begin. And it stays fast if malloc keeps large blocks, too. Two environment variables
# tell glibc's malloc to do so:
#
# - `MALLOC_MMAP_MAX_=0`: malloc may get no block separately from the operating system. So it takes
#   large blocks, too, from its heap, the memory that it holds for small blocks.
# - `MALLOC_TRIM_THRESHOLD_=4294967296`: malloc shortens the heap only if more than 2^32 bytes
#   (4 GiB) at its end are free. This script never uses so much.

# %%
KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "4294967296"}
SIZES = [100_000, 300_000, 1_000_000, 3_000_000, 8_000_000, 9_000_000, 20_000_000]

# %% [markdown]
# ## The program for the experiment
#
# malloc reads the variables when a program starts. So we write a small program into a string, and
# start it twice: as usual, and with the variables. For each size and each way it measures 21 calls
# and counts their page faults. It reports the medians, because some first calls need new memory in
# any case. Python's module `resource` gets the count of page faults, `ru_minflt`, from the
# operating system (but not on Windows).

# %%
PROGRAM = """
import json
import sys
from statistics import median
import torch
from torch.utils.benchmark import timer  # a clock that waits for a GPU

def page_faults():
    try:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    except ImportError:  # on Windows
        return float("nan")

def measure(way, function):
    seconds = []
    counts = []
    for call in range(21):
        faults_before = page_faults()
        start = timer()
        function()
        seconds.append(timer() - start)
        counts.append(page_faults() - faults_before)
    times[way].insert(0, 1e9 * median(seconds) / n)  # ns per number, in front of the larger sizes
    faults[way].insert(0, median(counts))

torch.set_num_threads(1)
times = {"x + y": [], "torch.add(out=z)": [], "x.add_(y)": []}
faults = {"x + y": [], "torch.add(out=z)": [], "x.add_(y)": []}
device = sys.argv[1]
sizes = json.loads(sys.argv[2])
for n in reversed(sizes):  # from large to small: small ones leave memory that large ones could use
    x = torch.ones(n, device=device)
    y = torch.ones(n, device=device)
    measure("x + y", lambda: x + y)
    z = torch.empty(n, device=device)
    measure("torch.add(out=z)", lambda: torch.add(x, y, out=z))
    measure("x.add_(y)", lambda: x.add_(y))
    del x, y, z
print(json.dumps([times, faults]))
"""

def run_program(variables: dict) -> list:
    """Run PROGRAM with these environment variables: its times (ns) and page faults, by way."""
    environment = dict(os.environ)
    environment.update(variables)
    # -P: import no file of the current folder that happens to have a module's name
    command = [sys.executable, "-P", "-c", PROGRAM, DEVICE, json.dumps(SIZES)]
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(run.stdout)

# %%
def draw_times(times: dict, times_keep: dict) -> plt.Figure:
    """The times per number (ns) over SIZES, as usual and with the variables KEEP."""
    fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    ax.plot(SIZES, times["x + y"], "o-", color="#D55E00", label="x + y")
    ax.plot(SIZES, times["torch.add(out=z)"], "s--", color="#0072B2", label="torch.add(out=z)")
    ax.plot(SIZES, times["x.add_(y)"], "^:", color="#009E73", label="x.add_(y)")
    ax.plot(SIZES, times_keep["x + y"], "D-.", color="#CC79A7", label="x + y, KEEP")
    ax.axvline(2**25 / 4, color="0.6", zorder=0)
    ax.set(xscale="log", xlabel="numbers in x (gray line: 32 MiB)", ylim=(0, None))
    ax.set_ylabel("time per number (ns)")
    usual = times["x + y"][-1] / times["torch.add(out=z)"][-1]
    keep = times_keep["x + y"][-1] / times_keep["torch.add(out=z)"][-1]
    ax.set_title(
        f"{SIZES[-1]:,} numbers: x + y takes {usual:.1f} times as long as torch.add(out=z),\n"
        f"and {keep:.1f} times as long when malloc is told to keep freed memory"
    )
    ax.legend(frameon=False)
    machine = f"{platform.system()} {platform.machine()}, torch {torch.__version__}, {DEVICE}"
    fig.supxlabel(machine, size=7)
    return fig

def save(fig: plt.Figure, name: str) -> None:
    """Save fig as FIGURES/name and print where it lies, or why it could not be saved."""
    path = FIGURES / name
    try:
        FIGURES.mkdir(parents=True, exist_ok=True)
        fig.savefig(path, dpi=200)
        print("figure:", path.as_uri())
    except OSError as error:
        print("no figure:", path.as_uri(), ascii(error))

# %% [markdown]
# ## Over the sizes
#
# The table has the time per number in nanoseconds: of the three ways as usual, and of `x + y` with
# the variables (KEEP). The last two columns count the page faults in one call of `x + y`, without
# and with the variables. Look for the row in which they begin, and compare the times there.

# %%
times, faults = run_program({})
times_keep, faults_keep = run_program(KEEP)
print("numbers in x  x + y  torch.add(out=z)  x.add_(y)  x + y, KEEP  faults  faults, KEEP")
for i, n in enumerate(SIZES):
    print(
        f"{n:12,} {times['x + y'][i]:6.2f} {times['torch.add(out=z)'][i]:17.2f}"
        f" {times['x.add_(y)'][i]:10.2f} {times_keep['x + y'][i]:12.2f}"
        f" {faults['x + y'][i]:7,} {faults_keep['x + y'][i]:13,}"
    )
print("most page faults of torch.add(out=z):", max(faults["torch.add(out=z)"]))
if np.isnan(faults["x + y"][0]):
    print("nan: page faults are not counted on this system")
save(draw_times(times, times_keep), "inplace_allocation.png")
# Example output:
# numbers in x  x + y  torch.add(out=z)  x.add_(y)  x + y, KEEP  faults  faults, KEEP
#      100,000   0.22              0.21       0.15         0.35       0             0
#      300,000   0.63              0.65       0.31         0.69       0             0
#    1,000,000   0.68              0.66       0.44         0.65       0             0
#    3,000,000   0.65              0.60       0.41         1.04       0             0
#    8,000,000   1.11              1.10       0.87         1.24       0             0
#    9,000,000   3.26              1.16       0.91         1.28   8,790             0
#   20,000,000   3.25              1.18       0.91         1.22  19,532             0
# most page faults of torch.add(out=z): 0
# figure: ...inplace_allocation.png

# %% [markdown]
# ## What the table says
#
# On the lecture's machine the prediction holds. From 9 million numbers on, `x + y` has one page
# fault for each page of its result, and there its time jumps. With the variables there are next to
# no page faults and no jump: `x + y` takes about as long as `torch.add(out=z)`. Up to 8 million
# numbers there is little difference anyway. To the left all ways are faster, because small tensors
# fit into the cache, a small and fast memory in the processor for numbers that were used lately.
#
# Your machine may show another picture. A Mac, Windows and PyTorch for Linux on ARM processors have
# another malloc, with other limits, which ignores the two variables. Some Linux systems hand out
# pages of 2 MiB, with far fewer page faults. On an NVIDIA GPU PyTorch itself keeps freed memory.
#
# ## A real loop
#
# A training program often keeps a running average of its weights `w`. The formula
# `0.75 * average + 0.25 * w` makes three new tensors in each step: two products and their sum.
# Together with `average` and `w`, five tensors are in memory at once. The same step in place makes
# no new tensor, so two tensors suffice.

# %%
average = torch.ones(N, device=DEVICE)
w = torch.full((N,), 3.0, device=DEVICE)
new_average = 0.75 * average + 0.25 * w
average.mul_(0.75).add_(w, alpha=0.25)
print("average:", average[0].item(), "same as the new one?", torch.equal(average, new_average))

three_new_tensors = milliseconds(lambda: 0.75 * average + 0.25 * w)
in_place = milliseconds(lambda: average.mul_(0.75).add_(w, alpha=0.25))
print(f"three new tensors: {three_new_tensors:6.2f} ms")
print(f"in place:          {in_place:6.2f} ms")
# Example output:
# average: 1.5 same as the new one? True
# three new tensors:  77.49 ms
# in place:           12.80 ms

# %% [markdown]
# ## When in-place is an error
#
# When a tensor has `requires_grad=True`, PyTorch records the operations on it, and `backward()`
# computes its gradient from the record (see autograd_tour.py). The derivative of exp(w) is exp(w),
# so `exp` saves its result for `backward`. If the result is overwritten in the meantime, `backward`
# refuses to compute a wrong gradient.

# %%
w = torch.zeros(3, requires_grad=True)
result = w.exp()
result.add_(1)
try:
    result.sum().backward()
    print("w.grad:", w.grad)
except RuntimeError as error:
    print("backward failed:", str(error).splitlines()[0])
# Output:
# backward failed: one of the variables needed for gradient computation has been modified by ...

# %% [markdown]
# ## Two more errors
#
# The weights `w` are a leaf: no recorded operation made them. PyTorch refuses to overwrite a
# leaf while it records, and it refuses `out=` for a result that needs a gradient. An update of
# weights has to overwrite them, so it belongs under `torch.no_grad()`, where nothing is recorded.

# %%
w = torch.ones(3, requires_grad=True)
try:
    w.add_(1)
except RuntimeError as error:
    print("w.add_(1) failed:", str(error).splitlines()[0])
try:
    torch.add(w, 1, out=torch.empty(3))
except RuntimeError as error:
    print("out= failed:", str(error).splitlines()[0])
with torch.no_grad():
    w.add_(1)
print("under no_grad, w:", w)
# Output:
# w.add_(1) failed: a leaf Variable that requires grad is being used in an in-place operation...
# out= failed: add(): functions with out=... arguments don't support automatic differentiation...
# under no_grad, w: tensor([2., 2., 2.], requires_grad=True)

# %% [markdown]
# ## What to take away
#
# - Code without gradients can overwrite tensors that it has, in place or by `out=`. This saves
#   memory everywhere, and time wherever new memory is slow.
# - Every other name, view or NumPy array of the tensor changes with it.
# - If you cannot change the code, start it with the two variables:
#   `MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=4294967296 python program.py`. This helps with
#   glibc's malloc, on the CPU, if each step makes tensors above 32 MiB anew. The training of a
#   small network gains nothing. The price: the program keeps its freed memory until it ends, and no
#   other program can use it.
#
# ## Try it
#
# Predict first, then change the line and run its cell.
#
# 1. In "Two names for one tensor", replace `x = x + y` by `x[:] = x + y`, which writes into the
#    tensor that `x` stands for. What does `other` show?
# 2. In "Large blocks are not kept", replace `torch.float32` by `torch.float64`: its numbers have 8
#    bytes. Which sizes are then above 32 MiB?
# 3. In "When in-place is an error", replace `w.exp()` by `w + 1`. Does `backward` still fail?
