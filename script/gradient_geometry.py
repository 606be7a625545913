# %% [markdown]
# # The geometry of the gradient
#
# The gradient of a function f at a point x is the vector of its partial derivatives. Its dot
# product with a direction is the rate at which f changes along this direction. So the gradient
# tells us along which direction f falls fastest, along which directions the rate is zero, and how
# the tangent plane of f is tilted. We first look at two dimensions, where all this can be drawn.
# Then we go to 1000 dimensions, and see why we compute the gradient instead of trying directions
# at random: along the best of 10,000, f falls only an eighth as fast as against the gradient.

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
    """The gradient of function at the vector x, by PyTorch (autograd_tour.py explains how)."""
    x = x.detach().clone()  # a tensor of our own: the caller's x stays as it is
    x.requires_grad_()  # from now on PyTorch records what is computed from x
    function(x).backward()  # goes back through the record and puts the gradient into x.grad
    return x.grad

# %% [markdown]
# ## The rate along a direction
#
# Our example is f(x) = ||x||^2 / 2 = (x_1^2 + x_2^2) / 2. Its partial derivatives are x_1 and x_2,
# so its gradient at x is x itself.
#
# A direction is a vector delta of length 1. We walk from x along delta, a short way t, to the point
# x + t delta. The difference quotient (f(x + t delta) - f(x)) / t is the change of f per unit of
# length. By the chain rule it goes to `grad @ delta`, the dot product of the gradient and the
# direction, as t goes to 0. This limit is the rate of f along delta. For our f we can multiply out.
# Since x is the gradient and ||delta|| = 1,
#
#     f(x + t delta) = ||x||^2 / 2 + t (x @ delta) + t^2 ||delta||^2 / 2
#                    = f(x) + t (grad @ delta) + t^2 / 2
#
# So the difference quotient is grad @ delta + t / 2. The cell takes x = (1, 0.75) and four
# directions. In each row, look how the quotient comes closer to grad @ delta from t = 0.1 to
# t = 0.01. Along the axis of x_2, the rate is the partial derivative with respect to x_2.
# (Figure 3.2, at the end, shows the four directions.)

# %%
x = torch.tensor([1.0, 0.75])
grad = gradient(f, x)
print("grad:", grad)
print("direction              grad @ delta  t = 0.1  t = 0.01")
for name, direction in (
    ("along the gradient", [0.8, 0.6]),
    ("against the gradient", [-0.8, -0.6]),
    ("at a right angle", [0.6, -0.8]),
    ("along the axis of x_2", [0.0, 1.0]),
):
    delta = torch.tensor(direction)
    quotient_1 = (f(x + 0.1 * delta) - f(x)) / 0.1
    quotient_2 = (f(x + 0.01 * delta) - f(x)) / 0.01
    print(f"{name:21}  {grad @ delta:12.3f}  {quotient_1:7.3f}  {quotient_2:8.3f}")
# Output:
# grad: tensor([1.0000, 0.7500])
# direction              grad @ delta  t = 0.1  t = 0.01
# along the gradient            1.250    1.300     1.255
# against the gradient         -1.250   -1.200    -1.245
# at a right angle              0.000    0.050     0.005
# along the axis of x_2         0.750    0.800     0.755

# %% [markdown]
# ## Steepest descent
#
# Along which direction does f fall fastest? We look for the smallest rate grad @ delta. By the
# Cauchy-Schwarz inequality,
#
#     |grad @ delta| <= ||grad|| ||delta|| = ||grad||
#
# so no rate is smaller than -||grad||. If the gradient is not zero, then -grad / ||grad|| is a
# direction, and its rate is -(grad @ grad) / ||grad|| = -||grad||. So f falls fastest along
# -grad / ||grad||, that is, against the gradient.
#
# The cell tries 3,600 directions, one per tenth of a degree. Compare the best of them with
# -grad / ||grad||.

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
# A level set of a function consists of all points at which the function has the same value, as a
# contour line on a map joins all points of the same height. Along a path in the level set the
# function does not change. So by the chain rule grad @ tangent = 0, where the tangent is the
# derivative of the path. In this sense the gradient is at a right angle to the level set, in any
# number of dimensions.
#
# The level sets of f are circles, and its gradient x points along the radius, so the right angle is
# no surprise. We test an ellipse instead, on which h(x) = (x_1^2 + 4 x_2^2) / 2 has the value 12.5.
# The path (5 cos(s), 2.5 sin(s)) runs along it. Its tangent is (-5 sin(s), 2.5 cos(s)), which is
# (-2 x_2, x_1 / 2) at the point x of the path. Look at the gradient: it is no multiple of x, but
# grad @ tangent is 0.

# %%
def h(x: torch.Tensor) -> torch.Tensor:
    """(x_1^2 + 4 x_2^2) / 2 of a vector x = (x_1, x_2)."""
    return (x[0] ** 2 + 4 * x[1] ** 2) / 2

for x_1, x_2 in ((3.0, 2.0), (4.0, 1.5)):
    x = torch.tensor([x_1, x_2])
    tangent = torch.tensor([-2 * x_2, x_1 / 2])
    grad = gradient(h, x)
    print(f"x = {x.tolist()}, h(x) = {h(x)}: grad {grad.tolist()}, tangent {tangent.tolist()}")
    print("  grad @ tangent:", (grad @ tangent).item())
# Output:
# x = [3.0, 2.0], h(x) = 12.5: grad [3.0, 8.0], tangent [-4.0, 1.5]
#   grad @ tangent: 0.0
# x = [4.0, 1.5], h(x) = 12.5: grad [4.0, 6.0], tangent [-3.0, 2.0]
#   grad @ tangent: 0.0

# %% [markdown]
# ## The tangent plane and its normal
#
# The graph of f consists of the points (x_1, x_2, z) with z = f(x). The graph is a level set, too:
# on it the function F(x_1, x_2, z) = f(x) - z has the value 0. So at each point of the graph the
# gradient of F is at a right angle to the graph. Its entries are the two partial derivatives of f,
# and -1. This vector (grad, -1) is called a normal of the graph.
#
# The tangent plane is the plane through the point, at a right angle to the normal. A step that
# changes x by t delta and z by dz stays in the plane if its dot product with the normal,
# t (grad @ delta) - dz, is 0. So above x + t delta the plane has the height
# f(x) + t (grad @ delta), and by the formula of the first section f is higher by t^2 / 2. The plane
# touches the graph where t = 0, and lies below it everywhere else. (Figure 3.1, at the end, shows
# it.) Look at the normal, and at the gap of t^2 / 2.

# %%
def F(point: torch.Tensor) -> torch.Tensor:
    """f(x) - z of a point (x_1, x_2, z)."""
    return f(point[:2]) - point[2]

point = torch.tensor([1.0, 0.75, 0.78125])  # the last entry is f(x)
normal = gradient(F, point)
print("F at the point:", F(point).item())
print("normal:", normal)
x = point[:2]
grad = normal[:2]
delta = torch.tensor([0.0, 1.0])
for t in (0, 1, 2):
    graph = f(x + t * delta).item()
    plane = (f(x) + t * (grad @ delta)).item()
    print(f"t = {t}: graph {graph}, plane {plane}, gap {graph - plane}")
# Output:
# F at the point: 0.0
# normal: tensor([ 1.0000,  0.7500, -1.0000])
# t = 0: graph 0.78125, plane 0.78125, gap 0.0
# t = 1: graph 2.03125, plane 1.53125, gap 0.5
# t = 2: graph 4.28125, plane 2.28125, gap 2.0

# %% [markdown]
# ## Random directions in 1000 dimensions
#
# Could we do without the gradient, and take the best of 10,000 random directions? For each of them
# we compute the rate, divided by ||grad||, so that steepest descent has the value -1. Look at the
# last column of the table: for d = 2 the best comes close to -1, but not for d = 1000. Why?
#
# A random direction is delta = v / ||v||, where the d entries of v are normally distributed. The
# density of v depends on ||v|| alone, so no direction is preferred. (Entries from `torch.rand` lie
# between 0 and 1, and would prefer directions near that of (1, ..., 1).) This stays true when we
# turn the axes, so we turn them until the first axis points along the gradient. There grad is
# (||grad||, 0, ..., 0), and the rate divided by ||grad|| is delta_1.
#
# - The squares of the d entries of delta add up to 1, and no entry is preferred. So the mean of
#   delta_1^2 is 1/d, and the typical size (root mean square) of delta_1 is 1/sqrt(d).
# - For large d, ||v|| is close to sqrt(d), and delta_1 = v_1 / ||v|| is nearly normally
#   distributed. The smallest of 10,000 normally distributed numbers mostly lies about four typical
#   sizes below 0. For d = 1000, four typical sizes are 4 / sqrt(1000) = 0.126.

# %%
torch.manual_seed(0)
print("   d  1/sqrt(d)  typical size  smallest")
for d in (2, 10, 100, 1000):
    x = torch.randn(d)
    grad = gradient(f, x)
    v = torch.randn(10_000, d)
    directions = v / v.norm(dim=1, keepdim=True)  # each row divided by its length
    rates = directions @ grad / grad.norm()  # steepest descent has -1
    typical = rates.square().mean().sqrt()
    print(f"{d:4}  {1 / math.sqrt(d):9.3f}  {typical:12.3f}  {rates.min():8.3f}")
# Output:
#    d  1/sqrt(d)  typical size  smallest
#    2      0.707         0.711    -1.000
#   10      0.316         0.311    -0.882
#  100      0.100         0.100    -0.366
# 1000      0.032         0.032    -0.123

# %% [markdown]
# ## What to take away
#
# - Along a direction delta, f changes at the rate grad @ delta. It falls fastest against the
#   gradient, at the rate -||grad||, and at a right angle to the gradient the rate is 0. A rate
#   describes short steps. gd_nd_torch.py shows how long a step against the gradient may be.
# - The gradient is cheap. One evaluation of our f takes d multiplications and about d additions.
#   Then `backward()` takes 2d multiplications and d additions, because the product rule gives two
#   terms for each x_i * x_i. Counted in these operations, f and its gradient together cost 2.5
#   evaluations of f, whatever d is. To try 10,000 directions costs 10,000 evaluations, and for
#   d = 1000 the best of them reaches only an eighth of the steepest rate.
# - "Steepest" depends on how we measure length. If we change the unit of only one coordinate, then
#   in general another direction becomes the steepest.

# %% [markdown]
# ## The figures
#
# The next cell only draws. It has Figures 3.1 and 3.2 of the lecture, for f at x = (1, 0.75). In
# Figure 3.1 the blue bowl is the graph of f. The orange disc is a piece of the tangent plane, and
# touches the bowl from below at the black dot. The arrow is the normal (grad, -1). All three axes
# have the same scale, because otherwise the right angle would not look like one.

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
    ax.plot(*np.transpose(points), color=color, **style)

def draw_tangent_plane() -> plt.Figure:
    """Figure 3.1: the graph of f, and its tangent plane and normal at x = (1, 0.75)."""
    fig = plt.figure(figsize=(9, 5))
    # larger than the figure, because matplotlib leaves wide margins around axes in space
    ax = fig.add_axes((-0.04, -0.36, 1, 1.6), projection="3d", computed_zorder=False)
    ax.set(xlim=(-2, 2), ylim=(-2, 2), zlim=(-0.5, 2), proj_type="ortho")
    ax.set_box_aspect((4, 4, 2.5))  # as long as the limits: one scale on all three axes
    ax.view_init(elev=15, azim=-18)
    ax.set_axis_off()

    radius, angle = np.meshgrid(np.linspace(0, 2, 41), np.linspace(0, 2 * np.pi, 121))
    x_1 = radius * np.cos(angle)
    x_2 = radius * np.sin(angle)
    ax.plot_surface(x_1, x_2, radius**2 / 2, color=BLUE, alpha=0.3, rstride=1, cstride=1)

    # two directions in the plane: the first one is parallel to the screen, because it is at a right
    # angle to our line of sight, so that its right angle with the normal looks like one
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
    corner = point + 0.15 * unit_normal - 0.15 * first
    draw_line(ax, [point + 0.15 * unit_normal, corner], linewidth=1)
    draw_line(ax, [point - 0.15 * first, corner], linewidth=1)
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
    title = "The tangent plane touches $f$ at $x$, and the normal is orthogonal to it"
    fig.suptitle(title, size=14)
    return fig

def draw_arrow(ax: plt.Axes, start: np.ndarray, end: np.ndarray, color: str, style: str) -> None:
    """An arrow between two points of the plane."""
    neck = end - 0.1 * (end - start)
    draw_line(ax, [start, neck], color, linestyle=style, linewidth=2.5)
    head = {"arrowstyle": "-|>", "color": color, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 20}
    ax.annotate("", xy=end, xytext=neck, arrowprops=head)

def draw_steepest_descent() -> plt.Figure:
    """Figure 3.2: directions with their dot products, and level sets, for f at x = (1, 0.75)."""
    x = np.array([1, 0.75], dtype=np.float32)
    grad = x
    along = grad / np.linalg.norm(grad)
    across = np.array([along[1], -along[0]])
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")

    left.add_patch(plt.Circle((0, 0), 1, fill=False, color="0.7"))
    for delta, name, color, style, ha, va in (
        (along, "along the gradient", VERMILION, "-", "left", "bottom"),
        (-along, "against the gradient", BLUE, "-", "right", "top"),
        (across, "orthogonal to it", GREEN, "--", "left", "top"),
        (np.array([0, 1]), "uphill, but less steep", PURPLE, ":", "center", "bottom"),
    ):
        draw_arrow(left, np.zeros(2), delta, color, style)
        coordinates = rf"$\delta = ({delta[0]:.1f}, {delta[1]:.1f})$"
        product = rf"$\nabla f \cdot \delta = {grad @ delta:.2f}$"
        text = f"{name}\n{coordinates}\n{product}"
        left.text(1.06 * delta[0], 1.06 * delta[1], text, size=12, ha=ha, va=va)
    left.set(xlim=(-2.1, 2.1), ylim=(-1.7, 2))
    left.set_title("Against the gradient $f$ falls fastest", size=14)

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
    right.set(xlim=(-2.6, 2.6), ylim=(-2.4, 2.18))
    right.set_title("The gradient is orthogonal to the level set", size=14)
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
# On the left are the four directions of "The rate along a direction", each with its rate. On the
# right are level sets of f. Against the gradient f falls, along the gradient f rises, and the
# direction at a right angle to the gradient is the tangent of the level set.

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
