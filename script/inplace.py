# %% [markdown]
# # In-place operations
#
# `x + y` stores the sum in a new tensor. `x.add_(y)` stores it in `x` itself, over the numbers that
# were there. Such an operation is called in-place. It needs no new memory. This script shows what
# else changes when `x` is overwritten, when PyTorch refuses to overwrite it, and why new memory can
# cost more time than the sum that is stored there.
#
# Example outputs: the lecture's machine, Linux, Intel Xeon (x86_64), torch 2.15.0.

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
# A method whose name ends in `_` overwrites the tensor that it is called on. `x + y` leaves `x` as
# it was, and `x.add_(y)` changes it. There is a third way, known from NumPy: `torch.add(x, y,
# out=z)` stores the sum in a tensor `z` that exists already.

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
# As in NumPy, `other = x` is a second name for the same tensor. `x += y` changes this tensor in
# place, so both names show the change. `x = x + y` makes a new tensor and calls the new one `x`,
# while `other` still stands for the old one.

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
# The view `A[0]` uses the memory of `A`, and a tensor from `torch.from_numpy` that of the array
# (see tensor_creation.py). So a change in place changes `A` or the array, too. If the old numbers
# are still needed, copy them first with `clone()`.

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
# ## When in-place is an error
#
# `backward()` computes gradients from a record of the operations (see autograd_tour.py). The
# derivative of exp(w) is exp(w), so `exp` keeps its result for `backward`. Every tensor counts the
# operations that overwrite it. From this count `backward` sees that the result has changed, and
# refuses to compute a wrong gradient. But nothing counts what is written through a NumPy array or
# through `.data`: then the gradient is wrong, without an error. (In this output and the next, `...`
# stands for the rest of a long line.)

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
# The record begins with a leaf, a tensor that you make with `requires_grad=True`, such as weights
# `w`. A recorded `w.add_(1)` would turn the leaf into the result of an operation, so PyTorch
# refuses. It also refuses `out=` for a result that needs a gradient, because it cannot record this
# form. An update of weights should overwrite them, but not be recorded. So it belongs under
# `torch.no_grad()`, where PyTorch records nothing.

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

# %%
# for a GPU: DEVICE=cuda python script/inplace.py, or edit the next line
DEVICE = os.environ.get("DEVICE", "cpu")

def milliseconds(function):
    """The median time of a call of function, in ms."""
    timer = Timer("function()", globals={"function": function})
    return 1000 * timer.blocked_autorange(min_run_time=0.05).median

N = 10_000_000

# %% [markdown]
# ## A real loop
#
# A training program often keeps a running average of its weights, because the average changes more
# smoothly than the weights. The formula `0.75 * average + 0.25 * w` makes three new tensors in each
# step: two products and their sum. The step in place makes none. `mul_` returns the tensor that it
# has changed, so `add_` can follow on the same line, and `alpha=0.25` means that `add_` adds 0.25
# times `w`.
#
# We take ten million weights. `milliseconds` measures a function: PyTorch's `Timer` takes code as a
# string, here a call of the function, runs it again and again on one thread, and gives the median
# time. How many times as long as the step in place does the formula take?

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
# three new tensors:  97.57 ms
# in place:           13.82 ms

# %% [markdown]
# ## How long does a sum take?
#
# On the lecture's machine the formula takes seven times as long. What does a new tensor cost? We
# add ten million numbers in the three ways. Each way reads `x` and `y` and writes one result. But
# only `x + y` has to get memory for its result.

# %%
def sum_milliseconds(n):
    """The times of the three ways to add n numbers, in ms."""
    x = torch.ones(n, device=DEVICE)
    y = torch.ones(n, device=DEVICE)
    z = torch.empty(n, device=DEVICE)
    new = milliseconds(lambda: x + y)
    existing = milliseconds(lambda: torch.add(x, y, out=z))
    in_place = milliseconds(lambda: x.add_(y))
    return new, existing, in_place

# %%
new, existing, in_place = sum_milliseconds(N)
print(f"x + y                   {new:6.2f} ms")
print(f"torch.add(x, y, out=z)  {existing:6.2f} ms")
print(f"x.add_(y)               {in_place:6.2f} ms")
print(f"x + y takes {new / existing:.1f} times as long as torch.add(x, y, out=z)")
# Example output:
# x + y                    29.18 ms
# torch.add(x, y, out=z)    9.29 ms
# x.add_(y)                 7.06 ms
# x + y takes 3.1 times as long as torch.add(x, y, out=z)

# %% [markdown]
# ## Large blocks are not kept
#
# `x + y` and `torch.add(x, y, out=z)` differ only in the memory of the result: it is new, or it is
# there already. So the last line shows what new memory costs. The formula makes three new tensors:
# three times the time of `x + y` is most of its time.
#
# Neither `x.add_(y)` nor `out=z` needs new memory, but on the lecture's machine `x.add_(y)` is
# faster. It goes through the memory of two tensors, and `out=z` through that of three.
# `torch.add(x, x, out=z)`, which goes through two, takes as long as `x.add_(y)` there.
#
# Where does the cost of new memory come from? A program gets memory in blocks, from a function
# called malloc. On most Linux systems it belongs to glibc, the system's C library. This malloc has
# two ways to get a block:
#
# - It takes a small block from the heap, which is memory that the program holds already. When the
#   tensor is not used any more, the block stays in the heap for the next tensor.
# - For a large block that no free part of the heap can hold, it asks the operating system, and
#   gives the block back as soon as the tensor is not used any more. So the next tensor of this size
#   needs new memory.
#
# What is large? The limit rises with the blocks that the program gives back, up to 32 MiB = 2^25
# bytes. Our numbers have the type float32, with 4 bytes each. So in this script a block is large
# when it has more than 2^23 = 8,388,608 numbers.
#
# ## New memory comes page by page
#
# The operating system hands out new memory in pages, of 4,096 bytes on most computers. At first a
# page is only promised. When the program writes to it for the first time, the processor interrupts
# the program, and the operating system finds free memory for the page and fills it with zeros. This
# interruption is called a page fault. Ten million numbers are 40,000,000 bytes, or 9,766 pages. We
# suspect that `x + y` waits for 9,766 page faults, each time.
#
# ## An experiment: malloc keeps large blocks
#
# If malloc and the page faults are the cause, `x + y` has page faults, and becomes slow, between 8
# and 9 million numbers. And both vanish if we make malloc treat large blocks like small ones. Two
# environment variables do this, if the malloc is that of glibc:
#
# - `MALLOC_MMAP_MAX_=0` allows no large blocks from the operating system (malloc gets them by a
#   call named mmap). Then these blocks come from the heap, too.
# - `MALLOC_TRIM_THRESHOLD_=4294967296` lets the program hold up to 2^32 bytes (4 GiB) of unused
#   heap. Otherwise malloc would soon give unused memory at the end of the heap back.
#
# malloc reads the variables when a program starts. So the experiment is a small program in a
# string, which we start twice: as usual, and with the variables. For each size and each way it
# times 21 calls, counts their page faults, and reports the medians. The first calls may need new
# memory that the heap then holds for the later ones, and do not change the median. Python's module
# `resource` gets the count of page faults, `ru_minflt`, from the operating system (but not on
# Windows).

# %%
KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "4294967296"}
SIZES = [100_000, 300_000, 1_000_000, 3_000_000, 8_000_000, 9_000_000, 10_000_000, 20_000_000]

PROGRAM = """
import json
import sys
from statistics import median
import torch
from torch.utils.benchmark import timer as clock  # it waits for a GPU

def page_faults():
    try:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    except ImportError:  # on Windows
        return float("nan")

def measure(function):
    seconds = []
    counts = []
    for call in range(21):
        faults_before = page_faults()
        start = clock()
        function()
        seconds.append(clock() - start)
        counts.append(page_faults() - faults_before)
    return median(seconds), median(counts)

torch.set_num_threads(1)
device = sys.argv[1]
sizes = json.loads(sys.argv[2])
times = {"x + y": [], "torch.add(out=z)": [], "x.add_(y)": []}
faults = {"x + y": [], "torch.add(out=z)": [], "x.add_(y)": []}
for n in reversed(sizes):  # small tensors first would leave memory for the large ones
    x = torch.ones(n, device=device)
    y = torch.ones(n, device=device)
    z = torch.empty(n, device=device)
    ways = {
        "x + y": lambda: x + y,
        "torch.add(out=z)": lambda: torch.add(x, y, out=z),
        "x.add_(y)": lambda: x.add_(y),
    }
    for way, function in ways.items():
        seconds, count = measure(function)
        times[way].append(1e9 * seconds / n)  # ns per number
        faults[way].append(count)
    del x, y, z
for way in times:  # from now on in the order of sizes
    times[way].reverse()
    faults[way].reverse()
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

def draw_times(times: dict, times_keep: dict) -> plt.Figure:
    """The times per number (ns) over SIZES, as usual and with the variables KEEP."""
    fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    ax.plot(SIZES, times["x + y"], "o-", color="#D55E00", label="x + y")
    ax.plot(SIZES, times["torch.add(out=z)"], "s--", color="#0072B2", label="torch.add(out=z)")
    ax.plot(SIZES, times["x.add_(y)"], "^:", color="#009E73", label="x.add_(y)")
    ax.plot(SIZES, times_keep["x + y"], "D-.", color="#CC79A7", label="x + y, KEEP")
    ax.axvline(2**23, color="0.6", zorder=0)
    ax.set(xscale="log", xlabel="numbers in x (gray line: 32 MiB)", ylim=(0, None))
    ax.set_ylabel("time per number (ns)")
    to_existing = times["x + y"][-1] / times["torch.add(out=z)"][-1]
    to_kept = times["x + y"][-1] / times_keep["x + y"][-1]
    ax.set_title(
        f"{SIZES[-1]:,} numbers: x + y takes {to_existing:.1f} times as long as torch.add(out=z),\n"
        f"and {to_kept:.1f} times as long as when malloc keeps freed memory (KEEP)"
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
# the variables (KEEP). The last two columns count the page faults in one call of `x + y`, as usual
# and with the variables. Look for the row in which the page faults begin. There the cause predicts
# a jump of `x + y`, and none of `x + y, KEEP`. The figure draws the four columns of times.

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
#      100,000   0.20              0.21       0.16         0.22       0             0
#      300,000   0.60              0.58       0.30         0.72       0             0
#    1,000,000   0.68              0.61       0.43         0.62       0             0
#    3,000,000   0.90              0.72       0.48         0.62       0             0
#    8,000,000   1.13              0.91       0.59         0.92       0             0
#    9,000,000   2.83              1.05       0.73         1.01   8,790             0
#   10,000,000   2.68              1.04       0.60         1.02   9,766             0
#   20,000,000   2.79              1.04       0.72         1.19  19,532             0
# most page faults of torch.add(out=z): 0
# figure: ...inplace_allocation.png

# %% [markdown]
# ## What the table says
#
# For 10,000,000 numbers the lecture's machine counts 9,766 page faults as usual, one for each page,
# and none with the variables. In the rows with page faults `x + y` takes more than twice as long as
# `torch.add(out=z)` and as `x + y, KEEP`. A page holds 1,024 numbers, so 1,024 times the difference
# is the cost of one page fault: some 2 microseconds on this machine.
#
# In the rows without page faults the variables have nothing to remove. So the differences there are
# not the cost of new memory: the two columns come from two programs, and other programs use the
# machine as well. Small tensors can take less time per number, because they fit into the cache, a
# small and fast memory in the processor for numbers that were used lately.
#
# Another system may have no jump. macOS, Windows and some Linux systems have another malloc, which
# ignores the two variables. Some Linux systems hand out pages of 2 MiB, with far fewer page faults.
# NumPy asks Linux for such pages: on the lecture's machine a sum of two arrays has page faults from
# 9 million numbers on, too, but only some 600. On an NVIDIA GPU PyTorch itself keeps freed memory.
#
# ## What to take away
#
# - An operation in place, or with `out=`, needs no new memory. This can save more time than the
#   arithmetic takes, if the tensors are large.
# - Every other name, view or NumPy array of the tensor changes with it. If an operation in place
#   has overwritten what `backward` needs, `backward` fails. If NumPy or `.data` has overwritten it,
#   the gradient is wrong.
# - If you cannot change the code, you can start it with the two variables, in a Linux shell:
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
# 2. In "Views and NumPy arrays", replace `torch.from_numpy` by `torch.tensor`. Does the array still
#    change?
# 3. In "When in-place is an error", replace `w.exp()` by `w + 1`. Does `backward` still fail?
