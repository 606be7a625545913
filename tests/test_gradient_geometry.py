"""gradient_geometry.py: its two figures show right angles, level sets and dot products to scale.

For f(x) = ||x||^2 / 2, whose gradient at x is x, at the point x = (1, 0.75).
"""

import math
import re
from statistics import NormalDist

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import ROOT, draw
from matplotlib.colors import same_color
from matplotlib.text import Annotation, Text
from mpl_toolkits.mplot3d import proj3d

ORANGE = "#E69F00"
VERMILION = "#D55E00"
GRADIENT = np.array([1, 0.75])
POINT = np.array([1, 0.75, 0.78125])  # of the graph: the last entry is f(x)
NORMAL = np.array([1, 0.75, -1])


# Figure 3.1, in space.


@pytest.fixture
def space() -> plt.Axes:
    [ax] = draw("gradient_geometry", "tangent_plane.png").axes
    return ax


def on_screen(ax: plt.Axes, points: np.ndarray) -> np.ndarray:
    """Where points in space, shape (n, 3), are drawn: in pixels, shape (n, 2)."""
    x, y, _ = proj3d.proj_transform(points[:, 0], points[:, 1], points[:, 2], ax.get_proj())
    return ax.transData.transform(np.column_stack([x, y]))


def corners_on_screen(ax: plt.Axes, color: str) -> np.ndarray:
    """The corners of the polygon of this color, as it is drawn: in pixels, shape (n, 2)."""
    for polygon in ax.collections:
        if same_color(polygon.get_facecolor()[0, :3], color):
            [path] = polygon.get_paths()
            return ax.transData.transform(path.vertices)
    raise AssertionError(f"nothing is filled in {color}")


def points_of(line) -> np.ndarray:
    """The points of a line in space, shape (n, 3)."""
    return np.column_stack(line.get_data_3d())


def test_space_has_one_scale_on_all_axes(space):
    """Otherwise a right angle would not look like one."""
    spans = [np.ptp(space.get_xlim()), np.ptp(space.get_ylim()), np.ptp(space.get_zlim())]
    scales = spans / space.get_box_aspect()
    np.testing.assert_allclose(scales, scales[0])


def test_tangent_plane_is_a_disc_of_radius_1_around_the_point(space):
    """It is drawn as all combinations a * up + b * level with a^2 + b^2 = 1.

    up and level are directions in the plane, at a right angle: the slope is 1.25 along the
    gradient, of direction (0.8, 0.6), and 0 across it.
    """
    up = np.array([0.8, 0.6, 1.25]) / math.hypot(1, 1.25)
    level = np.array([-0.6, 0.8, 0])
    centre, tip_of_up, tip_of_level = on_screen(space, np.array([POINT, POINT + up, POINT + level]))
    rim = corners_on_screen(space, ORANGE)
    directions = np.column_stack([tip_of_up - centre, tip_of_level - centre])
    a, b = np.linalg.solve(directions, (rim - centre).T)
    np.testing.assert_allclose(a**2 + b**2, 1, atol=1e-6)


def test_point_is_marked(space):
    [marker] = [line for line in space.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points_of(marker), [POINT])


def shaft_of_normal(ax: plt.Axes) -> np.ndarray:
    """The two ends of the arrow's shaft, shape (2, 3)."""
    [shaft] = [line for line in ax.lines if line.get_color() == VERMILION]
    return points_of(shaft)


def test_arrow_is_the_normal_from_the_point(space):
    start, neck = shaft_of_normal(space)
    np.testing.assert_allclose(start, POINT)
    np.testing.assert_allclose(np.cross(neck - start, NORMAL), 0, atol=1e-9)  # parallel
    tip = corners_on_screen(space, VERMILION)[0]
    np.testing.assert_allclose(tip, on_screen(space, np.array([POINT + NORMAL]))[0])


def test_normal_is_at_a_right_angle_to_a_diameter_of_the_disc_in_space_and_as_drawn(space):
    straight = [points_of(line) for line in space.lines if len(points_of(line)) == 2]
    [diameter] = [ends for ends in straight if np.allclose(ends.mean(axis=0), POINT)]
    along_diameter = diameter[1] - diameter[0]
    assert along_diameter @ NORMAL == pytest.approx(0, abs=1e-9)

    left, right = on_screen(space, diameter)
    start, neck = on_screen(space, shaft_of_normal(space))
    cosine = (right - left) @ (neck - start)
    cosine = cosine / np.linalg.norm(right - left) / np.linalg.norm(neck - start)
    assert cosine == pytest.approx(0, abs=1e-9)


# Figure 3.2, in the plane: the directions on the left, the level sets on the right.


@pytest.fixture
def directions_ax() -> plt.Axes:
    left, _ = draw("gradient_geometry", "steepest_descent_unit_circle.png").axes
    return left


@pytest.fixture
def level_sets_ax() -> plt.Axes:
    _, right = draw("gradient_geometry", "steepest_descent_unit_circle.png").axes
    return right


def arrows(ax: plt.Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Start and tip of each arrow: a thick shaft, and a head that begins where the shaft ends."""
    shafts = [line.get_xydata() for line in ax.lines if line.get_linewidth() == 2.5]
    heads = [text for text in ax.texts if isinstance(text, Annotation)]
    found = []
    for shaft, head in zip(shafts, heads, strict=True):
        start, neck = shaft
        assert head.xyann == pytest.approx(neck)
        found.append((start, np.array(head.xy)))
    return found


def labels(ax: plt.Axes) -> list[Text]:
    return [text for text in ax.texts if not isinstance(text, Annotation)]


def test_plane_has_one_scale_on_both_axes(directions_ax, level_sets_ax):
    assert directions_ax.get_aspect() == 1
    assert level_sets_ax.get_aspect() == 1


def test_directions_lead_from_the_centre_to_the_unit_circle(directions_ax):
    [circle] = directions_ax.patches
    assert circle.center == (0, 0)
    assert circle.radius == 1
    for start, tip in arrows(directions_ax):
        assert start.tolist() == [0, 0]
        assert np.linalg.norm(tip) == pytest.approx(1)


def test_each_direction_stands_beside_its_coordinates_and_its_dot_product(directions_ax):
    both = zip(arrows(directions_ax), labels(directions_ax), strict=True)
    for (_, direction), label in both:
        assert label.get_position() == pytest.approx(direction, abs=0.1)
        numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", label.get_text())]
        assert numbers[:2] == pytest.approx(direction, abs=1e-6)
        assert numbers[2:] == pytest.approx([direction @ GRADIENT], abs=1e-6)
        assert "-0.00" not in label.get_text()


def test_directions_are_along_against_and_across_the_gradient_and_one_between(directions_ax):
    rates = [tip @ GRADIENT for _, tip in arrows(directions_ax)]
    assert rates == pytest.approx([1.25, -1.25, 0, 0.75], abs=1e-6)


def test_circles_are_the_level_sets_of_the_values_under_them(level_sets_ax):
    """f is radius^2 / 2 on a circle."""
    values = [text for text in labels(level_sets_ax) if text.get_text().startswith("$f = ")]
    assert len(values) == 3
    for circle, value in zip(level_sets_ax.patches, values, strict=True):
        assert circle.center == (0, 0)
        assert value.get_text() == f"$f = {circle.radius**2 / 2:.7g}$"
        assert value.get_position() == pytest.approx((0, -circle.radius), abs=0.1)


def test_arrows_begin_at_a_point_of_a_level_set(level_sets_ax):
    radii = [circle.radius for circle in level_sets_ax.patches]
    assert np.linalg.norm(GRADIENT) in radii
    for start, _ in arrows(level_sets_ax):
        assert start.tolist() == GRADIENT.tolist()  # x, which is its own gradient


def test_gradient_is_drawn_at_a_right_angle_to_the_level_set(level_sets_ax):
    along, against, tangent = [tip - start for start, tip in arrows(level_sets_ax)]
    assert along / np.linalg.norm(along) == pytest.approx(GRADIENT / 1.25)
    assert against == pytest.approx(-along)
    assert along @ tangent == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(tangent) == pytest.approx(np.linalg.norm(along))


@pytest.mark.parametrize(
    ("n", "page", "said"),
    [(10_000, "script/gradient_geometry.py", "3.85"), (1_000, "tests/ANSWERS.md", "3.24")],
)
def test_smallest_of_many_normal_numbers_lies_where_the_text_says(n, page, said):
    """The mean, by the density: n times that of one number, if all others lie above it."""
    normal = NormalDist()
    mean = 0.0
    step = 0.001
    for x in np.arange(-8, 0, step):
        mean += x * n * normal.pdf(x) * (1 - normal.cdf(x)) ** (n - 1) * step
    assert f"{-mean:.2f}" == said
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    assert f"{said} standard deviations below the mean" in text
