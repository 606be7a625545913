# %% [markdown]
# # Devices
#
# A tensor lies on one *device*: in the memory of the CPU, or in the memory of an accelerator such
# as a GPU. The device that holds the tensors also computes with them. A GPU multiplies large
# matrices much faster than a CPU, but to hand over the work takes time. So from which size on does
# it pay? This script shows the rules for tensors on several devices, and measures one product on
# every device that works on your machine. Without a GPU, it asks the same question about the cores
# of your CPU. At the end, it compares number types with fewer bits.
#
# Example outputs: the lecture's machine, Linux, Intel Xeon (x86_64), torch 2.15.0+cu132, one thread.

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
# A new tensor lies on the CPU, unless you name another device. `x.to(device)` returns a copy on
# that device; `x` itself stays where it is. If `x` lies there already, `to` returns `x`, without a
# copy. The result of an operation lies where its operands lie.
#
# To show this on every machine, we use a device that each of them has: `meta`. A tensor on `meta`
# has a shape and a dtype (the type of its numbers), but no memory for the numbers. If you have an
# NVIDIA GPU, try "cuda" instead.

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
# Moving is slow, so PyTorch never moves a tensor unless you say so. An operation on tensors of two
# devices is an error. On an NVIDIA GPU its message begins "Expected all tensors to be on the same
# device, but found at least two devices". The remedy is `x.to(y.device) * y`. There is one
# exception: a CPU tensor of shape (), which is a single number, mixes with tensors on any device.

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
# it), `mps` (the GPU of a Mac with Apple silicon) and `xpu` (an Intel GPU). If there are several
# GPUs, an index says which one is meant: `cuda:0` is the first. `torch.device` reads such a name,
# and `torch.cuda.device_count()` says how many there are.
#
# A GPU that is counted may still not work. Recent builds of PyTorch have no code for old GPUs, such
# as a GTX 1080, and the first operation there fails. So we try an operation on each device, and
# one with each dtype, because `mps`, for example, has no float64. We also move a tensor to each
# device that works, and back with `cpu()`.

# %%
# if an accelerator gives strange errors, leave it out: DEVICE=cpu python script/devices.py
DEVICE = os.environ.get("DEVICE", "all")

def works(name: str, dtype: torch.dtype = torch.float32) -> bool:
    """Whether an operation on numbers of this dtype works on the device."""
    try:
        x = torch.ones(2, dtype=dtype, device=name)
        return (x * x).cpu().tolist() == [1, 1]
    except (RuntimeError, AssertionError, TypeError):  # each device has its own
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
device = torch.device("cuda:0")
print("type:", device.type, " index:", device.index)
print("CUDA devices counted:", torch.cuda.device_count())

x = torch.tensor([1.0, 2.0, 3.0])
for name in DEVICES:
    there = x.to(name)
    back = there.cpu()
    print(f"{name} works. Equal after the way there and back? {torch.equal(x, back)}")
    dtypes = [str(dtype) for dtype in DTYPES if works(name, dtype)]
    print(f"{name} has", ", ".join(dtypes))
# Example output:
# type: cuda  index: 0
# CUDA devices counted: 0
# cpu works. Equal after the way there and back? True
# cpu has torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool

# %% [markdown]
# ## When a clock may be read
#
# A call on the CPU returns when its work is done. A call on a GPU returns as soon as the work is in
# the GPU's queue, and Python goes on. A clock that is read at this moment has measured the
# queueing alone. `torch.accelerator.synchronize()` waits until the queue is empty. (Whatever needs
# the numbers on the CPU waits as well: `cpu()`, `item()`, `print`.)
#
# We read the clock when the call returns, and again after waiting. On the CPU the two times are
# about the same. On a GPU the first is much shorter.

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
# cpu: the call returned after 14.31 ms, it was done after 14.33 ms

# %% [markdown]
# ## Why the size decides
#
# Suppose that A and B lie on the CPU, that a GPU is to multiply them, and that the CPU needs the
# result. If A and B have n rows and n columns, 3 n^2 numbers have to move: A and B there, the
# result back. The product itself takes n^3 operations, since each of its n^2 numbers is a sum of n
# terms, and a term is multiplied and added in one operation. How many operations does each number
# that moves bring?

# %%
for n in [3, 30, 300, 3000]:
    moves = 3 * n**2
    operations = n**3
    print(f"n = {n}: {operations / moves:.1f} operations per number that moves")
# Output:
# n = 3: 1.0 operations per number that moves
# n = 30: 10.0 operations per number that moves
# n = 300: 100.0 operations per number that moves
# n = 3000: 1000.0 operations per number that moves

# %% [markdown]
# ## From which size on more hardware pays
#
# The larger n is, the less the moving matters. Besides, each call has a fixed price: to start work
# on a GPU, or to share it among the cores of a CPU, takes some microseconds, even for tiny
# matrices. So we expect that more hardware pays from some n on. From which?
#
# The CPU multiplies two n x n matrices once with one thread, which keeps one core busy, and once
# with a thread for each core, which is PyTorch's default. For each accelerator there are two
# columns: one for matrices that lie there already, and one that includes moving both matrices there
# and the result back.
#
# `milliseconds` uses PyTorch's `Timer`, which waits for a GPU and uses one thread unless told
# otherwise. It calls a function several times. We take the median, because a few slow calls hardly
# change it.

# %%
SIZES = [16, 32, 64, 128, 256, 512, 1024]
ALL_CORES = torch.get_num_threads()
STYLES = ["o-", "s--", "^-.", "D:", "v-.", "P:"]
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]

def milliseconds(function):
    """The median time of a call of function, in ms."""
    timer = Timer("function()", globals={"function": function})
    return 1000 * timer.blocked_autorange(min_run_time=0.05).median

def milliseconds_on_all_cores(function):
    """The same on all cores."""
    timer = Timer("function()", globals={"function": function}, num_threads=ALL_CORES)
    return 1000 * timer.blocked_autorange(min_run_time=0.05).median

def pays_from(fast: list[float], slow: list[float]) -> float:
    """The smallest of SIZES from which on fast takes less time than slow; inf if there is none."""
    smallest = math.inf
    for i in reversed(range(len(SIZES))):
        if fast[i] >= slow[i]:
            break
        smallest = SIZES[i]
    return smallest

def draw_times(times: dict) -> plt.Figure:
    """Draw the times of each way over SIZES."""
    fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for i, way in enumerate(times):
        ax.plot(SIZES, times[way], STYLES[i], color=COLORS[i], label=way)
    ax.set(xscale="log", yscale="log", xlabel="size n of the two matrices", ylabel="time (ms)")
    ax.set_xticks(SIZES, SIZES)
    ax.minorticks_off()
    ax.yaxis.set_major_formatter("{x:g}")
    one_thread = times["cpu, one thread"][-1]
    ratio = one_thread / times["cpu, all cores"][-1]
    title = f"n = {SIZES[-1]}: all cores are {ratio:.1f} times as fast as one thread"
    for name in ACCELERATORS:
        title += f", {name} {one_thread / times[name][-1]:.0f} times"
    ax.set_title(title)
    machine = f"{platform.system()} {platform.machine()}, torch {torch.__version__}"
    fig.legend(loc="outside lower center", ncols=4, frameon=False, title=machine, title_fontsize=7)
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
    times["cpu, all cores"].append(milliseconds_on_all_cores(lambda: A @ A))
    for name in ACCELERATORS:
        there = A.to(name)
        times[name].append(milliseconds(lambda: there @ there))
        with_moving = milliseconds(lambda: (A.to(name) @ A.to(name)).cpu())
        times[f"{name}, with moving"].append(with_moving)
    row = f"{n:4}"
    for way in times:
        row += f"{times[way][-1]:.4f}".rjust(len(way) + 2)
    print(row)

one_thread = times["cpu, one thread"]
all_cores = times["cpu, all cores"]
print("all cores beat one thread from n =", pays_from(all_cores, one_thread))
for name in ACCELERATORS:
    for way in [name, f"{name}, with moving"]:
        print(f"{way}: beats one thread from n =", pays_from(times[way], one_thread))
        print(f"{way}: beats all cores from n =", pays_from(times[way], all_cores))
if not ACCELERATORS:
    print("no accelerator works here")
save(draw_times(times), "devices_matmul.png")
# Example output:
# milliseconds (all cores: 2 threads)
#    n  cpu, one thread  cpu, all cores
#   16           0.0045          0.0044
#   32           0.0055          0.0054
#   64           0.0105          0.0122
#  128           0.0563          0.0547
#  256           0.4514          0.2768
#  512           3.3464          2.0169
# 1024          29.0739         15.0721
# all cores beat one thread from n = 128
# no accelerator works here
# figure: ...devices_matmul.png

# %% [markdown]
# ## Reading the figure
#
# For small n, it does not pay to share the work. For large n, k cores can be up to k times as fast
# as one. They are not if other programs keep some of them busy, because the product is done only
# when its slowest thread is done. (`inf` in the place of a size says that even the largest n is too
# small.) An accelerator pays first for matrices that lie there already. If they have to be moved,
# it pays from a larger n on, or not at all.
#
# ## Fewer bits per number
#
# With fewer bytes per number, more numbers fit into the same memory, and less has to be moved. The
# product can be faster, too, if the device has instructions for the dtype. If it has none, it may
# be many times slower. Is a bfloat16 or a float16 product faster than a float32 product here?
#
# The price is precision. The last column compares each product with the one in float64: *error* is
# the largest difference, divided by the largest number in the product.

# %%
torch.manual_seed(0)
A = torch.randn(256, 256, dtype=torch.float64)
B = torch.randn(256, 256, dtype=torch.float64)
exact = A @ B
print("device  dtype           bytes  time (ms)  error")
for name in DEVICES:
    for dtype in [torch.float64, torch.float32, torch.bfloat16, torch.float16]:
        if works(name, dtype):
            A_there = A.to(dtype).to(name)
            B_there = B.to(dtype).to(name)
            ms = milliseconds(lambda: A_there @ B_there)
            product = (A_there @ B_there).cpu().double()
            error = (product - exact).abs().max() / exact.abs().max()
            print(f"{name:6}  {str(dtype):14} {dtype.itemsize:6} {ms:10.3f} {error:6.0e}")
# Example output:
# device  dtype           bytes  time (ms)  error
# cpu     torch.float64       8      1.061  0e+00
# cpu     torch.float32       4      0.455  7e-07
# cpu     torch.bfloat16      2      0.137  3e-03
# cpu     torch.float16       2      0.523  4e-04

# %% [markdown]
# ## Why fewer bits can be fast or slow
#
# On the lecture's machine, bfloat16 is several times as fast as float32, because the processor has
# instructions for products in bfloat16. Float16 gains little or nothing. We also ran the script
# as `ONEDNN_MAX_CPU_ISA=AVX2 python script/devices.py`, which forbids instructions that an older
# processor does not have. Both 16-bit types then took some 90 times as long as float32. Most recent
# GPUs are faster with 16 bits. dtypes.py explains the errors.
#
# ## What to take away
#
# - Choose the device once, at the top of a program, and make tensors there with `device=device`.
#   The usual line is `device = "cuda" if torch.cuda.is_available() else "cpu"`. Of a tensor, keep
#   what `to` returns: `x = x.to(device)`. For a model, `model.to(device)` moves the model itself.
# - More hardware pays for large operations, and each way between devices has its price. So bring
#   back results, not intermediate steps.
# - Wait for the device before you read a clock, and measure before you choose a dtype for its
#   speed.
#
# Google's TPUs are devices, too. PyTorch reaches them through the package torch_xla, which we do
# not use here. For a mental model of a GPU, read Horace He's article "Making Deep Learning Go Brrrr
# From First Principles" (https://horace.io/brrr_intro.html). It explains on what a GPU spends its
# time: on computing, on moving numbers, or on waiting for the CPU.
#
# ## Try it
#
# Predict first, then change the line and run its cell.
#
# 1. In "Two devices do not mix", replace `torch.ones(3)]` by `torch.ones(1)]`. This tensor holds a
#    single number, too. Does it mix with `y`?
# 2. In "Why the size decides", let the GPU add A and B instead: replace `n**3` by `n**2`, because a
#    sum takes one operation for each number of the result. How many operations does each number
#    that moves bring for n = 3000?
