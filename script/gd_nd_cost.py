# %% [markdown]
# # What a step of gradient descent costs
#
# A step of gradient descent on the loss ||w||^2 / 2 does little arithmetic. When w has few numbers,
# most of the time goes into calling PyTorch. When w has many, most of it goes into moving vectors
# between memory and processor. This script counts the vectors, measures both costs, and finds a
# third one: memory that is new in every step.
#
# Example outputs: the lecture's machine, Linux, Intel Xeon (x86_64), torch 2.15.0.

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
# A step computes the loss, its gradient by `backward`, the norm of the gradient (training watches
# it, to see when to stop), and the update of w under `no_grad`. (gd_nd_torch.py has such a loop,
# and autograd_tour.py explains `backward` and `no_grad`.) The gradient of ||w||^2 / 2 is w, so a
# step with eta = 0.5 halves w.
#
# We write the update in two ways. `w.sub_(w.grad, alpha=eta)` subtracts eta times the gradient from
# w, in w's own memory. `w -= eta * w.grad` does the same as `w.sub_(eta * w.grad)`: it stores eta
# times the gradient in a new vector first. Both give the same w. The code uses `sub_` for both,
# because a lambda cannot contain `-=`.

# %%
def step(w: torch.Tensor, update: Callable) -> float:
    """A step on ||w||^2 / 2, w of shape (d,), by the function update. Returns ||grad||."""
    loss = 0.5 * w.dot(w)
    loss.backward()
    norm = w.grad.norm().item()
    with torch.no_grad():
        update()
    w.grad = None  # the next step makes a new gradient
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
# Each operation of a step reads or writes whole vectors of d numbers. By the product rule
# `backward` of `w.dot(w)` makes two products, one for each factor w: a number times w. The gradient
# is their sum. PyTorch stores it in the memory of one of the products, which is not used any more.
# So `backward` writes three vectors, but makes only two new ones.
#
# (How an operation is written matters. The loop of gd_nd_torch.py has `(w * w).sum()`,
# `(w.grad * w.grad).sum()` and `w -= eta * w.grad`. So it moves 18 vectors in a step, and makes
# five new ones.)

# %%
moved = 0
for operation, reads, writes in [
    ("w.dot(w)", 1, 0),
    ("backward: the two products", 2, 2),
    ("backward: their sum", 2, 1),
    ("w.grad.norm()", 1, 0),
    ("w.sub_(w.grad, alpha=eta)", 2, 1),
]:
    print(f"{operation:<26}  reads {reads}, writes {writes}")
    moved = moved + reads + writes
print("vectors moved:", moved)
# Output:
# w.dot(w)                    reads 1, writes 0
# backward: the two products  reads 2, writes 2
# backward: their sum         reads 2, writes 1
# w.grad.norm()               reads 1, writes 0
# w.sub_(w.grad, alpha=eta)   reads 2, writes 1
# vectors moved: 12

# %% [markdown]
# ## How long do twelve vectors take?
#
# A copy of a vector moves two: it reads one and writes one. So we measure a copy of ten million
# numbers, multiply its time by six, and scale the result to d numbers. This is a rough estimate. It
# is too long for short vectors, which stay in the cache, a small and fast memory in the processor
# for numbers that were used lately. Compare it with the time of a step. The function `milliseconds`
# calls a function many times, in one thread, and returns the median of the times.

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

    def update():
        w.sub_(w.grad, alpha=1e-5)  # with a tiny eta, w stays near 1 in thousands of steps

    return milliseconds(lambda: step(w, update))

# %%
copy = copy_milliseconds()
for d in [1, LONG // 10, LONG]:
    one_step = step_milliseconds(d)
    twelve_vectors = 6 * copy * d / LONG
    print(f"d = {d:10,}: a step takes {one_step:7.3f} ms, 12 vectors take {twelve_vectors:7.3f} ms")
# Example output:
# d =          1: a step takes   0.061 ms, 12 vectors take   0.000 ms
# d =  1,000,000: a step takes   3.683 ms, 12 vectors take   3.925 ms
# d = 10,000,000: a step takes  75.769 ms, 12 vectors take  39.248 ms

# %% [markdown]
# ## What the times say
#
# For d = 1 there is next to nothing to move: this is the time of the calls alone, from Python to
# PyTorch and inside it. A larger d needs the same calls, so the rest of its time has another cause.
# On the lecture's machine a step for d = 1,000,000 takes about as long as its 12 vectors. But for
# d = 10,000,000 it takes more than 1.5 times as long as they do. What else costs time there?
#
# ## Two new vectors in every step
#
# Ten million numbers of 4 bytes are 38 MiB (a MiB is 2^20 bytes). Above 32 MiB malloc, which hands
# out memory to programs on most Linux systems, gives unused memory back to the operating system at
# once. The next new vector gets its memory anew, in pages of 4,096 bytes, and waits for each page:
# this is called a page fault. inplace.py tells this story in full. It also explains two environment
# variables by which malloc keeps unused memory: `KEEP`, in the next cell.
#
# `w.grad = None` gives the gradient's memory back, so each `backward` makes its two vectors anew.
# Ten million numbers have 9,766 pages. If this is what costs time, a step has 19,532 page faults.
# And when malloc keeps its memory, a step has none, and takes less time.
#
# ## The experiment
#
# malloc reads the variables when a program starts. So the experiment is a small program in a
# string, which we start twice: as usual, and with the variables. For each d it makes 5 steps to
# warm up, because malloc has nothing to keep before the first one. Then it times 15 steps, counts
# their page faults (not on Windows), and reports the medians. For the largest d it also measures
# two other updates. One is `w -= eta * w.grad`. The other is by PyTorch's own `torch.optim.SGD`, an
# object that knows w and eta. Its method `step` computes the same as `w.sub_(w.grad, alpha=eta)`.

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
    w.grad = None  # the next step makes a new gradient
    return norm

def page_faults():
    try:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    except ImportError:  # on Windows
        return float("nan")

def measure(function):
    for call in range(5):
        function()
    seconds = []
    counts = []
    for call in range(15):
        faults_before = page_faults()
        start = timer()
        function()
        seconds.append(timer() - start)
        counts.append(page_faults() - faults_before)
    return 1000 * median(seconds), median(counts)

def measure_step(d):
    w = torch.ones(d, device=device, requires_grad=True)

    def update():
        w.sub_(w.grad, alpha=1e-5)

    return measure(lambda: step(w, update))

def measure_other_updates(d):
    w = torch.ones(d, device=device, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=1e-5)
    by_sgd = measure(lambda: step(w, optimizer.step))

    def update():
        w.sub_(1e-5 * w.grad)

    return {
        "torch.optim.SGD": by_sgd,
        "w -= eta * w.grad": measure(lambda: step(w, update)),
    }

torch.set_num_threads(1)
device = sys.argv[1]
sizes = json.loads(sys.argv[2])
times = []
faults = []
for d in reversed(sizes):  # from large to small: small ones leave memory that large ones could use
    ms, count = measure_step(d)
    times.append(ms)
    faults.append(count)
    if d == sizes[-1]:
        updates = {"w.sub_(w.grad, alpha=eta)": (ms, count)}
        updates.update(measure_other_updates(d))
times.reverse()  # from small to large again
faults.reverse()
results = {"a step": times, "faults": faults, "updates": updates}
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

def draw_steps(steps: list, keep: list, twelve_vectors: list) -> plt.Figure:
    """The times (ms) over SIZES, with KEEP on log axes, and as usual too on linear axes."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(7.6, 4), layout="constrained")
    for ax in (left, right):
        ax.plot(SIZES, keep, "s--", color="#0072B2", label="a step, KEEP")
        ax.plot(SIZES, twelve_vectors, ":", color="0.4", label="12 vectors")
        ax.set(xlabel="numbers in w, d", ylabel="time (ms)")
    left.set(xscale="log", yscale="log", ylim=(min(keep) / 3, None))
    left.set_title("Small d costs calls,\nlarge d costs vectors")
    right.plot(SIZES, steps, "o-", color="#D55E00", label="a step")
    ticks = [0, SIZES[-1] / 2, SIZES[-1]]
    right.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    ratio = steps[-1] / keep[-1]
    right.set_title(f"d = {SIZES[-1]:,}: {ratio:.1f} times as fast\nwith freed memory kept (KEEP)")
    handles, labels = right.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
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
# 12 vectors, and the page faults of a step, as usual and with the variables. Look down the first
# column of times: from which d on does the time grow with d? And where do the page faults begin?
# The three lines below the table compare the updates for the last d.

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
for update, (ms, faults) in usual["updates"].items():
    ms_keep, faults_keep = keep["updates"][update]
    print(f"{update:<25}  as usual {ms:6.1f} ms, {faults:6,} faults;", end="  ")
    print(f"KEEP {ms_keep:6.1f} ms, {faults_keep:,} faults")
if math.isnan(faults):
    print("nan: page faults are not counted on this system")
save(draw_steps(usual["a step"], keep["a step"], twelve_vectors), "gd_nd_cost.png")
# Example output:
#          d   a step  a step, KEEP  12 vectors  faults  faults, KEEP
#          1    0.065         0.065       0.000       0             0
#      1,000    0.069         0.068       0.004       0             0
#    100,000    0.241         0.216       0.392       0             0
#  1,000,000    2.537         2.880       3.925       0             0
#  3,000,000    8.622        11.019      11.775       0             0
#  8,000,000   29.412        26.201      31.399       0             0
# 10,000,000   70.731        35.327      39.248  19,532             0
# w.sub_(w.grad, alpha=eta)  as usual   70.7 ms, 19,532 faults;  KEEP   35.3 ms, 0 faults
# torch.optim.SGD            as usual   65.4 ms, 19,532 faults;  KEEP   35.0 ms, 0 faults
# w -= eta * w.grad          as usual   89.3 ms, 29,298 faults;  KEEP   37.0 ms, 0 faults
# figure: ...gd_nd_cost.png

# %% [markdown]
# ## What the table says
#
# - As long as `a step` hardly grows from row to row, the calls cost more than the vectors. On the
#   lecture's machine this is so up to 1,000 numbers. For 100,000 a step takes three to four times
#   as long as for d = 1, so the vectors cost more. Try this with your own training: if twice the
#   numbers hardly take longer, you pay for calls.
# - In the row of 10,000,000 the lecture's machine counts the 19,532 page faults of two new vectors
#   as usual, and none with the variables. With them a step is about twice as fast.
# - Without page faults, from 1,000,000 numbers on, a step takes there between 0.6 and 1 times as
#   long as its `12 vectors`. The estimate is rough, but a step pays for vectors, not much else.
# - In the row of 8,000,000 a vector is a little below 32 MiB, and malloc keeps it. But malloc also
#   gives memory back if much of it is unused, and a step leaves two vectors unused. On the
#   lecture's machine this row has some 7,800 page faults in one run, those of one vector, and none
#   in the next. (In inplace.py only one vector is unused.) At the top of this script, malloc gave
#   memory back already for d = 1,000,000, so that a step took longer there than in the table.
# - Without the variables, `w -= eta * w.grad` has half as many page faults more than the other two
#   updates, because it makes a third new vector in each step. It takes 1.2 to 1.4 times as long.
#   With the variables it still writes and reads this vector, but noise may hide that.
#
# Small differences mean nothing, because other programs use the machine as well. Another system may
# show no page faults, or fewer: inplace.py says which.
#
# ## What to take away
#
# - With few numbers, the time of a step is that of its calls. With many, it is that of the vectors
#   that it reads and writes, not of the arithmetic (which gradient_geometry.py counts). So count
#   vectors.
# - Where vectors above 32 MiB are new in each step, it can help to start the program with the two
#   variables: `MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=4294967296 python program.py`. inplace.py
#   says where this works, and what it costs.
#
# ## Try it
#
# Predict first, then change the line and run its cell.
#
# 1. In "One step", the first call of `step` hands over an update with `w.sub_`. Replace it by
#    `w.sub`, without the underscore. What is the new w?
# 2. In "A step moves twelve vectors", count for the update `w -= eta * w.grad`: in the last row
#    replace `2, 1` by the vectors that it reads and writes. How many does such a step move?
