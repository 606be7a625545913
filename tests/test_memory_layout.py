"""memory_layout.py: the same matrix stored twice, and bytes are those of the lines that hold it."""

import pytest
import torch
from conftest import defined

tour = defined("memory_layout")


def test_column_major_holds_the_same_numbers_column_by_column():
    A = torch.arange(35.0).reshape(5, 7)
    F = tour.column_major(A)
    assert torch.equal(A, F)
    assert (A.stride(), F.stride()) == ((7, 1), (1, 5))
    memory = torch.empty(0).set_(F.untyped_storage())
    assert memory.tolist() == [A[i, j].item() for j in range(7) for i in range(5)]


def test_next_row_sum_takes_every_row_in_turn_and_starts_again():
    A = torch.arange(12.0).reshape(4, 3)
    for tensor in (A, tour.column_major(A)):
        run = tour.next_row_sum(tensor)
        assert [run().item() for _ in range(6)] == [3.0, 12.0, 21.0, 30.0, 3.0, 12.0]


@pytest.mark.parametrize("line", [32, 64, 128])
@pytest.mark.parametrize("stride", [1, 2, 8, 16, 17, 512, 528])
def test_line_bytes_are_those_of_the_lines_touched(stride, line, monkeypatch):
    monkeypatch.setitem(tour.line_bytes.__globals__, "LINE", line)
    for count in (1, 2, 16, 17, 100):
        touched = {4 * stride * k // line for k in range(count)}
        assert tour.line_bytes(count, stride) == line * len(touched)


def test_bytes_of_whole_sums_are_those_of_the_matrix_and_its_sums():
    A = torch.ones(512, 300)
    moved = tour.bytes_moved(512, 300)
    for dim in (0, 1):
        assert moved[f"A.sum({dim=})"] == A.nbytes + A.sum(dim=dim).nbytes
    assert moved["A[i].sum()"] >= A[0].nbytes
    assert moved["F[i].sum()"] == 300 * tour.LINE + 4
