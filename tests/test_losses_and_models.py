"""losses_and_models.py: its class is the network of its text, and Figure 3.3 shows each number."""

import numpy as np
import pytest
import torch
from conftest import defined, draw
from matplotlib.text import Annotation
from torch import nn


def test_class_is_the_same_network_as_the_sequential_one():
    X = torch.randn(8, 5)
    torch.manual_seed(0)
    sequential = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
    torch.manual_seed(0)
    network = defined("losses_and_models").Network(d=5, h=16)
    assert network(X).shape == (8,)
    torch.testing.assert_close(network(X), sequential(X).squeeze(1))


@pytest.fixture(scope="module")
def network():
    return draw("losses_and_models", "two_layer_network.png")


# Figure 3.3. What a linear layer of i inputs and o outputs holds: a weight (o, i), a bias (o,).

DATA = [(8, 5), (8, 16), (8, 16), (8, 1)]
PARAMETERS = [[(16, 5), (16, 1)], [], [(1, 16), (1, 1)]]
WRITTEN = [
    "weight (16, 5)\nbias (16,)\n96 parameters",
    "0 parameters",
    "weight (1, 16)\nbias (1,)\n17 parameters",
]


def grids(ax) -> list[tuple[float, float, tuple[int, int]]]:
    """Each grid of cells from the left: where it begins and ends, rows and columns."""
    found = []
    for mesh in ax.collections:
        corners = mesh.get_coordinates()
        np.testing.assert_allclose(np.diff(corners[..., 0], axis=1), 1)  # cells of one size
        np.testing.assert_allclose(np.diff(corners[..., 1], axis=0), 1)
        rows, columns, _ = corners.shape
        found.append((corners[..., 0].min(), corners[..., 0].max(), (rows - 1, columns - 1)))
    return sorted(found)


def boxes(ax) -> list[tuple[float, float]]:
    """Where each layer's box begins and ends, from the left."""
    return sorted((patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches)


def split(ax) -> tuple[list, list[list]]:
    """The grids outside the boxes, and those inside each box."""
    inside = [[g for g in grids(ax) if left < g[0] and g[1] < right] for left, right in boxes(ax)]
    outside = [g for g in grids(ax) if g not in sum(inside, [])]
    return outside, inside


def test_network_has_a_cell_for_each_number(network):
    (ax,) = network.axes
    outside, inside = split(ax)
    assert ax.get_aspect() == 1
    assert [shape for *_, shape in outside] == DATA
    assert [[shape for *_, shape in box] for box in inside] == PARAMETERS


def test_network_counts_its_parameters(network):
    (ax,) = network.axes
    counts = [sum(rows * columns for *_, (rows, columns) in box) for box in split(ax)[1]]
    assert counts == [5 * 16 + 16, 0, 16 * 1 + 1]
    assert f"keeps {sum(counts)} numbers" in network.get_suptitle()
    texts = {text.get_text(): text.get_position()[0] for text in ax.texts}
    assert [texts[text] for text in WRITTEN] == [(left + right) / 2 for left, right in boxes(ax)]
    assert [int(text.split()[-2]) for text in WRITTEN] == counts


def test_network_data_carry_their_shapes(network):
    (ax,) = network.axes
    labels = sorted(
        (text.get_position()[0], text.get_text().splitlines()[-1])
        for text in ax.texts
        if text.get_position()[1] == 5  # just above the data
    )
    assert [label for _, label in labels] == [str(shape) for shape in DATA]
    assert [x for x, _ in labels] == [(left + right) / 2 for left, right, _ in split(ax)[0]]
    assert "squeeze(1)\n(8,)" in [text.get_text() for text in ax.texts]


def test_network_arrows_lead_from_each_thing_to_the_next(network):
    (ax,) = network.axes
    things = sorted([(left, right) for left, right, _ in split(ax)[0]] + boxes(ax))
    arrows = sorted(
        (text.xyann[0], text.xy[0]) for text in ax.texts if isinstance(text, Annotation)
    )
    gaps = [(a[1], b[0]) for a, b in zip(things, things[1:])]
    assert len(arrows) == len(gaps) == 6
    for (start, end), (left, right) in zip(arrows, gaps):
        assert left <= start < end <= right
