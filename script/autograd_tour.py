# %% [markdown]
# # Autograd
# PyTorch records operations on tensors that require grad. `backward` walks the record from the loss
# back to the leaves and leaves a gradient in `.grad` of each.

# %%
import warnings

import torch

# %% [markdown]
# ## The gradient of ||w||^2 / 2 is w
# `requires_grad` starts the record. After `backward`, `w.grad` has the shape of w.

# %%
torch.manual_seed(0)
w = torch.randn(5, requires_grad=True)
L = torch.sum(w * w) / 2
L.backward()
print("w:     ", w.detach())
print("w.grad:", w.grad)
print("equal?", torch.equal(w.grad, w))
# Output:
# w:      tensor([ 1.5410, -0.2934, -2.1788,  0.5684, -1.0845])
# w.grad: tensor([ 1.5410, -0.2934, -2.1788,  0.5684, -1.0845])
# equal? True

# %% [markdown]
# ## Gradients add up until they are cleared
# `backward` adds to `.grad`. That is why a loop clears it first.

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
# ## A leaf is a tensor you made
# w * w is no leaf: an operation made it. It requires grad as well and knows that operation.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = w * w
print("w.is_leaf:", w.is_leaf, " w.grad_fn:", w.grad_fn)
print("y.is_leaf:", y.is_leaf, " y.grad_fn:", type(y.grad_fn).__name__)
print("y.requires_grad:", y.requires_grad)
# Output:
# w.is_leaf: True  w.grad_fn: None
# y.is_leaf: False  y.grad_fn: MulBackward0
# y.requires_grad: True

# %% [markdown]
# ## The graph is the chain rule
# `grad_fn` is the backward node of the last operation, `next_functions` lead to those of its
# inputs. Walked from the loss L = sum(w * w) / 2, the graph ends at the leaf w, reached once for
# each factor.

# %%
def show(node: torch.autograd.graph.Node, depth: int = 0) -> None:
    """Print the graph from node down to the leaves, one level of indentation an operation."""
    print("    " * depth + type(node).__name__)
    for parent, _ in node.next_functions:
        if parent is not None:  # a constant, here the 2, has no node
            show(parent, depth + 1)

w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
show((torch.sum(w * w) / 2).grad_fn)
# Output:
# DivBackward0
#     SumBackward0
#         MulBackward0
#             AccumulateGrad
#             AccumulateGrad

# %% [markdown]
# ## The chain rule, one node at a time
# A node takes dL/d(its output) and returns dL/d(each of its inputs). `backward` calls them in
# this order, starting from dL/dL = 1, and adds what arrives at the leaf.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
divide = (torch.sum(w * w) / 2).grad_fn
add_up = divide.next_functions[0][0]
multiply = add_up.next_functions[0][0]

with torch.no_grad():
    d_sum, _ = divide(torch.tensor(1.0))
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
# ## You cannot just assign into a leaf that requires grad
# Do to w what it needs first, and ask for gradients last, with `requires_grad_()`.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
try:
    w[0] = 999.0
except RuntimeError as error:
    print("in-place assignment failed:", error)

w = torch.tensor([1.0, 2.0, 3.0])
w[0] = 999.0
w.requires_grad_()
print("w:", w)
print("w.requires_grad:", w.requires_grad)
# Output:
# in-place assignment failed: a view of a leaf Variable that requires grad is being used in an ...
# w: tensor([999.,   2.,   3.], requires_grad=True)
# w.requires_grad: True

# %% [markdown]
# ## detach: the same storage, not tracked
# No copy is made. What is written through v stands in w.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
v = w.detach()
print("v.requires_grad:", v.requires_grad)
print("same storage?", v.data_ptr() == w.data_ptr())
v[0] = 999.0
print("after modifying v:")
print("w:", w)
print("v:", v)
# Output:
# v.requires_grad: False
# same storage? True
# after modifying v:
# w: tensor([999.,   2.,   3.], requires_grad=True)
# v: tensor([999.,   2.,   3.])

# %% [markdown]
# ## clone: a copy that stays in the graph
# c is no leaf, and gradients flow through it to the leaf w. `retain_grad()` keeps its own, too.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
c = w.clone()
c.retain_grad()
print("w.is_leaf:", w.is_leaf)
print("c.is_leaf:", c.is_leaf)
L = torch.sum(c * c) / 2
L.backward()
print("w.grad:", w.grad)
print("c.grad:", c.grad)
# Output:
# w.is_leaf: True
# c.is_leaf: False
# w.grad: tensor([1., 2., 3.])
# c.grad: tensor([1., 2., 3.])

# %% [markdown]
# ## detach().clone(): a safe snapshot
# A copy outside the graph: what happens to w later does not change it.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
snap = w.detach().clone()
print("snap.requires_grad:", snap.requires_grad)
print("same storage?", snap.data_ptr() == w.data_ptr())
with torch.no_grad():
    w[0] = 999.0
print("snap:", snap)
# Output:
# snap.requires_grad: False
# same storage? False
# snap: tensor([1., 2., 3.])

# %% [markdown]
# ## Snapshots for logging and for averages of weights
# A log of `w.detach()` holds the same storage three times, and so three times the last w. A
# running average of the weights, too, is kept outside the graph.

# %%
w = torch.tensor([8.0, 4.0], requires_grad=True)
log, shared, average = [], [], torch.zeros(2)
for k in range(3):
    log.append(w.detach().clone())
    shared.append(w.detach())
    average += (w.detach() - average) / (k + 1)
    w.grad = None
    L = torch.sum(w * w) / 2
    L.backward()
    with torch.no_grad():
        w -= 0.5 * w.grad
print("log:   ", [w_k.tolist() for w_k in log])
print("shared:", [w_k.tolist() for w_k in shared])
print("average:", average)
# Output:
# log:    [[8.0, 4.0], [4.0, 2.0], [2.0, 1.0]]
# shared: [[1.0, 0.5], [1.0, 0.5], [1.0, 0.5]]
# average: tensor([4.6667, 2.3333])

# %% [markdown]
# ## w = w - eta * w.grad loses the leaf
# The name w now stands for the result of an operation. The next `backward` goes through it and
# adds the gradient to that of the old w. The new one, no leaf, has none, only a warning.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
torch.sum(w * w).backward()
old = w
w = w - 0.1 * w.grad
print("w.is_leaf:", w.is_leaf)

torch.sum(w * w).backward()
print("old.grad:", old.grad)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print("w.grad:", w.grad)
print("warning:", str(caught[0].message).split(". ")[0])
# Output:
# w.is_leaf: False
# old.grad: tensor([ 3.6000,  7.2000, 10.8000])
# w.grad: None
# warning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed

# %% [markdown]
# ## The update belongs under no_grad
# In place, so that w stays the same tensor and leaf; under `no_grad`, since the step is not part
# of the loss. Without `no_grad` it fails.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
torch.sum(w * w).backward()
try:
    w -= 0.1 * w.grad
except RuntimeError as error:
    print("update failed:", error)

with torch.no_grad():
    w -= 0.1 * w.grad
print("w:", w)
print("w.is_leaf:", w.is_leaf)
# Output:
# update failed: a leaf Variable that requires grad is being used in an in-place operation.
# w: tensor([0.8000, 1.6000, 2.4000], requires_grad=True)
# w.is_leaf: True

# %% [markdown]
# ## In-place changes of what backward needs
# The derivative of exp(w) is exp(w) itself, so the graph keeps y. Change y, and `backward` notices.
# The derivative of 2 * w needs no y: there the same is allowed.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = torch.exp(w)
y += 1
try:
    y.sum().backward()
except RuntimeError as error:
    print("backward failed:", str(error).split(":")[0])

y = 2 * w
y += 1
y.sum().backward()
print("w.grad:", w.grad)
# Output:
# backward failed: one of the variables needed for gradient computation has been modified by an ...
# w.grad: tensor([2., 2., 2.])

# %% [markdown]
# ## One graph, one backward
# `backward` frees the tensors that the graph saved, so a second one fails; a sum saves none, and it
# works. `retain_graph=True` keeps what was saved. Or compute the loss anew, as a loop does.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
L = torch.sum(w * w) / 2
L.backward()
try:
    L.backward()
except RuntimeError as error:
    print("second backward failed:", str(error).split(" (")[0])

w.grad = None
L = torch.sum(w * w) / 2
L.backward(retain_graph=True)
L.backward()
print("retained, w.grad after two:", w.grad)

w.grad = None
L = (w + 1).sum()
L.backward()
L.backward()
print("nothing saved, w.grad after two:", w.grad)
# Output:
# second backward failed: Trying to backward through the graph a second time
# retained, w.grad after two: tensor([2., 4., 6.])
# nothing saved, w.grad after two: tensor([2., 2., 2.])

# %% [markdown]
# ## A log of losses can keep every graph
# A loss kept as a tensor keeps its graph. What the operations saved stays with it until `backward`
# frees that; a loss that sees none keeps it all. Log a number, `.item()`.

# %%
w = torch.tensor([0.0, 1.0], requires_grad=True)
log = [torch.exp(w).sum()]
exp_node = log[0].grad_fn.next_functions[0][0]
print("reached from the log:", exp_node._saved_result.detach())
log[0].backward()
try:
    print(exp_node._saved_result)
except RuntimeError as error:
    print("after backward:", str(error).split(" (")[0])
print("still in the log:", type(log[0].grad_fn).__name__, "and", type(exp_node).__name__)
# Output:
# reached from the log: tensor([1.0000, 2.7183])
# after backward: Trying to backward through the graph a second time
# still in the log: SumBackward0 and ExpBackward0

# %% [markdown]
# ## backward on a tensor that is no scalar
# Three outputs have three gradients, and `backward` does not choose. Given a vector v, one weight
# an output, it takes the gradient of v.y, which is 2 w_i v_i here.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = w * w
try:
    y.backward()
except RuntimeError as error:
    print("backward failed:", error)

y.backward(torch.tensor([10.0, 20.0, 30.0]))
print("w.grad:", w.grad)
# Output:
# backward failed: grad can be implicitly created only for scalar outputs
# w.grad: tensor([ 20.,  80., 180.])

# %% [markdown]
# ## What came out is the vector-Jacobian product
# The Jacobian J has a row of derivatives for each output, here diag(2, 4, 6). `backward(v)` gives
# J^T v. `torch.func.jacrev` builds J itself, to check.

# %%
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
v = torch.tensor([10.0, 20.0, 30.0])
(w * w).backward(v)
J = torch.func.jacrev(lambda w: w * w)(w.detach())
print("J:", J.tolist())
print("J^T v:", J.T @ v)
print("w.grad:", w.grad)
# Output:
# J: [[2.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 6.0]]
# J^T v: tensor([ 20.,  80., 180.])
# w.grad: tensor([ 20.,  80., 180.])

# %% [markdown]
# ## J^T v, not J v
# The notes call the result both vector-Jacobian and Jacobian-vector product. A diagonal J equals
# its transpose and cannot tell the two apart. Two outputs of three inputs can: v has an entry for
# each output, the result one for each input. J v has no meaning here.

# %%
def f(w: torch.Tensor) -> torch.Tensor:
    """Two numbers from three, w of shape (3,)."""
    return torch.stack([w[0] * w[1], w[1] * w[2]])

w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
v = torch.tensor([10.0, 1.0])
f(w).backward(v)
J = torch.func.jacrev(f)(w.detach())
print("J:", J.tolist())
print("J^T v:", J.T @ v)
print("w.grad:", w.grad)
# Output:
# J: [[2.0, 1.0, 0.0], [0.0, 3.0, 2.0]]
# J^T v: tensor([20., 13.,  2.])
# w.grad: tensor([20., 13.,  2.])
