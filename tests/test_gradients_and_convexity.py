"""gradients_and_convexity.py: what its figure shows is what the theorems say."""

import numpy as np
import pytest
from conftest import defined

convexity = defined("gradients_and_convexity")


@pytest.fixture
def panels():
    """For each panel, the points (w, height) of its lines, shape (n, 2), by their labels."""
    panels = []
    for ax in convexity.draw_convexity().axes:
        points = {}
        for line in ax.get_lines():
            points[line.get_label()] = line.get_xydata()
        panels.append(points)
    return panels


def height_of_graph(panel: dict, w: float) -> float:
    graph = panel["graph"]
    return np.interp(w, graph[:, 0], graph[:, 1])


def heights_above_graph(panel: dict, label: str) -> list[float]:
    """How far 99 points between the ends of a straight line lie above the graph."""
    first = panel[label][0]
    last = panel[label][-1]
    heights = []
    for t in np.linspace(0.01, 0.99, 99):
        w, height = (1 - t) * first + t * last
        heights.append(height - height_of_graph(panel, w))
    return heights


def test_ends_of_chords_and_middles_of_tangents_are_on_the_graph(panels):
    bowl, double_well, _ = panels
    for panel in (bowl, double_well):
        for w, height in panel["chord"]:
            assert height_of_graph(panel, w) == pytest.approx(height, abs=1e-3)
    for panel in panels:
        w, height = panel["tangent"][1]
        assert height_of_graph(panel, w) == pytest.approx(height, abs=1e-3)


def test_chord_of_the_bowl_is_above_and_that_of_the_double_well_below(panels):
    bowl, double_well, _ = panels
    assert min(heights_above_graph(bowl, "chord")) > 0
    assert max(heights_above_graph(double_well, "chord")) < 0


def test_tangent_of_the_bowl_is_below_and_that_of_the_double_well_above(panels):
    """At the middle they touch, where the graph between two of its points is off by 1e-4."""
    bowl, double_well, _ = panels
    assert max(heights_above_graph(bowl, "tangent")) < 1e-4
    assert min(heights_above_graph(double_well, "tangent")) > -1e-4


def test_slope_and_gap_of_the_plateau_are_those_of_the_text(panels):
    _, _, plateau = panels
    left, _, right = plateau["tangent"]
    slope = (right[1] - left[1]) / (right[0] - left[0])
    assert slope == pytest.approx(2 * 4 / (1 + 4**2) ** 2)  # of w^2 / (1 + w^2) at 4
    assert f"{slope:.3f}" == "0.028"
    [gap] = [text for text in convexity.draw_convexity().axes[2].texts if text.get_text()]
    assert gap.get_text() == f"gap {16 / 17:.2f}"
