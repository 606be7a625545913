"""Figure 3.5 shows real memory: numbers, positions and strides as the storage has them."""

import pytest
import torch
import tour
from conftest import ROOT, drawing
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation

NAME = "memory_layout_row_vs_col.png"
NUMBERS = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
# what a C and a Fortran compiler do, written out: the numbers in memory, then the strides
MEMORY = {
    "row-major": ([1, 2, 3, 4, 5, 6, 7, 8, 9], (3, 1)),
    "column-major": ([1, 4, 7, 2, 5, 8, 3, 6, 9], (1, 3)),
}


@pytest.fixture(scope="module")
def figure(tmp_path_factory):
    """The figure as its cell draws it, live."""
    manipulation = tour.read(ROOT / "script" / "tensor_manipulation.py")
    (cell,) = [cell for cell in manipulation.code if cell.heading.startswith("Figure 3.5")]
    with drawing() as figures:
        assert tour.alone(manipulation, cell, tmp_path_factory.mktemp("figure")) == []
    return figures[NAME]


def boxes(ax) -> list[tuple[float, float, int, tuple]]:
    """Each drawn square: its lower left corner, the number in its middle, its colour."""
    written = {text.get_position(): text.get_text() for text in ax.texts}
    squares = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    return [
        (*patch.get_xy(), int(written[tuple(patch.get_center())]), patch.get_facecolor())
        for patch in squares
    ]


def split(ax) -> tuple[list, list]:
    """The boxes of the matrix from its top left on, row by row, and of memory from 0 on."""
    bottom = min(y for _, y, _, _ in boxes(ax))
    matrix = sorted((-y, x, number, colour) for x, y, number, colour in boxes(ax) if y > bottom)
    strip = sorted((x, number, colour) for x, y, number, colour in boxes(ax) if y == bottom)
    return matrix, strip


def test_all_boxes_are_squares_of_one_size(figure):
    figure.draw_without_rendering()  # lays it out
    for ax in figure.axes:
        assert ax.get_aspect() == 1
        squares = [(patch.get_width(), patch.get_height()) for patch in ax.patches]
        assert squares == [(1, 1)] * (9 + 9)
    scales = [ax.transData.transform((1, 0)) - ax.transData.transform((0, 0)) for ax in figure.axes]
    assert scales[0] == pytest.approx(scales[1])


@pytest.mark.parametrize(("panel", "order"), list(enumerate(MEMORY)))
def test_matrix_and_memory_hold_the_real_numbers(figure, panel, order):
    memory, stride = MEMORY[order]
    matrix, strip = split(figure.axes[panel])
    assert [number for _, _, number, _ in matrix] == sum(NUMBERS, [])
    assert [(x, number) for x, number, _ in strip] == list(enumerate(memory))
    # and PyTorch agrees that these strides read that memory as this matrix
    assert torch.tensor(memory).as_strided((3, 3), stride).tolist() == NUMBERS
    assert figure.axes[panel].get_title() == f"{order}: stride {stride}"


@pytest.mark.parametrize("panel", [0, 1])
def test_colour_is_the_row_in_matrix_and_memory(figure, panel):
    matrix, strip = split(figure.axes[panel])
    rows = [{colour for *_, colour in matrix[start : start + 3]} for start in (0, 3, 6)]
    assert [len(row) for row in rows] == [1, 1, 1]
    assert len(set.union(*rows)) == 3
    of_number = {number: colour for _, _, number, colour in matrix}
    assert all(colour == of_number[number] for _, number, colour in strip)


@pytest.mark.parametrize(("panel", "order"), list(enumerate(MEMORY)))
def test_strides_are_written_and_drawn(figure, panel, order):
    memory, (down, right) = MEMORY[order]
    ax = figure.axes[panel]
    texts = [text.get_text() for text in ax.texts]
    assert {f"stride[0] = {down}", f"stride[1] = {right}"} <= set(texts)
    arrows = [text for text in ax.texts if isinstance(text, Annotation)]
    in_memory = [arrow for arrow in arrows if arrow.xy[1] == 1]  # on top of the strip
    ends = [(int(arrow.xyann[0]), int(arrow.xy[0])) for arrow in in_memory]
    assert [(memory[start], memory[end]) for start, end in ends] == [(1, 4), (8, 9)]
    assert [end - start for start, end in ends] == [down, right]
    assert {f"+{down}", f"+{right}"} <= set(texts)
    # each kind of step has one line style, in the matrix and in memory
    styles = [arrow.arrow_patch.get_linestyle() for arrow in arrows]
    assert styles == ["--", "-", "--", "-"]
