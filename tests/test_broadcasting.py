"""broadcasting.py: the ways agree to the bit, and a row of v is never copied."""

import matplotlib.pyplot as plt
import pytest
import torch
from conftest import defined
from torch.autograd.profiler import profile
from torch.overrides import TorchFunctionMode

tour = defined("broadcasting")


def operands(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=generator), torch.randn(d, generator=generator)


@pytest.mark.parametrize("shape", [(4, 3), (1, 1), (1, 9), (9, 1), (33, 70)])
def test_four_ways_agree_to_the_bit(shape):
    A, v = operands(*shape)
    B = torch.empty(shape)
    torch.mul(A, v, out=B)
    assert torch.equal(B, A * v)
    assert torch.equal(B, A * v.repeat(len(A), 1))
    assert torch.equal(B, tour.loop_over_rows(A, v))


class CallCounter(TorchFunctionMode):
    """Counts the calls of PyTorch, by name."""

    def __init__(self):
        super().__init__()
        self.calls = {}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.calls[func.__name__] = self.calls.get(func.__name__, 0) + 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("d", [1, 50])
def test_loop_makes_three_calls_per_row_whatever_its_length(d):
    """So a loop over rows of one number makes as many calls as one over rows of 1000."""
    A, v = operands(10, d)
    with CallCounter() as counter:
        tour.loop_over_rows(A, v)
    per_row = {name: calls for name, calls in counter.calls.items() if calls > 1}
    assert per_row == {"__getitem__": 10, "mul": 10, "__setitem__": 10}


def new_bytes(function) -> int:
    """The bytes that a call of function takes for new tensors."""
    with profile(use_kineto=False, profile_memory=True) as found:
        function()
    return sum(max(event.self_cpu_memory_usage, 0) for event in found.function_events)


def test_profiler_sees_a_repeat_copy_every_row_and_a_broadcast_none():
    A, v = operands(100, 1000)
    B = torch.empty(100, 1000)
    repeated = new_bytes(lambda: A * v.repeat(100, 1))
    assert repeated == pytest.approx(2 * A.nbytes, abs=1000)  # B, the copies, and small change
    assert new_bytes(lambda: A * v) == A.nbytes  # B, and nothing for v
    assert new_bytes(lambda: torch.mul(A, v, out=B)) == 0


def test_sizes_lie_on_both_sides_of_32_MiB():
    mebibytes = [4 * n * tour.COLUMNS / 2**20 for n in tour.NUMBERS_OF_ROWS]
    assert sorted(mebibytes) == mebibytes
    assert [size for size in mebibytes if 29 < size < 32]
    assert [size for size in mebibytes if 32 < size < 35]


def test_figure_shows_what_is_in_memory():
    """Solid squares are numbers in memory, dashed ones are not."""
    A = torch.arange(1, 13).reshape(4, 3)
    v = torch.tensor([1, 10, 100])
    fig = tour.draw_replication()
    (ax,) = fig.axes
    styles = [box.get_linestyle() for box in ax.patches]
    numbers = [int(text.get_text()) for text in ax.texts if text.get_text().isdigit()]
    plt.close(fig)

    dashed = [number for number, style in zip(numbers, styles, strict=True) if style == "--"]
    assert sorted(dashed) == sorted(v.tolist() * 3)
    in_memory = [A, v, A * v, v, v.repeat(4, 1)]  # above; then expanded, and repeated
    expected = torch.cat([x.reshape(-1) for x in in_memory]).tolist() + dashed
    assert sorted(numbers) == sorted(expected)
