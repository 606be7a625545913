"""vectorization.py: four ways to one sum, and the bytes of each."""

import sys

import pytest
import torch
from conftest import defined
from torch.overrides import TorchFunctionMode

tour = defined("vectorization")


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_loops_give_the_sum_of_squares(n):
    w = torch.randn(n, generator=torch.Generator().manual_seed(0))
    exact = w.double().square().sum().item()
    assert tour.loop(w) == pytest.approx(exact, rel=1e-12)
    assert tour.loop_over_list(w.tolist()) == pytest.approx(exact, rel=1e-12)


class ByteCounter(TorchFunctionMode):
    """Adds up the bytes that each operation reads and writes, an operand once."""

    moved = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        operands = {x.data_ptr(): x.nbytes for x in args if torch.is_tensor(x)}
        self.moved += result.nbytes + sum(operands.values())
        return result


def test_bytes_of_the_calls_are_those_that_they_touch():
    w = torch.ones(1000)
    calls = {"sum(w * w)": lambda: torch.sum(w * w), "dot(w, w)": lambda: w.dot(w)}
    for name, call in calls.items():
        with ByteCounter() as counter:
            call()
        assert counter.moved == tour.bytes_moved(1000)[name]


def test_bytes_of_the_loops_are_those_of_their_numbers():
    numbers = [float(i) for i in range(1000)]
    pointers = sys.getsizeof(numbers * 2) - sys.getsizeof(numbers * 1)
    assert tour.bytes_moved(1000)["loop, list"] == sum(map(sys.getsizeof, numbers)) + pointers
    assert tour.bytes_moved(1000)["loop"] == torch.ones(1000).nbytes


def test_a_call_timed_once_has_no_spread():
    calls = []
    low, median, high = tour.once(lambda: calls.append(1))
    assert low == median == high > 0
    assert calls == [1]
