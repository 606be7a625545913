# %% [markdown]
# # Gradients and convexity
# What the gradient of a loss is, what a small one proves, and what it does not.

# %%
import torch

# %% [markdown]
# ## The gradient is the vector of partial derivatives
# Partial derivative i changes only w_i. Central differences in float64 approximate it; autograd's
# gradient agrees within 1e-8.

# %%
torch.manual_seed(0)
w = torch.randn(4, dtype=torch.float64, requires_grad=True)

def L(w):
    return (w**3).sum() + (w[0] * w[1]).sin()

L(w).backward()
h = 1e-5
with torch.no_grad():
    partials = torch.stack([(L(w + h * e) - L(w - h * e)) / (2 * h) for e in torch.eye(4).double()])
print("autograd:           ", w.grad)
print("central differences:", partials)
print("largest difference below 1e-8?", (w.grad - partials).abs().max().item() < 1e-8)
# Output:
# autograd:            tensor([ 6.8601,  1.6444, 14.2414,  0.9693], dtype=torch.float64)
# central differences: tensor([ 6.8601,  1.6444, 14.2414,  0.9693], dtype=torch.float64)
# largest difference below 1e-8? True

# %% [markdown]
# ## The one to memorise: ||w||^2 / 2 has gradient w
# In every dimension, and exactly: the product rule doubles w, the factor 1/2 halves it.

# %%
for d in (1, 5, 1000):
    torch.manual_seed(0)
    w = torch.randn(d, requires_grad=True)
    (0.5 * w.dot(w)).backward()
    print(f"d = {d}: grad equals w?", torch.equal(w.grad, w))
# Output:
# d = 1: grad equals w? True
# d = 5: grad equals w? True
# d = 1000: grad equals w? True

# %% [markdown]
# ## Stationary, and stationary up to eps
# A point is stationary if grad = 0 and eps-stationary if ||grad|| <= eps. For ||w||^2 / 2 the
# eps-stationary points are those within eps of the minimiser, 0.

# %%
eps = 1e-3
for point in ([0.0, 0.0], [3e-4, 4e-4], [3e-3, 4e-3]):
    w = torch.tensor(point, requires_grad=True)
    (0.5 * w.dot(w)).backward()
    norm = w.grad.norm().item()
    print(f"||grad|| = {norm:.4f}  stationary? {norm == 0}  eps-stationary? {norm <= eps}")
# Output:
# ||grad|| = 0.0000  stationary? True  eps-stationary? True
# ||grad|| = 0.0005  stationary? False  eps-stationary? True
# ||grad|| = 0.0050  stationary? False  eps-stationary? False

# %% [markdown]
# ## Convex: the chord lies above the graph
# Jensen's inequality, L(t w1 + (1-t) w2) <= t L(w1) + (1-t) L(w2) for 0 <= t <= 1. No random
# triple breaks it for ||w||^2 / 2, where the gap is t (1-t) ||w1 - w2||^2 / 2. Samples prove
# nothing; the formula does.

# %%
torch.manual_seed(0)
w1, w2 = torch.randn(2, 100_000, 5, dtype=torch.float64)
t = torch.rand(100_000, 1, dtype=torch.float64)

def L(w):
    return 0.5 * (w * w).sum(dim=1, keepdim=True)

gap = t * L(w1) + (1 - t) * L(w2) - L(t * w1 + (1 - t) * w2)
print("triples:", len(gap), " broken:", (gap < 0).sum().item())
print("gap as the formula says?", torch.allclose(gap, t * (1 - t) * L(w1 - w2)))
# Output:
# triples: 100000  broken: 0
# gap as the formula says? True

# %% [markdown]
# ## Not convex: one triple is enough
# The double well (w^2 - 1)^2 / 2 has a hill between its minima at -1 and 1. Halfway between them
# the chord runs at 0, below the hill.

# %%
def L(w):
    return 0.5 * (w**2 - 1) ** 2

w1, w2, t = torch.tensor(-1.0), torch.tensor(1.0), 0.5
graph = L(t * w1 + (1 - t) * w2).item()
chord = (t * L(w1) + (1 - t) * L(w2)).item()
print(f"w1 = {w1.item()}, w2 = {w2.item()}, t = {t}")
print("graph, L(t w1 + (1-t) w2):   ", graph)
print("chord, t L(w1) + (1-t) L(w2):", chord)
print("graph <= chord?", graph <= chord)
# Output:
# w1 = -1.0, w2 = 1.0, t = 0.5
# graph, L(t w1 + (1-t) w2):    0.5
# chord, t L(w1) + (1-t) L(w2): 0.0
# graph <= chord? False

# %% [markdown]
# ## Convex: where the gradient vanishes, no point lies lower
# A convex graph lies above its tangents, L(v) >= L(w) + grad.(v - w), so where grad = 0 no v lies
# lower. The graph of the least-squares loss of n rows lies higher by ||X (v - w)||^2 / (2n): from
# its stationary point, which `lstsq` finds, no random point, near or far, has a smaller loss.

# %%
torch.manual_seed(0)
X, y = torch.randn(20, 3, dtype=torch.float64), torch.randn(20, dtype=torch.float64)

def L(w):
    return 0.5 * ((w @ X.T - y) ** 2).mean(dim=-1)

w = torch.linalg.lstsq(X, y).solution.requires_grad_()
L(w).backward()
print("||grad|| below 1e-12?", w.grad.norm().item() < 1e-12)
for radius in (1e-3, 1.0, 1e3):
    others = w.detach() + radius * torch.randn(10_000, 3, dtype=torch.float64)
    print(f"radius {radius:g}: points that lie lower:", (L(others) < L(w)).sum().item(), end="  ")
    gap = 0.5 * ((others - w.detach()) @ X.T).square().mean(dim=-1)
    print("gap as the formula says?", torch.allclose(L(others) - L(w), gap, atol=1e-14))
# Output:
# ||grad|| below 1e-12? True
# radius 0.001: points that lie lower: 0  gap as the formula says? True
# radius 1: points that lie lower: 0  gap as the formula says? True
# radius 1000: points that lie lower: 0  gap as the formula says? True

# %% [markdown]
# ## Not convex: a vanishing gradient proves little
# The double well has gradient 0 at w = 0 too. That is the top of the hill between the wells: to
# both sides the loss is lower. Yet a step of gradient descent, -eta * 0, does not leave it.

# %%
for start in (-1.0, 0.0, 1.0):
    w = torch.tensor(start, requires_grad=True)
    L = 0.5 * (w**2 - 1) ** 2
    L.backward()
    print(f"w = {start:+.0f}: grad is 0? {w.grad.item() == 0}  L = {L.item()}")
nearby = torch.tensor([-0.01, 0.01])
print("0.01 away from 0:", 0.5 * (nearby**2 - 1) ** 2)
# Output:
# w = -1: grad is 0? True  L = 0.0
# w = +0: grad is 0? True  L = 0.5
# w = +1: grad is 0? True  L = 0.0
# 0.01 away from 0: tensor([0.4999, 0.4999])

# %% [markdown]
# ## First-order Taylor: the error falls by 100 when the step falls by 10
# L(w + delta) is L(w) + grad.delta and an error of second order. For ||w||^2 / 2 the error is
# ||delta||^2 / 2 exactly.

# %%
torch.manual_seed(0)
w = torch.randn(5, dtype=torch.float64, requires_grad=True)
direction = torch.randn(5, dtype=torch.float64)
direction /= direction.norm()
L = 0.5 * w.dot(w)
L.backward()
for length in (1.0, 0.1, 0.01, 0.001):
    delta = length * direction
    with torch.no_grad():
        error = 0.5 * (w + delta).dot(w + delta) - (L + w.grad.dot(delta))
    print(f"||delta|| = {length:<5g}  error = {error.item():.3e}  theory = {length**2 / 2:.3e}")
# Output:
# ||delta|| = 1      error = 5.000e-01  theory = 5.000e-01
# ||delta|| = 0.1    error = 5.000e-03  theory = 5.000e-03
# ||delta|| = 0.01   error = 5.000e-05  theory = 5.000e-05
# ||delta|| = 0.001  error = 5.000e-07  theory = 5.000e-07
