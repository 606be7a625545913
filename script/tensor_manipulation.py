# %% [markdown]
# # Manipulating tensors
# A shape is a way to read a block of memory. Some operations change only the way of reading,
# others have to copy. Watch the strides and the addresses: they tell which.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch

plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"
ROW_COLOURS = "#56B4E9", "#E69F00", "#FFFFFF"  # Okabe-Ito sky blue and orange, white

def save(fig: plt.Figure, name: str) -> None:
    """Save fig as FIGURES/name and print where it lies."""
    try:
        FIGURES.mkdir(parents=True, exist_ok=True)
        fig.savefig(FIGURES / name, dpi=200)
    except OSError as error:
        sys.exit(f"no figure: {error}")
    print("figure:", (FIGURES / name).as_posix().removeprefix(f"{Path.cwd().as_posix()}/"))

# %% [markdown]
# ## Shape and number of elements
# `shape` has one entry for each dimension; `numel` is their product.

# %%
A = torch.zeros(2, 3, 4)
print("A.shape:", A.shape)
print("A.numel():", A.numel())
# Output:
# A.shape: torch.Size([2, 3, 4])
# A.numel(): 24

# %% [markdown]
# ## Memory is one-dimensional
# The stride of a dimension says how many elements to step in memory for one step along it. So
# entry (i, j) lies `i * stride[0] + j * stride[1]` elements after the first.

# %%
A = torch.arange(12).reshape(3, 4)
memory = A.as_strided((12,), (1,))
down, right = A.stride()
print("A.shape:", A.shape, "stride:", A.stride(), "contiguous:", A.is_contiguous())
print("A[1, 2]:", A[1, 2].item(), " in memory:", memory[1 * down + 2 * right].item())
# Output:
# A.shape: torch.Size([3, 4]) stride: (4, 1) contiguous: True
# A[1, 2]: 6  in memory: 6

# %% [markdown]
# ## Transpose moves no data
# Only the two sizes and the two strides swap. The transpose is not contiguous: read row by row,
# it jumps about in memory.

# %%
A = torch.arange(12).reshape(3, 4)
AT = A.t()
print("AT.shape:", AT.shape, "stride:", AT.stride(), "contiguous:", AT.is_contiguous())
print("same storage?", A.data_ptr() == AT.data_ptr())
# Output:
# AT.shape: torch.Size([4, 3]) stride: (1, 4) contiguous: False
# same storage? True

# %% [markdown]
# ## Row-major and column-major
# Two equal matrices, one in memory row by row, the other column by column. `reshape` made the
# row-major one; the transpose of a contiguous transpose is column-major.

# %%
R = torch.arange(1, 10).reshape(3, 3)
C = R.t().contiguous().t()
print("equal?", torch.equal(R, C))
print("row-major    stride:", R.stride(), " memory:", R.as_strided((9,), (1,)).tolist())
print("column-major stride:", C.stride(), " memory:", C.as_strided((9,), (1,)).tolist())
# Output:
# equal? True
# row-major    stride: (3, 1)  memory: [1, 2, 3, 4, 5, 6, 7, 8, 9]
# column-major stride: (1, 3)  memory: [1, 4, 7, 2, 5, 8, 3, 6, 9]

# %% [markdown]
# ## Figure 3.5: a matrix in one-dimensional memory
# Neighbours in the matrix need not be neighbours in memory. A step down the matrix (dashed) moves
# by stride[0] in memory, a step to the right (solid) by stride[1].

# %%
def box(ax: plt.Axes, x: float, y: float, number: torch.Tensor, row: int) -> None:
    ax.add_patch(plt.Rectangle((x, y), 1, 1, facecolor=ROW_COLOURS[row], edgecolor="black"))
    ax.text(x + 0.5, y + 0.5, number.item(), ha="center", va="center", fontsize=13)

def arrow(ax: plt.Axes, start: tuple, end: tuple, bend: float, style: str) -> None:
    look = {"arrowstyle": "-|>", "connectionstyle": f"arc3,rad={bend}", "linestyle": style}
    ax.annotate("", end, start, arrowprops={"facecolor": "black", "linewidth": 1.5, **look})

R = torch.arange(1, 10).reshape(3, 3)
fig, axes = plt.subplots(1, 2, figsize=(8, 4.3), layout="constrained")
for ax, order, M in zip(axes, ["row", "column"], [R, R.t().contiguous().t()]):
    memory = M.as_strided((9,), (1,))
    down, right = M.stride()
    for i in range(3):
        for j in range(3):
            offset = i * down + j * right
            box(ax, 3 + j, 6 - i, M[i, j], i)
            box(ax, offset, 0, memory[offset], i)
            ax.text(offset + 0.5, -0.2, offset, ha="center", va="top", color="dimgray")
    ax.text(4.5, -0.9, "position in memory", ha="center", va="top", color="dimgray")
    # one step down, from 1 to 4, and one to the right, from 8 to 9: in the matrix, in memory
    arrow(ax, (3, 6.5), (3, 5.5), 0.6, "--")
    ax.text(2.5, 6, f"stride[0] = {down}", ha="right", va="center")
    arrow(ax, (4.5, 4), (5.5, 4), 0.6, "-")
    ax.text(5, 3.5, f"stride[1] = {right}", ha="center", va="top")
    for (i, j), step, style in [((0, 0), down, "--"), ((2, 1), right, "-")]:
        start = i * down + j * right + 0.5
        arrow(ax, (start, 1), (start + step, 1), -0.6, style)
        ax.text(start + step / 2, 1.1 + 0.3 * step, f"+{step}", ha="center", va="bottom")
    ax.set(xlim=(-0.3, 9.3), ylim=(-1.4, 7.1), aspect="equal")
    ax.axis("off")
    ax.set_title(f"{order}-major: stride {M.stride()}")
fig.suptitle("Row-major order keeps rows together in memory, column-major order columns")
save(fig, "memory_layout_row_vs_col.png")
# Output:
# figure: ...memory_layout_row_vs_col.png

# %% [markdown]
# ## contiguous() copies, where it must
# It lays the entries out row by row, as the shape reads them. What is contiguous already is
# returned as it is.

# %%
A = torch.arange(12).reshape(3, 4)
C = A.t().contiguous()
print("C.stride():", C.stride(), " contiguous:", C.is_contiguous())
print("same storage as A?", C.data_ptr() == A.data_ptr())
print("A.contiguous() is A?", A.contiguous() is A)
# Output:
# C.stride(): (3, 1)  contiguous: True
# same storage as A? False
# A.contiguous() is A? True

# %% [markdown]
# ## reshape: the same elements, another shape
# The elements keep their order, row by row. One -1 is inferred from the number of elements.

# %%
x = torch.arange(12)
A = x.reshape(3, 4)
B = A.reshape(2, -1)
print("x:", x)
print("A:", A)
print("A.shape:", A.shape)
print("B.shape:", B.shape)
print("B:", B)
# Output:
# x: tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11])
# A: tensor([[ 0,  1,  2,  3],
#         [ 4,  5,  6,  7],
#         [ 8,  9, 10, 11]])
# A.shape: torch.Size([3, 4])
# B.shape: torch.Size([2, 6])
# B: tensor([[ 0,  1,  2,  3,  4,  5],
#         [ 6,  7,  8,  9, 10, 11]])

# %% [markdown]
# ## view: another shape, never a copy
# So a write through the view shows in the original.

# %%
x = torch.arange(12)
A = x.view(3, 4)
print("A from view:", A)
A[0, 0] = 999
print("x[0] after A[0, 0] = 999:", x[0])
# Output:
# A from view: tensor([[ 0,  1,  2,  3],
#         [ 4,  5,  6,  7],
#         [ 8,  9, 10, 11]])
# x[0] after A[0, 0] = 999: tensor(999)

# %% [markdown]
# ## view fails where reshape copies
# No stride reads the transpose row by row as one vector. `view` says so, `reshape` quietly makes
# a copy, and a write to that copy no longer shows in A.

# %%
A = torch.arange(12).view(3, 4)
AT = A.t()
print("A.is_contiguous():", A.is_contiguous())
print("AT.is_contiguous():", AT.is_contiguous())
try:
    AT.view(-1)
except RuntimeError as error:
    print("view failed:", str(error).split(" (")[0])
print("reshape worked:", AT.reshape(-1))
print("shares A's memory? A.reshape(-1):", A.reshape(-1).data_ptr() == A.data_ptr())
print("shares A's memory? AT.reshape(-1):", AT.reshape(-1).data_ptr() == A.data_ptr())
# Output:
# A.is_contiguous(): True
# AT.is_contiguous(): False
# view failed: view size is not compatible with input tensor's size and stride
# reshape worked: tensor([ 0,  4,  8,  1,  5,  9,  2,  6, 10,  3,  7, 11])
# shares A's memory? A.reshape(-1): True
# shares A's memory? AT.reshape(-1): False

# %% [markdown]
# ## view needs compatible strides, not contiguity
# The notes say that view requires contiguous memory. It does not: splitting a dimension in two
# only splits its stride. These columns are not contiguous, and view works without a copy.

# %%
A = torch.arange(24).reshape(4, 6)[:, :4]
V = A.view(4, 2, 2)
print("A.stride():", A.stride(), " contiguous:", A.is_contiguous())
print("V.stride():", V.stride(), " V.shape:", V.shape)
print("same storage?", V.data_ptr() == A.data_ptr())
# Output:
# A.stride(): (6, 1)  contiguous: False
# V.stride(): (6, 2, 1)  V.shape: torch.Size([4, 2, 2])
# same storage? True

# %% [markdown]
# ## Concatenation: more rows, or more columns
# `dim` is the dimension that grows: dim=0 stacks rows, dim=1 puts columns side by side.

# %%
A = torch.tensor([[1, 2, 3], [4, 5, 6]])
B = torch.tensor([[10, 20, 30], [40, 50, 60]])
V = torch.cat([A, B], dim=0)
H = torch.cat([A, B], dim=1)
print("V.shape:", V.shape)
print("V:", V)
print("H.shape:", H.shape)
print("H:", H)
# Output:
# V.shape: torch.Size([4, 3])
# V: tensor([[ 1,  2,  3],
#         [ 4,  5,  6],
#         [10, 20, 30],
#         [40, 50, 60]])
# H.shape: torch.Size([2, 6])
# H: tensor([[ 1,  2,  3, 10, 20, 30],
#         [ 4,  5,  6, 40, 50, 60]])

# %% [markdown]
# ## Concatenation: the other sizes must agree
# Two rows do not fit beside three. Above them they do.

# %%
A = torch.zeros(2, 3)
B = torch.zeros(3, 3)
try:
    torch.cat([A, B], dim=1)
except RuntimeError as error:
    print("concat failed:", str(error).split(".")[0])
print("along dim 0:", torch.cat([A, B], dim=0).shape)
# Output:
# concat failed: Sizes of tensors must match except in dimension 1
# along dim 0: torch.Size([5, 3])

# %% [markdown]
# ## squeeze and unsqueeze
# `unsqueeze(dim)` puts a dimension of size 1 at dim: a vector becomes a row or a column.
# `squeeze(dim)` takes it away again. Neither copies.

# %%
v = torch.tensor([1.0, 2.0, 3.0])
v_row = v.unsqueeze(0)
v_col = v.unsqueeze(1)
print("v.shape:", v.shape)
print("v_row.shape:", v_row.shape)
print("v_col.shape:", v_col.shape)
print("v_col.squeeze(1).shape:", v_col.squeeze(1).shape)
print("same storage?", v.data_ptr() == v_row.data_ptr() == v_col.squeeze(1).data_ptr())
# Output:
# v.shape: torch.Size([3])
# v_row.shape: torch.Size([1, 3])
# v_col.shape: torch.Size([3, 1])
# v_col.squeeze(1).shape: torch.Size([3])
# same storage? True

# %% [markdown]
# ## Appending a row
# `cat` wants as many dimensions on both sides. A vector has one, a matrix of one row two.

# %%
A = torch.zeros(2, 3)
v = torch.tensor([1.0, 2.0, 3.0])
try:
    torch.cat([A, v], dim=0)
except RuntimeError as error:
    print("concat failed:", error)
A2 = torch.cat([A, v.unsqueeze(0)], dim=0)
print("A2.shape:", A2.shape)
print(A2)
# Output:
# concat failed: Tensors must have same number of dimensions: got 2 and 1
# A2.shape: torch.Size([3, 3])
# tensor([[0., 0., 0.],
#         [0., 0., 0.],
#         [1., 2., 3.]])
