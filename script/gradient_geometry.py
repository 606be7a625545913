# %% [markdown]
# # The geometry of the gradient
# At one point of f(x) = ||x||^2 / 2 the gradient tilts the tangent plane, and its opposite descends
# fastest. In 1000 dimensions no random direction does better. And the gradient stands at a right
# angle to the level set.

# %%
import math
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from mpl_toolkits.mplot3d import proj3d

X0 = torch.tensor([0.8, 0.4], dtype=torch.float64)  # the point
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"  # Okabe-Ito
VERMILION, PURPLE, DARK_ORANGE = "#D55E00", "#A3477C", "#8A5F00"
plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"

def f(x: torch.Tensor) -> torch.Tensor:
    """||x||^2 / 2 of x, shape (..., d), over the last dimension."""
    return 0.5 * (x * x).sum(dim=-1)

def gradient(f: Callable, x: torch.Tensor) -> torch.Tensor:
    """The gradient of f at each point of x, shape (..., d), by autograd."""
    x = x.detach().clone().requires_grad_()
    f(x).sum().backward()
    return x.grad

def unit_circle(n: int) -> torch.Tensor:
    """n unit vectors at equal angles, shape (n, 2), float64."""
    angle = torch.arange(n, dtype=torch.float64) * (2 * math.pi / n)
    return torch.stack([angle.cos(), angle.sin()], dim=1)

def save(fig: plt.Figure, name: str) -> None:
    """Save fig as FIGURES/name and print where it lies."""
    try:
        FIGURES.mkdir(parents=True, exist_ok=True)
        fig.savefig(FIGURES / name, dpi=200)
    except OSError as error:
        sys.exit(f"no figure: {error}")
    print("figure:", (FIGURES / name).as_posix().removeprefix(f"{Path.cwd().as_posix()}/"))

# %% [markdown]
# ## The tangent plane and its normal
# The plane f(x) + grad.delta, the first-order Taylor polynomial, touches f at x and lies below it
# by ||delta||^2 / 2 elsewhere. Its directions are (delta, grad.delta): all of them are at a right
# angle to the normal (grad, -1), since grad.delta - grad.delta = 0.

# %%
g = gradient(f, X0)
print(f"x = {X0.tolist()}, grad = {g.tolist()}, ||grad|| = {g.norm().item():.6f}")
delta = unit_circle(12)  # steps in 12 directions
for length in (0, 1, 2):
    gap = f(X0 + length * delta) - (f(X0) + length * delta @ g)
    print(f"lies below f by {gap.min():.6f} to {gap.max():.6f} at distance {length}")
in_plane, normal = torch.cat([delta, (delta @ g)[:, None]], dim=1), torch.tensor([*g, -1])
print("orthogonal to the normal?", (in_plane @ normal).abs().max().item() < 1e-14)
# Output:
# x = [0.8, 0.4], grad = [0.8, 0.4], ||grad|| = 0.894427
# lies below f by 0.000000 to 0.000000 at distance 0
# lies below f by 0.500000 to 0.500000 at distance 1
# lies below f by 2.000000 to 2.000000 at distance 2
# orthogonal to the normal? True

# %% [markdown]
# ## Figure 3.1: the tangent plane
# All axes have one scale, and the view is across the gradient: the right angle is seen as one.

# %%
g, point = gradient(f, X0).numpy(), np.array([*X0, f(X0)])
slope, normal = np.linalg.norm(g), np.array([*g, -1])
uphill = np.array([*g / slope, slope]) / math.hypot(1, slope)  # in the plane, both of length 1
level = np.array([-g[1], g[0], 0]) / slope
fig = plt.figure(figsize=(8, 4))
rect = (0, -0.43, 1, 1.85)
ax = fig.add_axes(rect, projection="3d", proj_type="ortho", computed_zorder=False)
r, angle = np.meshgrid(np.linspace(0, 1.7, 60), np.linspace(0, 2 * np.pi, 91))
x1, x2 = r * np.cos(angle), r * np.sin(angle)
ax.plot_surface(x1, x2, r**2 / 2, color=BLUE, alpha=0.25, linewidth=0, rstride=1, cstride=1)
a, b = np.meshgrid([-1, 1], [-1, 1])
plane = point + a[..., None] * uphill + b[..., None] * level
ax.plot_surface(*np.moveaxis(plane, -1, 0), color=ORANGE, alpha=0.6, shade=False, zorder=0)
ax.plot(*np.transpose([point - uphill, point + uphill]), color=ORANGE, linewidth=2)
ax.plot(*point[:, None], "o", color="black", markersize=6)
a, b = 0.12 * uphill, 0.12 * normal / np.linalg.norm(normal)
ax.plot(*np.transpose([point + a, point + a + b, point + b]), color="black", linewidth=1.2)
ax.set_aspect("equal")
ax.view_init(elev=12, azim=math.degrees(math.atan2(g[1], g[0])) - 90)
ax.set_axis_off()
x, y, _ = proj3d.proj_transform(*np.transpose([point, point + normal]), ax.get_proj())
arrow = {"color": VERMILION, "linewidth": 2.5, "arrowstyle": "-|>", "mutation_scale": 20}
arrow |= {"shrinkA": 0, "shrinkB": 0}  # from the point itself to its very tip
ax.annotate("", (x[1], y[1]), (x[0], y[0]), arrowprops=arrow, zorder=1.5)
at_tip, at_end, at_point = point + 1.06 * normal, point + 1.06 * uphill, point - 0.1 * normal
rim = [*-1.7 * g / slope, 1.7**2 / 2]
ax.text(*at_tip, r"normal $(\nabla f, -1)$", color=VERMILION, va="top", ha="center")
ax.text(*at_end, "tangent plane", color=DARK_ORANGE, ha="left", va="center")
ax.text(*rim, r"$f(x) = \|x\|^2 / 2$  ", color=BLUE, ha="right", va="center")
ax.text(*at_point, "$(x, f(x))$ ", ha="right", va="bottom")
fig.suptitle(r"The normal $(\nabla f, -1)$ stands at a right angle to the tangent plane")
save(fig, "tangent_plane.png")
# Output:
# figure: ...tangent_plane.png

# %% [markdown]
# ## Steepest descent
# Of all unit directions delta, -grad/||grad|| has the least grad.delta, which is -||grad||: so says
# Cauchy-Schwarz, and so does a scan around the circle.

# %%
g, directions = gradient(f, X0), unit_circle(100_000)
products = directions @ g
best = directions[products.argmin()]
print(f"scan of {len(directions)} unit directions delta:")
print(f"  argmin of grad.delta = ({best[0]:.4f}, {best[1]:.4f})")
print("  -grad/||grad||       = ({:.4f}, {:.4f})".format(*-g / g.norm()))
print(f"  least grad.delta = {products.min():.6f}, -||grad|| = {-g.norm():.6f}")
# Output:
# scan of 100000 unit directions delta:
#   argmin of grad.delta = (-0.8944, -0.4472)
#   -grad/||grad||       = (-0.8944, -0.4472)
#   least grad.delta = -0.894427, -||grad|| = -0.894427

# %% [markdown]
# ## Figure 3.2: directions and their dot products
# Against the gradient f falls fastest, along it f rises fastest, across it f stays, to first order.

# %%
g = gradient(f, X0).numpy()
slope = np.linalg.norm(g)
uphill, sideways = g / slope, np.array([-g[1], g[0]]) / slope
between = math.cos(math.pi / 3) * uphill - math.sin(math.pi / 3) * sideways
fig, ax = plt.subplots(figsize=(8, 5), layout="constrained")
ax.add_patch(plt.Circle((0, 0), 1, fill=False, color="0.75", zorder=0))
for name, (x, y), color, linestyle in [
    ("along the gradient", uphill, ORANGE, "-"),
    ("against it: steepest descent", -uphill, BLUE, "-"),
    ("orthogonal", sideways, GREEN, "--"),
    ("positively correlated", between, PURPLE, "-."),
]:
    ax.plot([0, 0.95 * x], [0, 0.95 * y], color=color, linestyle=linestyle, linewidth=2.5)
    head = {"arrowstyle": "-|>", "color": color, "shrinkB": 0, "mutation_scale": 20}
    ax.annotate("", xy=(x, y), xytext=(0.9 * x, 0.9 * y), arrowprops=head)
    label = f"{name}\n$\\nabla f \\cdot \\delta = {g @ (x, y) + 0.0:.2f}$"
    ha = "center" if abs(x) < 0.3 else "left" if x > 0 else "right"
    va = "center" if abs(y) < 0.3 else "bottom" if y > 0 else "top"
    color = DARK_ORANGE if color == ORANGE else color
    ax.text(1.08 * x, 1.08 * y, label, color=color, ha=ha, va=va)
ax.plot(0, 0, "o", color="black", markersize=5)
ax.set(xlim=(-2.5, 2.5), ylim=(-1.4, 1.4), xlabel=r"$\delta_1$", ylabel=r"$\delta_2$", aspect=1)
ax.grid(alpha=0.3)
finding = r"Of all unit directions $-\nabla f/\|\nabla f\|$ descends fastest"
ax.set_title(rf"{finding}: $\nabla f \cdot \delta = -\|\nabla f\| = {-slope:.2f}$")
save(fig, "steepest_descent_unit_circle.png")
# Output:
# figure: ...steepest_descent_unit_circle.png

# %% [markdown]
# ## In 1000 dimensions no random direction comes near
# The gradient of f at x = g is g. The best of 10,000 random directions descends about a ninth as
# fast as -g.

# %%
torch.manual_seed(0)
g = torch.randn(1000, dtype=torch.float64)
directions = torch.randn(10_000, 1000, dtype=torch.float64)
products = (directions @ g) / directions.norm(dim=1)
print(f"d = 1000, {len(directions)} random unit directions delta:")
print(f"  least grad.delta = {products.min():.2f}, -||grad|| = {-g.norm():.2f}")
# Output:
# d = 1000, 10000 random unit directions delta:
#   least grad.delta = -3.62, -||grad|| = -31.44

# %% [markdown]
# ## Level sets
# Along a level set f does not change, so its tangent is orthogonal to the gradient. Here the level
# set is an ellipse, (x_1^2 + 4 x_2^2)/2 = 1/2: its points are (cos a, sin(a)/2).

# %%
cos, sin = unit_circle(360).T
x, tangent = torch.stack([cos, sin / 2], dim=1), torch.stack([-sin, cos / 2], dim=1)
g = gradient(lambda x: 0.5 * (x[:, 0] ** 2 + 4 * x[:, 1] ** 2), x)
largest = torch.cosine_similarity(g, tangent).abs().max().item()
print(f"largest |cosine| of gradient and tangent at {len(x)} points below 1e-15?", largest < 1e-15)
# Output:
# largest |cosine| of gradient and tangent at 360 points below 1e-15? True
