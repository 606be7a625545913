"""The geometry of the gradient: the tangent plane and its normal, steepest descent, level sets.

    python script/gradient_geometry.py
    python script/gradient_geometry.py --point 0.3 -0.9

Checks each statement at a point of the paraboloid f(x) = ||x||^2 / 2 and draws
figures/tangent_plane.png and figures/steepest_descent_unit_circle.png
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from mpl_toolkits.mplot3d import proj3d

FIGURES = Path(__file__).resolve().parent.parent / "figures"
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"  # Okabe-Ito
VERMILION, PURPLE = "#D55E00", "#CC79A7"


def paraboloid(x: torch.Tensor) -> torch.Tensor:
    """f(x) = ||x||^2 / 2, of x with shape (..., d), over the last dimension."""
    return 0.5 * (x * x).sum(dim=-1)


def ellipse(x: torch.Tensor) -> torch.Tensor:
    """(x_1^2 + 4 x_2^2) / 2, of x with shape (2,): its level sets are ellipses."""
    return 0.5 * (x[0] ** 2 + 4 * x[1] ** 2)


def gradient(f: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The gradient of f at x, shape (d,), by autograd."""
    x = x.detach().clone().requires_grad_()
    f(x).backward()
    return x.grad


def tangent_plane(x0: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Height over x, shape (..., 2), of the plane that touches the paraboloid over x0, shape (2,).

    f(x0) + grad f(x0).(x - x0), the first-order Taylor polynomial.
    """
    return paraboloid(x0) + (x - x0) @ gradient(paraboloid, x0)


def normal(x0: torch.Tensor) -> torch.Tensor:
    """(grad f, -1), shape (3,): at a right angle to the tangent plane of the paraboloid at x0."""
    return torch.cat([gradient(paraboloid, x0), -torch.ones(1, dtype=x0.dtype)])


def unit_circle(n: int) -> torch.Tensor:
    """n unit vectors at equal angles, shape (n, 2), float64."""
    angle = torch.arange(n, dtype=torch.float64) * (2 * math.pi / n)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def scan_directions(g: torch.Tensor, n: int) -> tuple[torch.Tensor, float]:
    """The unit vector delta, of n around the circle, with the least g.delta, and that value."""
    directions = unit_circle(n)
    products = directions @ g
    best = products.argmin()
    return directions[best], products[best].item()


def least_random_product(g: torch.Tensor, n: int) -> float:
    """The least g.delta over n random unit vectors delta, for g of shape (d,)."""
    directions = torch.randn(n, len(g), dtype=g.dtype)
    return ((directions @ g) / directions.norm(dim=1)).min().item()


def level_set_cosine(n: int) -> float:
    """The largest |cosine| between gradient and tangent at n points of a level set of ellipse.

    The level set of value 1/2 is (cos a, sin(a) / 2), its tangent there (-sin a, cos(a) / 2).
    """
    largest = 0.0
    for cos, sin in unit_circle(n):
        g = gradient(ellipse, torch.stack([cos, sin / 2]))
        tangent = torch.stack([-sin, cos / 2])
        largest = max(largest, abs((g @ tangent) / (g.norm() * tangent.norm())).item())
    return largest


def draw_tangent_plane(x0: torch.Tensor, outpath: Path) -> None:
    """Draw the paraboloid, its tangent plane over x0 and the normal there, with equal scales.

    The view is across the gradient, so that the right angle is seen as one.
    """
    g, n = gradient(paraboloid, x0), normal(x0)
    uphill = g / g.norm()
    fig = plt.figure(figsize=(8, 4))
    ax = fig.add_axes(
        (0, -0.43, 1, 1.85), projection="3d", proj_type="ortho", computed_zorder=False
    )

    radius, angle = np.meshgrid(np.linspace(0, 1.7, 60), np.linspace(0, 2 * np.pi, 91))
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    height = paraboloid(torch.from_numpy(x)).numpy()
    x1, x2 = np.moveaxis(x, -1, 0)
    ax.plot_surface(x1, x2, height, color=BLUE, alpha=0.25, linewidth=0, rstride=1, cstride=1)

    point = torch.cat([x0, paraboloid(x0)[None]])
    steepest = torch.cat([uphill, g.norm()[None]])  # up the plane, and across it
    steepest /= steepest.norm()
    level = torch.stack([-uphill[1], uphill[0], torch.zeros_like(g[0])])
    corners = [point + a * steepest + b * level for a, b in [(-1, -1), (-1, 1), (1, 1), (1, -1)]]
    ax.plot_trisurf(
        *torch.stack(corners).T.numpy(),
        triangles=[[0, 1, 2], [0, 2, 3]],
        color=ORANGE,
        alpha=0.6,
        shade=False,
        zorder=0,  # it lies below the paraboloid
    )
    ax.plot(*torch.stack([point - steepest, point + steepest]).T, color=ORANGE, linewidth=2)
    ax.plot(*point[:, None], "o", color="black", markersize=6)
    side = 0.12
    a, b = side * steepest, side * n / n.norm()
    ax.plot(*torch.stack([point + a, point + a + b, point + b]).T, color="black", linewidth=1.2)

    ax.set_aspect("equal")
    ax.view_init(elev=12, azim=math.degrees(math.atan2(g[1], g[0])) - 90)
    ax.set_axis_off()
    x, y, _ = proj3d.proj_transform(*torch.stack([point, point + n]).T.numpy(), ax.get_proj())
    arrow = {"arrowstyle": "-|>", "color": VERMILION, "linewidth": 2.5, "mutation_scale": 20}
    start, tip = zip(x, y)
    ax.annotate("", tip, start, arrowprops={**arrow, "shrinkA": 0, "shrinkB": 0}, zorder=1.5)
    ax.text(*(point + 1.06 * n), r"normal $(\nabla f, -1)$", color=VERMILION, va="top", ha="center")
    ax.text(*(point + 1.06 * steepest), "tangent plane", color="#8A5F00", ha="left", va="center")
    rim = torch.cat([-1.7 * uphill, torch.tensor([1.7**2 / 2]).to(x0)])
    ax.text(*rim, r"$f(x) = \|x\|^2 / 2$  ", color=BLUE, ha="right", va="center")
    ax.text(*(point - 0.1 * n), "$(x, f(x))$ ", ha="right", va="bottom")
    fig.suptitle(r"The normal $(\nabla f, -1)$ stands at a right angle to the tangent plane")
    outpath.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(outpath, dpi=200)
    plt.close(fig)


def draw_directions(g: torch.Tensor, outpath: Path) -> None:
    """Draw unit directions delta around the circle, each with its dot product with g."""
    uphill = g / g.norm()
    sideways = torch.stack([-uphill[1], uphill[0]])
    between = math.cos(math.pi / 3) * uphill - math.sin(math.pi / 3) * sideways
    directions = {
        "along the gradient": (uphill, ORANGE, "-"),
        "against it: steepest descent": (-uphill, BLUE, "-"),
        "orthogonal": (sideways, GREEN, "--"),
        "positively correlated": (between, PURPLE, "-."),
    }
    fig, ax = plt.subplots(figsize=(8, 5), layout="constrained")
    ax.add_patch(plt.Circle((0, 0), 1, fill=False, color="0.75", zorder=0))
    for name, (delta, color, linestyle) in directions.items():
        x, y = delta.tolist()
        ax.plot([0, 0.95 * x], [0, 0.95 * y], color=color, linestyle=linestyle, linewidth=2.5)
        head = {"arrowstyle": "-|>", "color": color, "shrinkB": 0, "mutation_scale": 20}
        ax.annotate("", xy=(x, y), xytext=(0.9 * x, 0.9 * y), arrowprops=head)
        product = (g @ delta).item()
        ax.text(
            1.08 * x,
            1.08 * y,
            f"{name}\n$\\nabla f \\cdot \\delta = {product + 0.0:.2f}$",
            color=color if color != ORANGE else "#8A5F00",
            ha="center" if abs(x) < 0.3 else "left" if x > 0 else "right",
            va="center" if abs(y) < 0.3 else "bottom" if y > 0 else "top",
        )
    ax.plot(0, 0, "o", color="black", markersize=5)
    ax.set_aspect("equal")
    ax.set_xlim(-2.5, 2.5)
    ax.set_ylim(-1.4, 1.4)
    ax.set_xlabel(r"$\delta_1$")
    ax.set_ylabel(r"$\delta_2$")
    ax.grid(alpha=0.3)
    least = -g.norm().item()
    ax.set_title(
        rf"Of all unit directions $-\nabla f/\|\nabla f\|$ descends fastest: "
        rf"$\nabla f \cdot \delta = -\|\nabla f\| = {least:.2f}$"
    )
    outpath.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(outpath, dpi=200)
    plt.close(fig)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="The tangent plane, steepest descent and level sets of ||x||^2 / 2.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--point",
        type=float,
        nargs=2,
        default=(0.8, 0.4),
        metavar=("X1", "X2"),
        help="the point x, at a distance of 0.6 to 1.3 from 0",
    )
    args = parser.parse_args(argv)
    x0 = torch.tensor(args.point, dtype=torch.float64)
    if not 0.6 <= x0.norm().item() <= 1.3:
        parser.error(f"argument --point: must be 0.6 to 1.3 away from 0, got {args.point}")

    g, n = gradient(paraboloid, x0), normal(x0)
    print(f"x = {x0.tolist()}, grad = {g.tolist()}, ||grad|| = {g.norm().item():.6f}")
    delta = unit_circle(12)
    rise = tangent_plane(x0, x0 + delta) - paraboloid(x0)
    in_plane = torch.cat([delta, rise[:, None]], dim=1)
    gaps = paraboloid(x0 + delta) - tangent_plane(x0, x0 + delta)
    print("\ntangent plane, in 12 directions:")
    print("  touches at x?", torch.equal(tangent_plane(x0, x0), paraboloid(x0)))
    print(f"  lies below f by {gaps.min():.6f} to {gaps.max():.6f} at distance 1")
    print("  orthogonal to the normal?", torch.allclose(in_plane @ n, torch.zeros(12).double()))

    best, least = scan_directions(g, 100_000)
    print("\nscan of 100000 unit directions delta:")
    print(f"  argmin of grad.delta = ({best[0].item():.4f}, {best[1].item():.4f})")
    opposite = (0.0 - g / g.norm()).tolist()
    print(f"  -grad/||grad||       = ({opposite[0]:.4f}, {opposite[1]:.4f})")
    print(f"  least grad.delta = {least:.6f}, -||grad|| = {-g.norm().item():.6f} (Cauchy-Schwarz)")

    torch.manual_seed(0)
    many = torch.randn(1000, dtype=torch.float64)
    bound = -many.norm().item()
    least = least_random_product(many, 10_000)
    print("\nd = 1000, 10000 random unit directions:")
    print(f"  least grad.delta = {least:.2f}, -||grad|| = {bound:.2f}: none comes near")

    print("\nlevel set (x_1^2 + 4 x_2^2)/2 = 1/2, at 360 of its points:")
    print(
        f"  largest |cosine| of gradient and tangent below 1e-15? {level_set_cosine(360) < 1e-15}"
    )

    draw_tangent_plane(x0, FIGURES / "tangent_plane.png")
    draw_directions(g, FIGURES / "steepest_descent_unit_circle.png")
    print("\nfigure: figures/tangent_plane.png")
    print("figure: figures/steepest_descent_unit_circle.png")


if __name__ == "__main__":
    main()
