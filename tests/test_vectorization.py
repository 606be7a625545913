"""vectorization.py: four ways to one sum, and a long loop that says how long it will take."""

import sys

import pytest
import torch
from conftest import defined
from torch.autograd.profiler import profile
from torch.overrides import TorchFunctionMode

tour = defined("vectorization")


def random_numbers(n: int) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_loops_give_the_sum_of_squares(n):
    w = random_numbers(n)
    exact = w.double().square().sum().item()
    assert tour.loop_over_tensor(w) == pytest.approx(exact, rel=1e-12)
    assert tour.loop_over_list(w.tolist()) == pytest.approx(exact, rel=1e-12)


def test_both_loops_do_the_same_arithmetic():
    w = random_numbers(1000)
    assert tour.loop_over_tensor(w) == tour.loop_over_list(w.tolist())


def test_sum_of_the_lecture_is_that_of_float64():
    torch.manual_seed(0)
    w = torch.randn(5_000_000)
    assert f"{tour.loop_over_list(w.tolist()):.2f}" == "4997394.78"
    assert f"{w.double().square().sum().item():.2f}" == "4997394.78"


def test_sums_of_whole_numbers_are_exact_in_float32():
    """So `same sums?` compares four ways that add in different orders."""
    assert 9**2 * tour.N < 2**24


def test_loop_over_a_tensor_makes_two_calls_per_number():
    calls = []

    class Recorder(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            calls.append(func.__name__)
            return func(*args, **(kwargs or {}))

    with Recorder():
        tour.loop_over_tensor(torch.ones(10))
    assert [name for name in calls if name != "ones"] == ["__len__"] + 10 * ["__getitem__", "item"]


def test_dot_makes_no_tensor_of_squares():
    w = torch.ones(1000)

    def new_bytes(function) -> int:
        with profile(use_kineto=False, profile_memory=True) as found:
            function()
        return sum(max(event.self_cpu_memory_usage, 0) for event in found.function_events)

    assert new_bytes(lambda: torch.sum(w * w)) >= w.nbytes
    assert new_bytes(lambda: w.dot(w)) < 100


def test_list_takes_at_least_eight_times_the_memory_of_the_tensor():
    w = random_numbers(1000)
    numbers = w.tolist()
    assert sys.getsizeof(numbers) + sum(map(sys.getsizeof, numbers)) >= 8 * w.nbytes


def test_longest_loop_is_announced_and_says_how_far_it_is(monkeypatch, capsys):
    """With a clock by which each number takes 2 ms, and the short loop 2 s."""
    clock = [0.0]  # in seconds
    seen = []

    def loop_over_tensor(w):
        seen.extend(w.tolist())
        clock[0] += 0.002 * len(w)

    names = tour.time_longest_loop.__globals__
    monkeypatch.setitem(names, "loop_over_tensor", loop_over_tensor)
    monkeypatch.setitem(names, "milliseconds", lambda function: 2000.0)
    monkeypatch.setattr(tour.time, "perf_counter", lambda: clock[0])

    took = tour.time_longest_loop(torch.arange(5000.0))
    assert took == pytest.approx(10_000)
    assert seen == list(range(5000))
    line = "loop over 5,000 numbers, about 10.0 s: 20% 40% 60% 80% 100%\n"
    assert capsys.readouterr().out == line


def test_milliseconds_times_one_call():
    """The median of one call of 20 ms, not the total, and not in seconds."""
    took = tour.milliseconds(lambda: tour.time.sleep(0.02))
    assert 19 < took < 2000
