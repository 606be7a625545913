"""gd_nd_cost.py: the vectors that a step moves, its page faults, and three updates that are one."""

import os
import platform
import sys
from collections.abc import Callable

import pytest
import torch
from conftest import ROOT, defined
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

tour = defined("gd_nd_cost")
NUMBERS = 9_000_000  # 34 MiB: malloc does not keep so large a block
VECTORS = {"w.sub_(w.grad, alpha=eta)": 12, "torch.optim.SGD": 12, "w -= eta * w.grad": 14}
every_update = pytest.mark.parametrize("name", VECTORS)


def update_of(name: str, w: torch.Tensor, eta: float) -> Callable:
    """The update of that name, as the tour and its program write it."""
    if name == "torch.optim.SGD":
        return torch.optim.SGD([w], lr=eta).step
    if name == "w -= eta * w.grad":
        return lambda: w.sub_(eta * w.grad)
    return lambda: w.sub_(w.grad, alpha=eta)


class Vectors(TorchDispatchMode):
    """Counts the vectors of d numbers that operations read and write, an operand once."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.d = d
        self.moved = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        if operation is not torch.ops.aten.detach.default:  # a view: nothing is moved
            read = {x.data_ptr() for x in args if torch.is_tensor(x) and x.numel() == self.d}
            written = [x for x in tree_leaves(result) if torch.is_tensor(x) and x.numel() == self.d]
            self.moved += len(read) + len(written)
        return result


@every_update
def test_step_moves_as_many_vectors_as_the_text_says(name):
    w = torch.ones(500, requires_grad=True)
    update = update_of(name, w, 0.5)
    with Vectors(500) as vectors:
        tour.step(w, update)
    assert vectors.moved == VECTORS[name]


def test_copy_moves_two_vectors():
    source = torch.ones(500)
    target = torch.ones(500)
    with Vectors(500) as vectors:
        target.copy_(source)
    # copy_ has both as arguments: it reads one of them, and writes the other
    assert vectors.moved - 1 == 2


@every_update
def test_every_update_is_the_step_of_theory(name):
    w = torch.tensor([4.0, -2.0, 1.0], requires_grad=True)
    update = update_of(name, w, 0.25)
    norms = [tour.step(w, update) for _ in range(3)]
    assert w.tolist() == [number * 0.75**3 for number in (4, -2, 1)]  # exact in binary
    assert norms == pytest.approx([21**0.5 * 0.75**k for k in range(3)], rel=1e-6)
    assert w.grad is None


def test_program_repeats_the_step_of_the_tour():
    text = (ROOT / "script" / "gd_nd_cost.py").read_text(encoding="utf-8")
    start = "    loss = 0.5 * w.dot(w)\n"
    bodies = [part[: part.index("return norm")] for part in text.split(start)[1:]]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or "LD_PRELOAD" in os.environ,
    reason="PyTorch uses glibc's malloc on Linux with an x86 processor",
)
def test_page_faults_are_those_of_new_vectors_and_the_variables_spare_them(monkeypatch):
    monkeypatch.setitem(tour.run_program.__globals__, "SIZES", [10, NUMBERS])
    usual = tour.run_program({})
    keep = tour.run_program(tour.KEEP)
    small, large = usual["faults"]
    # two new vectors in each backward; fewer faults, where the system hands out pages of 2 MiB
    assert 10 < large < 1.1 * 2 * 4 * NUMBERS / 4096
    assert small < large / 10
    for name in VECTORS:
        assert usual[name][1] > 0.9 * large
        assert keep[name][1] < large / 10
    assert keep["faults"][1] < large / 10
    assert usual["w -= eta * w.grad"][1] > 1.2 * large  # a third new vector


def test_page_faults_are_counted_as_in_inplace():
    function = "def page_faults():"
    bodies = []
    for name in ("inplace", "gd_nd_cost"):
        text = (ROOT / "script" / f"{name}.py").read_text(encoding="utf-8")
        bodies.append(text.split(function)[1].split("\ndef ")[0])
    assert bodies[0] == bodies[1]
