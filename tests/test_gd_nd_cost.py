"""gd_nd_cost.py: the vectors that a step moves, its page faults, and three updates that are one."""

import ast
import math
from collections.abc import Callable

import pytest
import torch
from conftest import defined, load_script
from counting import LARGE, PAGES, glibc, new_bytes
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

gd_nd_cost = defined("gd_nd_cost")


def step_of_program() -> Callable:
    """The function `step` that PROGRAM, a text, repeats from the cells above it."""
    for node in ast.parse(gd_nd_cost.PROGRAM).body:
        if isinstance(node, ast.FunctionDef) and node.name == "step":
            namespace = {"torch": torch}
            exec(ast.unparse(node), namespace)
            return namespace["step"]
    raise AssertionError("PROGRAM defines no step")


STEPS = {"the tour's step": gd_nd_cost.step, "the program's step": step_of_program()}
every_step = pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)


def fused(w: torch.Tensor, eta: float) -> Callable:
    return lambda: w.sub_(w.grad, alpha=eta)


def with_a_third_vector(w: torch.Tensor, eta: float) -> Callable:
    """As `w -= eta * w.grad`, which a lambda cannot contain."""
    return lambda: w.sub_(eta * w.grad)


def by_sgd(w: torch.Tensor, eta: float) -> Callable:
    return torch.optim.SGD([w], lr=eta).step


every_update = pytest.mark.parametrize("update_of", [fused, with_a_third_vector, by_sgd])


@every_step
@every_update
def test_every_update_is_the_step_of_theory(step, update_of):
    """A step multiplies w by 1 - eta = 0.75, which is exact in base 2."""
    w = torch.tensor([4.0, -2.0, 1.0], requires_grad=True)
    update = update_of(w, 0.25)
    norm_of_first = step(w, update)
    norm_of_second = step(w, update)
    assert w.tolist() == [4 * 0.75**2, -2 * 0.75**2, 1 * 0.75**2]
    assert norm_of_first == pytest.approx(math.sqrt(21), rel=1e-6)  # float32 has some 7 digits
    assert norm_of_second == pytest.approx(0.75 * math.sqrt(21), rel=1e-6)
    assert w.grad is None


class MovedVectors(TorchDispatchMode):
    """Counts the vectors of 500 numbers that operations read and write.

    A tensor that an operation gets twice is read once. A stride of 0 belongs to one number that is
    seen as a vector.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        if operation is torch.ops.aten.detach.default:  # a view: nothing is moved
            return result
        read = set()
        for x in args:
            if is_vector(x):
                read.add(x.data_ptr())
        self.count += len(read)
        for x in tree_leaves(result):
            if is_vector(x):
                self.count += 1
        return result


def is_vector(x: object) -> bool:
    return torch.is_tensor(x) and x.numel() == 500 and x.stride() == (1,)


@every_step
@pytest.mark.parametrize(
    ("update_of", "vectors"),
    [
        (fused, 12),
        (by_sgd, 12),
        (with_a_third_vector, 14),  # it writes one more, and reads it
    ],
)
def test_step_moves_as_many_vectors_as_the_text_says(step, update_of, vectors):
    w = torch.ones(500, requires_grad=True)
    update = update_of(w, 0.5)
    with MovedVectors() as moved:
        step(w, update)
    assert moved.count == vectors


@pytest.mark.parametrize(
    ("operation", "vectors"),
    [
        (lambda x, y: x.clone(), 2),  # reads 1, writes 1: a copy
        (lambda x, y: x * x, 2),  # reads 1, writes 1
        (lambda x, y: x * y, 3),  # reads 2, writes 1
        (lambda x, y: x.add_(y), 3),  # reads 2, writes 1
    ],
)
def test_count_is_right_where_it_is_known(operation, vectors):
    x = torch.ones(500)
    y = torch.ones(500)
    with MovedVectors() as moved:
        operation(x, y)
    assert moved.count == vectors


def loop_of_gd_nd_torch(d: int, iterations: int) -> None:
    gd = load_script("gd_nd_torch")
    gd.gd_nd_torch(gd.quadratic, torch.ones(d), eta=0.5, max_iters=iterations, eps_grad=0)


def test_a_step_of_the_loop_moves_18_vectors_and_makes_five():
    """One iteration more, without the check of the arguments."""
    with MovedVectors() as four:
        loop_of_gd_nd_torch(500, iterations=4)
    with MovedVectors() as five:
        loop_of_gd_nd_torch(500, iterations=5)
    assert five.count - four.count == 18

    d = 100_000
    bytes_of_four = new_bytes(lambda: loop_of_gd_nd_torch(d, iterations=4))
    bytes_of_five = new_bytes(lambda: loop_of_gd_nd_torch(d, iterations=5))
    # the loss and its like are single numbers, far less than a tenth of a vector
    assert (bytes_of_five - bytes_of_four) / (4 * d) == pytest.approx(5, abs=0.1)


def test_evaluation_in_gradient_geometry_moves_3_vectors_and_with_the_gradient_10():
    f = defined("gradient_geometry").f
    x = torch.ones(500, requires_grad=True)
    with MovedVectors() as moved:
        value = f(x)
        assert moved.count == 3
        value.backward()
    assert moved.count == 10


@glibc
def test_page_faults_are_those_of_new_vectors_and_the_variables_spare_them(monkeypatch):
    """Below a tenth of the usual faults counts as spared.

    Two new vectors have 2 PAGES. A system that hands out pages of 2 MiB has fewer faults.
    """
    monkeypatch.setitem(gd_nd_cost.run_program.__globals__, "SIZES", [10, LARGE])
    usual = gd_nd_cost.run_program({})
    faults_of_small, faults_of_large = usual["faults"]
    keep = gd_nd_cost.run_program(gd_nd_cost.KEEP)

    assert 10 < faults_of_large < 1.1 * 2 * PAGES
    assert faults_of_small < faults_of_large / 10
    assert keep["faults"][1] < faults_of_large / 10

    updates = ["w.sub_(w.grad, alpha=eta)", "torch.optim.SGD", "w -= eta * w.grad"]
    # the two values of an update are its milliseconds and its page faults
    for update in updates:
        _, faults = usual["updates"][update]
        _, faults_keep = keep["updates"][update]
        assert faults > 0.9 * faults_of_large
        assert faults_keep < faults_of_large / 10

    _, faults_of_third_vector = usual["updates"]["w -= eta * w.grad"]
    assert faults_of_third_vector > 1.2 * faults_of_large


def test_without_counts_the_program_says_nan_and_still_measures(tmp_path, monkeypatch):
    (tmp_path / "resource.py").write_text("raise ImportError")  # as on Windows
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(gd_nd_cost.run_program.__globals__, "SIZES", [10, 20])
    results = gd_nd_cost.run_program({})
    for faults in results["faults"]:
        assert math.isnan(faults)
    for milliseconds in results["a step"]:
        assert milliseconds > 0
