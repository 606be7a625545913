"""The cell "How to time": the same text in every timed tour, so one copy is tested."""

import numpy as np
import pytest
import torch
from conftest import defined

how = defined("inplace")


def test_variants_take_turns():
    order = []
    how.take_turns({name: lambda name=name: order.append(name) for name in "ab"})
    turns = [name for i, name in enumerate(order) if i == 0 or name != order[i - 1]]
    assert turns == ["a", "b"] * how.ROUNDS


def test_gives_the_quartiles_of_the_times_of_a_call(monkeypatch):
    class Timer:
        def __init__(self, statement, **options):
            self.turn = 0

        def blocked_autorange(self, min_run_time):
            self.turn += 1
            self.times = [self.turn]
            return self

    monkeypatch.setitem(how.take_turns.__globals__, "Timer", Timer)
    quartiles = how.take_turns({"a": None})["a"]
    assert quartiles == pytest.approx(np.percentile(range(1, how.ROUNDS + 1), [25, 50, 75]))


def test_times_with_the_threads_of_its_constant(monkeypatch):
    monkeypatch.setitem(how.take_turns.__globals__, "THREADS", 3)
    seen = set()
    how.take_turns({"a": lambda: seen.add(torch.get_num_threads())})
    assert seen == {3}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_waits_for_an_accelerator_alone(device, monkeypatch):
    waits = []
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda: waits.append(1))
    monkeypatch.setitem(how.take_turns.__globals__, "DEVICE", device)
    how.take_turns({"a": lambda: None})
    assert bool(waits) == (device == "cuda")


@pytest.mark.parametrize(
    ("slow", "fast", "line"),
    [
        ((5, 6, 7), (2, 3, 4), "held here, 2.00 times (1.25 to 3.50)"),
        ((2, 3, 4), (5, 6, 7), "did not hold here, 0.50 times (0.29 to 0.80)"),
        ((4, 5, 6), (3, 4, 5), "not decided here, 1.25 times (0.80 to 2.00)"),  # spreads overlap
        ((9000, 9000, 9000), (1, 1, 1), "held here, 9,000.00 times (9,000.00 to 9,000.00)"),
    ],
)
def test_verdict_is_by_the_quartiles(slow, fast, line):
    assert how.verdict(np.array(slow), np.array(fast)) == line
