"""gradients_and_convexity.py: what its figure shows is what the theorems say."""

import numpy as np
import pytest
from conftest import defined

convexity = defined("gradients_and_convexity")


@pytest.fixture
def panels():
    """The lines of each panel, by their labels."""
    axes = convexity.draw_convexity().axes
    return [{line.get_label(): line.get_xydata() for line in ax.get_lines()} for ax in axes]


def heights_of_graph(panel: dict, w: np.ndarray) -> np.ndarray:
    return np.interp(w, panel["graph"][:, 0], panel["graph"][:, 1])


def test_chord_of_the_bowl_is_above_and_that_of_the_double_well_below(panels):
    bowl, double_well, _ = panels
    for panel, is_above in ((bowl, True), (double_well, False)):
        (u, height_of_u), (v, height_of_v) = panel["chord"]
        assert heights_of_graph(panel, np.array([u, v])) == pytest.approx(
            [height_of_u, height_of_v], abs=1e-3
        )
        t = np.linspace(0.01, 0.99, 99)
        chord = t * height_of_u + (1 - t) * height_of_v
        assert np.all((chord > heights_of_graph(panel, t * u + (1 - t) * v)) == is_above)


def test_tangents_touch_and_lie_where_the_titles_say(panels):
    bowl, double_well, plateau = panels
    for panel in panels:
        _, (at, height), _ = panel["tangent"]
        assert heights_of_graph(panel, at) == pytest.approx(height, abs=1e-3)
    (left, _, right) = bowl["tangent"]
    for w, height in (left, right):
        assert height < heights_of_graph(bowl, w)
    (left, _, right) = double_well["tangent"]
    for w, height in (left, right):
        assert height > heights_of_graph(double_well, w)
    (u, height_of_u), _, (v, height_of_v) = plateau["tangent"]
    slope = (height_of_v - height_of_u) / (v - u)
    assert slope == pytest.approx(2 * 4 / (1 + 4**2) ** 2)  # of w^2 / (1 + w^2) at 4


def test_gap_of_the_plateau_is_the_number_in_the_figure():
    plateau = convexity.draw_convexity().axes[2]
    assert f"gap {16 / 17:.2f}" in [text.get_text() for text in plateau.texts]
