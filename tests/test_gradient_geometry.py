"""gradient_geometry.py: its two figures show right angles, level sets and dot products to scale."""

import math
import re

import numpy as np
import pytest
from conftest import draw
from matplotlib.patches import Circle
from matplotlib.text import Annotation
from mpl_toolkits.mplot3d import proj3d

VERMILION = "#D55E00"
X = np.array([1, 0.75])  # the gradient of f at X is X, too
POINT = np.array([1, 0.75, 0.78125])
NORMAL = np.array([1, 0.75, -1])


@pytest.fixture
def space():
    """The axes of Figure 3.1."""
    (axes,) = draw("gradient_geometry", "tangent_plane.png").axes
    return axes


@pytest.fixture
def panels():
    """The axes of Figure 3.2: the directions, and the level sets."""
    return draw("gradient_geometry", "steepest_descent_unit_circle.png").axes


def on_screen(axes, points):
    """Points in space, shape (n, 3), in pixels, shape (n, 2)."""
    x, y, _ = proj3d.proj_transform(*np.transpose(points), axes.get_proj())
    return axes.transData.transform(np.c_[x, y])


def lines(axes):
    """The ends of all straight lines in space."""
    return [np.transpose(line.get_data_3d()) for line in axes.lines if line.get_marker() == "None"]


def arrows(axes):
    """Start and end of each arrow in the plane."""
    shafts = [line.get_xydata() for line in axes.lines if line.get_linewidth() == 2.5]
    heads = [text for text in axes.texts if isinstance(text, Annotation)]
    for shaft, head in zip(shafts, heads, strict=True):
        assert shaft[-1] == pytest.approx(head.xyann)
    return [(shaft[0], np.array(head.xy)) for shaft, head in zip(shafts, heads, strict=True)]


def labels(axes):
    return [text for text in axes.texts if not isinstance(text, Annotation)]


def test_tangent_plane_has_one_scale_on_all_axes(space):
    spans = np.ptp([space.get_xlim(), space.get_ylim(), space.get_zlim()], axis=1)
    scales = spans / space.get_box_aspect()
    np.testing.assert_allclose(scales, scales[0])


def test_tangent_plane_is_a_disc_around_the_point_at_which_it_touches(space):
    _, disc, _ = space.collections
    np.testing.assert_allclose(disc.get_facecolor()[0, :3], np.array([0xE6, 0x9F, 0]) / 255)
    # two directions in the plane, of length 1 and at a right angle: up the slope, and level
    up = np.array([0.8, 0.6, 1.25]) / math.hypot(1, 1.25)
    level = np.array([-0.6, 0.8, 0])
    centre, up, level = on_screen(space, [POINT, POINT + up, POINT + level])
    (path,) = disc.get_paths()
    rim = space.transData.transform(path.vertices)
    steps = np.linalg.solve(np.transpose([up - centre, level - centre]), (rim - centre).T)
    np.testing.assert_allclose(np.linalg.norm(steps, axis=0), 1, atol=1e-6)
    (marker,) = [line for line in space.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(np.ravel(marker.get_data_3d()), POINT)


def test_normal_is_drawn_at_a_right_angle_to_the_tangent_plane(space):
    (shaft,) = [line for line in space.lines if line.get_color() == VERMILION]
    start, neck = np.transpose(shaft.get_data_3d())
    np.testing.assert_allclose(start, POINT)
    np.testing.assert_allclose(np.cross(neck - start, NORMAL), 0, atol=1e-9)
    _, _, head = space.collections
    (path,) = head.get_paths()
    tip = on_screen(space, [POINT + NORMAL])
    np.testing.assert_allclose(space.transData.transform(path.vertices[:1]), tip)

    (diameter,) = [ends for ends in lines(space) if np.allclose(ends.mean(axis=0), POINT)]
    assert (diameter[1] - diameter[0]) @ NORMAL == pytest.approx(0, abs=1e-9)  # in space,
    (a,) = np.diff(on_screen(space, diameter), axis=0)
    (b,) = np.diff(on_screen(space, [start, neck]), axis=0)
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) == pytest.approx(0, abs=1e-9)  # as drawn


def test_each_direction_stands_beside_its_dot_product(panels):
    axes, _ = panels
    assert axes.get_aspect() == 1
    (circle,) = [patch for patch in axes.patches if isinstance(patch, Circle)]
    assert (circle.center, circle.radius) == ((0, 0), 1)
    products = []
    for (start, end), label in zip(arrows(axes), labels(axes), strict=True):
        assert start.tolist() == [0, 0]
        assert np.linalg.norm(end) == pytest.approx(1)
        assert label.get_position() == pytest.approx(end, abs=0.1)
        numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", label.get_text())]
        assert numbers == pytest.approx([*end, end @ X], abs=1e-6)
        assert "-0.00" not in label.get_text()
        products.append(numbers[-1])
    assert products == [1.25, -1.25, 0, 0.75]


def test_gradient_is_drawn_at_a_right_angle_to_the_level_set(panels):
    _, axes = panels
    assert axes.get_aspect() == 1
    radii = [patch.radius for patch in axes.patches if isinstance(patch, Circle)]
    values = [float(text.get_text()[5:-1]) for text in labels(axes) if " = " in text.get_text()]
    assert [radius**2 / 2 for radius in radii] == pytest.approx(values)
    assert np.linalg.norm(X) in radii
    along, against, tangent = [end - start for start, end in arrows(axes)]
    assert all(start.tolist() == X.tolist() for start, _ in arrows(axes))
    assert along / np.linalg.norm(along) == pytest.approx(X / 1.25)
    assert against == pytest.approx(-along)
    assert along @ tangent == pytest.approx(0, abs=1e-6)
