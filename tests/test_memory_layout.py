"""memory_layout.py: two copies of one matrix, and sums that agree."""

import torch
from conftest import defined

tour = defined("memory_layout")


def test_row_major_holds_whole_numbers_from_0_to_9_row_after_row():
    R = tour.row_major(50)
    assert R.shape == (tour.ROWS, 50)
    assert R.stride() == (50, 1)
    assert sorted(set(R.flatten().tolist())) == list(range(10))


def test_column_major_holds_the_same_numbers_column_after_column():
    R = torch.arange(35.0).reshape(5, 7)
    C = tour.column_major(R)
    assert torch.equal(R, C)
    assert R.stride() == (7, 1)
    assert C.stride() == (1, 5)
    in_memory = C.as_strided((35,), (1,))
    assert torch.equal(in_memory, torch.cat([R[:, j] for j in range(7)]))


def test_each_way_gives_the_sum_of_each_row():
    R = torch.arange(12.0).reshape(4, 3)
    for matrix in (R, tour.column_major(R)):
        assert tour.sum_rows_in_turn(matrix).tolist() == [3, 12, 21, 30]
        assert tour.sum_rows_together(matrix).tolist() == [3, 12, 21, 30]


def test_the_largest_sums_are_exact_in_float32():
    """So `same sums?` compares the two orders of addition, on whole numbers up to 9."""
    largest = 9 * max(tour.ROWS, tour.COLUMNS)
    assert largest < 2**24


def test_milliseconds_times_one_call():
    """The median of one call of 20 ms, not the total, and not in seconds."""
    took = tour.milliseconds(lambda: tour.time.sleep(0.02))
    assert 19 < took < 2000


def test_ns_per_number_shares_a_call_among_its_numbers():
    """20 ms for 1000 numbers are 20,000 ns for each."""
    took = tour.ns_per_number(lambda: tour.time.sleep(0.02), 1000)
    assert 19_000 < took < 2_000_000
