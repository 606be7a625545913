# %% [markdown]
# # Manipulating tensors
#
# The numbers of a tensor are stored in one long sequence of places, its *storage*. Each place holds
# one number, and the places are numbered from 0. Rows and columns come from a formula: entry (i, j)
# of a matrix is in
#
#     place = start + i * stride[0] + j * stride[1]
#
# Here `start` is the place of entry (0, 0), and the two strides say how many places further the
# next row and the next column are. Slices, the transpose and `view` only change start, strides and
# shape. No number moves, and the result is a *view* of the same storage. Other operations copy.
# Figure 3.5, near the end, shows two matrices and their storage.
#
# Under `# Output:` you see what a cell prints, and `...` stands for text that is left out.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import torch

# %% [markdown]
# ## The formula at work
#
# The function `place` below computes the formula; PyTorch calls the start `storage_offset()`. The
# vector `x` holds the number p in place p, so each number tells its own place, and the print of `x`
# shows the storage.
#
# `x.reshape(3, 4)` reads the storage as 3 rows of 4 numbers, row after row (*row-major* order). The
# next row begins 4 places further, and the next column is 1 place further: the strides are (4, 1).
# `reshape(2, -1)` asks for 2 rows, and PyTorch computes the 6 columns. Then the strides are (6, 1).
#
# `A` and `B` are *contiguous*: if you read them row by row, you go through the storage place by
# place, without a gap.

# %%
def place(matrix: torch.Tensor, i: int, j: int) -> int:
    """The place in the storage of entry (i, j) of a matrix."""
    start = matrix.storage_offset()
    stride = matrix.stride()
    return start + i * stride[0] + j * stride[1]

# %%
x = torch.arange(12)
A = x.reshape(3, 4)
B = A.reshape(2, -1)
print("x:", x)
print("A:", A)
print("A.shape:", A.shape, "stride:", A.stride(), "contiguous:", A.is_contiguous())
print("A[1, 2]:", A[1, 2], "in place", place(A, 1, 2))
print("B:", B)
print("B.shape:", B.shape, "stride:", B.stride())
print("B[1, 2]:", B[1, 2], "in place", place(B, 1, 2))
# Output:
# x: tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11])
# A: tensor([[ 0,  1,  2,  3],
#         [ 4,  5,  6,  7],
#         [ 8,  9, 10, 11]])
# A.shape: torch.Size([3, 4]) stride: (4, 1) contiguous: True
# A[1, 2]: tensor(6) in place 6
# B: tensor([[ 0,  1,  2,  3,  4,  5],
#         [ 6,  7,  8,  9, 10, 11]])
# B.shape: torch.Size([2, 6]) stride: (6, 1)
# B[1, 2]: tensor(8) in place 8

# %% [markdown]
# ## More dimensions, more terms
#
# With three dimensions the formula has a third term. Below, the last dimension has stride 1, the
# middle one 4, and the first one 3 * 4 = 12. `numel()` is the number of entries, 2 * 3 * 4.

# %%
A = torch.arange(24).reshape(2, 3, 4)
print("A.shape:", A.shape)
print("A.numel():", A.numel())
stride = A.stride()
print("A.stride():", stride)
p = 1 * stride[0] + 2 * stride[1] + 3 * stride[2]
print("A[1, 2, 3]:", A[1, 2, 3], "in place", p)
# Output:
# A.shape: torch.Size([2, 3, 4])
# A.numel(): 24
# A.stride(): (12, 4, 1)
# A[1, 2, 3]: tensor(23) in place 23

# %% [markdown]
# ## Slices and the transpose are views
#
# The slice `A[1:, ::2]` begins at entry (1, 0), so its start is 4, and it takes every second
# column, so its second stride is 2. The transpose `A.T` exchanges the two sizes and the two
# strides. AT[3, 0] and A[0, 3] are in the same place, so the 999 that is written into one can be
# read in the other. The transpose is not contiguous, because the next column is 4 places further.

# %%
A = torch.arange(12).reshape(3, 4)
corner = A[1:, ::2]
AT = A.T
print("corner:", corner)
print("corner: start:", corner.storage_offset(), "stride:", corner.stride())
print("corner[1, 1] in place", place(corner, 1, 1))
print("AT.shape:", AT.shape, "stride:", AT.stride(), "contiguous:", AT.is_contiguous())
print("AT[3, 0] in place", place(AT, 3, 0), "and A[0, 3] in place", place(A, 0, 3))
AT[3, 0] = 999
print("after AT[3, 0] = 999, A:", A)
# Output:
# corner: tensor([[ 4,  6],
#         [ 8, 10]])
# corner: start: 4 stride: (4, 2)
# corner[1, 1] in place 10
# AT.shape: torch.Size([4, 3]) stride: (1, 4) contiguous: False
# AT[3, 0] in place 3 and A[0, 3] in place 3
# after AT[3, 0] = 999, A: tensor([[  0,   1,   2, 999],
#         [  4,   5,   6,   7],
#         [  8,   9,  10,  11]])

# %% [markdown]
# ## A list of indices copies
#
# `A[[2, 0, 1]]` takes the rows that begin in the places 8, 0 and 4. From 8 to 0 is a step of -8,
# and from 0 to 4 a step of +4, so no stride[0] fits both. PyTorch copies here, and for every other
# list of indices: it does not check which indices are in the list.
#
# To see whether something was copied, `same_storage` compares the addresses at which the storages
# of two tensors begin. (Views of one storage need not have a place in common: the first row of `A`
# and the second one do not.)

# %%
def same_storage(x: torch.Tensor, y: torch.Tensor) -> bool:
    """Whether x and y are stored in the same sequence of places."""
    return x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr()

# %%
A = torch.arange(12).reshape(3, 4)
rows = A[1:]
picked = A[[2, 0, 1]]
print("rows and A: same storage?", same_storage(rows, A))
print("picked and A: same storage?", same_storage(picked, A))
print("picked:", picked)
# Output:
# rows and A: same storage? True
# picked and A: same storage? False
# picked: tensor([[ 8,  9, 10, 11],
#         [ 0,  1,  2,  3],
#         [ 4,  5,  6,  7]])

# %% [markdown]
# ## view never copies, reshape copies if it must
#
# `view` and `reshape` change the shape and keep the order of the entries, row by row. `view` never
# copies: it returns a view or raises an error. `view(-1)` asks for one dimension. Row by row,
# `A` goes through the places 0, 1, 2, 3, 4, ...: the stride 1 describes them, and `view` works.
# `AT` goes through the places 0, 4, 8, 1, 5, ...: after +4 and +4 comes -7. No single stride
# describes them, so `AT.view(-1)` fails. `AT.reshape(-1)` copies, without a message.
#
# In general, size[1] steps of stride[1] lead from the first entry of a row to one step past its
# last entry. If the next row begins there, `view` can merge the two dimensions:
#
#     size[1] * stride[1] == stride[0]
#
# For `A` this holds, 4 * 1 == 4. For `AT` it does not, 3 * 4 != 1. A dimension of size 1 can always
# be merged, because nobody steps along it. In tensors with more dimensions, the rule must hold for
# every two neighbouring dimensions that `view` merges.

# %%
A = torch.arange(12).view(3, 4)
AT = A.T
print("A from view:", A)
print("A.is_contiguous():", A.is_contiguous())
print("AT.is_contiguous():", AT.is_contiguous())
try:
    AT.view(-1)
except RuntimeError as error:
    print("view failed:", str(error).splitlines()[0])
print("reshape worked:", AT.reshape(-1))
print("A.reshape(-1) and A: same storage?", same_storage(A.reshape(-1), A))
print("AT.reshape(-1) and A: same storage?", same_storage(AT.reshape(-1), A))
# Output:
# A from view: tensor([[ 0,  1,  2,  3],
#         [ 4,  5,  6,  7],
#         [ 8,  9, 10, 11]])
# A.is_contiguous(): True
# AT.is_contiguous(): False
# view failed: view size is not compatible with input tensor's size and stride ...
# reshape worked: tensor([ 0,  4,  8,  1,  5,  9,  2,  6, 10,  3,  7, 11])
# A.reshape(-1) and A: same storage? True
# AT.reshape(-1) and A: same storage? False

# %% [markdown]
# ## view needs strides that fit, not contiguity
#
# Both matrices below skip places, so neither is contiguous. `spaced` has every second of 6 columns:
# size[1] * stride[1] is 3 * 2 = 6, which is stride[0]. So `view(-1)` works.
#
# `left` has the first 4 of 6 columns, and 4 * 1 != 6: its rows cannot be merged. But `view` can
# split a dimension in every case. Here it splits each row into two pairs: from pair to pair the
# stride is 2, and within a pair it is 1.

# %%
numbers = torch.arange(24).reshape(4, 6)
spaced = numbers[:, ::2]
left = numbers[:, :4]
print("contiguous? spaced:", spaced.is_contiguous(), " left:", left.is_contiguous())
print("spaced.shape:", spaced.shape, " spaced.stride():", spaced.stride())
print("spaced.view(-1):", spaced.view(-1))
pairs = left.view(4, 2, 2)
print("left.stride():", left.stride())
print("pairs.stride():", pairs.stride(), " pairs.shape:", pairs.shape)
# Output:
# contiguous? spaced: False  left: False
# spaced.shape: torch.Size([4, 3])  spaced.stride(): (6, 2)
# spaced.view(-1): tensor([ 0,  2,  4,  6,  8, 10, 12, 14, 16, 18, 20, 22])
# left.stride(): (6, 1)
# pairs.stride(): (6, 2, 1)  pairs.shape: torch.Size([4, 2, 2])

# %% [markdown]
# ## contiguous: copy once, before many passes
#
# `AT.contiguous()` copies `AT` to a storage of its own, in row-major order. If a tensor is
# contiguous already, `contiguous` returns this same tensor. Copying takes time and memory, but then
# a loop over the rows reads neighbouring places, which is faster. `memory_layout.py` measures how
# much faster, and how soon the copy pays.

# %%
A = torch.arange(12).reshape(3, 4)
AT = A.T
copy = AT.contiguous()
print("AT.stride():", AT.stride(), " copy.stride():", copy.stride())
print("copy and A: same storage?", same_storage(copy, A))
print("A.contiguous() is A?", A.contiguous() is A)
# Output:
# AT.stride(): (1, 4)  copy.stride(): (3, 1)
# copy and A: same storage? False
# A.contiguous() is A? True

# %% [markdown]
# ## permute exchanges dimensions, reshape does not
#
# `permute` is the transpose for any number of dimensions: you list the old dimensions in their new
# order, and each takes its size and its stride along. `reshape` to the same new shape is something
# else: it keeps the order of the entries. Below, `permute` makes columns of the rows of `A`, and
# `reshape` does not. To mistake one for the other is common, and raises no error.
#
# The image has height 4, width 5 and 3 colours. `permute(2, 0, 1)` puts the colours first, as
# PyTorch's layers for images expect them.

# %%
A = torch.tensor([[1, 2, 3], [4, 5, 6]])
print("permute:", A.permute(1, 0))
print("reshape:", A.reshape(3, 2))
image = torch.zeros(4, 5, 3)
colours_first = image.permute(2, 0, 1)
print("image.stride():", image.stride())
print("colours_first.stride():", colours_first.stride())
print("colours_first.shape:", colours_first.shape)
# Output:
# permute: tensor([[1, 4],
#         [2, 5],
#         [3, 6]])
# reshape: tensor([[1, 2],
#         [3, 4],
#         [5, 6]])
# image.stride(): (15, 3, 1)
# colours_first.stride(): (1, 15, 3)
# colours_first.shape: torch.Size([3, 4, 5])

# %% [markdown]
# ## cat and stack must copy
#
# A tensor has one storage, so no strides lead from the numbers of `A` to those of `B`: to join two
# tensors, PyTorch copies both. `cat` (also called `concat`) makes the dimension `dim` longer: dim=0
# puts the rows of `B` under those of `A`, and dim=1 puts its columns beside those of `A`. All other
# sizes must agree, so the 3 rows of `taller` do not fit beside the 2 rows of `A`. `stack` makes a
# new dimension, the first one by default: S[0] equals `A`, and S[1] equals `B`.

# %%
A = torch.tensor([[1, 2, 3], [4, 5, 6]])
B = torch.tensor([[10, 20, 30], [40, 50, 60]])
V = torch.cat([A, B], dim=0)
H = torch.cat([A, B], dim=1)
S = torch.stack([A, B])
print("V.shape:", V.shape)
print("V:", V)
print("H.shape:", H.shape)
print("H:", H)
print("S.shape:", S.shape)
print("S[1]:", S[1])
taller = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
try:
    torch.cat([A, taller], dim=1)
except RuntimeError as error:
    print("concat failed:", str(error).splitlines()[0])
# Output:
# V.shape: torch.Size([4, 3])
# V: tensor([[ 1,  2,  3],
#         [ 4,  5,  6],
#         [10, 20, 30],
#         [40, 50, 60]])
# H.shape: torch.Size([2, 6])
# H: tensor([[ 1,  2,  3, 10, 20, 30],
#         [ 4,  5,  6, 40, 50, 60]])
# S.shape: torch.Size([2, 2, 3])
# S[1]: tensor([[10, 20, 30],
#         [40, 50, 60]])
# concat failed: Sizes of tensors must match except in dimension 1. ...

# %% [markdown]
# ## unsqueeze and squeeze: append a row
#
# `unsqueeze(dim)` returns a view with a new dimension of size 1: with dim=0 the vector `v` becomes
# a matrix with one row, and with dim=1 a matrix with one column. Nobody steps along the new
# dimension, so its stride does not matter. `squeeze(dim)` removes a dimension of size 1. (If the
# size is not 1, it does nothing, and raises no error.)
#
# To append `v` to a matrix, you need `unsqueeze`, because all tensors in a `cat` must have the same
# number of dimensions. (Do not do this in a loop, because each `cat` copies all earlier rows again:
# collect the rows in a list, and call `stack` once at the end.)

# %%
A = torch.zeros(2, 3)
v = torch.tensor([1.0, 2.0, 3.0])
v_row = v.unsqueeze(0)
v_col = v.unsqueeze(1)
print("v.shape:", v.shape)
print("v_row.shape:", v_row.shape, "stride:", v_row.stride())
print("v_col.shape:", v_col.shape, "stride:", v_col.stride())
print("v_col.squeeze(1).shape:", v_col.squeeze(1).shape)
try:
    torch.cat([A, v], dim=0)
except RuntimeError as error:
    print("concat failed:", str(error).splitlines()[0])
A2 = torch.cat([A, v_row], dim=0)
print("A2.shape:", A2.shape)
print(A2)
# Output:
# v.shape: torch.Size([3])
# v_row.shape: torch.Size([1, 3]) stride: (3, 1)
# v_col.shape: torch.Size([3, 1]) stride: (1, 1)
# v_col.squeeze(1).shape: torch.Size([3])
# concat failed: Tensors must have same number of dimensions: got 2 and 1
# A2.shape: torch.Size([3, 3])
# tensor([[0., 0., 0.],
#         [0., 0., 0.],
#         [1., 2., 3.]])

# %% [markdown]
# ## A picture: two orders for one matrix
#
# Two equal matrices can be stored in different orders. `R` is row-major, PyTorch's default: the
# entries of a row are neighbours, and the strides are (3, 1). `C` is *column-major*, as matrices
# are in Fortran and MATLAB: the entries of a column are neighbours, and the strides are (1, 3). In
# PyTorch, a column-major matrix is the transpose of a row-major one.
#
# The picture (Figure 3.5 of the lecture) shows both matrices, and under each its storage. The
# dashed arrow leads to the next row, the solid arrow to the next column, and in the storage each
# arrow is as long as its stride. The next cell only defines how to draw them.

# %%
plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"
ROW_COLORS = ["#56B4E9", "#E69F00", "#FFFFFF"]  # sky blue, orange, white

def draw_box(ax: plt.Axes, x: float, y: float, number: int) -> None:
    color = ROW_COLORS[(number - 1) // 3]
    ax.add_patch(plt.Rectangle((x, y), 1, 1, facecolor=color, edgecolor="black"))
    ax.text(x + 0.5, y + 0.5, number, ha="center", va="center", fontsize=13)

def draw_arrow(ax: plt.Axes, start: tuple, end: tuple, bend: float, line: str) -> None:
    look = {"arrowstyle": "-|>", "facecolor": "black", "linewidth": 1.5, "linestyle": line}
    look["connectionstyle"] = f"arc3,rad={bend}"
    ax.annotate("", end, start, arrowprops=look)

def draw_step(ax: plt.Axes, p: int, stride: int, line: str) -> None:
    draw_arrow(ax, (p + 0.5, 1), (p + stride + 0.5, 1), -0.6, line)
    ax.text(p + 0.5 + stride / 2, 1.1 + 0.3 * stride, f"+{stride}", ha="center", va="bottom")

def draw_order(ax: plt.Axes, matrix: torch.Tensor) -> None:
    for i in range(3):
        for j in range(3):
            draw_box(ax, 3 + j, 6 - i, matrix[i, j].item())
            draw_box(ax, place(matrix, i, j), 0, matrix[i, j].item())
    for p in range(9):
        ax.text(p + 0.5, -0.2, p, ha="center", va="top")
    ax.text(4.5, -0.9, "place in the storage", ha="center", va="top")
    down, right = matrix.stride()
    draw_arrow(ax, (3, 6.5), (3, 5.5), 0.6, "--")  # from entry (0, 0) to (1, 0)
    ax.text(2.5, 6, f"stride[0] = {down}", ha="right", va="center")
    draw_step(ax, place(matrix, 0, 0), down, "--")
    draw_arrow(ax, (4.5, 4), (5.5, 4), 0.6, "-")  # from entry (2, 1) to (2, 2)
    ax.text(5, 3.5, f"stride[1] = {right}", ha="center", va="top")
    draw_step(ax, place(matrix, 2, 1), right, "-")
    ax.set(xlim=(-0.3, 9.3), ylim=(-1.4, 7.1), aspect="equal")
    ax.axis("off")

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
R = torch.tensor([1, 2, 3, 4, 5, 6, 7, 8, 9]).reshape(3, 3)
C = torch.tensor([1, 4, 7, 2, 5, 8, 3, 6, 9]).reshape(3, 3).T
print("R and C are equal?", torch.equal(R, C))
print("R.stride():", R.stride(), " C.stride():", C.stride())

fig, (left, right) = plt.subplots(1, 2, figsize=(7, 3.8), layout="constrained")
draw_order(left, R)
draw_order(right, C)
left.set_title("R, row-major")
right.set_title("C, column-major")
fig.suptitle("Row-major keeps each row together in memory, column-major each column")
save(fig, "memory_layout_row_vs_col.png")
# Output:
# R and C are equal? True
# R.stride(): (3, 1)  C.stride(): (1, 3)
# figure: ...memory_layout_row_vs_col.png

# %% [markdown]
# ## What to take away
#
# - Slices, `T`, `permute`, `view`, `squeeze` and `unsqueeze` only change start, shape and strides.
#   They move no number, and a write into their result changes the original.
# - Lists of indices, `cat` and `stack` copy. `reshape` and `contiguous` copy only if they must.
# - Use `view` where a copy would be a mistake: it raises an error instead of copying.
#
# ## Try it
#
# 1. In "Slices and the transpose are views", change `corner = A[1:, ::2]` to `corner = A[::2, 2:]`.
#    Predict first: what are the start and the strides of `corner`?
# 2. In "view never copies, reshape copies if it must", change `A = torch.arange(12).view(3, 4)` to
#    `A = torch.arange(12).view(1, 12)`. Predict first: does `AT.view(-1)` fail, and does
#    `AT.reshape(-1)` copy?
# 3. In "view needs strides that fit, not contiguity", change `spaced = numbers[:, ::2]` to
#    `spaced = numbers[1:, ::3]`. Predict first: does `view(-1)` still work, and what does it hold?
