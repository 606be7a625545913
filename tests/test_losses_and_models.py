"""losses_and_models.py: its class is the network of its text, and Figure 3.3 shows each number."""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from conftest import defined, draw
from matplotlib.text import Annotation, Text
from torch import nn

losses_and_models = defined("losses_and_models")


def test_class_is_the_same_network_as_the_sequential_one():
    torch.manual_seed(0)
    sequential = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
    torch.manual_seed(0)  # so both draw the same parameters
    network = losses_and_models.Network(d=5, h=16)
    X = torch.randn(8, 5)
    logits = network(X)
    assert logits.shape == (8,)
    torch.testing.assert_close(logits, sequential(X).squeeze(1))


# Figure 3.3: data flow from left to right through three layers. A linear layer of i inputs and o
# outputs has a weight of shape (o, i) and a bias of shape (o,), which is drawn as a column.


@dataclass(frozen=True)
class Grid:
    """A grid of cells, one for each number of a tensor: where it lies, and how many cells."""

    left: float
    right: float
    shape: tuple[int, int]


@dataclass(frozen=True)
class Box:
    """The frame of a layer: where it lies, and the grids inside, from the left."""

    left: float
    right: float
    grids: list[Grid]


def left_of(thing: Grid | Box) -> float:
    return thing.left


def start_of(arrow: Annotation) -> float:
    x, _ = arrow.xyann
    return x


def middle_of(thing: Grid | Box) -> float:
    return (thing.left + thing.right) / 2


@pytest.fixture(scope="module")
def ax() -> plt.Axes:
    [ax] = draw("losses_and_models", "two_layer_network.png").axes
    return ax


def all_grids(ax: plt.Axes) -> list[Grid]:
    """All grids from the left, inside and outside the boxes."""
    grids = []
    for mesh in ax.collections:
        corners = mesh.get_coordinates()  # (rows + 1, columns + 1, 2)
        rows = corners.shape[0] - 1
        columns = corners.shape[1] - 1
        grids.append(Grid(corners[..., 0].min(), corners[..., 0].max(), (rows, columns)))
    return sorted(grids, key=left_of)


def layers(ax: plt.Axes) -> list[Box]:
    """The boxes of the layers, from the left, each with the grids of its parameters."""
    boxes = []
    for patch in ax.patches:
        left = patch.get_x()
        right = patch.get_x() + patch.get_width()
        inside = [grid for grid in all_grids(ax) if left < grid.left and grid.right < right]
        boxes.append(Box(left, right, inside))
    return sorted(boxes, key=left_of)


def data(ax: plt.Axes) -> list[Grid]:
    """The grids of the data, from the left: all that lie outside the boxes."""
    outside = all_grids(ax)
    for layer in layers(ax):
        for grid in layer.grids:
            outside.remove(grid)
    return outside


def text_that_says(ax: plt.Axes, words: str) -> Text:
    [text] = [text for text in ax.texts if text.get_text() == words]
    return text


def test_cells_are_squares_of_one_size(ax):
    assert ax.get_aspect() == 1
    for mesh in ax.collections:
        corners = mesh.get_coordinates()
        np.testing.assert_allclose(np.diff(corners[..., 0], axis=1), 1)
        np.testing.assert_allclose(np.diff(corners[..., 1], axis=0), 1)


def test_data_have_a_cell_for_each_number(ax):
    assert [grid.shape for grid in data(ax)] == [(8, 5), (8, 16), (8, 16), (8, 1)]


def test_layers_have_a_cell_for_each_parameter(ax):
    first, relu, second = layers(ax)
    assert [grid.shape for grid in first.grids] == [(16, 5), (16, 1)]
    assert relu.grids == []
    assert [grid.shape for grid in second.grids] == [(1, 16), (1, 1)]


def test_layers_name_and_count_their_parameters(ax):
    first, relu, second = layers(ax)
    under_first = text_that_says(ax, "weight (16, 5)\nbias (16,)\n96 parameters")
    under_relu = text_that_says(ax, "0 parameters")
    under_second = text_that_says(ax, "weight (1, 16)\nbias (1,)\n17 parameters")
    assert under_first.get_position()[0] == middle_of(first)
    assert under_relu.get_position()[0] == middle_of(relu)
    assert under_second.get_position()[0] == middle_of(second)


def test_title_counts_all_parameters(ax):
    cells = 0
    for layer in layers(ax):
        for grid in layer.grids:
            rows, columns = grid.shape
            cells += rows * columns
    assert cells == 16 * 5 + 16 + 1 * 16 + 1
    assert f"{cells} parameters" in ax.figure.get_suptitle()


def test_data_carry_their_names_and_shapes(ax):
    names = ["inputs", "before ReLU", "hidden", "logits"]
    for name, grid in zip(names, data(ax), strict=True):
        label = text_that_says(ax, f"{name}\n{grid.shape}")
        x, y = label.get_position()
        assert x == middle_of(grid)
        assert y > 4  # above the cells, whose 8 rows lie around 0


def test_relu_says_what_it_computes(ax):
    _, relu, _ = layers(ax)
    formula = text_that_says(ax, "max(x, 0)")
    assert formula.get_position() == (middle_of(relu), 0)


def test_arrows_lead_from_each_thing_to_the_next(ax):
    things = sorted(data(ax) + layers(ax), key=left_of)
    arrows = [text for text in ax.texts if isinstance(text, Annotation)]
    arrows.sort(key=start_of)
    assert len(arrows) == len(things) - 1 == 6
    for before, arrow, after in zip(things[:-1], arrows, things[1:], strict=True):
        end, _ = arrow.xy
        assert before.right <= start_of(arrow) < end <= after.left
