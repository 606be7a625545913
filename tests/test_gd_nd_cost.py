"""gd_nd_cost.py: the vectors that a step moves, and three updates that are one."""

import pytest
import torch
from conftest import defined
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

tour = defined("gd_nd_cost")


class Vectors(TorchDispatchMode):
    """Counts the vectors of d numbers that operations read and write, an operand once."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.d, self.moved = d, 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        if operation is not torch.ops.aten.detach.default:  # a view: nothing is moved
            read = {x.data_ptr() for x in args if torch.is_tensor(x) and x.numel() == self.d}
            written = [x for x in tree_leaves(result) if torch.is_tensor(x) and x.numel() == self.d]
            self.moved += len(read) + len(written)
        return result


@pytest.mark.parametrize("way", tour.VECTORS)
def test_vectors_are_those_that_the_operations_touch(way):
    w = torch.ones(500, requires_grad=True)
    update = tour.updates(w, 0.5)[way]
    with Vectors(500) as vectors:
        tour.step(w, update)
    assert vectors.moved == tour.VECTORS[way]


@pytest.mark.parametrize("way", tour.VECTORS)
def test_every_update_is_the_step_of_theory(way):
    w = torch.tensor([4.0, -2.0, 1.0], requires_grad=True)
    update = tour.updates(w, 0.25)[way]
    norms = [tour.step(w, update) for _ in range(3)]
    assert w.tolist() == [number * 0.75**3 for number in (4, -2, 1)]  # exact in binary
    assert norms == pytest.approx([21**0.5 * 0.75**k for k in range(3)], rel=1e-6)
    assert w.grad is None
