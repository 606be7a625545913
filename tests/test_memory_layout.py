"""memory_layout.py: two copies of one matrix, and sums that agree."""

import matplotlib.pyplot as plt
import torch
from conftest import defined

memory_layout = defined("memory_layout")


def test_row_major_holds_whole_numbers_from_0_to_9_row_after_row():
    R = memory_layout.row_major(50)
    assert R.shape == (memory_layout.ROWS, 50)
    assert R.stride() == (50, 1)
    assert R.unique().tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_column_major_holds_the_same_numbers_column_after_column():
    R = torch.tensor([[1, 2, 3], [4, 5, 6]])
    C = memory_layout.column_major(R)
    in_memory = C.as_strided((6,), (1,))  # all its numbers, as they lie there
    assert torch.equal(C, R)
    assert C.stride() == (1, 2)
    assert in_memory.tolist() == [1, 4, 2, 5, 3, 6]


def test_column_major_leaves_the_matrix_as_it_was():
    R = torch.tensor([[1, 2, 3], [4, 5, 6]])
    C = memory_layout.column_major(R)
    C[0, 0] = 100
    assert R.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert R.stride() == (3, 1)


def test_each_way_gives_the_sum_of_each_row_of_both_copies():
    R = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    C = memory_layout.column_major(R)
    assert memory_layout.sum_rows_in_turn(R).tolist() == [3, 12]
    assert memory_layout.sum_rows_in_turn(C).tolist() == [3, 12]
    assert memory_layout.sum_rows_together(R).tolist() == [3, 12]
    assert memory_layout.sum_rows_together(C).tolist() == [3, 12]


def test_the_largest_sums_are_exact_in_float32():
    """It holds all whole numbers below 2^24, so `same sums?` is True in any order of adding."""
    largest = 9 * max(memory_layout.ROWS, memory_layout.COLUMNS)
    assert largest < 2**24


def test_filled_squares_are_the_numbers_that_a_sum_uses():
    fig = memory_layout.draw_lines()
    [ax] = fig.axes
    filled = {0: [], -2: [], -4: []}  # steps 1, 2 and 16, from above
    for patch in ax.patches:
        if patch.get_fill():
            assert patch.get_width() == 1
            filled[patch.get_y()].append(patch.get_x())
    plt.close(fig)
    assert list(filled.values()) == [list(range(32)), list(range(0, 32, 2)), [0, 16]]


def test_ns_per_number_shares_a_call_among_its_numbers(monkeypatch):
    names = memory_layout.ns_per_number.__globals__
    monkeypatch.setitem(names, "milliseconds", lambda function: function())  # of 20 ms
    matrix = torch.ones(10, 100)
    assert memory_layout.ns_per_number(lambda rows: 2 * len(rows), matrix) == 20_000
