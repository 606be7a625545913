# %% [markdown]
# # Operations on tensors
#
# One call of PyTorch does for all numbers of a tensor what a loop in Python does for one number
# after another. With such calls we build a small classifier. A model gives each of 2 images a score
# for each of 5 classes, say cat, dog, bird, fish and horse. We choose a class for each image, turn
# the scores into probabilities, and count the right answers. Then we compute the scores themselves
# from the images, and have a whole classifier without a loop.
#
# Under `# Output:` you see what a cell prints, and `...` stands for text that is left out.

# %%
import torch

# %% [markdown]
# ## One call instead of two loops
#
# `S` holds the scores: one row for each image, one column for each class. The chosen class of an
# image is the column of its largest score. The loops look for it one score at a time, in Python.
# `S.argmax(dim=1)` finds it for all images in one call, which runs in compiled code.
# `vectorization.py` measures how much time such a call saves.

# %%
S = torch.tensor([[3.0, 0.0, 2.0, -3.0, -2.0], [1.0, 5.0, 0.0, -1.0, 0.0]])
chosen = []
for scores in S:
    best = 0
    for j in range(5):
        if scores[j] > scores[best]:
            best = j
    chosen.append(best)
print("chosen by loops: ", chosen)
print("S.argmax(dim=1): ", S.argmax(dim=1))
# Output:
# chosen by loops:  [0, 1]
# S.argmax(dim=1):  tensor([0, 1])

# %% [markdown]
# ## Reductions: dim is the dimension that disappears
#
# `argmax` is a *reduction*: many numbers become fewer. `S.sum()` reduces all of `S` to one number.
# `S.sum(dim=0)` adds along dimension 0, that is down the columns, and this dimension disappears
# from the shape: (2, 5) becomes (5,), one sum per column. `S.sum(dim=1)` has shape (2,), one sum
# per row. (NumPy says `axis`.) `mean` and `argmax` work in the same way. `S.max(dim=1)` returns two
# tensors: the largest entry of each row, and its column.
#
# The matrix `A` is small enough to check all of them. `A.argmax()` without `dim` counts the entries
# row by row, from 0.

# %%
S = torch.tensor([[3.0, 0.0, 2.0, -3.0, -2.0], [1.0, 5.0, 0.0, -1.0, 0.0]])
print("S.sum(dim=0):", S.sum(dim=0))
print("S.sum(dim=1):", S.sum(dim=1))
A = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
print("sum all:", A.sum().item())
print("sum dim=0:", A.sum(dim=0))
print("sum dim=1:", A.sum(dim=1))
print("mean:", A.mean().item())
print("max:", A.max().item())
print("argmax (flattened):", A.argmax().item())
# Output:
# S.sum(dim=0): tensor([ 4.,  5.,  2., -4., -2.])
# S.sum(dim=1): tensor([0., 5.])
# sum all: 10.0
# sum dim=0: tensor([4., 6.])
# sum dim=1: tensor([3., 7.])
# mean: 2.5
# max: 4.0
# argmax (flattened): 3

# %% [markdown]
# ## Entrywise operations
#
# Functions such as `exp` and the operators `+`, `*`, `**` work on each entry by itself, and return
# a new tensor of the same shape. So `x * x` is a vector, and not the inner product of `x` with
# itself. We need `exp` for the probabilities: it makes each score positive, also a negative one,
# and a larger score stays larger.

# %%
x = torch.tensor([1.0, 2.0, 3.0])
print("exp:", torch.exp(x))
print("log:", torch.log(x))
print("sin:", torch.sin(x))
print("x**2:", x**2)
print("x*x:", x * x)
print("exp of a negative score:", torch.exp(torch.tensor(-3.0)))
# Output:
# exp: tensor([ 2.7183,  7.3891, 20.0855])
# log: tensor([0.0000, 0.6931, 1.0986])
# sin: tensor([0.8415, 0.9093, 0.1411])
# x**2: tensor([1., 4., 9.])
# x*x: tensor([1., 4., 9.])
# exp of a negative score: tensor(0.0498)

# %% [markdown]
# ## Softmax: from scores to probabilities
#
# The probabilities of each image must add up to 1, so we divide each row of `E`, which is exp(S),
# by its sum. This is called the *softmax*. Here two shapes meet, and PyTorch compares them from the
# right. A missing dimension on the left counts as 1. Two sizes fit if they are equal, or if one of
# them is 1: then its single entry is used for all. This is *broadcasting*. (`broadcasting.py` says
# more.)
#
# The row sums have shape (2,), which counts as (1, 2). `E` has shape (2, 5), and 2 does not fit 5:
# an error. `keepdim=True` keeps the summed dimension, with size 1, so the sums are a column of
# shape (2, 1). This fits, and each column of `E` is divided by the column of sums.

# %%
S = torch.tensor([[3.0, 0.0, 2.0, -3.0, -2.0], [1.0, 5.0, 0.0, -1.0, 0.0]])
E = torch.exp(S)
try:
    E / E.sum(dim=1)
except RuntimeError as error:
    print("E / E.sum(dim=1) failed:", str(error).splitlines()[0])  # the message's first line
sums = E.sum(dim=1, keepdim=True)
P = E / sums
print("sums.shape:", sums.shape)
print("P:", P)
print("columns of P add up to", P.sum(dim=0).round(decimals=4))
print("rows of P add up to", P.sum(dim=1).round(decimals=4))  # hides errors of some 1e-7
# Output:
# E / E.sum(dim=1) failed: The size of tensor a (5) must match the size of tensor b (2) ...
# sums.shape: torch.Size([2, 1])
# P: tensor([[0.7008, 0.0349, 0.2578, 0.0017, 0.0047],
#         [0.0177, 0.9669, 0.0065, 0.0024, 0.0065]])
# columns of P add up to tensor([0.7185, 1.0018, 0.2643, 0.0041, 0.0112])
# rows of P add up to tensor([1., 1.])

# %% [markdown]
# ## A square matrix hides the mistake
#
# For a square matrix no error is raised if `keepdim` is missing. The sums have shape (2,), which
# counts as (1, 2): a row. So column j of `A` is divided by the sum of row j, and the rows do not
# add up to 1. Try such code on a matrix that is not square.

# %%
A = torch.tensor([[1.0, 3.0], [2.0, 6.0]])
with_keepdim = A / A.sum(dim=1, keepdim=True)
without = A / A.sum(dim=1)
print("with keepdim, rows add up to", with_keepdim.sum(dim=1))
print("without, rows add up to", without.sum(dim=1))
# Output:
# with keepdim, rows add up to tensor([1., 1.])
# without, rows add up to tensor([0.6250, 1.2500])

# %% [markdown]
# ## Masks: count the right answers
#
# `torch.softmax` is the function that we have just written. `P.max(dim=1)` returns two tensors: the
# largest probability of each row, and its index, as `argmax` does. Since a larger score gets a
# larger probability, it does not matter whether we choose by `S` or by `P`.
#
# A comparison gives a tensor of True and False, called a *mask*. In a sum True counts as 1, so the
# sum of a mask says how many entries are True: here, how many answers are right.

# %%
S = torch.tensor([[3.0, 0.0, 2.0, -3.0, -2.0], [1.0, 5.0, 0.0, -1.0, 0.0]])
classes = torch.tensor([0, 2])  # what the images really show: a cat and a bird
P = torch.softmax(S, dim=1)
values, indices = P.max(dim=1)
right = indices == classes
print("values:", values)
print("indices:", indices)
print("right:", right)
print("right answers:", right.sum().item())
# Output:
# values: tensor([0.7008, 0.9669])
# indices: tensor([0, 1])
# right: tensor([ True, False])
# right answers: 1

# %% [markdown]
# ## Masks choose entries, torch.where chooses values
#
# `x[mask]` holds the entries at which the mask is True. `&` means "and" for masks. It binds more
# tightly than `>`, so the comparisons need parentheses. (Python's `and` needs a single True or
# False, and raises an error.)
#
# `torch.where(mask, a, b)` keeps the shape: it takes the entry of `a` where the mask is True, and
# of `b` elsewhere. So `torch.where(mask, x, 0)` replaces the entries that are not positive by 0.
# This function is called *relu* (`torch.relu`), and the classifier needs it.

# %%
x = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
mask = x > 0
print("mask:", mask)
print("x[mask]:", x[mask])
print("between -2 and 2:", x[(x > -2) & (x < 2)])
print("relu:", torch.where(mask, x, 0))
# Output:
# mask: tensor([False, False, False,  True,  True])
# x[mask]: tensor([1., 2.])
# between -2 and 2: tensor([-1.,  0.,  1.])
# relu: tensor([0., 0., 0., 1., 2.])

# %% [markdown]
# ## Products
#
# `@` is the product of linear algebra: matrix times vector, inner product of two vectors, matrix
# times matrix. `A.T` is the transpose, and `torch.linalg.norm(x)` is the length of `x`, the square
# root of `x @ x`.
#
# Where do the scores come from? Each row of `X` describes an image by 3 numbers, its *features*.
# `X @ W` computes 4 new features for each image, all images in one call. The inner sizes of (2, 3)
# and (3, 4) agree. Those of (3, 4) and (2, 3) do not, so `W @ X` fails.

# %%
A = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
x = torch.tensor([10.0, 20.0])
print("A.T:", A.T)
print("A @ x:", A @ x)
print("x @ x:", x @ x)
print("||x||:", torch.linalg.norm(x))

X = torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]])
W = torch.tensor([
    [1.0, -1.0, 0.0, 2.0],
    [0.0, 1.0, -1.0, 1.0],
    [1.0, 0.0, 1.0, -1.0],
])
C = X @ W
print("C.shape:", C.shape)
print("C:", C)
try:
    W @ X
except RuntimeError as error:
    print("W @ X failed:", str(error).splitlines()[0])
# Output:
# A.T: tensor([[1., 3.],
#         [2., 4.]])
# A @ x: tensor([ 50., 110.])
# x @ x: tensor(500.)
# ||x||: tensor(22.3607)
# C.shape: torch.Size([2, 4])
# C: tensor([[ 3., -1.,  2.,  0.],
#         [ 1.,  3., -2.,  2.]])
# W @ X failed: ...mat1 and mat2 shapes cannot be multiplied (3x4 and 2x3)

# %% [markdown]
# ## All together: a classifier without a loop
#
# From images to right answers it takes seven steps: product, relu, product, softmax, argmax,
# comparison, sum. The scores are the `S` from above. Without relu, the two products would be one,
# since (X @ W) @ V = X @ (W @ V), and the 4 features in the middle would be of no use.
#
# Here `W` and `V` are given, and the second image is mistaken for a dog. `losses_and_models.py`
# shows how such matrices are found, by training.

# %%
X = torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]])
W = torch.tensor([
    [1.0, -1.0, 0.0, 2.0],
    [0.0, 1.0, -1.0, 1.0],
    [1.0, 0.0, 1.0, -1.0],
])
V = torch.tensor([
    [1.0, 0.0, 0.0, -1.0, 0.0],
    [0.0, 1.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, 1.0, 0.0, -1.0],
    [0.0, 1.0, 0.0, 0.0, 0.0],
])
classes = torch.tensor([0, 2])

C = X @ W
H = torch.where(C > 0, C, 0)
S = H @ V
P = torch.softmax(S, dim=1)
chosen = P.argmax(dim=1)
right = (chosen == classes).sum()

print("S:", S)
print("P:", P)
print("chosen:", chosen)
print("right answers:", right.item(), "of", len(classes))
# Output:
# S: tensor([[ 3.,  0.,  2., -3., -2.],
#         [ 1.,  5.,  0., -1.,  0.]])
# P: tensor([[0.7008, 0.0349, 0.2578, 0.0017, 0.0047],
#         [0.0177, 0.9669, 0.0065, 0.0024, 0.0065]])
# chosen: tensor([0, 1])
# right answers: 1 of 2

# %% [markdown]
# ## More: a new tensor, or the old one?
#
# `x[mask]` is a copy, so a write into `picked` leaves `x` as it is. But an assignment to `x[mask]`
# makes no copy: `x[mask] = 0` writes into `x` itself.
#
# In the same way, `x += 10` writes into the tensor, so `other_name`, which names the same tensor,
# shows the new numbers. `x = x + 10` makes a new tensor and calls this one `x`; `other_name` still
# names the old one. (`inplace.py` says what that costs.)

# %%
x = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
other_name = x
mask = x > 0
picked = x[mask]
picked[0] = 999
print("after picked[0] = 999, x:", x)
x[mask] = 0
print("after x[mask] = 0, x:", x)
x += 10
print("after x += 10, other_name:", other_name)
x = x + 10
print("after x = x + 10, x:", x)
print("after x = x + 10, other_name:", other_name)
# Output:
# after picked[0] = 999, x: tensor([-2., -1.,  0.,  1.,  2.])
# after x[mask] = 0, x: tensor([-2., -1.,  0.,  0.,  0.])
# after x += 10, other_name: tensor([ 8.,  9., 10., 10., 10.])
# after x = x + 10, x: tensor([18., 19., 20., 20., 20.])
# after x = x + 10, other_name: tensor([ 8.,  9., 10., 10., 10.])

# %% [markdown]
# ## More: batches of matrices
#
# A tensor of shape (10, 2, 3) is a batch of ten matrices: for `@`, the last two dimensions are rows
# and columns, and the dimension before them counts the matrices. `batch @ W` multiplies each of
# them by the matrix `W`, and `batch @ others` multiplies matrix b by matrix b of the other batch.
#
# `torch.bmm` ("batched matrix multiplication") does the same, and accepts nothing but two batches.
# `torch.einsum` names the dimensions by letters, and sums over a letter that is missing after the
# arrow: "bik,bkj->bij" is the sum over k of batch[b, i, k] * others[b, k, j].

# %%
batch = torch.arange(60.0).reshape(10, 2, 3)  # whole numbers: float32 computes without rounding
W = torch.arange(12.0).reshape(3, 4)
others = torch.arange(120.0).reshape(10, 3, 4)
print("(batch @ W).shape:", (batch @ W).shape)
by_at = batch @ others
by_bmm = torch.bmm(batch, others)
by_einsum = torch.einsum("bik,bkj->bij", batch, others)
print("by_at.shape:", by_at.shape)
print("largest difference of bmm from @:", (by_bmm - by_at).abs().max().item())
print("largest difference of einsum from @:", (by_einsum - by_at).abs().max().item())
# Output:
# (batch @ W).shape: torch.Size([10, 2, 4])
# by_at.shape: torch.Size([10, 2, 4])
# largest difference of bmm from @: 0.0
# largest difference of einsum from @: 0.0

# %% [markdown]
# ## What to take away
#
# - In a reduction, `dim` is the dimension that disappears. To combine the result with the original
#   tensor, keep the dimension: `keepdim=True`.
# - `*` is entrywise, and `@` is the product of linear algebra, also for each matrix of a batch.
# - `x[mask]` copies. `x[mask] = 0` and `x += y` write into the tensor that is there.
#
# ## Try it
#
# 1. In "Softmax: from scores to probabilities", change `sums = E.sum(dim=1, keepdim=True)` to
#    `sums = E.sum(dim=0, keepdim=True)`. Predict first: what is the shape of the sums, and what
#    adds up to 1 now?
# 2. In "More: a new tensor, or the old one?", change `x[mask] = 0` to `x[mask][:] = 0`. Predict
#    first: what does `x` hold after that line?
# 3. In "All together: a classifier without a loop", take relu away: change
#    `H = torch.where(C > 0, C, 0)` to `H = C`. Predict first: which scores change?
