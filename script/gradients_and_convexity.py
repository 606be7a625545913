# %% [markdown]
# # Gradients and convexity
#
# A loss L(w) is a number that says how bad the choice w is. Gradient descent repeats the step
# w <- w - eta * grad, where grad is the gradient of L at w and eta > 0 is the step size, until the
# gradient is small. How far is the loss then above the smallest possible loss?
#
# The answer depends on the shape of the loss. A loss is convex if the straight line between any two
# points of its graph is always on or above the graph. Where a convex loss has gradient zero, no
# other point has a smaller loss. Where its gradient is small, only points far away can have a much
# smaller loss. For a loss that is not convex, both conclusions can be wrong. The figure,
# figures/convexity.png, shows a convex loss beside two that are not.
#
# ## Gradient zero: at the lowest point, or on a hilltop
#
# Here w is one number, and the gradient is the derivative. The function `gradient` lets PyTorch
# compute it; a later lesson, autograd_tour.py, explains how. `.item()` turns a tensor that holds
# one number into a Python number. At w = 0 both losses below have derivative zero. The bowl is
# lowest there. The double well has a hilltop (a local maximum) there, between its lowest points
# -1 and 1.

# %%
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch


def bowl(w: torch.Tensor) -> torch.Tensor:
    """Half the sum of the squares of the entries of w; for one number, w^2 / 2."""
    return (w**2).sum() / 2

def double_well(w: torch.Tensor) -> torch.Tensor:
    """(w^2 - 1)^2 / 2 of one number w."""
    return (w**2 - 1) ** 2 / 2

def gradient(loss: Callable, w: torch.Tensor) -> torch.Tensor:
    """The gradient of the function loss at the point w."""
    w = w.clone()  # a copy: the caller's w stays as it is
    w.requires_grad_()  # changes w in place: from now on PyTorch records what is computed from w
    loss(w).backward()  # goes back through the record and puts the gradient into w.grad
    return w.grad

# %%
for loss in (bowl, double_well):
    at_0 = torch.tensor(0.0)
    at_1 = torch.tensor(1.0)
    print(loss.__name__)
    slope = gradient(loss, at_0).abs().item()  # abs() makes 0.0 of -0.0
    print("  at w = 0: |grad| =", slope, " L =", loss(at_0).item())
    print("  at w = 1: L =", loss(at_1).item())
# Output:
# bowl
#   at w = 0: |grad| = 0.0  L = 0.0
#   at w = 1: L = 0.5
# double_well
#   at w = 0: |grad| = 0.0  L = 0.5
#   at w = 1: L = 0.0

# %% [markdown]
# ## The gradient is the vector of partial derivatives
#
# In general w is a vector of d numbers w_1, ..., w_d. (In Python w_1 is `w[0]`.) Entry i of the
# gradient says how fast L changes when only w_i changes. For L(w) = w_1^2 w_2 + w_3^3 the gradient
# is (2 w_1 w_2, w_1^2, 3 w_3^2), which is (4, 1, 27) at w = (1, 2, 3).
#
# We check PyTorch's gradient by central differences: move entry i by a small h to either side, and
# divide the change of L by 2h. Here two nearly equal numbers are subtracted, and the difference has
# fewer correct digits than they have. So we use float64, which has about 16 digits, instead of
# PyTorch's usual float32, which has about 7.

# %%
def cubic(w: torch.Tensor) -> torch.Tensor:
    return w[0] ** 2 * w[1] + w[2] ** 3

w = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
grad = gradient(cubic, w)

h = 1e-5  # with a smaller h more digits are lost, with a larger one the slope is less exact
differences = torch.zeros(3, dtype=torch.float64)
for i in range(3):
    step = torch.zeros(3, dtype=torch.float64)
    step[i] = h
    differences[i] = (cubic(w + step) - cubic(w - step)) / (2 * h)
error = (grad - differences).abs().max().item()
print("by PyTorch:    ", grad)
print("by differences:", differences)
print(f"largest difference, to 7 decimals: {error:.7f}")
# Output:
# by PyTorch:     tensor([ 4.,  1., 27.], dtype=torch.float64)
# by differences: tensor([ 4.0000,  1.0000, 27.0000], dtype=torch.float64)
# largest difference, to 7 decimals: 0.0000000

# %% [markdown]
# ## The gradient of ||w||^2 / 2 is w
#
# Many losses are built from ||w||^2 / 2, as least squares below is, so its gradient is worth
# knowing by heart. ||w|| is the Euclidean norm, the square root of w_1^2 + ... + w_d^2. So
# ||w||^2 / 2 is the bowl. Of its terms only w_i^2 / 2 depends on w_i, and the derivative of this
# term is w_i.
#
# PyTorch computes entry i as 2 w_i times 1/2. Doubling and halving are exact in floating point, so
# the gradient equals w exactly.

# %%
torch.manual_seed(0)  # every run draws the same random numbers
for d in (1, 5, 1000):
    w = torch.randn(d)
    print(f"d = {d}: is the gradient equal to w?", torch.equal(gradient(bowl, w), w))
# Output:
# d = 1: is the gradient equal to w? True
# d = 5: is the gradient equal to w? True
# d = 1000: is the gradient equal to w? True

# %% [markdown]
# ## The gradient predicts the loss nearby
#
# Taylor's first-order formula predicts L(w) + grad . delta for the loss at w + delta. (The dot is
# the dot product.) If L is twice differentiable, the error of the prediction is at most a constant
# times ||delta||^2 once delta is short enough. The bowl has the gradient w, and its error is
# exactly ||delta||^2 / 2, since
#
#     ||w + delta||^2 / 2 = ||w||^2 / 2 + w . delta + ||delta||^2 / 2
#
# So a step that is 10 times shorter has an error that is 100 times smaller.

# %%
w = torch.tensor([1.0, 2.0], dtype=torch.float64)
direction = torch.tensor([0.6, 0.8], dtype=torch.float64)  # of norm 1
for length in (1.0, 0.1, 0.01, 0.001):
    delta = length * direction
    actual = bowl(w + delta).item()
    predicted = (bowl(w) + gradient(bowl, w).dot(delta)).item()
    error = actual - predicted
    print(f"length {length:<5}  loss {actual:.7f}  predicted {predicted:.7f}  error {error:.7f}")
# Output:
# length 1.0    loss 5.2000000  predicted 4.7000000  error 0.5000000
# length 0.1    loss 2.7250000  predicted 2.7200000  error 0.0050000
# length 0.01   loss 2.5220500  predicted 2.5220000  error 0.0000500
# length 0.001  loss 2.5022005  predicted 2.5022000  error 0.0000005

# %% [markdown]
# ## The problem: minimise L over C
#
# The smallest possible loss depends on which w are allowed. An optimization problem has three
# parts: the decision variable w, the objective L(w), which is to be made small, and the constraint
# set C, from which w may be chosen. A minimiser is a point w* of C such that L(w*) <= L(w) for
# every w in C. The problem is unconstrained if C is R^d, the set of all vectors of d numbers. There
# the gradient at a minimiser is zero: otherwise, by Taylor's formula, a short step against the
# gradient would lower the loss.
#
# In a smaller set C there may be no room for such a step. Take L(w) = ||w - a||^2 / 2 with
# a = (3, 0.5). Its gradient is w - a, and over R^2 its minimiser is a. Now let C be the square of
# all w with both entries between 0 and 1. The minimiser over C is the point of the square that is
# closest to a, which is (1, 0.5). There the gradient is (-2, 0): the loss still falls towards
# larger w_1, but C ends.

# %%
a = torch.tensor([3.0, 0.5])

def half_squared_distance(w: torch.Tensor) -> torch.Tensor:
    return bowl(w - a)

closest = a.clamp(0, 1)  # moves each entry into [0, 1], as np.clip does
for name, w in (("R^2", a), ("C", closest)):
    grad = gradient(half_squared_distance, w)
    print(f"minimiser over {name}: {w.tolist()}  gradient: {grad.tolist()}")
# Output:
# minimiser over R^2: [3.0, 0.5]  gradient: [0.0, 0.0]
# minimiser over C: [1.0, 0.5]  gradient: [-2.0, 0.0]

# %% [markdown]
# ## A minimiser need not exist
#
# From here on C is R^d. Then L* is the infimum of L: the largest number m with L(w) >= m for all w.
# (If there is no such number, as for L(w) = -w, then L* is -infinity.) At a minimiser w* the loss
# is L*, and we say that the infimum is attained. The bowl attains its infimum 0 at w = 0. The loss
# exp(-w) has the infimum 0, too, but it is positive at every w. As w grows, it only comes closer
# and closer to 0.
#
# Our opening question asks how large L(w) - L* is. We call this difference the gap. Usually L* is
# not known, and then the gap cannot be computed.

# %% [markdown]
# ## Convex: every chord is on or above the graph
#
# A chord is the straight line between two points of the graph. Let one lie above u, the other above
# v, and take a t between 0 and 1. Above the point t u + (1-t) v the graph has the height
# L(t u + (1-t) v), and the chord has the height t L(u) + (1-t) L(v). So L is convex if for all u, v
# and t
#
#     L(t u + (1-t) v) <= t L(u) + (1-t) L(v)
#
# This is Jensen's inequality for two points. For the bowl it holds, since chord minus graph is
#
#     t ||u||^2 / 2 + (1-t) ||v||^2 / 2 - ||t u + (1-t) v||^2 / 2
#         = (t - t^2) ||u||^2 / 2 - t (1-t) u . v + ((1-t) - (1-t)^2) ||v||^2 / 2
#         = t (1-t) ||u - v||^2 / 2
#
# which is always at least 0. The last step uses that t - t^2 and (1-t) - (1-t)^2 are both t (1-t).
# We also try 1000 random triples (u, v, t).

# %%
torch.manual_seed(0)
broken = 0
for triple in range(1000):
    u = torch.randn(5, dtype=torch.float64)
    v = torch.randn(5, dtype=torch.float64)
    t = torch.rand(1).item()
    graph = bowl(t * u + (1 - t) * v)
    chord = t * bowl(u) + (1 - t) * bowl(v)
    if graph > chord:
        broken = broken + 1
print("triples of 1000 that break the inequality:", broken)
# Output:
# triples of 1000 that break the inequality: 0

# %% [markdown]
# ## Not convex: one triple is enough
#
# The chord of the double well between its lowest points -1 and 1 runs at height 0. Halfway,
# at w = 0, the graph has the height 0.5, so the chord is below the graph there. This one triple
# proves that the double well is not convex.

# %%
u = torch.tensor(-1.0)
v = torch.tensor(1.0)
t = 0.5
graph = double_well(t * u + (1 - t) * v).item()
chord = (t * double_well(u) + (1 - t) * double_well(v)).item()
print("graph:", graph)
print("chord:", chord)
print("graph <= chord?", graph <= chord)
# Output:
# graph: 0.5
# chord: 0.0
# graph <= chord? False

# %% [markdown]
# ## Convex: where the gradient is zero, no point lies lower
#
# Taylor's prediction from w is the tangent at w. The graph of a differentiable convex loss is
# always on or above this tangent. This is the tangent inequality: for every point v,
#
#     L(v) >= L(w) + grad . (v - w)
#
# To see why, take the chord from w to v. Jensen's inequality, with v and w in the place of u and v,
# says L(w + t (v-w)) <= L(w) + t (L(v) - L(w)). Subtract L(w), and divide by t:
#
#     (L(w + t (v-w)) - L(w)) / t <= L(v) - L(w)
#
# When t goes to 0, the left side becomes the derivative of L at w along v - w. By Taylor's formula
# this is grad . (v - w), and the tangent inequality follows.
#
# A point with gradient zero is called stationary. If w is stationary, the tangent inequality says
# that L(v) >= L(w) for every v. So every stationary point of a convex loss is a minimiser.

# %% [markdown]
# ## Least squares is convex, and its minimiser is known
#
# We fit a straight line to the four points (0, 1), (1, 2), (2, 2), (3, 4). Its parameters are
# w = (w_1, w_2): w_1 is its height at 0, and w_2 is its slope. With X and Y as in the cell below,
# its heights at 0, 1, 2, 3 are X w, and its errors are X w - Y. The loss is ||X w - Y||^2 / (2n)
# with n = 4: the bowl of the errors, divided by n.
#
# - The loss is convex. The errors at t u + (1-t) v are t times those at u plus 1-t times those at
#   v. So we multiply out as for the bowl, with the errors in the place of u and v. Their difference
#   is X u - X v, since Y cancels, and chord minus graph is t (1-t) ||X (u - v)||^2 / (2n).
# - The gradient is X^T (X w - Y) / n by the chain rule. The derivative of the bowl with respect to
#   error i is error i, and error i changes with w_j at the rate X_ij. So the derivative of the loss
#   with respect to w_j is the sum of X_ij times error i over all i, divided by n.
# - Since the loss is convex, its minimiser w* is where the gradient is zero. We solve
#   X^T X w = X^T Y for it. (The columns of X are independent, so there is one solution.)
#
# With w = (1, 1) the straight line meets three of the four points, but the gradient is not zero.
# With w* it meets none of them, and the loss is smaller.

# %%
X = torch.tensor([[1, 0], [1, 1], [1, 2], [1, 3]], dtype=torch.float64)
Y = torch.tensor([1, 2, 2, 4], dtype=torch.float64)
W_STAR = torch.linalg.solve(X.T @ X, X.T @ Y)

def least_squares(w: torch.Tensor) -> torch.Tensor:
    """Half the mean squared error of a line: w[0] is its height at 0, w[1] its slope."""
    return ((X @ w - Y) ** 2).mean() / 2

# %%
for w in (torch.tensor([1.0, 1.0], dtype=torch.float64), W_STAR):
    loss = least_squares(w).item()
    norm = gradient(least_squares, w).norm().item()
    print(f"loss {loss:.4f}  ||grad|| {norm:.4f}  at", w)
# Output:
# loss 0.1250  ||grad|| 0.5590  at tensor([1., 1.], dtype=torch.float64)
# loss 0.0875  ||grad|| 0.0000  at tensor([0.9000, 0.9000], dtype=torch.float64)

# %% [markdown]
# ## Convex: a small gradient bounds the gap
#
# A program does not wait for a gradient of exactly zero. It stops at a point with ||grad|| <= eps
# for some small eps that we choose. Such a point is called eps-stationary. How large can the gap
# L(w) - L* be there? If there is a minimiser w*, put it in the place of v in the tangent
# inequality. This gives L(w) - L* <= grad . (w - w*). A dot product is at most the product of the
# two norms (Cauchy-Schwarz), so
#
#     L(w) - L* <= ||grad|| ||w - w*||
#
# The right side is a bound for the gap. We compute both for least squares at three points w on a
# straight line, each closer to w*. Along the line the gradient is proportional to the distance from
# w*. So the bound is proportional to the square of the distance, and so is the gap: the bound is
# 3.6 times the gap at each point.

# %%
for distance in (1.0, 0.1, 0.01):
    w = W_STAR + distance * torch.tensor([1.0, 0.0], dtype=torch.float64)
    norm = gradient(least_squares, w).norm().item()
    gap = (least_squares(w) - least_squares(W_STAR)).item()
    bound = norm * distance
    print(f"||grad|| = {norm:.3f}  gap = {gap:.6f}  bound = {bound:.6f}")
# Output:
# ||grad|| = 1.803  gap = 0.500000  bound = 1.802776
# ||grad|| = 0.180  gap = 0.005000  bound = 0.018028
# ||grad|| = 0.018  gap = 0.000050  bound = 0.000180

# %% [markdown]
# ## The bound needs the distance
#
# A small gradient alone does not make the gap small. The loss c w^2 / 2 of one number w is convex
# for every c > 0, with w* = 0 and L* = 0. Its derivative c w equals eps at w = eps / c. A smaller c
# makes the loss flatter and puts this point farther away from w*. In each row of the output the
# gradient is 0.001, but the gap grows from nearly nothing to 50.
#
# The loss exp(-w) has no minimiser, so there is no such bound for it. The bound helps if we know
# that some minimiser lies at most a distance R away from w: then the gap is at most ||grad|| R.

# %%
eps = 0.001
for c in (1.0, 1e-4, 1e-8):
    distance = eps / c  # from w to w* = 0
    w = torch.tensor(distance, dtype=torch.float64)
    grad = c * gradient(bowl, w).item()
    gap = c * bowl(w).item()
    bound = grad * distance
    print(f"c = {c:g}:  grad = {grad:g}  |w - w*| = {distance:g}  gap = {gap:g}  bound = {bound:g}")
# Output:
# c = 1:  grad = 0.001  |w - w*| = 0.001  gap = 5e-07  bound = 1e-06
# c = 0.0001:  grad = 0.001  |w - w*| = 10  gap = 0.005  bound = 0.01
# c = 1e-08:  grad = 0.001  |w - w*| = 100000  gap = 50  bound = 100

# %% [markdown]
# ## Not convex: hilltops, local minima, saddles
#
# Without convexity a stationary point need not be a minimiser. The loss 3 w^4 + 4 w^3 - 12 w^2 + 32
# of one number w has the derivative 12 w (w + 2) (w - 1), so three points are stationary. The point
# -2 is the minimiser, with L* = 0. The point 0 is a hilltop. The point 1 is a local minimum: no
# point nearby has a smaller loss, but the gap is 27.
#
# The loss w_1^2 - w_2^2 has a saddle at (0, 0): from there it rises if w_1 changes, and it falls if
# w_2 changes. It falls without end, so L* is -infinity.
#
# At all these points a step w - eta * grad leaves w where it is. So gradient descent stays at such
# a point once it is there. From a start beside the hilltop the steps lead away, and from a start
# beside the local minimum they lead there, if eta is small enough.

# %%
def two_valleys(w: torch.Tensor) -> torch.Tensor:
    """3 w^4 + 4 w^3 - 12 w^2 + 32 of one number w, with w^2 factored out."""
    return w**2 * (3 * w**2 + 4 * w - 12) + 32

def saddle(w: torch.Tensor) -> torch.Tensor:
    return w[0] ** 2 - w[1] ** 2

for name, number in (("minimiser", -2.0), ("hilltop", 0.0), ("local minimum", 1.0)):
    w = torch.tensor(number)
    slope = gradient(two_valleys, w).abs().item()
    height = two_valleys(w).item()
    print(f"{name}: w = {number:g}  |grad| = {slope:g}  L = {height:g}")

norm = gradient(saddle, torch.tensor([0.0, 0.0])).norm().item()
print(f"saddle: w = (0, 0)  ||grad|| = {norm:g}")
for point in ([0.5, 0.0], [0.0, 0.0], [0.0, 0.5]):
    print(f"  w = {point}  L = {saddle(torch.tensor(point)).item():g}")
# Output:
# minimiser: w = -2  |grad| = 0  L = 0
# hilltop: w = 0  |grad| = 0  L = 32
# local minimum: w = 1  |grad| = 0  L = 27
# saddle: w = (0, 0)  ||grad|| = 0
#   w = [0.5, 0.0]  L = 0.25
#   w = [0.0, 0.0]  L = 0
#   w = [0.0, 0.5]  L = -0.25

# %% [markdown]
# ## Not convex: plateaus
#
# A small gradient can also mean that the loss is nearly flat far away from its minimiser. The loss
# w^2 / (1 + w^2) of one number w has its minimiser at 0, with L* = 0. Far out the loss rises
# towards 1 and never gets there: this is a plateau. The farther out w lies on the plateau, the
# smaller the gradient is and the larger the gap is. For a convex loss with w* = 0 the gap is at
# most |grad| |w|. Here the gap is larger than that at 10 and at 1000.

# %%
def plateau(w: torch.Tensor) -> torch.Tensor:
    return w**2 / (1 + w**2)

# %%
for number in (0.5, 10.0, 1000.0):
    w = torch.tensor(number, dtype=torch.float64)
    slope = gradient(plateau, w).abs().item()
    gap = plateau(w).item()
    product = slope * number
    print(f"w = {number:g}:  |grad| = {slope:.1e}  gap = {gap:.6f}  |grad| |w| = {product:.6f}")
# Output:
# w = 0.5:  |grad| = 6.4e-01  gap = 0.200000  |grad| |w| = 0.320000
# w = 10:  |grad| = 2.0e-03  gap = 0.990099  |grad| |w| = 0.019606
# w = 1000:  |grad| = 2.0e-09  gap = 0.999999  |grad| |w| = 0.000002

# %% [markdown]
# ## The picture: chords, tangents and a gap
#
# The figure shows the graphs of three losses of one number w. The bowl is convex: its chord is
# above the graph, and its tangent below. The double well is not: between -1 and 1 its chord is
# below the graph, and its tangent at the hilltop above. On the plateau, the slope at w = 4 is only
# 0.028, but the gap is 0.94. The next cell defines how this is drawn, and may be skipped.

# %%
plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"

def draw_graph(ax: plt.Axes, loss: Callable, largest: float) -> None:
    """The graph of a loss of one number w, from -largest to largest."""
    w = torch.linspace(-largest, largest, 401)
    ax.plot(w, [loss(number).item() for number in w], color="black", label="graph")
    ax.set(xlabel="$w$", ylabel="loss $L(w)$")

def draw_chord(ax: plt.Axes, loss: Callable, u: float, v: float) -> None:
    """The straight line between the points of the graph above u and v."""
    ends = torch.tensor([u, v])
    ax.plot(ends, [loss(end).item() for end in ends], "o-", color="#0072B2", label="chord")

def draw_tangent(ax: plt.Axes, loss: Callable, at: float, length: float) -> None:
    """The tangent at the point w = at, drawn as far as w differs from it by length."""
    point = torch.tensor(at)
    slope = gradient(loss, point)
    w = torch.tensor([at - length, at, at + length])
    height = loss(point) + slope * (w - point)
    ax.plot(w, height, "s--", color="#D55E00", markevery=[1], label="tangent")

def draw_convexity() -> plt.Figure:
    """The bowl, the double well and the plateau, with chords, tangents and a gap."""
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.8), layout="constrained")
    draw_graph(left, bowl, 2.2)
    draw_chord(left, bowl, -1.0, 2.0)
    draw_tangent(left, bowl, 1.0, 1.0)
    left.set_title("Convex: the chord is above\nthe graph, and the tangent below")

    draw_graph(middle, double_well, 1.5)
    draw_chord(middle, double_well, -1.0, 1.0)
    draw_tangent(middle, double_well, 0.0, 1.0)
    middle.set_title("Not convex: the chord is below\nthe graph, and the tangent above")

    draw_graph(right, plateau, 6.0)
    draw_tangent(right, plateau, 4.0, 2.0)
    gap = plateau(torch.tensor(4.0)).item()
    right.annotate("", xy=(4, 0), xytext=(4, gap), arrowprops={"arrowstyle": "<->"})
    right.text(3.8, 0.2, f"gap {gap:.2f}", ha="right")
    right.set_title("A plateau: the gradient is small,\nand the gap is large")
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig

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
save(draw_convexity(), "convexity.png")
# Output:
# figure: ...convexity.png

# %% [markdown]
# ## What to take away
#
# A program can measure the gradient, but usually not the gap. What a small gradient says about the
# gap depends on the loss. For a convex loss over R^d, a zero gradient proves that w is a minimiser,
# and the gap is at most ||grad|| times the distance to a minimiser, if there is one. Without
# convexity, w can also be near a local minimum, a hilltop or a saddle, or far out on a plateau.
# Over a smaller set C even a minimiser can have a large gradient.
#
# ## Try it
#
# 1. Predict first: in "The problem: minimise L over C", what are the minimiser over C and the
#    gradient there if a is (3, 2)? Change the first line of the cell.
# 2. Predict first: in "Not convex: one triple is enough", is graph <= chord if u is 3.0 instead of
#    -1.0? Does this triple prove that the double well is convex?
# 3. Predict first: in "The bound needs the distance", by which factor do the three gaps grow if
#    `eps` is 0.01 instead of 0.001?
