# %% [markdown]
# # Autograd
#
# PyTorch computes gradients by itself. You mark a tensor w with `requires_grad=True`. PyTorch then
# records each operation on w, and on every result, up to the loss L. `L.backward()` follows this
# record from L back to w, applies the chain rule at each operation, and stores dL/dw in `w.grad`.
# This script shows the record and the chain rule first, then what spoils the record, and then how
# to change w, and how to copy w, without spoiling it.

# %%
import warnings

import torch

# %% [markdown]
# ## The gradient of ||w||^2 / 2 is w
#
# The gradient has the shape of w: one partial derivative per entry. Here L is the sum of all
# w[i]^2 / 2, and the derivative of w[i]^2 / 2 is w[i]. So the gradient should be w itself.

# %%
torch.manual_seed(0)
w = torch.randn(5, requires_grad=True)
L = torch.sum(w * w) / 2
L.backward()
print("w:     ", w)
print("w.grad:", w.grad)
print("equal?", torch.equal(w.grad, w))
# Output:
# w:      tensor([ 1.5410, -0.2934, -2.1788,  0.5684, -1.0845], requires_grad=True)
# w.grad: tensor([ 1.5410, -0.2934, -2.1788,  0.5684, -1.0845])
# equal? True

# %% [markdown]
# ## The record is a graph
#
# Each recorded operation is a *node* of a graph. `L.grad_fn` is the node of the operation that made
# L, and its `next_functions` lead to the nodes that made its inputs. For L = sum(w * w) / 2 we
# expect a division, a sum and a product. At w the graph ends with a node `AccumulateGrad`, which
# adds to `w.grad`. It is one node, but it is printed twice, because w is both factors of w * w.

# %%
def show(node: torch.autograd.graph.Node, depth: int = 0) -> None:
    """Print the graph from node on, with one level of indentation per operation."""
    print("    " * depth + type(node).__name__)
    for next_node, output in node.next_functions:  # output: which one, if next_node has several
        if next_node is not None:  # a constant, here the 2, has no node
            show(next_node, depth + 1)

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
L = torch.sum(w * w) / 2
show(L.grad_fn)
# Output:
# DivBackward0
#     SumBackward0
#         MulBackward0
#             AccumulateGrad
#             AccumulateGrad

# %% [markdown]
# ## The chain rule, one node at a time: each multiplies by J^T
#
# Let J be the Jacobian of one operation: J[i, j] is the derivative of its output i with respect to
# its input j. If v is the gradient of L with respect to the outputs, the chain rule says that the
# gradient with respect to the inputs is J^T v. A node computes this product, without building J,
# and can be called like a function, on v. Here the three nodes do this:
#
# - s / 2: J is 1/2, so J^T v is v / 2.
# - The sum: J is a row of ones, so J^T v is one copy of v per entry.
# - a * b: for the factor a, J is diagonal, with the entries of b. So J^T v is v * b, entrywise.
#
# `backward` starts with dL/dL = 1, and adds up what arrives at w. We do the same by hand.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
L = torch.sum(w * w) / 2
divide = L.grad_fn
add_up = divide.next_functions[0][0]
multiply = add_up.next_functions[0][0]

with torch.no_grad():  # what we compute here need not be recorded
    d_sum = divide(torch.tensor(1.0))[0]  # [1] would be for the constant 2: None
    d_square = add_up(d_sum)
    d_left, d_right = multiply(d_square)
print("dL/d(sum):  ", d_sum)
print("dL/d(w * w):", d_square)
print("dL/dw:      ", d_left, "+", d_right)
print("equals w?", torch.equal(d_left + d_right, w))
# Output:
# dL/d(sum):   tensor(0.5000)
# dL/d(w * w): tensor([0.5000, 0.5000, 0.5000])
# dL/dw:       tensor([0.5000, 1.0000, 1.5000]) + tensor([0.5000, 1.0000, 1.5000])
# equals w? True

# %% [markdown]
# ## A graph with branches: why gradients add up
#
# Below, a is used three times: twice in a * a, and once more in the sum. If a changes, L changes
# through all three uses, so the derivatives along the three paths add up: dL/da = a + a + 1 = 7 at
# a = 3. `backward` walks the graph from L to w. Each number is the derivative of L that arrives at
# the right end of its arrow:
#
#     L = a * a + a  -- 1 -->  a * a  -- 3 + 3 -->  a = w / 2  -- 3.5 -->  w
#     L = a * a + a  -------------- 1 ----------->  a = w / 2
#
# The division that made a is one node, although `show` prints it on each path. `backward` calls it
# once, after all three derivatives have arrived, because it needs their sum, 7. So `backward` takes
# the nodes in a *topological order*: each one after all nodes with an arrow to it.

# %%
w = torch.tensor(6.0, requires_grad=True)
a = w / 2
a.retain_grad()  # backward is to store dL/da in a.grad, too
L = a * a + a
show(L.grad_fn)
L.backward()
print("a.grad:", a.grad)
print("w.grad:", w.grad)
# Output:
# AddBackward0
#     MulBackward0
#         DivBackward0
#             AccumulateGrad
#         DivBackward0
#             AccumulateGrad
#     DivBackward0
#         AccumulateGrad
# a.grad: tensor(7.)
# w.grad: tensor(3.5000)

# %% [markdown]
# ## Gradients add up until they are cleared
#
# A second `backward` adds to `w.grad` as well, so that w gets the gradient of the sum of both
# losses. (Here they are equal.) If you want only the newest gradient, as in each step of a training
# loop, clear the old one first: `w.grad = None`. In `losses_and_models.py` an *optimizer*, which
# has a list of tensors to change, does this for each of them by `zero_grad()`.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
for call in ("first", "second"):
    L = torch.sum(w * w) / 2
    L.backward()
    print(f"after the {call} backward:", w.grad)

w.grad = None
L = torch.sum(w * w) / 2
L.backward()
print("cleared, then backward:", w.grad)
# Output:
# after the first backward: tensor([1., 2., 3.])
# after the second backward: tensor([2., 4., 6.])
# cleared, then backward: tensor([1., 2., 3.])

# %% [markdown]
# ## backward from a vector: you choose v
#
# If y has three entries, it has three gradients, the rows of its Jacobian J. `y.backward()` refuses
# to choose one. But you can give it the v to start with, one weight per entry of y: `y.backward(v)`
# computes J^T v, the *vector-Jacobian product*. This is the gradient of v[0] * y[0] + v[1] * y[1] +
# v[2] * y[2]. To check it, we let `torch.func.jacrev` build J.

# %%
def square(w: torch.Tensor) -> torch.Tensor:
    """The square of each entry of w."""
    return w * w

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
v = torch.tensor([10.0, 20.0, 30.0])
y = square(w)
try:
    y.backward()
except RuntimeError as error:
    print("backward failed:", str(error).splitlines()[0])

y.backward(v)
jacobian = torch.func.jacrev(square)  # a function that returns the Jacobian of square
J = jacobian(w.detach())  # detach: w as plain numbers, without the record
print("J:", J.tolist())
print("J^T v:", J.T @ v)
print("w.grad:", w.grad)
# Output:
# backward failed: grad can be implicitly created only for scalar outputs
# J: [[2.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 6.0]]
# J^T v: tensor([ 20.,  80., 180.])
# w.grad: tensor([ 20.,  80., 180.])

# %% [markdown]
# ## J^T v, not J v
#
# A diagonal J equals its transpose, so it cannot tell J^T v from J v, the Jacobian-vector product.
# A function with three inputs and two outputs can: v has one entry per output, and the result has
# one entry per input. J v does not even exist here, since J has three columns and v has two
# entries.

# %%
def products(w: torch.Tensor) -> torch.Tensor:
    """Two numbers from three, w of shape (3,)."""
    return torch.stack([w[0] * w[1], w[1] * w[2]])

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
v = torch.tensor([10.0, 1.0])
y = products(w)
y.backward(v)
jacobian = torch.func.jacrev(products)
J = jacobian(w.detach())
print("J:", J.tolist())
print("J^T v:", J.T @ v)
print("w.grad:", w.grad)
# Output:
# J: [[2.0, 1.0, 0.0], [0.0, 3.0, 2.0]]
# J^T v: tensor([20., 13.,  2.])
# w.grad: tensor([20., 13.,  2.])

# %% [markdown]
# ## Do not change in place what backward needs
#
# To compute J^T v, a node may need numbers. The node of a * b needs its inputs, and the node of
# exp(w) needs its result, since the derivative of exp(w) is exp(w). These tensors are *saved* in
# the graph. Do not change one in place before `backward`. (`y += 1`, `y[0] = 1`, and methods whose
# name ends in `_` work in place.) Each tensor counts its changes, so `backward` notices, and fails.
# The derivative of 2 * w needs neither w nor the result, so its result may be changed.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = torch.exp(w)
y += 1
try:
    y.sum().backward()
except RuntimeError as error:
    print("backward failed:", str(error).split(":")[0])  # details follow the first colon

y = 2 * w
y += 1
y.sum().backward()
print("w.grad:", w.grad)
# Output:
# backward failed: one of the variables needed ... has been modified by an inplace operation
# w.grad: tensor([2., 2., 2.])

# %% [markdown]
# ## The graph keeps what it saved until backward
#
# A kept loss keeps its graph, and the graph keeps the saved tensors. `backward` frees them, to save
# memory. So a second `backward` through the same graph fails, unless nothing was saved, as for
# (w + 1).sum(). (`L.backward(retain_graph=True)` keeps them.)
#
# For a loss that you only watch, as for test data, nobody calls `backward`: a list of such losses
# fills the memory. Below, each of three losses keeps the result of its own exp. (A node has what it
# saved under names that begin with `_saved`.) Compute such losses under `torch.no_grad()`, which
# stops the recording, and keep `L.item()`, a plain Python number.

# %%
w = torch.tensor([0.0, 1.0], requires_grad=True)
losses = []
for k in range(3):
    losses.append(torch.exp(k * w).sum())
for L in losses:
    exp_node = L.grad_fn.next_functions[0][0]
    print(f"a number: {L.item():.4f}, and still in memory:", exp_node._saved_result.detach())

L.backward()  # the last of the three
try:
    L.backward()
except RuntimeError as error:
    print("second backward failed:", str(error).splitlines()[0])

w.grad = None
L = (w + 1).sum()
L.backward()
L.backward()
print("nothing saved, w.grad after two:", w.grad)
# Output:
# a number: 2.0000, and still in memory: tensor([1., 1.])
# a number: 3.7183, and still in memory: tensor([1.0000, 2.7183])
# a number: 8.3891, and still in memory: tensor([1.0000, 7.3891])
# second backward failed: Trying to backward through the graph a second time ...
# nothing saved, w.grad after two: tensor([2., 2.])

# %% [markdown]
# ## A leaf has no recorded operation behind it
#
# A tensor is a *leaf* if no recorded operation made it; its `grad_fn` is then None. Unless you ask
# for more, by `retain_grad()`, `backward` fills `.grad` only for leaves that require grad. An
# operation is recorded if one of its inputs requires grad. So `halves` below is a leaf although a
# division made it, because nothing there required grad. `w.double()` is not a leaf, because the
# conversion of w to float64 was recorded. `w.detach()` is w without the record: it is a leaf,
# and nothing that is computed from it alone is recorded.

# %%
w = torch.tensor([3.0, 4.0], requires_grad=True)
halves = torch.ones(2) / 2
tensors = {
    "w": w,
    "halves": halves,
    "w * halves": w * halves,
    "w.double()": w.double(),
    "w.detach()": w.detach(),
}
for name, tensor in tensors.items():
    print(f"{name:10}  leaf? {str(tensor.is_leaf):5}  grad_fn: {tensor.grad_fn}")
# Output:
# w           leaf? True   grad_fn: None
# halves      leaf? True   grad_fn: None
# w * halves  leaf? False  grad_fn: <MulBackward0 object at ...>
# w.double()  leaf? False  grad_fn: <ToCopyBackward0 object at ...>
# w.detach()  leaf? True   grad_fn: None

# %% [markdown]
# ## Prepare w first, ask for gradients last
#
# Suppose that w should have norm 1 at the start. Scale it first, and call `requires_grad_()` last:
# nothing is recorded while you scale, and w is a leaf. In the other order the division is recorded,
# and the new w is no leaf. An assignment such as w[0] = 999 would make w the result of a recorded
# operation, too; PyTorch refuses it. (In the message, a Variable is a tensor, and a view is a part
# of one, here w[0].)

# %%
w = torch.tensor([3.0, 4.0])
w = w / w.norm()
w.requires_grad_()
L = torch.sum(w * w) / 2
L.backward()
print("w.requires_grad:", w.requires_grad)
print("w.grad:", w.grad)

w = torch.tensor([3.0, 4.0], requires_grad=True)
try:
    w[0] = 999.0
except RuntimeError as error:
    print("in-place assignment failed:", str(error).splitlines()[0])
w = w / w.norm()
print("in the other order, leaf?", w.is_leaf)
# Output:
# w.requires_grad: True
# w.grad: tensor([0.6000, 0.8000])
# in-place assignment failed: a view of a leaf Variable that requires grad is being used in an ...
# in the other order, leaf? False

# %% [markdown]
# ## Update w in place, under no_grad
#
# A step of gradient descent is w - eta * w.grad. Written as `w = w - eta * w.grad`, it is recorded,
# and the name w then stands for the result, which is no leaf. The next `backward` goes through the
# subtraction to the old w, and the new w gets no gradient. Below, eta is 0.2. The new w is
# [0.8, 1.6, 2.4], and so is dL/dw there. `w.grad` has no record, so it counts as a constant in the
# subtraction. So the old w gets this gradient unchanged: its own, [1, 2, 3], grows by it.
#
# So the step must change w in place, and must not be recorded, since it is no part of the loss.
# `torch.no_grad()` stops the recording. `backward` has already used the saved w, so that changing w
# does no harm now. The `step()` of an optimizer does all this for you.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
old = w
L = torch.sum(w * w) / 2
L.backward()
w = w - 0.2 * w.grad
print("w.is_leaf:", w.is_leaf)
L = torch.sum(w * w) / 2
L.backward()
print("old.grad:", old.grad)
with warnings.catch_warnings(action="ignore"):  # PyTorch warns that w is no leaf
    print("w.grad:", w.grad)

w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
L = torch.sum(w * w) / 2
L.backward()
with torch.no_grad():
    w -= 0.2 * w.grad
print("w:", w)
print("w.is_leaf:", w.is_leaf)
# Output:
# w.is_leaf: False
# old.grad: tensor([1.8000, 3.6000, 5.4000])
# w.grad: None
# w: tensor([0.8000, 1.6000, 2.4000], requires_grad=True)
# w.is_leaf: True

# %% [markdown]
# ## detach leaves the record, clone copies the numbers
#
# `v = w.detach()` is outside the record, but uses the memory of w: what is written into v, w shows.
# `c = w.clone()` has its own memory, but the copying is recorded: c is no leaf, and gradients flow
# through c to w. Use it to change a copy in place and still get the gradient with respect to w.
# `w.detach().clone()` is outside the record and has its own memory: a snapshot of w that later
# changes of w do not reach.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
v = w.detach()
print("v.requires_grad:", v.requires_grad)
address = w.untyped_storage().data_ptr()  # where the memory of w begins
print("v and w: same storage?", v.untyped_storage().data_ptr() == address)

c = w.clone()
c.retain_grad()
L = torch.sum(c * c) / 2
L.backward()
print("w.is_leaf:", w.is_leaf)
print("c.is_leaf:", c.is_leaf)
print("w.grad:", w.grad)
print("c.grad:", c.grad)

snap = w.detach().clone()
print("snap.requires_grad:", snap.requires_grad)
print("snap and w: same storage?", snap.untyped_storage().data_ptr() == address)

v[0] = 999.0
print("after modifying v:")
print("w:", w)
print("v:", v)
print("snap:", snap)
# Output:
# v.requires_grad: False
# v and w: same storage? True
# w.is_leaf: True
# c.is_leaf: False
# w.grad: tensor([1., 2., 3.])
# c.grad: tensor([1., 2., 3.])
# snap.requires_grad: False
# snap and w: same storage? False
# after modifying v:
# w: tensor([999.,   2.,   3.], requires_grad=True)
# v: tensor([999.,   2.,   3.])
# snap: tensor([1., 2., 3.])

# %% [markdown]
# ## Snapshots in a training loop
#
# This loop halves w in each of three steps. The list `log` keeps snapshots of w. The list `shared`
# keeps only `w.detach()`: three tensors in the same memory, so in the end all show the last w.
# `average` becomes the mean of w over the steps. (In training with random data such a mean can be a
# better model than the last w.) It needs no `clone`, because += adds the numbers to a tensor of its
# own, but it needs `detach`, or else each addition would be recorded.

# %%
w = torch.tensor([8.0, 4.0], requires_grad=True)
log = []
shared = []
average = torch.zeros(2)
for k in range(3):
    log.append(w.detach().clone())
    shared.append(w.detach())
    average += w.detach() / 3
    w.grad = None
    L = torch.sum(w * w) / 2
    L.backward()
    with torch.no_grad():
        w -= 0.5 * w.grad
print("log:    ", log)
print("shared: ", shared)
print("average:", average)
# Output:
# log:     [tensor([8., 4.]), tensor([4., 2.]), tensor([2., 1.])]
# shared:  [tensor([1.0000, 0.5000]), tensor([1.0000, 0.5000]), tensor([1.0000, 0.5000])]
# average: tensor([4.6667, 2.3333])

# %% [markdown]
# ## detach is useful: a constant in a loss
#
# Sometimes a model's own prediction serves as its target (in reinforcement learning, for instance),
# but should count as a constant. Here the target is w + 1, and the loss is (w - target)^2 / 2. With
# a constant target the derivative is w - target = -1: w should grow. Without `detach` the target
# moves along with w, the loss is always 1/2, and its derivative is 0.

# %%
w = torch.tensor(2.0, requires_grad=True)
target = (w + 1).detach()
L = (w - target) ** 2 / 2
L.backward()
print("with detach:   ", w.grad)

w.grad = None
target = w + 1
L = (w - target) ** 2 / 2
L.backward()
print("without detach:", w.grad)
# Output:
# with detach:    tensor(-1.)
# without detach: tensor(0.)

# %% [markdown]
# ## Writing into w before backward: an error through detach, silence through .data
#
# The graph of sum(w * w) has saved w, and the true gradient at [1, 2, 3] is [2, 4, 6]. If somebody
# writes into w through `detach()` before `backward`, the change is counted, and `backward` fails.
# Older code writes through `w.data`, which shares the memory in the same way, but its changes are
# not counted. Then `backward` succeeds, and the gradient is wrong. Do not use `.data`. A write
# through NumPy, into `w.detach().numpy()`, is not counted either.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
L = torch.sum(w * w)
v = w.detach()
v[0] = 999.0
try:
    L.backward()
except RuntimeError as error:
    print("through detach(), backward failed:", str(error).split(":")[0])

w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
L = torch.sum(w * w)
w.data[0] = 999.0
L.backward()
print("through .data, w.grad:", w.grad)
# Output:
# through detach(), backward failed: one of the variables needed ... by an inplace operation
# through .data, w.grad: tensor([1998.,    4.,    6.])

# %% [markdown]
# ## What to take away
#
# - `backward` follows the record from a scalar loss to the leaves, multiplies by one J^T per
#   operation, adds up over the paths, and adds to `.grad`.
# - Prepare w first, and call `requires_grad_()` last. Update w in place, under `no_grad`.
# - Keep snapshots by `detach().clone()`, and losses by `item()`.
#
# The chain rule with Jacobians, and how it leads to this algorithm, is chapter 5 of Deisenroth,
# Faisal and Ong, "Mathematics for Machine Learning" (free at https://mml-book.github.io), sections
# 5.3 and 5.6.
#
# ## Try it
#
# 1. In "Gradients add up until they are cleared", let the loop run a third time: change
#    `("first", "second")` to `("first", "second", "third")`. Predict first: what is in `w.grad`
#    after it?
# 2. In "Do not change in place what backward needs", change `y = 2 * w` to `y = w * w`. Predict
#    first: does `backward` fail, or what is `w.grad`?
# 3. In "J^T v, not J v", weigh the first output by 0: change `v = torch.tensor([10.0, 1.0])` to
#    `v = torch.tensor([0.0, 1.0])`. Predict first: what is `w.grad`?
