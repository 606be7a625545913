# %% [markdown]
# # What a step of gradient descent costs
#
# A step of gradient descent on the loss ||w||^2 / 2 does little arithmetic. When w is short, the
# step takes as long as its calls from Python. When w is long, it takes as long as its numbers need
# to travel between memory and processor. This script measures both, and finds a third cost, which
# a program can avoid: memory that is new in every step.
#
# Example outputs: the lecture's machine, Linux, Intel Xeon (x86_64), torch 2.15.0+cu132, one thread.

# %%
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch.utils.benchmark import Timer

plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"

# %% [markdown]
# ## One step
#
# A step computes the loss, its gradient by `backward`, the norm of the gradient, which a training
# loop logs, and the update of w under `no_grad`. (gd_nd_torch.py has the whole loop, and
# autograd_tour.py explains `backward` and `no_grad`.) The gradient of ||w||^2 / 2 is w, so a step
# with eta = 0.5 halves w.
#
# We write the update in two ways. `w.sub_(w.grad, alpha=eta)` subtracts eta times the gradient from
# w, in w's own memory. `w -= eta * w.grad` means `w.sub_(eta * w.grad)`: it stores eta times the
# gradient in a new vector first. Both give the same w.

# %%
def step(w: torch.Tensor, update: Callable) -> float:
    """A step on ||w||^2 / 2, w of shape (d,), by the function update. Returns ||grad||."""
    loss = 0.5 * w.dot(w)
    loss.backward()
    norm = w.grad.norm().item()
    with torch.no_grad():
        update()
    w.grad = None
    return norm

# %%
w = torch.tensor([4.0, -2.0], requires_grad=True)
norm = step(w, lambda: w.sub_(w.grad, alpha=0.5))
print(f"w.sub_(w.grad, alpha=0.5): ||grad|| = {norm:.4f}, new w = {w.tolist()}")

w = torch.tensor([4.0, -2.0], requires_grad=True)
norm = step(w, lambda: w.sub_(0.5 * w.grad))
print(f"w -= 0.5 * w.grad:         ||grad|| = {norm:.4f}, new w = {w.tolist()}")
# Output:
# w.sub_(w.grad, alpha=0.5): ||grad|| = 4.4721, new w = [2.0, -1.0]
# w -= 0.5 * w.grad:         ||grad|| = 4.4721, new w = [2.0, -1.0]

# %% [markdown]
# ## A step moves twelve vectors
#
# Each operation of a step reads whole vectors of d numbers from memory, and some write one:
#
# | operation | reads | writes |
# |---|---|---|
# | `w.dot(w)` | 1 | 0 |
# | `backward`: a number times w, once for each factor of `w.dot(w)` | 2 | 2 |
# | `backward`: the sum of these two products, which is the gradient | 2 | 1 |
# | `w.grad.norm()` | 1 | 0 |
# | `w.sub_(w.grad, alpha=eta)` | 2 | 1 |
#
# Together these are 12 vectors. With `w -= eta * w.grad` there are 14, because eta times the
# gradient is written once and read once.
#
# How long does it take to move 12 vectors? A copy of a vector moves two: it reads one and writes
# one. So we measure a copy of ten million numbers, take it six times, and scale the result to d
# numbers. Compare this with the time of a step. The function `milliseconds` calls a function many
# times, in one thread, and returns the median of the times.

# %%
# for a GPU: DEVICE=cuda python script/gd_nd_cost.py, or edit the next line
DEVICE = os.environ.get("DEVICE", "cpu")

def milliseconds(function):
    """The median time of a call of function, in ms."""
    timer = Timer("function()", globals={"function": function})
    return 1000 * timer.blocked_autorange(min_run_time=0.05).median

LONG = 10_000_000

def copy_milliseconds():
    """The time to copy a vector of LONG numbers, in ms."""
    source = torch.ones(LONG, device=DEVICE)
    target = torch.ones(LONG, device=DEVICE)
    return milliseconds(lambda: target.copy_(source))

def step_milliseconds(d):
    """The time of a step with d numbers, in ms."""
    w = torch.ones(d, device=DEVICE, requires_grad=True)
    # with a tiny eta, w stays near 1 in thousands of steps
    return milliseconds(lambda: step(w, lambda: w.sub_(w.grad, alpha=1e-5)))

# %%
copy = copy_milliseconds()
for d in [1, LONG // 10, LONG]:
    one_step = step_milliseconds(d)
    twelve_vectors = 6 * copy * d / LONG
    print(f"d = {d:10,}: a step takes {one_step:7.3f} ms, 12 vectors take {twelve_vectors:7.3f} ms")
# Example output:
# d =          1: a step takes   0.104 ms, 12 vectors take   0.000 ms
# d =  1,000,000: a step takes   5.015 ms, 12 vectors take   5.904 ms
# d = 10,000,000: a step takes 101.461 ms, 12 vectors take  59.039 ms

# %% [markdown]
# ## What the times say
#
# For d = 1 there is next to nothing to move. A step makes some ten calls of PyTorch, each of which
# takes a few microseconds, and this is all that it costs. For d = 1,000,000 the vectors cost more
# than the calls (on a CPU). They may take less time than we computed, because vectors of 4 MB can
# stay in the cache, a small and fast memory in the processor for numbers that were used lately.
#
# For d = 10,000,000 a step on the lecture's machine takes far longer than its vectors. What is
# different about ten million numbers?
#
# ## Ten million numbers are more than 32 MiB
#
# A program gets its memory in blocks, from a library called malloc. When a tensor is not used any
# more, its block goes back to malloc. On Linux this is mostly the malloc of glibc, the system's C
# library. It usually keeps a freed block for the next tensor if the block has at most 32 MiB (a MiB
# is 2^20 bytes). It returns a larger block to the operating system at once, and the next tensor of
# that size needs new memory. A number of the type float32 has 4 bytes.

# %%
for d in [1_000_000, 8_000_000, 10_000_000]:
    mebibytes = d * torch.float32.itemsize / 2**20
    print(f"d = {d:10,}: w has {mebibytes:4.1f} MiB, more than 32? {mebibytes > 32}")
# Output:
# d =  1,000,000: w has  3.8 MiB, more than 32? False
# d =  8,000,000: w has 30.5 MiB, more than 32? False
# d = 10,000,000: w has 38.1 MiB, more than 32? True

# %% [markdown]
# ## New memory comes page by page
#
# The operating system hands out new memory in pages, of 4,096 bytes on most computers. At first a
# page is only promised. When the program writes to it for the first time, the processor interrupts
# the program, and the operating system finds free memory for the page and fills it with zeros. This
# interruption is called a page fault. A vector of ten million numbers has 9,766 pages of
# 4,096 bytes. Each `backward` makes two such vectors (the two products in the table), so a step
# would wait for 19,532 page faults.
#
# ## An experiment: malloc keeps large blocks
#
# If this explanation is right, then a step with ten million numbers has no page faults and takes
# less time when malloc keeps large blocks, too. Two environment variables tell glibc's malloc to do
# so (inplace.py says what each of them means). malloc reads them when a program starts. So we write
# a small program into a string, and start it twice: as usual, and with the variables.
#
# For each d the program measures 15 steps and counts their page faults. It reports the medians,
# because some first steps need new memory in any case. Python's module `resource` gets the count of
# page faults, `ru_minflt`, from the operating system (but not on Windows).
#
# For the last d the program also measures two other updates: `w -= eta * w.grad`, and PyTorch's own
# `torch.optim.SGD`, which computes the same as `w.sub_(w.grad, alpha=eta)`. The experiment needs
# about 1.1 GB of memory.

# %%
KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "4294967296"}
SIZES = [1, 1000, 100_000, 1_000_000, 3_000_000, 8_000_000, 10_000_000]

PROGRAM = """
import json
import sys
from statistics import median
import torch
from torch.utils.benchmark import timer  # a clock that waits for a GPU

def step(w, update):  # the same as above
    loss = 0.5 * w.dot(w)
    loss.backward()
    norm = w.grad.norm().item()
    with torch.no_grad():
        update()
    w.grad = None
    return norm

def page_faults():
    try:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    except ImportError:  # on Windows
        return float("nan")

def measure(function):
    seconds = []
    counts = []
    for call in range(15):
        faults_before = page_faults()
        start = timer()
        function()
        seconds.append(timer() - start)
        counts.append(page_faults() - faults_before)
    return 1000 * median(seconds), median(counts)

torch.set_num_threads(1)
results = {"a step": [], "faults": []}
device = sys.argv[1]
sizes = json.loads(sys.argv[2])
for d in reversed(sizes):  # from large to small: small ones leave memory that large ones could use
    w = torch.ones(d, device=device, requires_grad=True)
    ms, faults = measure(lambda: step(w, lambda: w.sub_(w.grad, alpha=1e-5)))
    results["a step"].insert(0, ms)  # in front of the larger sizes
    results["faults"].insert(0, faults)
    if d == sizes[-1]:
        optimizer = torch.optim.SGD([w], lr=1e-5)
        results["w.sub_(w.grad, alpha=eta)"] = ms, faults
        results["torch.optim.SGD"] = measure(lambda: step(w, optimizer.step))
        results["w -= eta * w.grad"] = measure(lambda: step(w, lambda: w.sub_(1e-5 * w.grad)))
        del optimizer
    del w
print(json.dumps(results))
"""

def run_program(variables: dict) -> dict:
    """Run PROGRAM in a new process with these environment variables: its results."""
    environment = dict(os.environ)
    environment.update(variables)
    # -P: import no file of the current folder that happens to have a module's name
    command = [sys.executable, "-P", "-c", PROGRAM, DEVICE, json.dumps(SIZES)]
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(run.stdout)

# %%
def draw_steps(steps: list, keep: list, twelve_vectors: list) -> plt.Figure:
    """The times (ms) over SIZES, as usual and with KEEP, on log axes and on linear axes."""
    fig, axes = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained")
    for ax in axes:
        ax.plot(SIZES, steps, "o-", color="#D55E00", label="a step")
        ax.plot(SIZES, keep, "s--", color="#0072B2", label="a step, KEEP")
        ax.plot(SIZES, twelve_vectors, ":", color="0.4", label="12 vectors")
        ax.set(xlabel="numbers in w, d", ylabel="time (ms)")
    axes[0].set(xscale="log", yscale="log", ylim=(min(keep) / 3, None))
    axes[0].set_title("Short w costs calls, long w costs vectors")
    axes[1].set_title("The same times on linear axes")
    axes[0].legend(frameon=False)
    ratio = steps[-1] / keep[-1]
    fig.suptitle(
        f"d = {SIZES[-1]:,}: a step is {ratio:.1f} times as fast"
        " when malloc is told to keep freed memory"
    )
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
# ## Over the dimensions
#
# The table has the time of a step in ms, as usual and with the variables (KEEP), beside the time of
# 12 vectors. The last two columns count the page faults in a step, without and with the variables.
# Look for the row in which the two steps differ most. The three lines below the table compare the
# updates for the last d. The figure has the times of the table twice, on log axes and on linear
# axes.

# %%
usual = run_program({})
keep = run_program(KEEP)
copy = copy_milliseconds()
twelve_vectors = []
print("         d   a step  a step, KEEP  12 vectors  faults  faults, KEEP")
for i, d in enumerate(SIZES):
    twelve_vectors.append(6 * copy * d / LONG)
    print(
        f"{d:10,} {usual['a step'][i]:8.3f} {keep['a step'][i]:13.3f} {twelve_vectors[i]:11.3f}"
        f" {usual['faults'][i]:7,} {keep['faults'][i]:13,}"
    )
for update in ["w.sub_(w.grad, alpha=eta)", "torch.optim.SGD", "w -= eta * w.grad"]:
    ms, faults = usual[update]
    ms_keep, faults_keep = keep[update]
    print(f"{update:<25}  as usual {ms:6.1f} ms, {faults:6,} faults;", end="  ")
    print(f"KEEP {ms_keep:6.1f} ms, {faults_keep:,} faults")
if math.isnan(faults):
    print("nan: page faults are not counted on this system")
save(draw_steps(usual["a step"], keep["a step"], twelve_vectors), "gd_nd_cost.png")
# Example output:
#          d   a step  a step, KEEP  12 vectors  faults  faults, KEEP
#          1    0.111         0.137       0.000       0             0
#      1,000    0.115         0.155       0.006       0             0
#    100,000    0.395         0.531       0.593       0             0
#  1,000,000    3.645         4.799       5.932       0             0
#  3,000,000   13.434        15.369      17.795       0             0
#  8,000,000   40.568        42.811      47.454       0             0
# 10,000,000   91.616        43.350      59.317  19,532             0
# w.sub_(w.grad, alpha=eta)  as usual   91.6 ms, 19,532 faults;  KEEP   43.4 ms, 0 faults
# torch.optim.SGD            as usual   89.5 ms, 19,532 faults;  KEEP   54.4 ms, 0 faults
# w -= eta * w.grad          as usual  118.1 ms, 29,298 faults;  KEEP   62.5 ms, 0 faults
# figure: ...gd_nd_cost.png

# %% [markdown]
# ## What the table says
#
# On the lecture's machine the prediction holds. For d = 10,000,000 a step has 19,532 page faults as
# usual. With the variables it has next to none, and takes far less time. This is true of all three
# updates. `torch.optim.SGD` takes about as long as `w.sub_(w.grad, alpha=eta)`.
# `w -= eta * w.grad` takes longer as usual: it moves 14 vectors, and waits for a third new vector.
# Just below the limit, for d = 8,000,000, malloc keeps most blocks, not all: some steps have page
# faults, and others have none.
#
# Your machine may show another picture. A Mac, Windows and PyTorch for Linux on ARM processors have
# another malloc, with other limits, which ignores the two variables. Some Linux systems hand out
# pages of 2 MiB, with far fewer page faults. On an NVIDIA GPU PyTorch itself keeps freed memory.
#
# ## What to take away
#
# - A step with short w costs its calls. A step with long w costs the vectors that it moves, so an
#   operation that you leave out saves time, even if it computes next to nothing.
# - A step that makes large tensors anew also waits for new memory. With glibc's malloc, on the CPU
#   and with tensors above 32 MiB, it helps to start the program with the two variables:
#   `MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=4294967296 python program.py`. The price: the program
#   keeps its freed memory until it ends, and no other program can use it.
# - If you compare two updates, start both with the same variables.
#
# ## Try it
#
# Predict first, then change the line and run its cell.
#
# 1. In "One step", replace the first `w.sub_` by `w.sub`, without the underscore. What is the new
#    w?
# 2. In "Ten million numbers are more than 32 MiB", replace `torch.float32` by `torch.float16`: its
#    numbers have 2 bytes. Does a vector of ten million numbers still have more than 32 MiB?
