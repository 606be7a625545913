# %% [markdown]
# # Devices
#
# A tensor lies on one *device*: in the memory of the CPU, or in the memory of an accelerator such
# as a GPU. The device that holds a tensor also computes with it. A GPU multiplies large matrices
# much faster than a CPU, but handing the work over takes time. So from which size on does more
# hardware pay? This script shows the rules for tensors on several devices, estimates that size for
# a GPU by counting, and measures one product on all that your machine has: on one core of the CPU,
# on all its cores, and on each GPU that works. (The lecture's machine has two cores and no GPU.)
#
# Times of the CPU are those of one thread (one core), except where the text says "all cores".
#
# Example outputs: the lecture's machine, Linux, Intel Xeon (x86_64), torch 2.15.0.

# %%
import math
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
# ## A tensor lies on one device
#
# A new tensor lies on the CPU, unless you name another device. `x.to(device)` returns x itself if x
# lies there already, and otherwise a copy on that device; x stays where it is. The result of an
# operation lies where its operands lie.
#
# To show this on a machine that has only a CPU, we use `meta`. A tensor on `meta` has a shape and a
# dtype (the type of its numbers), but no numbers: an operation works out the shape of its result,
# and nothing more. With an NVIDIA GPU, try "cuda" in its place.

# %%
x = torch.ones(2, 3)
moved = x.to("meta")
made_there = torch.ones(2, 3, device="meta")
print("x.device:", x.device)
print("moved.device:", moved.device)
print("(moved + made_there).device:", (moved + made_there).device)
print('x.to("cpu") is x?', x.to("cpu") is x)
# Output:
# x.device: cpu
# moved.device: meta
# (moved + made_there).device: meta
# x.to("cpu") is x? True

# %% [markdown]
# ## Two devices do not mix
#
# Moving is slow, so PyTorch never moves a tensor unless you say so: an operation on tensors of two
# devices is an error. On an NVIDIA GPU its message begins "Expected all tensors to be on the same
# device, but found at least two devices", and `meta` has a message of its own. The remedy is to
# move one operand, as in `x.to(y.device) * y`. There is one exception: a CPU tensor of shape (),
# which is a single number, mixes with tensors on any device.

# %%
y = torch.ones(3, device="meta")
for x in [torch.tensor(2.0), torch.ones(3)]:
    try:
        print(f"shape {tuple(x.shape)}: x * y lies on {(x * y).device}")
    except RuntimeError as error:
        print(f"shape {tuple(x.shape)} failed:", str(error).splitlines()[0])
# Output:
# shape (): x * y lies on meta
# shape (3,) failed: Tensor on device meta is not on the expected device cpu...

# %% [markdown]
# ## Which devices work
#
# Besides `cpu`, the common devices are `cuda` (an NVIDIA GPU, or an AMD GPU if PyTorch is built for
# it), `mps` (the GPU of a Mac with Apple silicon) and `xpu` (an Intel GPU). With several NVIDIA
# GPUs, `cuda:0` is the first, and `torch.cuda.device_count()` says how many there are.
#
# Even where there is one, the first operation can fail: recent builds of PyTorch have no code for
# old GPUs, such as a GTX 1080. A device may also lack a dtype, as `mps` has no float64. So `works`
# simply tries.
#
# In the other timed tours, DEVICE is the one device to use. Here "all" measures every device that
# works, "cuda" only this one beside the CPU, and "cpu" the CPU alone.

# %%
# if an accelerator gives strange errors, leave it out: DEVICE=cpu python script/devices.py
DEVICE = os.environ.get("DEVICE", "all")

def works(name: str, dtype: torch.dtype = torch.float32) -> bool:
    """Whether an operation on numbers of this dtype works on the device."""
    try:
        x = torch.ones(2, dtype=dtype, device=name)
        return torch.equal((x * x).cpu(), torch.ones(2, dtype=dtype))
    except (RuntimeError, AssertionError, TypeError):  # no device, no code for it, no such dtype
        return False

def working_accelerators() -> list[str]:
    """The accelerators that work, unless DEVICE leaves them out."""
    found = []
    for name in ["cuda", "mps", "xpu"]:
        if DEVICE in ("all", name) and works(name):
            found.append(name)
    return found

ACCELERATORS = working_accelerators()
DEVICES = ["cpu"] + ACCELERATORS
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool]

# %%
print("CUDA devices counted:", torch.cuda.device_count())

for name in DEVICES:
    dtypes = [str(dtype) for dtype in DTYPES if works(name, dtype)]
    print(f"{name} has", ", ".join(dtypes))
# Example output:
# CUDA devices counted: 0
# cpu has torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool

# %% [markdown]
# ## Wait before you read the clock
#
# A call on the CPU returns when its work is done. A call on a GPU returns as soon as the work is
# in the GPU's queue, and Python goes on. A clock that is read at this moment has measured the
# queueing alone. `torch.accelerator.synchronize()` waits until the queue is empty. (Whatever needs
# the numbers on the CPU waits as well: `cpu()`, `item()`, `print`. So a program needs it for
# clocks only.)
#
# We read the clock when the call returns, and again after waiting. On the CPU, which uses all its
# cores here, there is nothing to wait for: both times are nearly the same. On a GPU the first time
# is only that of the queueing, and the second is the one to report.

# %%
LARGE = 1024

def wait_for(name: str) -> None:
    """Wait until the device has done all its work. On the CPU there is nothing to wait for."""
    if name != "cpu":
        torch.accelerator.synchronize()

# %%
for name in DEVICES:
    A = torch.ones(LARGE, LARGE, device=name)
    A @ A  # the first product is slower: it prepares the device
    wait_for(name)

    start = time.perf_counter()
    A @ A
    returned = 1000 * (time.perf_counter() - start)
    wait_for(name)
    done = 1000 * (time.perf_counter() - start)
    print(f"{name}: the call returned after {returned:.2f} ms, it was done after {done:.2f} ms")
# Example output:
# cpu: the call returned after 10.46 ms, it was done after 10.48 ms

# %% [markdown]
# ## Why the size decides
#
# Suppose that A and B lie on the CPU, that a GPU is to multiply them, and that the CPU needs the
# result. If A and B have n rows and n columns, 3 n^2 numbers are moved: A and B there, the result
# back. Each of the n^2 numbers of the result takes n multiply-adds (a multiplication, together with
# the addition to a sum). We count a multiply-add as one operation, so the product takes n^3
# operations. How many operations are there for each number that moves?

# %%
for n in [3, 300, 3000]:
    moves = 3 * n**2
    operations = n**3
    print(f"n = {n}: {operations / moves:.1f} operations per number that moves")
# Output:
# n = 3: 1.0 operations per number that moves
# n = 300: 100.0 operations per number that moves
# n = 3000: 1000.0 operations per number that moves

# %% [markdown]
# ## From which size on?
#
# There are n / 3 operations for each number that moves. So if moving one number takes as long as k
# operations of the CPU, a GPU that has to be sent the matrices can win only for n above 3 k.
#
# For example, let the way to the GPU carry 10 GB per second. A float32 number has 4 bytes, so it
# takes 0.4 ns. Let the CPU do 100 operations in a nanosecond (the two cores of the lecture's
# machine do about as many, for large n). Then k = 40, and the GPU can win only for n above 120,
# however fast it multiplies. For matrices that lie on the GPU already, there is no such bound.
#
# Besides, handing over work takes some microseconds whatever the size is: to a GPU, or to other
# cores of the CPU. So we expect that more hardware is faster from some n on, and not below.
#
# `milliseconds` uses PyTorch's `Timer`, which calls a function again and again and waits for a
# GPU. We take the median of the times, because a few slow calls hardly change it. The Timer uses
# one thread (one core of the CPU) unless told otherwise. Everywhere else, PyTorch uses a thread
# for each core, and the column "all cores" does the same. Each accelerator has two columns: one
# for matrices that lie there already, and one that includes moving two matrices there and the
# result back.
#
# Compare the times of one cell: from one cell to another the same time can double, because other
# programs use the machine, too. Even within a cell, a difference of less than 20 percent says
# nothing. So `clearly_faster_from` asks for more than that. It gives `inf` if there is no clear
# gain even at the largest n.

# %%
SIZES = [16, 32, 64, 128, 256, 512, 1024]
ALL_CORES = torch.get_num_threads()
STYLES = ["o-", "s--", "^-.", "D:", "v-.", "P:"]
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]

def milliseconds(function, threads: int = 1) -> float:
    """The median time of a call of function, in ms."""
    timer = Timer("function()", globals={"function": function}, num_threads=threads)
    return 1000 * timer.blocked_autorange(min_run_time=0.05).median

def clearly_faster_from(fast: list[float], slow: list[float]) -> float:
    """The first of SIZES from which on slow takes at least 1.2 times as long as fast, or inf."""
    first = math.inf
    for i in reversed(range(len(SIZES))):
        if slow[i] < 1.2 * fast[i]:
            break  # not clearly faster here
        first = SIZES[i]
    return first

def draw_times(times: dict) -> plt.Figure:
    """Draw the times of each way over SIZES."""
    fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for i, way in enumerate(times):
        ax.plot(SIZES, times[way], STYLES[i], color=COLORS[i], label=way)
    ax.set(xscale="log", yscale="log", xlabel="size n of the two matrices", ylabel="time (ms)")
    gain = clearly_faster_from(times["cpu, all cores"], times["cpu, one thread"])
    if gain < math.inf:
        ax.axvline(gain, color="0.8", zorder=0)
        ax.set_xlabel("size n of the two matrices (gray line: from here on all cores are faster)")
    ax.set_xticks(SIZES, SIZES)
    ax.minorticks_off()
    ax.yaxis.set_major_formatter("{x:g}")
    one_thread = times["cpu, one thread"][-1]
    ratio = one_thread / times["cpu, all cores"][-1]
    title = f"n = {SIZES[-1]}: all cores ({ALL_CORES}) are {ratio:.1f} times as fast as one thread"
    for name in ACCELERATORS:
        title += f", {name} {one_thread / times[name][-1]:.0f} times"
    ax.set_title(title)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=4, frameon=False)
    fig.supxlabel(f"{platform.system()} {platform.machine()}, torch {torch.__version__}", size=7)
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

# %%
times = {"cpu, one thread": [], "cpu, all cores": []}
for name in ACCELERATORS:
    times[name] = []
    times[f"{name}, with moving"] = []

print(f"milliseconds (all cores: {ALL_CORES} threads)")
print("   n  " + "  ".join(times))
for n in SIZES:
    A = torch.ones(n, n)
    times["cpu, one thread"].append(milliseconds(lambda: A @ A))
    times["cpu, all cores"].append(milliseconds(lambda: A @ A, ALL_CORES))
    for name in ACCELERATORS:
        there = A.to(name)
        times[name].append(milliseconds(lambda: there @ there))
        # A stands for both matrices, so it is moved twice
        with_moving = milliseconds(lambda: (A.to(name) @ A.to(name)).cpu())
        times[f"{name}, with moving"].append(with_moving)
    row = f"{n:4}"
    for way in times:
        row += f"{times[way][-1]:.4f}".rjust(len(way) + 2)  # under its heading
    print(row)

one_thread = times["cpu, one thread"]
all_cores = times["cpu, all cores"]
print("all cores beat one thread from n =", clearly_faster_from(all_cores, one_thread))
for name in ACCELERATORS:
    for way in [name, f"{name}, with moving"]:
        print(f"{way}: beats one thread from n =", clearly_faster_from(times[way], one_thread))
        print(f"{way}: beats all cores from n =", clearly_faster_from(times[way], all_cores))
if not ACCELERATORS:
    print("no accelerator works here")
save(draw_times(times), "devices_matmul.png")
# Example output:
# milliseconds (all cores: 2 threads)
#    n  cpu, one thread  cpu, all cores
#   16           0.0019          0.0023
#   32           0.0023          0.0027
#   64           0.0055          0.0079
#  128           0.0274          0.0225
#  256           0.2428          0.1610
#  512           2.2444          1.2207
# 1024          18.1233          8.9185
# all cores beat one thread from n = 128
# no accelerator works here
# figure: ...devices_matmul.png

# %% [markdown]
# In the figure, look at both ends. On the left, a product takes only some microseconds, and to hand
# a part of it over takes about as long: all cores gain nothing there, or lose. On the right, two
# cores can be up to twice as fast as one. Cores that other programs keep busy help less, or not at
# all. So more cores pay from some size on. On the lecture's machine, its two gain clearly only
# above n = 64, and at most about a factor of 2.
#
# With a GPU, see where its two curves cross "cpu, all cores": from there on the GPU is faster, with
# moving and without. On log axes the distance between the two curves is a ratio: it shows how much
# moving adds. The crossing differs from machine to machine, so read yours, and compare it with the
# estimate.
#
# ## Fewer bytes per number
#
# Smaller numbers can save time, too. With fewer bytes per number, less is moved, and a device
# that has instructions for the dtype may multiply faster. Without them, the product can be many
# times slower. The price is precision: the last column is the largest difference from the float64
# product, divided by the largest number of that product.

# %%
torch.manual_seed(0)
A = torch.randn(256, 256, dtype=torch.float64)
B = torch.randn(256, 256, dtype=torch.float64)
exact = A @ B
print("device  dtype           bytes  time (ms)  error")
for name in DEVICES:
    for dtype in [torch.float64, torch.float32, torch.bfloat16, torch.float16]:
        if works(name, dtype):
            A_there = A.to(dtype).to(name)  # in this order, because mps has no float64
            B_there = B.to(dtype).to(name)
            ms = milliseconds(lambda: A_there @ B_there)
            product = (A_there @ B_there).cpu().double()
            error = (product - exact).abs().max() / exact.abs().max()
            print(f"{name:6}  {str(dtype):14} {dtype.itemsize:6} {ms:10.3f} {error:6.0e}")
# Example output:
# device  dtype           bytes  time (ms)  error
# cpu     torch.float64       8      0.651  0e+00
# cpu     torch.float32       4      0.299  7e-07
# cpu     torch.bfloat16      2      0.101  3e-03
# cpu     torch.float16       2      0.266  4e-04

# %% [markdown]
# ## Reading the table
#
# On the lecture's machine, float32 takes about half the time of float64, and has half the bytes.
# bfloat16 is about three times as fast as float32, but float16 gains nothing, though both have 2
# bytes. So it is not the bytes alone. This processor has instructions that multiply whole blocks of
# bfloat16 numbers (Intel calls them AMX), and no such instructions for float16. Another device can
# favour another dtype, and a CPU without any instructions for a 16-bit type needs far longer for
# it.
#
# The errors hardly depend on the machine. Float16 spends more of its bits on digits than bfloat16,
# so its error is smaller (dtypes.py says more).
#
# ## What to take away
#
# - Choose the device once, at the top of a program, for example with
#   `device = "cuda" if torch.cuda.is_available() else "cpu"`, and make tensors there with
#   `device=device`. `x.to(device)` does not move x: write `x = x.to(device)`.
# - Give a GPU large operations, and bring back results, not intermediate steps: every move costs
#   time.
# - Wait for the device before you read a clock, and measure before you choose a dtype for its
#   speed.
#
# There are other devices, too. Google's TPUs, for example, work with PyTorch by the package
# torch_xla, which this lecture does not use.
#
# Horace He's article "Making Deep Learning Go Brrrr From First Principles"
# (https://horace.io/brrr_intro.html) explains what a GPU spends its time on: computing, moving
# numbers, or waiting for the CPU.
#
# ## Try it
#
# Predict first, then change the line and run its cell.
#
# 1. In "Two devices do not mix", replace `torch.ones(3)]` by `torch.ones(1)]`. This tensor holds a
#    single number, too. Does it mix with `y`?
# 2. In "Why the size decides", let the GPU add A and B instead: replace `n**3` by `n**2`, because a
#    sum takes one operation for each number of the result. How many operations are there for each
#    number that moves, for n = 3000? Can a larger n help?
