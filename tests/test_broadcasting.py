"""broadcasting.py: three ways agree to the bit, and a row of v is never copied."""

import pytest
import torch
from conftest import defined
from torch.autograd.profiler import profile
from torch.overrides import TorchFunctionMode

tour = defined("broadcasting")

VARIANTS = {
    "loop": tour.by_loop,
    "repeat": tour.by_repeat,
    "A * v": torch.mul,
    "mul(out=B)": lambda A, v: torch.mul(A, v, out=torch.empty_like(A)),
}


def operands(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=generator), torch.randn(d, generator=generator)


@pytest.mark.parametrize("shape", [(4, 3), (1, 1), (1, 9), (9, 1), (33, 70)])
def test_variants_agree_to_the_bit(shape):
    A, v = operands(*shape)
    results = [run(A, v) for run in VARIANTS.values()]
    assert results[0].shape == shape
    assert all(torch.equal(results[0], other) for other in results[1:])


class ByteCounter(TorchFunctionMode):
    """Adds up the bytes that each operation reads and writes, seen from outside."""

    moved = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func.__name__ in ("mul", "repeat"):
            self.moved += result.nbytes + sum(x.nbytes for x in args if torch.is_tensor(x))
        elif func.__name__ == "__setitem__":  # B[i] = row
            self.moved += 2 * args[2].nbytes
        else:  # these move nothing
            assert func.__name__ in ("__getitem__", "__len__", "empty_like"), func
        return result


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(4, 3), (2, 50)])
def test_bytes_are_those_that_the_operations_touch(variant, shape):
    A, v = operands(*shape)
    with ByteCounter() as counter:
        VARIANTS[variant](A, v)
    assert counter.moved == tour.bytes_moved(*shape)[variant]


def test_profiler_sees_a_repeat_allocate_every_row_and_a_broadcast_none():
    A, v = operands(100, 1000)
    seen = {}
    for name in ("repeat", "A * v"):
        with profile(use_kineto=False, profile_memory=True) as prof:
            VARIANTS[name](A, v)
        seen[name] = sum(max(event.self_cpu_memory_usage, 0) for event in prof.function_events)
    assert seen["A * v"] == A.nbytes  # B, and nothing for v
    assert seen["repeat"] == pytest.approx(2 * A.nbytes, abs=1000)  # small change
