"""gradient_geometry.py: its two figures show the right angle and the dot products to scale."""

import math

import numpy as np
import pytest
from conftest import draw
from matplotlib.text import Annotation
from mpl_toolkits.mplot3d import proj3d


def test_tangent_plane_is_drawn_with_a_right_angle():
    (axes,) = draw("gradient_geometry", "tangent_plane.png").axes
    spans = np.ptp([axes.get_xlim(), axes.get_ylim(), axes.get_zlim()], axis=1)
    scales = spans / axes.get_box_aspect()
    np.testing.assert_allclose(scales, scales[0])  # equal on all axes

    def on_screen(points):
        x, y, _ = proj3d.proj_transform(*np.transpose(points), axes.get_proj())
        return np.diff(axes.transData.transform(np.c_[x, y]), axis=0)[0]

    lines = [np.transpose(line.get_data_3d()) for line in axes.lines]
    (steepest,) = [line for line in lines if len(line) == 2]
    point = np.array([0.8, 0.4, 0.4])
    np.testing.assert_allclose(steepest.mean(axis=0), point)
    (arrow,) = [text for text in axes.texts if isinstance(text, Annotation)]
    a = on_screen(steepest)
    b = np.diff(axes.transData.transform([arrow.xyann, arrow.xy]), axis=0)[0]
    np.testing.assert_allclose(b, on_screen([point, point + [0.8, 0.4, -1.0]]))
    # seen from 12 degrees above, the vertical shrinks to cos 12 degrees of its length
    angle = math.degrees(math.acos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
    assert angle == pytest.approx(90, abs=1.5)


def test_directions_are_drawn_with_their_dot_products():
    (axes,) = draw("gradient_geometry", "steepest_descent_unit_circle.png").axes
    assert axes.get_aspect() == 1
    texts = [text.get_text() for text in axes.texts if text.get_text()]
    arrows = [line.get_xydata() for line in axes.get_lines() if len(line.get_xydata()) == 2]
    assert len(texts) == len(arrows) == 4
    for text, (start, end) in zip(texts, arrows, strict=True):
        assert start.tolist() == [0, 0]
        assert np.linalg.norm(end) == pytest.approx(0.95)
        product = end @ [0.8, 0.4] / 0.95
        assert f"= {product + 0.0:.2f}$" in text.replace("= -0.00", "= 0.00")
