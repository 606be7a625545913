# %% [markdown]
# # The geometry of the gradient
#
# The gradient of a differentiable function f at a point x is the vector of its partial derivatives.
# Its dot product with a direction, a vector of length 1, is the rate at which f changes along this
# direction. So the gradient tells us along which direction f falls fastest, along which directions
# the rate is 0, and how the tangent plane of the graph of f is tilted. We look at two dimensions,
# where all this can be drawn, and then try random directions in 1000 dimensions instead.

# %%
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from mpl_toolkits.mplot3d.art3d import Poly3DCollection


def f(x: torch.Tensor) -> torch.Tensor:
    """||x||^2 / 2 of a vector x."""
    return (x * x).sum() / 2

def gradient(function: Callable, x: torch.Tensor) -> torch.Tensor:
    """Return the gradient of a function at a vector x (autograd_tour.py explains the method)."""
    x = x.clone()  # a copy, because the next line changes it
    x.requires_grad_()  # from now on PyTorch records what is computed from x
    function(x).backward()  # goes back through the record and puts the gradient into x.grad
    return x.grad

# %% [markdown]
# ## The rate along a direction
#
# We walk from x along a direction delta, a short way t, to the point x + t delta. The change of f
# per unit of length is the difference quotient (f(x + t delta) - f(x)) / t. Its limit, as t goes
# to 0, is the rate of f along delta. By the chain rule,
#
#     rate = df/dx_1 delta_1 + ... + df/dx_d delta_d = grad @ delta
#
# where grad is the gradient of f at x. Our example is f(x) = ||x||^2 / 2 = (x_1^2 + x_2^2) / 2. Its
# partial derivatives are x_1 and x_2, so for this f the gradient at x is x. With ||delta|| = 1,
#
#     f(x + t delta) = ||x||^2 / 2 + t (x @ delta) + t^2 / 2 = f(x) + t (grad @ delta) + t^2 / 2
#
# So for this f the quotient is the rate plus t / 2: too large by 0.05 for t = 0.1, and by 0.005 for
# t = 0.01. (float32 rounds f by some 1e-7, so the quotient by some 1e-5 for t = 0.01. Three
# decimals do not show this. gradients_and_convexity.py asks for more digits, and takes float64.)
#
# The cell takes x = (1, 0.75), where ||grad|| = 1.25, and four directions: (0.8, 0.6) = grad / 1.25
# along the gradient, its opposite, one orthogonal to the gradient, and (0, 1) along the axis of
# x_2, whose rate is the partial derivative df/dx_2. (Figure 3.2, at the end, shows all four.)

# %%
x = torch.tensor([1.0, 0.75])
grad = gradient(f, x)
print("grad:", grad)
print("direction                   grad @ delta  t = 0.1  t = 0.01")
for name, direction in (
    ("along the gradient", [0.8, 0.6]),
    ("against the gradient", [-0.8, -0.6]),
    ("orthogonal to the gradient", [0.6, -0.8]),
    ("uphill, but less steep", [0.0, 1.0]),
):
    delta = torch.tensor(direction)
    quotient_1 = (f(x + 0.1 * delta) - f(x)) / 0.1
    quotient_2 = (f(x + 0.01 * delta) - f(x)) / 0.01
    print(f"{name:26}  {grad @ delta:12.3f}  {quotient_1:7.3f}  {quotient_2:8.3f}")
# Output:
# grad: tensor([1.0000, 0.7500])
# direction                   grad @ delta  t = 0.1  t = 0.01
# along the gradient                 1.250    1.300     1.255
# against the gradient              -1.250   -1.200    -1.245
# orthogonal to the gradient         0.000    0.050     0.005
# uphill, but less steep             0.750    0.800     0.755

# %% [markdown]
# ## Steepest descent
#
# Along which direction does f fall fastest? We look for the smallest rate grad @ delta. By the
# Cauchy-Schwarz inequality, |grad @ delta| <= ||grad|| ||delta|| = ||grad||, so no rate is smaller
# than -||grad||. If the gradient is not zero, then -grad / ||grad|| is a direction, and its rate is
# -(grad @ grad) / ||grad|| = -||grad||. No other direction has this rate, because the two sides of
# the inequality are equal only for parallel vectors. So f falls fastest against the gradient.
#
# The cell tries 3,600 directions, one per tenth of a degree. One of them is at most a twentieth of
# a degree away from -grad / ||grad||, so the best should nearly agree with it.

# %%
x = torch.tensor([1.0, 0.75])
grad = gradient(f, x)
angles = torch.deg2rad(torch.arange(3600) / 10)
directions = torch.stack([angles.cos(), angles.sin()], dim=1)  # one direction per row
rates = directions @ grad
best = directions[rates.argmin()]
steepest = -grad / grad.norm()
print(f"smallest rate: {rates.min():.4f}, its direction: ({best[0]:.3f}, {best[1]:.3f})")
print(f"-||grad||: {-grad.norm():.4f}, -grad / ||grad||: ({steepest[0]:.3f}, {steepest[1]:.3f})")
# Output:
# smallest rate: -1.2500, its direction: (-0.800, -0.600)
# -||grad||: -1.2500, -grad / ||grad||: (-0.800, -0.600)

# %% [markdown]
# ## Level sets
#
# A level set of a function q consists of all points at which q has the same value, just like a
# contour line on a map, along which the height is the same. Let p(s) be a path in a level set. Its
# derivative p'(s) is a tangent vector of the level set. Along the path q does not change, so by the
# chain rule
#
#     0 = d/ds q(p(s)) = grad @ p'(s)
#
# where grad is the gradient of q at p(s). So the gradient is orthogonal to every tangent vector or,
# for short, to the level set. This holds in any number of dimensions.
#
# The level sets of q(x) = (x_1^2 + 4 x_2^2) / 2 are ellipses. Let x_1 = 5 cos(s), x_2 = 2.5 sin(s).
# Then q(x) is (25 cos(s)^2 + 25 sin(s)^2) / 2 = 12.5 for every s, so x runs along one of them. The
# tangent vector at x is the derivative (-5 sin(s), 2.5 cos(s)) = (-2 x_2, x_1 / 2). The cell takes
# two points x. The gradient of q is no multiple of x there, but grad @ tangent is 0.

# %%
def q(x: torch.Tensor) -> torch.Tensor:
    """(x_1^2 + 4 x_2^2) / 2 of a vector x = (x_1, x_2), whose entries are x[0] and x[1]."""
    return (x[0] ** 2 + 4 * x[1] ** 2) / 2

for x_1, x_2 in ((3.0, 2.0), (4.0, 1.5)):
    x = torch.tensor([x_1, x_2])
    tangent = torch.tensor([-2 * x_2, x_1 / 2])
    grad = gradient(q, x)
    print(f"x = {x.tolist()}, q(x) = {q(x)}: grad {grad.tolist()}, tangent {tangent.tolist()}")
    print("  grad @ tangent:", (grad @ tangent).item())
# Output:
# x = [3.0, 2.0], q(x) = 12.5: grad [3.0, 8.0], tangent [-4.0, 1.5]
#   grad @ tangent: 0.0
# x = [4.0, 1.5], q(x) = 12.5: grad [4.0, 6.0], tangent [-3.0, 2.0]
#   grad @ tangent: 0.0

# %% [markdown]
# ## The tangent plane and its normal
#
# The graph of f consists of the points (x_1, x_2, z) with z = f(x). The graph is a level set, too:
# on it the function F(x_1, x_2, z) = f(x) - z has the value 0. So at each point of the graph the
# gradient of F is orthogonal to the graph. Its entries are the two partial derivatives of f, and
# -1. This vector (grad, -1) is called a normal of the graph. It points down; (-grad, 1) points up.
#
# The tangent plane at (x, f(x)) is the plane through this point that is orthogonal to the normal.
# How high is the plane above x + t delta? Call its height there f(x) + dz. The vector (t delta, dz)
# leads from one point of the plane to another, so it is orthogonal to the normal: their dot product
# t (grad @ delta) - dz is 0. So dz = t (grad @ delta): the plane rises at the rate of f.
#
# By the first section, our f is higher by t^2 / 2, so the plane touches the graph from below. The
# tangent planes of every convex function lie below the graph or touch it, as the tangents in
# gradients_and_convexity.py do; those of other functions may lie above, or cut the graph. The cell
# walks along the axis of x_2. Compare `graph - plane` with t^2 / 2. (Figure 3.1 is at the end.)

# %%
def F(point: torch.Tensor) -> torch.Tensor:
    """f(x) - z of a point (x_1, x_2, z)."""
    return f(point[:2]) - point[2]

point = torch.tensor([1.0, 0.75, 0.78125])  # the last entry is f(x), so F is 0
normal = gradient(F, point)
print("F at the point:", F(point).item())
print("normal:", normal)
x = point[:2]
grad = normal[:2]  # without the -1
delta = torch.tensor([0.0, 1.0])
for t in (0, 1, 2):
    graph = f(x + t * delta).item()
    plane = (f(x) + t * (grad @ delta)).item()
    print(f"t = {t}: graph {graph}, plane {plane}, graph - plane {graph - plane}")
# Output:
# F at the point: 0.0
# normal: tensor([ 1.0000,  0.7500, -1.0000])
# t = 0: graph 0.78125, plane 0.78125, graph - plane 0.0
# t = 1: graph 2.03125, plane 1.53125, graph - plane 0.5
# t = 2: graph 4.28125, plane 2.28125, graph - plane 2.0

# %% [markdown]
# ## Random directions in 1000 dimensions
#
# Could we do without the gradient, try 10,000 random directions, and take the best? A random
# direction in d dimensions is delta = v / ||v||, where the d entries of v are normally distributed.
# We use the gradient only to score each direction: its score is its rate divided by ||grad||, which
# is -1 for the direction against the gradient. The table shows the standard deviation of the scores
# and the smallest score. For d = 2 the smallest is close to -1. How close is it for d = 1000?

# %%
torch.manual_seed(0)
print("   d  1/sqrt(d)  standard deviation  smallest")
for d in (2, 10, 100, 1000):
    x = torch.randn(d)
    grad = gradient(f, x)
    v = torch.randn(10_000, d)
    directions = v / v.norm(dim=1, keepdim=True)  # each row divided by its length
    scores = directions @ grad / grad.norm()
    print(f"{d:4}  {1 / math.sqrt(d):9.3f}  {scores.std():18.3f}  {scores.min():8.3f}")
# Output:
#    d  1/sqrt(d)  standard deviation  smallest
#    2      0.707               0.711    -1.000
#   10      0.316               0.311    -0.882
#  100      0.100               0.100    -0.366
# 1000      0.032               0.032    -0.123

# %% [markdown]
# ## Why the gradient wins
#
# For d = 1000, f falls along the best direction only at about an eighth of the steepest rate. Why?
# The density of v is a multiple of exp(-||v||^2 / 2). It depends on ||v|| alone, so no direction is
# preferred, and we may turn the axes until the first axis points along the gradient. Then grad is
# (||grad||, 0, ..., 0), and the score is delta_1, the first entry of delta.
#
# - The squares of the d entries of delta add up to 1, and no entry is preferred. So the mean of
#   delta_1^2 is 1/d. Since the mean of delta_1 is 0, its standard deviation is 1/sqrt(d).
# - For large d, ||v|| is close to sqrt(d), so delta_1 = v_1 / ||v|| is nearly normally distributed.
#   The smallest of 10,000 such numbers lies 3.85 standard deviations below the mean, if we average
#   over many draws. So the smallest score should be about -3.85 / sqrt(d): -0.38 for d = 100, and
#   -0.122 for d = 1000.

# %% [markdown]
# ## What the gradient costs
#
# Without the gradient, we would score by difference quotients. Those of 10,000 random directions
# take 10,001 evaluations of f, one of them at x. Those along the d axes take d + 1, which is 1001
# for d = 1000, and give all partial derivatives approximately.
#
# The gradient costs far less. One evaluation of our f takes d multiplications and about d
# additions. Then `backward()` uses the product rule, with two terms for each x_i * x_i: 2d
# multiplications, and d additions of the two terms. So f and its gradient together take about 5d
# operations, as many as 2.5 evaluations, whatever d is. (gd_nd_cost.py shows that time goes by the
# vectors that are moved rather than by the arithmetic. These are 3 for f, and 10 for f with its
# gradient: again a few evaluations.)

# %% [markdown]
# ## What to take away
#
# - Along a direction delta, f changes at the rate grad @ delta. It falls fastest against the
#   gradient, at the rate -||grad||, and orthogonal to the gradient the rate is 0.
# - The gradient is orthogonal to the level set, and the normal (grad, -1) to the tangent plane.
# - For d = 1000, the best of 10,000 random directions reaches about an eighth of the steepest rate.
#   Difference quotients along the axes take 1001 evaluations of f. Our f and its gradient together
#   take the arithmetic of 2.5.

# %% [markdown]
# ## The figures
#
# The next cell defines the drawing functions, and may be skipped. The two code cells after it draw
# Figures 3.1 and 3.2 of the lecture, for f at x = (1, 0.75), with a nabla before f for grad. In
# Figure 3.1 the blue bowl is the graph of f. The orange disc is a piece of the tangent plane, and
# touches the bowl from below at the black dot.

# %%
plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"

BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"

def draw_line(ax: plt.Axes, points: list, color: str = "black", **style) -> None:
    """A line through points of the plane or of space."""
    coordinates = np.transpose(points)  # a row for each axis, as plot wants them
    ax.plot(*coordinates, color=color, **style)

def draw_tangent_plane() -> plt.Figure:
    """Figure 3.1: the graph of f, and its tangent plane and normal at x = (1, 0.75)."""
    fig = plt.figure(figsize=(9, 5))
    # larger than the figure, because matplotlib leaves wide margins around axes in space
    ax = fig.add_axes((-0.04, -0.36, 1, 1.6), projection="3d", computed_zorder=False)
    ax.set(xlim=(-2, 2), ylim=(-2, 2), zlim=(-0.5, 2), proj_type="ortho")
    ax.set_box_aspect((4, 4, 2.5))  # one scale on all axes, or the normal would look oblique
    ax.view_init(elev=15, azim=-18)
    ax.set_axis_off()

    radius, angle = np.meshgrid(np.linspace(0, 2, 41), np.linspace(0, 2 * np.pi, 121))
    x_1 = radius * np.cos(angle)
    x_2 = radius * np.sin(angle)
    ax.plot_surface(x_1, x_2, radius**2 / 2, color=BLUE, alpha=0.3, rstride=1, cstride=1)

    # orthogonal directions in the plane; the first, parallel to the screen, shows the right angle
    point = np.array([1, 0.75, 0.78125])
    normal = np.array([1, 0.75, -1])
    unit_normal = normal / np.linalg.norm(normal)
    elev = math.radians(15)
    azim = math.radians(-18)
    sight = [math.cos(elev) * math.cos(azim), math.cos(elev) * math.sin(azim), math.sin(elev)]
    first = np.cross(sight, normal)
    first = first / np.linalg.norm(first)
    second = np.cross(unit_normal, first)
    angle = np.linspace(0, 2 * np.pi, 200)
    disc = point + np.outer(np.cos(angle), first) + np.outer(np.sin(angle), second)
    ax.add_collection3d(Poly3DCollection([disc], color=ORANGE, alpha=0.6))
    draw_line(ax, [point - first, point + first], linewidth=1)
    tip = point + normal
    neck = tip - 0.2 * unit_normal
    head = [tip, neck + 0.07 * first, neck - 0.07 * first]
    draw_line(ax, [point, neck], VERMILION, linewidth=3)
    ax.add_collection3d(Poly3DCollection([head], color=VERMILION))
    a = 0.15 * unit_normal
    b = -0.15 * first
    draw_line(ax, [point + a, point + a + b, point + b], linewidth=1)  # the right angle
    label = point + 0.8 * first + 0.7 * unit_normal
    draw_line(ax, [point, label], linewidth=0.5)
    draw_line(ax, [point], marker="o")

    for place, text, ha, va in (
        (label, " $x = (1, 0.75)$\n $f(x) = 0.78125$", "left", "center"),
        (point + 1.05 * first, "tangent plane", "left", "bottom"),
        (tip + 0.06 * normal, r"normal $(\nabla f, -1) = (1, 0.75, -1)$", "center", "top"),
        ([-0.65, -1.95, 2], r"$f(x) = \|x\|^2 / 2$", "right", "center"),
    ):
        ax.text(*place, text, size=13, ha=ha, va=va)
    fig.suptitle("The normal is orthogonal to the tangent plane of the graph of $f$", size=14)
    return fig

def draw_arrow(ax: plt.Axes, start: np.ndarray, end: np.ndarray, color: str, style: str) -> None:
    """An arrow between two points of the plane."""
    neck = end - 0.1 * (end - start)
    draw_line(ax, [start, neck], color, linestyle=style, linewidth=2.5)
    head = {"arrowstyle": "-|>", "color": color, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 20}
    ax.annotate("", xy=end, xytext=neck, arrowprops=head)

def draw_steepest_descent() -> plt.Figure:
    """Figure 3.2: directions with their dot products, and level sets, for f at x = (1, 0.75)."""
    x = np.array([1, 0.75], dtype=np.float32)  # float64 would print the product 0.00 as -0.00
    grad = x
    along = grad / np.linalg.norm(grad)
    across = np.array([along[1], -along[0]])
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 4.05), layout="constrained")

    left.add_patch(plt.Circle((0, 0), 1, fill=False, color="0.7"))
    for delta, name, color, style, ha, va in (
        (along, "along the gradient", VERMILION, "-", "left", "bottom"),
        (-along, "against the gradient", BLUE, "-", "right", "top"),
        (across, "orthogonal\nto the gradient", GREEN, "--", "left", "top"),
        (np.array([0, 1]), "uphill, but less steep", PURPLE, ":", "right", "bottom"),
    ):
        draw_arrow(left, np.zeros(2), delta, color, style)
        coordinates = rf"$\delta$ = ({delta[0]:.1f}, {delta[1]:.1f})"
        product = rf"$\nabla f \cdot \delta = {grad @ delta:.2f}$"
        text = f"{name}\n{coordinates}\n{product}"
        left.text(1.06 * delta[0], 1.06 * delta[1], text, size=12, ha=ha, va=va)
    left.set(xlim=(-1.85, 1.95), ylim=(-2, 1.8))
    left.set_title("Against the gradient $f$ falls\nfastest (arrows from 0)", size=13)

    for value in (0.25, 0.78125, 2.25):
        radius = math.sqrt(2 * value)
        right.add_patch(plt.Circle((0, 0), radius, fill=False, color="0.5"))
        right.text(0, -radius - 0.05, f"$f = {value}$", size=12, ha="center", va="top")
    draw_arrow(right, x, x + 0.9 * along, VERMILION, "-")
    draw_arrow(right, x, x - 0.9 * along, BLUE, "-")
    draw_arrow(right, x, x + 0.9 * across, GREEN, "--")
    a = 0.135 * along
    b = 0.135 * across
    draw_line(right, [x + a, x + a + b, x + b], linewidth=1)  # the right angle
    draw_line(right, [x], marker="o")
    right.text(0.9, 0.93, "$x$", size=14, ha="center", va="bottom")
    right.text(1.78, 1.33, "$f$ rises", size=12, ha="left", va="bottom")
    right.text(0.25, 0.15, "$f$ falls", size=12, ha="right", va="top")
    right.text(1.68, -0.02, "tangent", size=12, ha="center", va="top")
    right.set(xlim=(-2.2, 2.4), ylim=(-2.45, 2.15))
    right.set_title("The gradient is orthogonal\nto the level set (arrows from $x$)", size=13)
    for ax in (left, right):
        ax.set_aspect("equal")
        ax.set_axis_off()
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
fig = draw_tangent_plane()
save(fig, "tangent_plane.png")
# Output:
# figure: ...tangent_plane.png

# %% [markdown]
# ## Figure 3.2: directions and level sets
#
# On the left are the four directions of "The rate along a direction", each with its rate. They are
# drawn from 0 to the circle of all vectors of length 1. On the right the arrows start at x, and the
# circles are level sets of f. Against the gradient f falls, along the gradient f rises, and the
# direction orthogonal to the gradient is a tangent vector of the level set.

# %%
fig = draw_steepest_descent()
save(fig, "steepest_descent_unit_circle.png")
# Output:
# figure: ...steepest_descent_unit_circle.png

# %% [markdown]
# ## Try it
#
# 1. In "The tangent plane and its normal", change the point to [0.0, 0.0, 0.0], where f has its
#    minimum. Predict first: what is the normal, and how does the tangent plane lie?
# 2. In "Level sets", change the second point to (0.0, 2.5), the top of the ellipse. Predict first:
#    where do the gradient and the tangent point?
# 3. In "Random directions in 1000 dimensions", try 1,000 directions instead of 10,000 (the line of
#    v). Predict first: for d = 1000, is the best of them ten times worse?
