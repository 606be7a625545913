# %% [markdown]
# # Operations on tensors
# One call replaces a loop: by entry, along a dimension, or as linear algebra. Watch the shapes.

# %%
import torch

# %% [markdown]
# ## Entrywise operations
# `exp`, `log` and `sin` are taken at each entry, and the shape stays.

# %%
x = torch.tensor([1.0, 2.0, 3.0])
print("exp:", torch.exp(x))
print("log:", torch.log(x))
print("sin:", torch.sin(x))
# Output:
# exp: tensor([ 2.7183,  7.3891, 20.0855])
# log: tensor([0.0000, 0.6931, 1.0986])
# sin: tensor([0.8415, 0.9093, 0.1411])

# %% [markdown]
# ## Powers and products are entrywise too
# `*` multiplies entry by entry. The inner product is written `@`, further down.

# %%
x = torch.tensor([1.0, 2.0, 3.0])
print("x**2:", x**2)
print("x*x:", x * x)
print("equal?", torch.equal(x**2, x * x))
# Output:
# x**2: tensor([1., 4., 9.])
# x*x: tensor([1., 4., 9.])
# equal? True

# %% [markdown]
# ## Reductions replace loops
# `dim` names the dimension that disappears: dim=0 adds up the rows, dim=1 the columns. `argmax`
# counts through the matrix as if it were flattened.

# %%
A = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
print("sum all:", A.sum().item())
print("sum dim=0:", A.sum(dim=0))
print("sum dim=1:", A.sum(dim=1))
print("mean:", A.mean().item())
print("max:", A.max().item())
print("argmax (flattened):", A.argmax().item(), " A.flatten()[3]:", A.flatten()[3].item())
# Output:
# sum all: 10.0
# sum dim=0: tensor([4., 6.])
# sum dim=1: tensor([3., 7.])
# mean: 2.5
# max: 4.0
# argmax (flattened): 3  A.flatten()[3]: 4.0

# %% [markdown]
# ## keepdim leaves a 1 where the dimension was
# So the row sums still line up with the rows and divide each by its own. Without it, (2,) lines
# up with the columns: no error, and wrong.

# %%
A = torch.tensor([[1.0, 3.0], [2.0, 6.0]])
print("shape without keepdim:", A.sum(dim=1).shape, " with:", A.sum(dim=1, keepdim=True).shape)
shares = A / A.sum(dim=1, keepdim=True)
wrong = A / A.sum(dim=1)
print("rows of shares add up to", shares.sum(dim=1), " without keepdim to", wrong.sum(dim=1))
# Output:
# shape without keepdim: torch.Size([2])  with: torch.Size([2, 1])
# rows of shares add up to tensor([1., 1.])  without keepdim to tensor([0.6250, 1.2500])

# %% [markdown]
# ## Basic linear algebra
# `@` is the matrix-vector product or the inner product, by the shapes.

# %%
A = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
x = torch.tensor([10.0, 20.0])
print("A.T:", A.T)
print("A @ x:", A @ x)
print("x @ x:", x @ x)
print("||x||:", torch.linalg.norm(x))
# Output:
# A.T: tensor([[1., 3.],
#         [2., 4.]])
# A @ x: tensor([ 50., 110.])
# x @ x: tensor(500.)
# ||x||: tensor(22.3607)

# %% [markdown]
# ## Matrix-matrix multiplication
# (2, 3) @ (3, 4) is (2, 4): the inner sizes must agree, and they go away.

# %%
A = torch.ones(2, 3)
B = torch.ones(3, 4)
C = A @ B
print("C.shape:", C.shape)
try:
    A @ A
except RuntimeError as error:
    print("A @ A failed:", error)
# Output:
# C.shape: torch.Size([2, 4])
# A @ A failed: ...mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)

# %% [markdown]
# ## Batches of matrices
# `@` multiplies the last two dimensions and broadcasts the rest: each of the 10 matrices meets
# its partner, or all meet the same one.

# %%
batch = torch.arange(60.0).reshape(10, 2, 3)
partners = torch.arange(120.0).reshape(10, 3, 4)
one = torch.arange(12.0).reshape(3, 4)
print("with partners:", (batch @ partners).shape, " with one:", (batch @ one).shape)
print("entry 7 is a plain product?", torch.equal((batch @ one)[7], batch[7] @ one))
# Output:
# with partners: torch.Size([10, 2, 4])  with one: torch.Size([10, 2, 4])
# entry 7 is a plain product? True

# %% [markdown]
# ## The same product by einsum
# The letters name the dimensions. The one that is missing on the right, k, is summed over.

# %%
batch = torch.arange(60.0).reshape(10, 2, 3)
partners = torch.arange(120.0).reshape(10, 3, 4)
C = torch.einsum("bik,bkj->bij", batch, partners)
print("shape:", C.shape, " equal to @?", torch.equal(C, batch @ partners))
# Output:
# shape: torch.Size([10, 2, 4])  equal to @? True

# %% [markdown]
# ## Logical ops and masking
# A comparison gives a tensor of bools. As an index it keeps the entries where it is True; its sum
# counts them.

# %%
x = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
mask = x > 0
print("mask:", mask)
print("x[mask]:", x[mask])
print("how many:", mask.sum().item())
print("both sides:", x[(x > -2) & (x < 2)])
# Output:
# mask: tensor([False, False, False,  True,  True])
# x[mask]: tensor([1., 2.])
# how many: 2
# both sides: tensor([-1.,  0.,  1.])

# %% [markdown]
# ## where chooses entry by entry
# From the second argument where the mask is True, from the third elsewhere. The shape stays, so
# it replaces an `if` inside a loop.

# %%
x = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
print("where(x > 0, x, 0):", torch.where(x > 0, x, 0))
print("where(x < 0, -x, x):", torch.where(x < 0, -x, x))
# Output:
# where(x > 0, x, 0): tensor([0., 0., 0., 1., 2.])
# where(x < 0, -x, x): tensor([2., 1., 0., 1., 2.])
