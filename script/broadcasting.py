# %% [markdown]
# # Broadcasting
# B_ij = A_ij v_j: each row of the matrix A meets the same vector v. Ways to write it give the same
# B and move different numbers of bytes.
# Example outputs: Linux x86_64 cpu, 1 thread, torch 2.15.0+cu132.

# %%
import argparse
import sys
import time
from functools import partial
from pathlib import Path
from platform import machine, system

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Rectangle
from torch.utils.benchmark import Timer

present = ["cpu", *(name for name in ("cuda", "mps") if getattr(torch, name).is_available())]
parser = argparse.ArgumentParser(description="Broadcasting")
parser.add_argument("--device", choices=present, default="cpu")
DEVICE = parser.parse_args([] if hasattr(sys, "ps1") else None).device  # in a notebook: edit here
LARGE = 2**25  # numbers in the copy that is the ceiling
SHAPES = [(10_000, 1), (100, 1000), (1000, 1000), (10_000, 1000)]  # of A
THREADS, ROUNDS, SECONDS = 1, 5, 0.05  # seconds for each variant at each size
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
# ## A matrix times a vector, entry by entry
# Shapes are compared from the right: sizes must be equal, or 1, or missing. So (4, 3) and (3,) fit,
# and v counts as a row for all four. A number for each row needs the shape (4, 1).

# %%
A = torch.arange(1.0, 13.0).reshape(4, 3)
v = torch.tensor([1.0, 10.0, 100.0])
B = A * v
print("A.shape:", A.shape)
print("v.shape:", v.shape)
print("B.shape:", B.shape)
print("last row of B:", B[3])
try:
    A * torch.ones(4)
except RuntimeError as error:
    print("(4, 3) and (4,) fail:", str(error).split(" at ")[0])
print("(4, 3) and (4, 1):", (A * torch.ones(4)[:, None]).shape)
# Output:
# A.shape: torch.Size([4, 3])
# v.shape: torch.Size([3])
# B.shape: torch.Size([4, 3])
# last row of B: tensor([  10.,  110., 1200.])
# (4, 3) and (4,) fail: The size of tensor a (3) must match the size of tensor b (4)
# (4, 3) and (4, 1): torch.Size([4, 3])

# %% [markdown]
# ## expand copies nothing, repeat copies all
# A stride of 0 stays where it is: one step down reads the same row once more. That is how `A * v`
# reads v. `repeat` writes every row out first.

# %%
v = torch.randn(1000)
expanded, repeated = v.expand(10_000, 1000), v.repeat(10_000, 1)
print("expand: strides", expanded.stride(), " is v's memory?", expanded.data_ptr() == v.data_ptr())
print("A * v reads v with strides", torch.broadcast_tensors(repeated, v)[1].stride())
print("repeat: strides", repeated.stride(), f" new bytes: {repeated.untyped_storage().nbytes():,}")
# Output:
# expand: strides (0, 1)  is v's memory? True
# A * v reads v with strides (0, 1)
# repeat: strides (1000, 1)  new bytes: 40,000,000

# %% [markdown]
# ## Figure 3.4: virtual replication
# The dashed rows are not in memory: they are the first one, read again.

# %%
def cells(ax: plt.Axes, left: float, top: float, rows: list, color: str, side=1.0, real=4) -> None:
    """A grid of squares with numbers. Rows from real on are not in memory: dashed and empty."""
    for i, row in enumerate(rows):
        for j, number in enumerate(row):
            x, y, inset = left + j * side, top - (i + 1) * side, 0 if i < real else 0.05 * side
            box = Rectangle((x + inset, y + inset), side - 2 * inset, side - 2 * inset)
            box.set(edgecolor=color, facecolor=color + "59" if i < real else "none")
            box.set_linestyle("-" if i < real else "--")
            ax.add_patch(box)
            ink, size = "black" if i < real else "0.4", 11 if side == 1 else 8
            look = {"color": ink, "fontsize": size, "ha": "center", "va": "center"}
            ax.text(x + side / 2, y + side / 2, f"{number:g}", **look)

# %%
A, v = torch.arange(1.0, 13.0).reshape(4, 3), torch.tensor([1.0, 10.0, 100.0])
fig, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
cells(ax, 0, 4, A.tolist(), "#E69F00")
cells(ax, 4.3, 4, v.expand(4, 3).tolist(), "#0072B2", real=1)
cells(ax, 8.6, 4, (A * v).tolist(), "#009E73")
names = "$A$, shape (4, 3)", "$v$, shape (3,), expanded to (4, 3)", "$B$, shape (4, 3)"
for x, name in zip((1.5, 5.8, 10.1), names):
    ax.text(x, 4.45, name, ha="center", va="center")
ax.text(3.65, 2, r"$\odot$", ha="center", va="center", fontsize=18)
ax.text(7.95, 2, "$=$", ha="center", va="center", fontsize=18)
ax.text(0, -0.5, "solid: in memory.   dashed: row 1 once more, not in memory", va="center")
for y, call, x in [(-1.2, "expand(4, 3)", v.expand(4, 3)), (-2.2, "repeat(4, 1)", v.repeat(4, 1))]:
    memory = torch.empty(0).set_(x.untyped_storage()).tolist()
    ax.text(0, y, f"v.{call}: strides {x.stride()}", va="center", family="monospace")
    cells(ax, 11.6 - 12 * 0.55, y + 0.275, [memory], "#0072B2", side=0.55)
ax.set(xlim=(-0.1, 11.7), ylim=(-2.7, 4.9), aspect="equal")
ax.axis("off")
ax.set_title("Broadcasting reads the same 3 numbers of $v$ for all 4 rows of $A$")
save(fig, "broadcasting_matrix_vector.png")
# Output:
# figure: ...broadcasting_matrix_vector.png

# %% [markdown]
# ## Three ways, and what they move
# An operation reads its operands once and writes its result. Storing a row copies it. `repeat`
# writes what the product then reads. All products are the same, and err by one rounding: at most
# half an eps of float32.

# %%
def by_loop(A: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """A_ij v_j, shape (n, d), row by row."""
    B = torch.empty_like(A)
    for i in range(len(A)):
        B[i] = A[i] * v
    return B

def by_repeat(A: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """A_ij v_j, shape (n, d), with v written out n times first."""
    return A * v.repeat(len(A), 1)

def bytes_moved(n: int, d: int) -> dict:
    """Bytes that the operations read and write, 4 for each number, for A of shape (n, d)."""
    return {"loop": 4 * n * (3 * d + 2 * d), "repeat": 4 * (d + n * d + 3 * n * d),
            "A * v": 4 * (2 * n * d + d), "mul(out=B)": 4 * (2 * n * d + d)}

# %%
torch.manual_seed(0)
A, v = torch.randn(100, 200).to(DEVICE), torch.randn(200).to(DEVICE)
exact, B = A.cpu().double() * v.cpu().double(), A * v
print("equal?", torch.equal(B, by_loop(A, v)) and torch.equal(B, by_repeat(A, v)), end="  ")
error = ((B.cpu().double() - exact) / exact).abs().max().item()
print("error at most eps/2?", error <= torch.finfo(torch.float32).eps / 2)
print("bytes moved for 4 x 3:", bytes_moved(4, 3))
# Output:
# equal? True  error at most eps/2? True
# bytes moved for 4 x 3: {'loop': 240, 'repeat': 204, 'A * v': 108, 'mul(out=B)': 108}

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
# ## A loop, a repeat, a broadcast
# Predicted is what the bytes take at the speed of a large copy. The first row takes the bytes away:
# with rows of one number, what is left of the loop's time is its calls. `mul(out=B)` takes away the
# new memory of B, which is what `A * v` waits for where B is large.

# %%
large, copy = torch.ones(2, LARGE, device=DEVICE)
speed = 2 * large.nbytes / take_turns({"copy": lambda: copy.copy_(large)})["copy"][0]
table = ["         n x d  variant    median (ms)       quartiles       predicted   ratio"]
results = []
print(table[0])
for n, d in SHAPES:
    A, v, B = (torch.ones(shape, device=DEVICE) for shape in ((n, d), (d,), (n, d)))
    runs = {"loop": partial(by_loop, A, v)}
    if d > 1:
        runs |= {"repeat": partial(by_repeat, A, v), "A * v": partial(torch.mul, A, v)}
        runs |= {"mul(out=B)": partial(torch.mul, A, v, out=B)}
    times = take_turns(runs)
    for name, seconds in times.items():
        (low, ms, high), predicted = 1e3 * seconds, 1e3 * bytes_moved(n, d)[name] / speed
        size = f"{n:,} x {d:,}"
        row = f"{size:>14}  {name:<11}{ms:11.4f}  {low:9.4f} {high:9.4f}  {predicted:9.4f}"
        table.append(f"{row} {ms / predicted:7.2f}")
        print(table[-1], flush=True)
    results.append(list(times.values()))
print("claim: A * v is faster than a loop over rows:", verdict(times["loop"], times["A * v"]))
print("claim: A * v is faster than repeating v:", verdict(times["repeat"], times["A * v"]))
fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
counts = [n * d for n, d in SHAPES[1:]]
for i, (name, color) in enumerate(zip(times, ["#E69F00", "#CC79A7", "#0072B2", "#009E73"])):
    low, ns, high = 1e9 * np.array(results[1:])[:, i].T / counts
    ax.errorbar(counts, ns, [ns - low, high - ns], marker="s^oD"[i], color=color, label=name)
floor = 1e9 * bytes_moved(n, d)["A * v"] / speed / counts[-1]
ax.axhline(floor, color="0.6", zorder=0, label="8 bytes, as fast as a large copy")
ax.set(xscale="log", yscale="log", xlabel=r"elements of $A$, $n \times d$")
ax.set_ylabel("time per element (ns)")
loop, repeat = (times[name][1] / times["A * v"][1] for name in ("loop", "repeat"))
ax.set_title(f"A * v, {n:,} x {d:,}: a loop takes {loop:.1f}, a repeat {repeat:.1f} times as long")
fig.legend(loc="outside lower center", ncols=5, title=MACHINE, title_fontsize=7, frameon=False)
save(fig, "broadcasting_timing.png", "\n".join(table))
# Example output:
#          n x d  variant    median (ms)       quartiles       predicted   ratio
#     10,000 x 1  loop           36.4771    36.4717   36.5703     0.0079 4599.65
#    100 x 1,000  loop            0.3911     0.3888    0.3970     0.0793    4.93
#    100 x 1,000  repeat          0.0312     0.0310    0.0313     0.0636    0.49
#    100 x 1,000  A * v           0.0097     0.0096    0.0099     0.0319    0.30
#    100 x 1,000  mul(out=B)      0.0092     0.0092    0.0095     0.0319    0.29
#  1,000 x 1,000  loop            4.4222     4.1262    5.5522     0.7930    5.58
#  1,000 x 1,000  repeat          0.2688     0.2431    0.3677     0.6346    0.42
#  1,000 x 1,000  A * v           0.0934     0.0904    0.0958     0.3174    0.29
#  1,000 x 1,000  mul(out=B)      0.0886     0.0878    0.0899     0.3174    0.28
# 10,000 x 1,000  loop           69.0259    68.9221   69.1327     7.9304    8.70
# 10,000 x 1,000  repeat         37.7606    37.6907   38.0553     6.3445    5.95
# 10,000 x 1,000  A * v          19.5761    19.5109   19.6661     3.1723    6.17
# 10,000 x 1,000  mul(out=B)      3.5353     3.3620    3.6703     3.1723    1.11
# claim: A * v is faster than a loop over rows: held here, 3.53 times (3.50 to 3.54)
# claim: A * v is faster than repeating v: held here, 1.93 times (1.92 to 1.95)
# figure: ...broadcasting_timing.png
