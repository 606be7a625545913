"""vectorization.py: four ways to one sum, and a long loop that says how long it will take."""

import sys
import time

import pytest
import torch
from conftest import defined
from counting import CallRecorder, new_bytes

vectorization = defined("vectorization")


def random_numbers(n: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(n)


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_loops_give_the_sum_of_squares(n):
    """n squares and n sums round by at most 1.1e-16 each: far below 1e-12 of the sum."""
    w = random_numbers(n)
    exact = w.double().square().sum().item()
    assert vectorization.loop_over_tensor(w) == pytest.approx(exact, rel=1e-12)
    assert vectorization.loop_over_list(w.tolist()) == pytest.approx(exact, rel=1e-12)


def test_both_loops_do_the_same_arithmetic():
    w = random_numbers(1000)
    assert vectorization.loop_over_tensor(w) == vectorization.loop_over_list(w.tolist())


def test_sum_of_the_lecture_is_that_of_float64():
    w = random_numbers(5_000_000)
    assert f"{vectorization.loop_over_list(w.tolist()):.2f}" == "4997394.78"
    assert f"{w.double().square().sum().item():.2f}" == "4997394.78"


def test_sums_of_whole_numbers_are_exact_in_float32():
    """It holds all whole numbers below 2^24, so `same sums?` is True in any order of adding."""
    largest = 9**2 * vectorization.N
    assert largest < 2**24


def test_loop_over_a_tensor_makes_two_calls_per_number():
    w = torch.ones(3)
    with CallRecorder() as calls:
        vectorization.loop_over_tensor(w)
    for_each = ["__getitem__", "item"]
    assert calls.names == ["__len__"] + for_each + for_each + for_each


def test_sum_makes_a_tensor_of_squares_and_dot_makes_none():
    w = torch.ones(1000)
    assert w.nbytes <= new_bytes(lambda: torch.sum(w * w)) < w.nbytes + 100
    assert new_bytes(lambda: w.dot(w)) < 100  # the result has 4, the squares would have 4000


def test_list_takes_at_least_eight_times_the_memory_of_the_tensor():
    w = random_numbers(1000)
    numbers = w.tolist()
    list_bytes = sys.getsizeof(numbers)
    for number in numbers:
        list_bytes += sys.getsizeof(number)
    assert list_bytes >= 8 * w.nbytes


def test_longest_loop_is_announced_and_runs_once(monkeypatch, capsys):
    """By a clock by which each number takes 2 ms, and the loop over the first 1000 takes 2 s."""
    seen = []

    def loop_over_tensor(w):
        seen.extend(w.tolist())

    def milliseconds(function):
        return 2000.0

    def perf_counter():
        return 0.002 * len(seen)

    names = vectorization.time_longest_loop.__globals__
    monkeypatch.setitem(names, "loop_over_tensor", loop_over_tensor)
    monkeypatch.setitem(names, "milliseconds", milliseconds)
    monkeypatch.setattr(time, "perf_counter", perf_counter)

    took = vectorization.time_longest_loop(torch.arange(5000.0))
    assert took == pytest.approx(10_000)
    assert seen == list(range(5000))
    announced = "The loop over 5,000 numbers will take about 10 s.\n"
    assert capsys.readouterr().out == announced


@pytest.mark.parametrize("name", ["vectorization", "devices"])
def test_milliseconds_times_one_call(name):
    """A call of 20 ms or, on a busy machine, more: not the total of the calls, and in ms.

    The function is the same text in all timed tours but devices.py.
    """
    calls = []

    def sleep():
        calls.append(1)
        time.sleep(0.02)

    start = time.perf_counter()
    took = defined(name).milliseconds(sleep)
    of_a_call = 1000 * (time.perf_counter() - start) / len(calls)
    assert 19 < took < 2 * of_a_call
