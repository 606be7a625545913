# %% [markdown]
# # Creating tensors
# A tensor is a block of memory with a shape, a dtype and a device. Ways to get one, and who shares
# memory with whom afterwards. Run as a script, or cell by cell in an editor.

# %%
import numpy as np
import torch

# %% [markdown]
# ## From Python lists
# A list becomes a vector. A nested list becomes a matrix: each inner list is a row.

# %%
x = torch.tensor([1.0, 2.0, 3.0])
A = torch.tensor([[1, 2, 3], [4, 5, 6]])
print("x:", x)
print("A:", A)
print("x.shape:", x.shape)
print("A.shape:", A.shape)
# Output:
# x: tensor([1., 2., 3.])
# A: tensor([[1, 2, 3],
#         [4, 5, 6]])
# x.shape: torch.Size([3])
# A.shape: torch.Size([2, 3])

# %% [markdown]
# ## The numbers decide the dtype
# A decimal point makes float32, none makes int64, unless you say otherwise. Integers get no
# gradient. Every tensor lives on a device: the CPU, unless you say otherwise.

# %%
x = torch.tensor([1.0, 2.0, 3.0])
A = torch.tensor([[1, 2, 3], [4, 5, 6]])
B = torch.tensor([[1, 2, 3], [4, 5, 6]], dtype=torch.float32)
print("x:", x.dtype, x.device)
print("A:", A.dtype, A.device)
print("B:", B.dtype, B.device)
try:
    A.requires_grad_()
except RuntimeError as error:
    print("no gradient for A:", error)
# Output:
# x: torch.float32 cpu
# A: torch.int64 cpu
# B: torch.float32 cpu
# no gradient for A: only Tensors of floating point ...

# %% [markdown]
# ## Indexing with [] and :
# Counting starts at 0, -1 is the last, and `1:3` stops before 3. One element is again a tensor,
# of shape (); `.item()` makes it a Python number.

# %%
x = torch.tensor([10.0, 20.0, 30.0, 40.0])
print("x[0]:", x[0])
print("x[-1]:", x[-1])
print("x[1:3]:", x[1:3])
print("x[0].shape:", x[0].shape, " x[0].item():", x[0].item())
# Output:
# x[0]: tensor(10.)
# x[-1]: tensor(40.)
# x[1:3]: tensor([20., 30.])
# x[0].shape: torch.Size([])  x[0].item(): 10.0

# %% [markdown]
# ## Indexing a matrix
# One index for each dimension, rows first. A lone `:` takes all of a dimension.

# %%
A = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
print("A[0, 1]:", A[0, 1])
print("A[1, :]:", A[1, :])
print("A[:, -1]:", A[:, -1])
# Output:
# A[0, 1]: tensor(2)
# A[1, :]: tensor([4, 5, 6])
# A[:, -1]: tensor([3, 6, 9])

# %% [markdown]
# ## From NumPy: one memory, two names
# `from_numpy` copies nothing, so a write on one side shows on the other.

# %%
a = np.array([[1, 2], [3, 4]], dtype=np.float32)
a_t = torch.from_numpy(a)
print("a_t:", a_t)
print("same memory?", a_t.data_ptr() == a.ctypes.data)
a[0, 0] = 999
print("after modifying numpy, a_t:", a_t)
# Output:
# a_t: tensor([[1., 2.],
#         [3., 4.]])
# same memory? True
# after modifying numpy, a_t: tensor([[999.,   2.],
#         [  3.,   4.]])

# %% [markdown]
# ## To NumPy, and how to get a copy
# `.numpy()` shares memory as well. `.clone()` first, and the two go their own ways.

# %%
x = torch.tensor([1.0, 2.0, 3.0])
shared = x.numpy()
copied = x.clone().numpy()
x[0] = 999
print("same memory?", shared.ctypes.data == x.data_ptr(), copied.ctypes.data == x.data_ptr())
print("shared:", shared)
print("copied:", copied)
# Output:
# same memory? True False
# shared: [999.   2.   3.]
# copied: [1. 2. 3.]

# %% [markdown]
# ## NumPy's default is float64
# `from_numpy` keeps the dtype, twice as wide as torch's own default.

# %%
a = np.array([1.0, 2.0])
print("from_numpy:", torch.from_numpy(a).dtype)
print("from a list:", torch.tensor([1.0, 2.0]).dtype)
# Output:
# from_numpy: torch.float64
# from a list: torch.float32

# %% [markdown]
# ## Random tensors
# `randn` draws from the standard normal, `rand` uniformly from [0, 1). The same seed gives the same
# numbers for the same calls, on the same device and version of PyTorch.

# %%
torch.manual_seed(0)
g = torch.randn(2, 3)
u = torch.rand(2, 3)
print("g:", g)
print("u:", u)
g, u = torch.randn(1_000_000), torch.rand(1_000_000)
print(f"within 1 of 0: {(g.abs() < 1).double().mean():.2f} of randn's,", end=" ")
print(f"below 1/4: {(u < 0.25).double().mean():.2f} of rand's, all below 1?", bool(u.max() < 1))
# Output:
# g: tensor([[ 1.5410, -0.2934, -2.1788],
#         [ 0.5684, -1.0845, -1.3986]])
# u: tensor([[0.0223, 0.1689, 0.2939],
#         [0.5185, 0.6977, 0.8000]])
# within 1 of 0: 0.68 of randn's, below 1/4: 0.25 of rand's, all below 1? True

# %% [markdown]
# ## A seed fixes a sequence, not a call
# The next draw gives other numbers. Seed anew, and `rand` starts at the beginning: the notes print
# these numbers for the cell above, where `randn` has gone first.

# %%
torch.manual_seed(0)
u = torch.rand(2, 3)
print("u, right after the seed:", u)
print("same as the next draw? ", torch.equal(u, torch.rand(2, 3)))
torch.manual_seed(0)
print("same after seeding anew?", torch.equal(u, torch.rand(2, 3)))
# Output:
# u, right after the seed: tensor([[0.4963, 0.7682, 0.0885],
#         [0.1320, 0.3074, 0.6341]])
# same as the next draw?  False
# same after seeding anew? True

# %% [markdown]
# ## Another size, other numbers
# From 16 numbers on `randn` fills a tensor in another way. So a seed promises nothing about calls
# of another size: not the first number, and not that two draws of 8 are one of 16.

# %%
for n in (15, 16):
    torch.manual_seed(0)
    print(f"randn({n})[0]:", torch.randn(n)[0])
torch.manual_seed(0)
halves = torch.cat([torch.randn(8), torch.randn(8)])
torch.manual_seed(0)
print("two draws of 8 are one of 16?", torch.equal(halves, torch.randn(16)))
# Output:
# randn(15)[0]: tensor(1.5410)
# randn(16)[0]: tensor(-1.1258)
# two draws of 8 are one of 16? False

# %% [markdown]
# ## Zeros and ones
# The shape is the argument.

# %%
print("zeros:", torch.zeros(2, 3))
print("ones:", torch.ones(2, 3))
# Output:
# zeros: tensor([[0., 0., 0.],
#         [0., 0., 0.]])
# ones: tensor([[1., 1., 1.],
#         [1., 1., 1.]])

# %% [markdown]
# ## empty is not filled
# `empty` allocates and does not fill. Fill it before you read it.

# %%
x = torch.empty(3)
print("allocated:", x)
x.fill_(7)
print("filled:", x)
# Output:
# allocated: tensor([...])
# filled: tensor([7., 7., 7.])

# %% [markdown]
# ## Assignment is another name, clone is a copy
# `y = x` copies nothing: what is written through y shows in x.

# %%
x = torch.tensor([1.0, 2.0, 3.0])
y = x
z = x.clone()
print("same address? y:", y.data_ptr() == x.data_ptr(), " z:", z.data_ptr() == x.data_ptr())
y[0] = 999
print("after y[0]=999:")
print("x:", x)
print("y:", y)
print("z:", z)
# Output:
# same address? y: True  z: False
# after y[0]=999:
# x: tensor([999.,   2.,   3.])
# y: tensor([999.,   2.,   3.])
# z: tensor([1., 2., 3.])

# %% [markdown]
# ## clone stays in the graph, detach().clone() leaves it
# Gradients flow back through a clone. A snapshot for a log needs none: detach it, then clone.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
c = w.clone()
snap = w.detach().clone()
print("requires_grad: clone", c.requires_grad, " detach().clone()", snap.requires_grad)
print("same address? clone", c.data_ptr() == w.data_ptr(), end="  ")
print("detach().clone()", snap.data_ptr() == w.data_ptr())
(10 * c).sum().backward()
print("w.grad, through the clone:", w.grad)
# Output:
# requires_grad: clone True  detach().clone() False
# same address? clone False  detach().clone() False
# w.grad, through the clone: tensor([10., 10., 10.])
