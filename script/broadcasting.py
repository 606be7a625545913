# %% [markdown]
# # Broadcasting
#
# We want to multiply each row of a matrix `A`, number by number, by the same vector `v`. A loop
# over the rows would do it. So would a second matrix with a copy of `v` in every row. `A * v` needs
# no loop and no copies: PyTorch reads the same `v` again for every row. This is called
# broadcasting. This script shows how it works, how much memory and time it saves, and what `A * v`
# still spends its time on.
#
# Example outputs: the lecture's machine, Linux, Intel Xeon (x86_64), torch 2.15.0.

# %%
import os
import platform
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import Rectangle
from torch.utils.benchmark import Timer

plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"

# %% [markdown]
# ## One vector for all rows
#
# The rule is NumPy's. Shapes are compared from the right, and a missing size counts as 1. Two sizes
# fit if they are equal or if one of them is 1, and the result has the size that is not 1. So (4, 3)
# and (3,) give (4, 3), but (4, 3) and (4,) do not fit. To multiply each row by a number of its own,
# we need a column, of the shape (4, 1).
#
# The rule has a trap. We want to subtract three numbers from three numbers, and one of the two
# tensors happens to be a column. What do (3, 1) and (3,) give?

# %%
A = torch.arange(1, 13).reshape(4, 3)
v = torch.tensor([1, 10, 100])
B = A * v
print("A.shape:", A.shape)
print("v.shape:", v.shape)
print("B.shape:", B.shape)
print("A:", A.tolist())
print("B:", B.tolist())

try:
    A * torch.ones(4)
except RuntimeError as error:
    print("(4, 3) and (4,) failed:", str(error).splitlines()[0])
print("(4, 3) and (4, 1):", (A * torch.ones(4, 1)).shape)

column = torch.tensor([[1], [2], [3]])
numbers = torch.tensor([1, 2, 3])
print("by accident, (3, 1) and (3,):", (column - numbers).tolist())
# Output:
# A.shape: torch.Size([4, 3])
# v.shape: torch.Size([3])
# B.shape: torch.Size([4, 3])
# A: [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
# B: [[1, 20, 300], [4, 50, 600], [7, 80, 900], [10, 110, 1200]]
# (4, 3) and (4,) failed: The size of tensor a (3) must match the size of tensor b (4) at ...
# (4, 3) and (4, 1): torch.Size([4, 3])
# by accident, (3, 1) and (3,): [[0, -1, -2], [1, 0, -1], [2, 1, 0]]

# %% [markdown]
# ## Nine differences
#
# The last line is no error, but a matrix of all nine differences instead of three zeros. If they
# are the errors of a model, their mean square is 12 / 9 instead of 0 (see "Third mistake" in
# losses_and_models.py). So look at the shape of a result.
#
# ## A stride of 0
#
# How can `v` be read again without a copy? A stride says how many numbers to step in memory for one
# step along a dimension (see tensor_manipulation.py). `v.expand(n, d)` is a matrix with `v` in each
# of its n rows. Its stride from row to row is 0, so every row lies in the same memory, that of `v`.
# `A * v` reads `v` with these strides. `v.repeat(n, 1)` is an equal matrix, but it writes `v` into
# new memory n times. `data_ptr()` is the address of a tensor's first number, and
# `untyped_storage().nbytes()` counts the bytes of its memory, 4 per float32 number.

# %%
v = torch.arange(1000.0)
expanded = v.expand(10_000, 1000)
repeated = v.repeat(10_000, 1)
print("equal?", torch.equal(expanded, repeated))
print("is expanded in the memory of v?", expanded.data_ptr() == v.data_ptr())
print("expanded: strides", expanded.stride(), "bytes", expanded.untyped_storage().nbytes())
print("repeated: strides", repeated.stride(), "bytes", repeated.untyped_storage().nbytes())
# Output:
# equal? True
# is expanded in the memory of v? True
# expanded: strides (0, 1) bytes 4000
# repeated: strides (1000, 1) bytes 40000000

# %% [markdown]
# ## Figure 3.4: virtual replication
#
# The figure shows this for the first example. The four rows of `v` are virtual: only the solid
# squares are in memory. With the strides (0, 1) a step down is a step of 0 numbers, so the dashed
# rows are the first row, read again. With the strides (3, 1) each row has its own 3 numbers.
#
# Every row uses the same `v`. So if gradients are recorded, `v.grad` adds up what all rows give.

# %%
def save(fig: plt.Figure, name: str) -> None:
    """Save fig as FIGURES/name and print where it lies, or why it could not be saved."""
    path = FIGURES / name
    try:
        FIGURES.mkdir(parents=True, exist_ok=True)
        fig.savefig(path, dpi=200)
        print("figure:", path.as_uri())
    except OSError as error:
        print("no figure:", path.as_uri(), ascii(error))

def draw_number(ax: plt.Axes, x: float, y: float, number: int, color: str, dashed: bool) -> None:
    """Draw a number in a square of side 1 whose lower left corner is (x, y)."""
    box = Rectangle((x, y), 1, 1, edgecolor=color, facecolor=(color, 0.35))
    if dashed:
        box = Rectangle((x + 0.05, y + 0.05), 0.9, 0.9, edgecolor=color, fill=False, linestyle="--")
    ax.add_patch(box)
    ax.text(x + 0.5, y + 0.5, str(number), ha="center", va="center")

def draw_replication() -> plt.Figure:
    """Draw A * v = B for the small A and v, and the memory of v expanded and repeated."""
    v = [1, 10, 100]
    fig, ax = plt.subplots(figsize=(8, 6), layout="constrained")
    for i in range(4):
        for j in range(3):
            number = 3 * i + j + 1
            draw_number(ax, j, 3 - i, number, "#E69F00", dashed=False)
            draw_number(ax, 4.5 + j, 3 - i, v[j], "#0072B2", dashed=i > 0)
            draw_number(ax, 9 + j, 3 - i, number * v[j], "#009E73", dashed=False)
    for k in range(3):
        draw_number(ax, k, -2.1, v[k], "#0072B2", dashed=False)
    for k in range(12):
        draw_number(ax, k, -4.1, v[k % 3], "#0072B2", dashed=False)
    ax.text(1.5, 4.4, "$A$, shape (4, 3)", ha="center")
    ax.text(6, 4.4, "$v$, shape (3,), acts as (4, 3)", ha="center")
    ax.text(10.5, 4.4, "$B$, shape (4, 3)", ha="center")
    ax.text(3.75, 2, "*", ha="center", va="center", size=18)
    ax.text(8.25, 2, "=", ha="center", va="center", size=18)
    ax.text(0, -0.8, "in memory for v.expand(4, 3), strides (0, 1):")
    ax.text(0, -2.8, "in memory for v.repeat(4, 1), strides (3, 1):")
    ax.set(xlim=(-0.1, 12.1), ylim=(-4.2, 5), aspect="equal")
    ax.axis("off")
    ax.set_title("Broadcasting reads the same 3 numbers of $v$ for all 4 rows of $A$")
    return fig

# %%
save(draw_replication(), "broadcasting_matrix_vector.png")
# Output:
# figure: ...broadcasting_matrix_vector.png

# %% [markdown]
# ## Four ways to the same product
#
# - `loop_over_rows(A, v)` calls PyTorch three times per row: to take the row, to multiply it, and
#   to store the product.
# - `A * v.repeat(n, 1)` has no loop, but it writes n copies of `v` first, and then reads them.
# - `A * v` writes no copies, but it makes a new tensor for the result.
# - `torch.mul(A, v, out=B)` stores the same result in a tensor `B` that exists already.
#
# `milliseconds` calls a function for at least 0.05 s, on one thread, and returns the median time of
# a call. The lecture's machine is shared with other programs, which can double a time. So only
# large differences count.
#
# `A` has 10,000 rows of 1000 numbers. What do the 30,000 calls of the loop cost by themselves? The
# last line tells: there the loop runs over 10,000 rows of one number, `column`, and `v[:1]`, the
# first number of `v`. So it has next to nothing to multiply.

# %%
# for a GPU: DEVICE=cuda python script/broadcasting.py, or edit the next line
DEVICE = os.environ.get("DEVICE", "cpu")
ROWS = 10_000
COLUMNS = 1000

def milliseconds(function):
    """The median time of a call of function, in ms."""
    timer = Timer("function()", globals={"function": function})
    return 1000 * timer.blocked_autorange(min_run_time=0.05).median

def loop_over_rows(A: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """The product A * v, shape (n, d), for A (n, d) and v (d,)."""
    B = torch.empty_like(A)
    for i in range(len(A)):
        B[i] = A[i] * v
    return B

# %%
torch.manual_seed(0)
A = torch.randn(ROWS, COLUMNS, device=DEVICE)
v = torch.randn(COLUMNS, device=DEVICE)
B = torch.empty(ROWS, COLUMNS, device=DEVICE)
torch.mul(A, v, out=B)
print("broadcast and loop: same B?", torch.equal(B, loop_over_rows(A, v)))
print("broadcast and repeat: same B?", torch.equal(B, A * v.repeat(ROWS, 1)))

loop = milliseconds(lambda: loop_over_rows(A, v))
repeat = milliseconds(lambda: A * v.repeat(ROWS, 1))
broadcast = milliseconds(lambda: A * v)
existing = milliseconds(lambda: torch.mul(A, v, out=B))

column = torch.ones(ROWS, 1, device=DEVICE)
calls = milliseconds(lambda: loop_over_rows(column, v[:1]))

print(f"loop_over_rows(A, v)    {loop:7.2f} ms, {loop / broadcast:.1f} times as long as A * v")
print(f"A * v.repeat(n, 1)      {repeat:7.2f} ms, {repeat / broadcast:.1f} times as long as A * v")
print(f"A * v                   {broadcast:7.2f} ms")
print(f"torch.mul(A, v, out=B)  {existing:7.2f} ms")
print(f"loop, rows of 1 number  {calls:7.2f} ms")
# Example output:
# broadcast and loop: same B? True
# broadcast and repeat: same B? True
# loop_over_rows(A, v)     156.43 ms, 4.5 times as long as A * v
# A * v.repeat(n, 1)        69.29 ms, 2.0 times as long as A * v
# A * v                     34.95 ms
# torch.mul(A, v, out=B)    13.14 ms
# loop, rows of 1 number   104.49 ms

# %% [markdown]
# ## The calls, and the memory
#
# The last line is what the loop pays for its calls alone. On the lecture's machine this is about
# three times what `A * v` takes for the whole job.
#
# `A * v` and `torch.mul(A, v, out=B)` multiply the same numbers, and only `A * v` needs new memory.
# On the lecture's machine it takes more than twice as long: the new memory costs more than the
# arithmetic. On most Linux systems every tensor above 32 MiB, which is 8.4 million numbers, pays
# this price, and most smaller ones use the memory of a freed tensor again (see inplace.py).
#
# ## Over the sizes
#
# If new memory is the cause, then on Linux the time per number of `A * v` jumps between 8 and 9
# million numbers, and that of `torch.mul(A, v, out=B)` does not. Every row has 1000 numbers, so the
# loop pays for its calls at every size.

# %%
NUMBERS_OF_ROWS = [10, 100, 1000, 3000, 8000, 9000, 20_000]

# %%
print("nanoseconds per number")
print("numbers in A  loop over rows  A * v.repeat(n, 1)  A * v  torch.mul(A, v, out=B)")
sizes = []
table = []
for n in NUMBERS_OF_ROWS:
    A = torch.ones(n, COLUMNS, device=DEVICE)
    v = torch.ones(COLUMNS, device=DEVICE)
    B = torch.empty(n, COLUMNS, device=DEVICE)
    to_ns = 1_000_000 / A.numel()  # from ms per call to ns per number
    loop = to_ns * milliseconds(lambda: loop_over_rows(A, v))
    repeat = to_ns * milliseconds(lambda: A * v.repeat(n, 1))
    broadcast = to_ns * milliseconds(lambda: A * v)
    existing = to_ns * milliseconds(lambda: torch.mul(A, v, out=B))
    sizes.append(A.numel())
    table.append([loop, repeat, broadcast, existing])
    print(f"{A.numel():12,} {loop:15.3f} {repeat:19.3f} {broadcast:6.3f} {existing:23.3f}")

ns = torch.tensor(table, dtype=torch.float64)
fig, ax = plt.subplots(figsize=(8, 5), layout="constrained")
ax.plot(sizes, ns[:, 0], "s-", color="#E69F00", label="loop over rows")
ax.plot(sizes, ns[:, 1], "^-.", color="#CC79A7", label="A * v.repeat(n, 1)")
ax.plot(sizes, ns[:, 2], "o-", color="#0072B2", label="A * v")
ax.plot(sizes, ns[:, 3], "D--", color="#009E73", label="torch.mul(A, v, out=B)", fillstyle="none")
ax.axvline(32 * 2**20 / 4, color="0.6", zorder=0)  # 4 bytes per number
ax.set(xscale="log", yscale="log", xlabel="numbers in A (gray line: 32 MiB)")
ax.set_ylabel("time per number (ns)")
ax.set_title(
    f"{sizes[-1]:,} numbers: a loop takes {loop / broadcast:.1f} times as long as A * v,\n"
    f"which takes {broadcast / existing:.1f} times as long as torch.mul(A, v, out=B)"
)
ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4, frameon=False)
fig.supxlabel(f"{platform.system()} {platform.machine()}, torch {torch.__version__}", size=7)
save(fig, "broadcasting_timing.png")
# Example output:
# nanoseconds per number
# numbers in A  loop over rows  A * v.repeat(n, 1)  A * v  torch.mul(A, v, out=B)
#       10,000          11.355               2.763  0.708                   0.608
#      100,000          11.547               0.954  0.368                   0.374
#    1,000,000          12.874               1.355  0.754                   0.679
#    3,000,000          15.378               2.056  0.953                   0.677
#    8,000,000          15.096               2.186  1.250                   1.222
#    9,000,000          15.419               6.623  3.384                   1.236
#   20,000,000          15.348               6.665  3.415                   1.243
# figure: ...broadcasting_timing.png

# %% [markdown]
# ## Where the columns jump
#
# Between 8 and 9 million numbers `A * v` parts from `torch.mul(A, v, out=B)`, on Linux: from there
# on it needs new memory in every call. So does the repeat, for two tensors, the copies and the
# product. (The repeat may jump at a smaller size: see gd_nd_cost.py for two tensors of 30 MiB.)
#
# From 10,000 to 100,000 numbers three of the columns fall, because more numbers share the price of
# a call. Then they grow slowly, as `A` no longer fits into the cache, the processor's small and
# fast memory.
#
# ## What to take away
#
# - Write `A * v`. It needs no loop and no copies of `v`.
# - If a large product is computed again and again, store it in the same tensor by `out=`. The
#   price: the old result is overwritten, and PyTorch refuses `out=` where it records gradients (see
#   inplace.py).
#
# ## Try it
#
# Predict first, then change the line and run its cell.
#
# 1. In "One vector for all rows", replace `A * torch.ones(4, 1)` by `A * torch.ones(4, 1, 1)`.
#    Which shape does the product have?
# 2. In "A stride of 0", replace `v.expand(10_000, 1000)` by `v[:, None].expand(1000, 10_000)`: the
#    column `v[:, None]` of the shape (1000, 1), expanded to 10,000 columns. What are its strides?
#    (The first line then says False, because the two shapes differ.)
