"""broadcasting.py: all ways give the same product, and broadcasting copies no row of v."""

from collections import Counter

import matplotlib.pyplot as plt
import pytest
import torch
from conftest import defined
from counting import CallRecorder, new_bytes

broadcasting = defined("broadcasting")


def random_operands(rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix A and a vector v."""
    torch.manual_seed(0)
    return torch.randn(rows, columns), torch.randn(columns)


@pytest.mark.parametrize(("rows", "columns"), [(4, 3), (1, 1), (1, 9), (9, 1), (33, 70)])
def test_all_ways_give_the_products_of_the_entries_to_the_bit(rows, columns):
    """Python multiplies two float32 numbers exactly; to store the product rounds it once."""
    A, v = random_operands(rows, columns)
    expected = torch.empty(rows, columns)
    for i in range(rows):
        for j in range(columns):
            expected[i, j] = A[i, j].item() * v[j].item()

    existing = torch.empty(rows, columns)
    torch.mul(A, v, out=existing)
    assert torch.equal(broadcasting.loop_over_rows(A, v), expected)
    assert torch.equal(A * v.repeat(rows, 1), expected)
    assert torch.equal(A * v, expected)
    assert torch.equal(existing, expected)


@pytest.mark.parametrize("columns", [1, 50])
def test_loop_makes_three_calls_per_row_however_long_the_rows_are(columns):
    """So its run over rows of one number shows what the calls alone cost."""
    A, v = random_operands(10, columns)
    with CallRecorder() as calls:
        broadcasting.loop_over_rows(A, v)
    repeated = {name: count for name, count in Counter(calls.names).items() if count > 1}
    assert repeated == {"__getitem__": 10, "mul": 10, "__setitem__": 10}


def test_repeat_makes_a_copy_of_v_for_every_row():
    A, v = random_operands(100, 1000)
    copies_and_product = A.nbytes + A.nbytes
    made = new_bytes(lambda: A * v.repeat(100, 1))
    # repeat needs a few positions besides; a copied row, had it one more, has 4000 bytes
    assert copies_and_product <= made <= copies_and_product + 1000


def test_broadcasting_makes_only_the_product():
    A, v = random_operands(100, 1000)
    assert new_bytes(lambda: A * v) == A.nbytes


def test_out_makes_nothing():
    A, v = random_operands(100, 1000)
    existing = torch.empty(100, 1000)
    assert new_bytes(lambda: torch.mul(A, v, out=existing)) == 0


def test_one_size_lies_just_below_32_MiB_and_the_next_just_above():
    """There glibc's malloc stops keeping freed memory, by which the text explains a jump."""
    mebibytes = [rows * broadcasting.COLUMNS * 4 / 2**20 for rows in broadcasting.NUMBERS_OF_ROWS]
    assert mebibytes == sorted(mebibytes)
    assert any(29 < size < 32 for size in mebibytes)
    assert any(32 < size < 35 for size in mebibytes)


def numbers_in_squares(ax: plt.Axes, dashed: bool) -> list[int]:
    """The numbers in all dashed squares or in all others, in increasing order."""
    numbers = []
    for square in ax.patches:
        if (square.get_linestyle() == "--") == dashed:
            inside = square.get_bbox()
            for text in ax.texts:
                x, y = text.get_position()
                if inside.contains(x, y):
                    numbers.append(int(text.get_text()))
    return sorted(numbers)


def test_solid_squares_of_the_figure_are_the_numbers_in_memory():
    A = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    v = [1, 10, 100]
    B = [1, 20, 300, 4, 50, 600, 7, 80, 900, 10, 110, 1200]
    expanded = v
    repeated = v * 4
    fig = broadcasting.draw_replication()
    [ax] = fig.axes
    assert numbers_in_squares(ax, dashed=False) == sorted(A + v + B + expanded + repeated)
    plt.close(fig)


def test_dashed_squares_of_the_figure_are_the_rows_of_v_that_are_read_again():
    fig = broadcasting.draw_replication()
    [ax] = fig.axes
    assert numbers_in_squares(ax, dashed=True) == [1, 1, 1, 10, 10, 10, 100, 100, 100]
    plt.close(fig)
