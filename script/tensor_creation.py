# %% [markdown]
# # Creating tensors
#
# A tensor is an array of numbers of one type, like a NumPy array. A user of NumPy meets three
# differences. First, more is shared: a tensor can use the memory of a NumPy array, and even the
# single entry `x[0]` shares memory with `x`. Second, PyTorch prefers float32, where Python and
# NumPy prefer float64. Third, a tensor is stored on a *device*, which is the CPU or, for instance,
# a GPU. We take them one by one, and then fill tensors with zeros, ones and random numbers.
#
# Under `# Output:` you see what a cell prints, and `...` stands for text that is left out.

# %%
import numpy as np
import torch

# %% [markdown]
# ## First difference: two libraries, one memory
#
# `torch.from_numpy(a)` copies nothing: the new tensor `a_t` uses the memory of the array `a`.
# `torch.tensor(a)` copies the numbers. So if we then write 999 into `a`, the tensor `a_t` changes,
# and `copied` does not. No message says so, which makes such mistakes hard to find.
#
# The cell also prints the addresses in memory at which the numbers of `a` and of `a_t` begin.

# %%
a = np.array([[1, 2], [3, 4]], dtype=np.float32)
a_t = torch.from_numpy(a)
copied = torch.tensor(a)
print("a_t:", a_t)
print("addresses of a and a_t:", a.ctypes.data, a_t.data_ptr())
print("same memory?", a.ctypes.data == a_t.data_ptr())
a[0, 0] = 999
print("after modifying numpy, a_t:", a_t)
print("after modifying numpy, copied:", copied)
# Output:
# a_t: tensor([[1., 2.],
#         [3., 4.]])
# addresses of a and a_t: ...
# same memory? True
# after modifying numpy, a_t: tensor([[999.,   2.],
#         [  3.,   4.]])
# after modifying numpy, copied: tensor([[1., 2.],
#         [3., 4.]])

# %% [markdown]
# ## Names, views and clones
#
# `x.numpy()` makes an array from a tensor on the CPU, and copies nothing either. Two tensors can
# share memory, too, as two arrays can. `y = x` gives `x` a second name. The slice `x[0:2]` is a
# *view*: a new tensor that uses a part of the memory of `x`. `x.clone()` copies, as NumPy's `copy`
# does. So after `y[0] = 999` all of them show the 999, except the clone `z`.

# %%
x = torch.tensor([1.0, 2.0, 3.0])
y = x
view = x[0:2]
array = x.numpy()
z = x.clone()
print("y is x?", y is x)
print("view is x?", view is x)
y[0] = 999
print("after y[0]=999:")
print("x:", x)
print("y:", y)
print("view:", view)
print("array:", array)
print("z:", z)
# Output:
# y is x? True
# view is x? False
# after y[0]=999:
# x: tensor([999.,   2.,   3.])
# y: tensor([999.,   2.,   3.])
# view: tensor([999.,   2.])
# array: [999.   2.   3.]
# z: tensor([1., 2., 3.])

# %% [markdown]
# ## Indexing with [] and :
#
# Indices and slices work as in NumPy, with two exceptions. A single entry such as `x[0]` is not a
# number, but a tensor without dimensions, and it is a view, too: below, `entry` changes when `x`
# changes. `x[0].item()` is a Python number, a copy, so `number` does not change. And the step of a
# slice cannot be negative: to reverse a vector, use `x.flip(0)`, which copies.

# %%
x = torch.tensor([10.0, 20.0, 30.0, 40.0])
A = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
print("x[0]:", x[0])
print("x[-1]:", x[-1])
print("x[1:3]:", x[1:3])
print("A[0, 1]:", A[0, 1])
print("A[1, :]:", A[1, :])
print("A[:, -1]:", A[:, -1])
entry = x[0]
number = x[0].item()
x[0] = 50
print("after x[0] = 50, entry:", entry)
print("after x[0] = 50, number:", number)
try:
    x[::-1]
except ValueError as error:
    print("x[::-1] failed:", str(error).splitlines()[0])  # the first line of the message
# Output:
# x[0]: tensor(10.)
# x[-1]: tensor(40.)
# x[1:3]: tensor([20., 30.])
# A[0, 1]: tensor(2)
# A[1, :]: tensor([4, 5, 6])
# A[:, -1]: tensor([3, 6, 9])
# after x[0] = 50, entry: tensor(50.)
# after x[0] = 50, number: 10.0
# x[::-1] failed: step must be greater than zero

# %% [markdown]
# ## When numpy() does not work
#
# With `requires_grad=True`, PyTorch records each operation on `w`, in order to compute derivatives
# later (`autograd_tour.py`). NumPy's operations cannot be recorded, so `w.numpy()` raises an error.
# `w.detach()` is a tensor that shares the memory of `w` without being recorded, and from this one
# `numpy()` makes an array. But PyTorch does not notice what you write into the array. Below, the
# derivative of w[0]^2 is 2 * w[0] = 2 when `loss` is computed. `backward` finds the 999 instead,
# and the derivative is wrong, without an error.
#
# To keep the old numbers of `w`, copy them by `w.detach().clone()`. `w.clone()` is a copy, too, but
# a recorded one, as the `grad_fn` in its print says. As long as you keep it, you also keep the
# record of how it came from `w`.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
try:
    w.numpy()
except RuntimeError as error:
    print("w.numpy() failed:", str(error).splitlines()[0])
clone = w.clone()
snapshot = w.detach().clone()
loss = (w * w).sum()
array = w.detach().numpy()
array[0] = 999
loss.backward()
print("w:", w)
print("clone:", clone)
print("snapshot:", snapshot)
print("derivatives:", w.grad)
# Output:
# w.numpy() failed: Can't call numpy() on Tensor that requires grad. Use ...
# w: tensor([999.,   2.,   3.], requires_grad=True)
# clone: tensor([1., 2., 3.], grad_fn=<CloneBackward0>)
# snapshot: tensor([1., 2., 3.])
# derivatives: tensor([1998.,    4.,    6.])

# %% [markdown]
# ## Second difference: floats become float32
#
# The type of the numbers is called *dtype*, as in NumPy. A Python float has 8 bytes (float64). From
# Python floats PyTorch makes float32, with 4 bytes, because a model holds many numbers and needs
# few digits of each. From integers it makes int64.
#
# What is lost? In binary, 0.1 has infinitely many digits, so each type stores a number near 0.1:
# float64 is right to about 16 decimal digits, float32 to about 7. `item()` makes a Python float of
# the stored number, so the print shows where the float32 goes wrong. (`dtypes.py` says more.)

# %%
x = torch.tensor([1.0, 2.0, 3.0])
A = torch.tensor([[1, 2, 3], [4, 5, 6]])
print("x:", x)
print("A:", A)
print("x.shape:", x.shape)
print("A.shape:", A.shape)
print("x.dtype:", x.dtype, " A.dtype:", A.dtype)
print("0.1 as float32:", torch.tensor(0.1).item())
print("0.1 as float64:", torch.tensor(0.1, dtype=torch.float64).item())
# Output:
# x: tensor([1., 2., 3.])
# A: tensor([[1, 2, 3],
#         [4, 5, 6]])
# x.shape: torch.Size([3])
# A.shape: torch.Size([2, 3])
# x.dtype: torch.float32  A.dtype: torch.int64
# 0.1 as float32: 0.10000000149011612
# 0.1 as float64: 0.1

# %% [markdown]
# ## float64 comes in with NumPy
#
# `from_numpy` and `torch.tensor` both keep the dtype of a NumPy array, which is often float64. Then
# the two types meet. Sums become float64, without a message: they take twice the memory of a
# float32 result. The product `@` raises an error, which calls float32 Float and float64 Double. To
# avoid both, make all data float32 where it comes in, by `.float()`.

# %%
x = torch.tensor([10.0, 20.0])
a_t = torch.from_numpy(np.array([1.0, 2.0]))
print("a_t.dtype:", a_t.dtype)
print("(x + a_t).dtype:", (x + a_t).dtype)
try:
    print("x @ a_t:", x @ a_t)
except RuntimeError as error:
    print("x @ a_t failed:", str(error).splitlines()[0])
print("x @ a_t.float():", x @ a_t.float())
# Output:
# a_t.dtype: torch.float64
# (x + a_t).dtype: torch.float64
# x @ a_t failed: ...expected both vectors to have same dtype, but found Float and Double
# x @ a_t.float(): tensor(50.)

# %% [markdown]
# ## Third difference: each tensor is on a device
#
# New tensors are on "cpu". `x.to("cuda")` copies `x` to an NVIDIA GPU, and `x.to("mps")` to the GPU
# of a Mac; `devices.py` finds out what your machine has. Here the device "meta" stands in for a
# GPU, because each PyTorch has it. (It keeps only shape and dtype, and no numbers.)
#
# Vectors on different devices cannot be added: PyTorch raises an error, because a hidden copy would
# be slow. So make new tensors where the others are: `zeros_like(there)` takes the shape, the dtype
# and the device of `there`. From a GPU, `.cpu()` copies a tensor back, and NumPy can read the copy.

# %%
x = torch.tensor([1.0, 2.0])
there = x.to("meta")
like_there = torch.zeros_like(there)
print("x.device:", x.device)
print("there.device:", there.device)
print("like_there:", like_there.shape, like_there.dtype, like_there.device)
try:
    x + there
except RuntimeError as error:
    print("x + there failed:", str(error).splitlines()[0])
# Output:
# x.device: cpu
# there.device: meta
# like_there: torch.Size([2]) torch.float32 meta
# x + there failed: Tensor on device ... is not on the expected device ...

# %% [markdown]
# ## zeros, ones, empty
#
# `zeros(2, 3)` takes the sizes one by one, where NumPy wants a tuple. It makes float32, as `ones`
# and `linspace` do. `arange` of integers makes int64. All accept `dtype=` and `device=`.
#
# `zeros` passes over its memory to write the zeros. `empty` skips this pass, so its numbers are
# arbitrary until you write. It is for memory that is filled right away, for instance by an
# operation with `out=`, which writes its result into a tensor that exists.

# %%
print("zeros:", torch.zeros(2, 3))
print("ones:", torch.ones(2, 3))
print("arange:", torch.arange(5))
print("linspace:", torch.linspace(0, 1, 5))
x = torch.tensor([1.0, 2.0])
total = torch.empty(2)
torch.add(x, x, out=total)
print("total:", total)
# Output:
# zeros: tensor([[0., 0., 0.],
#         [0., 0., 0.]])
# ones: tensor([[1., 1., 1.],
#         [1., 1., 1.]])
# arange: tensor([0, 1, 2, 3, 4])
# linspace: tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
# total: tensor([2., 4.])

# %% [markdown]
# ## A seed repeats the same calls
#
# `randn` draws from the normal distribution with mean 0 and variance 1, and `rand` from the uniform
# distribution on [0, 1). After `manual_seed(0)`, the same calls give the same numbers, on the same
# machine and version of PyTorch. A call depends on the calls before it: `u` is drawn after `g`, so
# it differs from `first`, which is drawn right after the seed.
#
# The sizes count, too. On the CPU, 16 numbers or more are drawn by another method, so `randn(15)`
# and `randn(16)` begin differently.

# %%
torch.manual_seed(0)
g = torch.randn(2, 3)
u = torch.rand(2, 3)
torch.manual_seed(0)
first = torch.rand(2, 3)
print("g:", g)
print("u:", u)
print("first:", first)
torch.manual_seed(0)
print("randn(15) begins with", torch.randn(15)[0])
torch.manual_seed(0)
print("randn(16) begins with", torch.randn(16)[0])
# Output:
# g: tensor([[ 1.5410, -0.2934, -2.1788],
#         [ 0.5684, -1.0845, -1.3986]])
# u: tensor([[0.0223, 0.1689, 0.2939],
#         [0.5185, 0.6977, 0.8000]])
# first: tensor([[0.4963, 0.7682, 0.0885],
#         [0.1320, 0.3074, 0.6341]])
# randn(15) begins with tensor(1.5410)
# randn(16) begins with tensor(-1.1258)

# %% [markdown]
# ## What to take away
#
# - Slices, `x[0]`, `from_numpy`, `numpy` and `detach` share memory. `clone`, `torch.tensor` and
#   `item` copy. If another part of the program still needs the old numbers, copy before you write.
# - Make data from NumPy float32 where it comes in. Make new tensors on the device of the others.
# - A seed repeats a run only if the run makes the same calls, with the same sizes, in the same
#   order.
#
# ## Try it
#
# 1. In "First difference: two libraries, one memory", change `a[0, 0] = 999` to `a = a + 1`.
#    Predict first: what does `a_t` hold then?
# 2. In "When numpy() does not work", change `snapshot = w.detach().clone()` to
#    `snapshot = w.detach()`. Predict first: what does `snapshot` hold at the end?
# 3. In "float64 comes in with NumPy", change `np.array([1.0, 2.0])` to
#    `np.array([1.0, 2.0], dtype=np.float32)`. Predict first: what is the dtype of the sum, and does
#    `x @ a_t` still fail?
