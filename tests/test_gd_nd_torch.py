"""gd_nd_torch.py, held to theory: on ||w||^2 / 2 a step multiplies w by 1 - eta, whatever d is."""

import math
import sys
import weakref
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from conftest import load_script
from figure_checks import complaints
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

gd = load_script("gd_nd_torch")
gd_1d = load_script("gd_1d_torch")

DEVICES = ["cpu", *(name for name in ["cuda"] if torch.cuda.is_available())]
EPS = torch.finfo(torch.float32).eps
DIMENSIONS = [1, 10, 1000, 1_000_000]
NOWHERE = ", no lower than at the start. Try a "


def inner_product_error(d: int) -> float:
    """A bound on the relative error of w.w in float32, for random w of shape (d,), d <= 10^6.

    8 sqrt(d) eps/2 is certain enough for independent roundings (Higham and Mary, SIAM J. Sci.
    Comput. 41, 2019). Theirs have a bias, which grows as d: up to 10^6 there is room for it.
    """
    return 8 * math.sqrt(d) * EPS / 2 + EPS


def step_error(eta: float, k: np.ndarray) -> np.ndarray:
    """A bound on the relative error of w_k: a step rounds eta, eta * w and the difference."""
    return (k + 1) * EPS * (eta / abs(1 - eta) + 1)


def pile(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("eta", [0.5, 1.5, 3.0])  # factors 0.5, -0.5, -2: exact in binary
def test_in_one_dimension_it_is_the_loop_of_lecture_1(eta):
    w_1d, hist_1d = gd_1d.gd_1d_torch(gd_1d.quadratic, 5.0, eta, max_iters=80)
    w, hist = gd.gd_nd_torch(gd.quadratic, torch.tensor([5.0]), eta, max_iters=80)
    assert w.item() == w_1d
    assert (hist["k"], hist["stop"]) == (hist_1d["k"], hist_1d["stop"])
    assert hist["L(w)"] == hist_1d["L(w)"]
    # at the end of the third run ||grad||, the root of a sum of squares, overflows before |dL/dw|
    assert hist["||grad||"][:-1] == hist_1d["|dL/dw|"][:-1]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("eta", [0.01, 0.3, 1.9, 2.5])
@pytest.mark.parametrize("d", DIMENSIONS)
def test_run_contracts_as_theory_says(d, eta, device):
    w0 = gd.quadratic_start(d, device)
    start, k = w0.double().cpu(), np.arange(15)
    w, hist = gd.gd_nd_torch(gd.quadratic, w0, eta, max_iters=15, eps_grad=0, L_star=0)
    error = (w.detach().double().cpu() - (1 - eta) ** 15 * start).norm() / w.detach().norm()
    assert error <= step_error(eta, 14)
    rtol = 2 * step_error(eta, k) + inner_product_error(d)
    norm = abs(1 - eta) ** k * 5.0
    for key, theory in [("||grad||", norm), ("L(w)", norm**2 / 2), ("gap", norm**2 / 2)]:
        assert np.all(abs(np.array(hist[key]) / theory - 1) <= rtol), key
    change = np.diff(norm**2 / 2)
    allowed = (rtol * norm**2)[:-1] + (rtol * norm**2)[1:]
    assert np.all(abs(np.array(hist["|dL|"]) - abs(change)) <= allowed)


def test_steps_are_those_of_the_textbook_with_one_norm_for_all_tensors():
    def L_fn(params):  # its gradient is no multiple of w
        W, b = params
        return ((W @ W.t() - 1).square().sum() + (W.sum(0) * b).sin().sum()) / 20

    W, b = pile((3, 2), (3,))
    params, expected, norms = [W.t(), b], [W.t().clone(), b.clone()], []  # one is not contiguous
    b.grad = torch.ones_like(b)  # an old one, to be cleared
    result, hist = gd.gd_nd_torch(L_fn, iter(params), eta=0.3, max_iters=10)
    for _ in range(10):
        leaves = [w.detach().requires_grad_() for w in expected]
        grads = torch.autograd.grad(L_fn(leaves), leaves)
        norms.append(torch.cat([g.flatten() for g in grads]).norm().item())
        expected = [w.detach() - 0.3 * g for w, g in zip(leaves, grads, strict=True)]
    assert all(torch.allclose(a, b, rtol=1e-11) for a, b in zip(params, expected, strict=True))
    assert hist["||grad||"] == pytest.approx(norms, rel=1e-11)
    assert all(a is b for a, b in zip(result, params, strict=True))


@pytest.mark.parametrize("device", DEVICES)
def test_matrix_run_reaches_the_optimum_of_lstsq(device):
    L_fn, W_star = gd.least_squares(device)
    L_star = L_fn(W_star).item()
    W, hist = gd.gd_nd_torch(L_fn, torch.zeros_like(W_star), eta=0.3, eps_grad=1e-5, L_star=L_star)
    assert hist["stop"] == "gradient"
    # the Hessian X^T X / n has eigenvalues from 0.9 on, so ||W - W*|| <= ||grad|| / 0.9, and the
    # gap <= ||grad||^2 / 1.8 is below the rounding of a sum of 600 squares
    assert (W.detach() - W_star).norm().item() <= 2 * 1e-5 / 0.9
    assert abs(hist["gap"][-1]) <= inner_product_error(600) * L_star


@pytest.mark.parametrize("device", DEVICES)
def test_loss_of_the_network_falls_at_every_step(device):
    losses = gd.gd_nd_torch(*gd.network(device), eta=0.5)[1]["L(w)"]
    assert all(after < before for before, after in pairwise(losses))


@pytest.mark.parametrize("eta", [1e-3, 0.1, 1.0, 1.5, 3.0])
def test_decrease_is_the_first_order_one_less_its_half_eta(eta):
    (w,) = pile((100,))
    norm = w.norm().item()
    predicted, actual = gd.decrease(gd.quadratic, w, eta)
    assert predicted == pytest.approx(eta * norm**2, rel=1e-13)
    assert actual / predicted == pytest.approx(1 - eta / 2, rel=1e-11)


def test_decrease_of_the_network_is_first_order_for_small_eta():
    decreases = [gd.decrease(*gd.network("cpu"), eta) for eta in (1.0, 0.1)]
    large, small = (1 - actual / predicted for predicted, actual in decreases)
    assert large / small == pytest.approx(10, rel=0.4)  # first order: in proportion to eta


@pytest.mark.parametrize("d", [1, 1000])
def test_divergence_stops_at_the_first_loss_that_is_not_finite(d):
    w, hist = gd.gd_nd_torch(gd.quadratic, gd.quadratic_start(d, "cpu"), 3.0, max_iters=1000)
    # theory: the first k at which ||w||^2, 4^k 25, no longer fits into a float32
    k = math.ceil(math.log(math.sqrt(torch.finfo(torch.float32).max) / 5.0) / math.log(2))
    assert hist["message"] == f"diverged at iteration {k}: L(w) = inf, ||grad|| = inf"
    assert all(math.isfinite(loss) for loss in hist["L(w)"][:-1])
    assert w.isfinite().all()  # no step was taken from there


@pytest.mark.parametrize("f", [lambda w: w * math.nan, lambda w: w.abs().sqrt(), torch.sqrt])
def test_nan_loss_and_nan_or_infinite_gradient_stop_at_once(f):
    params = [torch.ones(2), torch.tensor([1.0, 0.0])]
    _, hist = gd.gd_nd_torch(lambda params: params[0].sum() + f(params[1]).sum(), params, 0.1)
    assert (hist["k"], hist["stop"]) == ([0], "diverged")


def test_history_says_why_the_run_ended():
    _, hist = gd.gd_nd_torch(gd.quadratic, torch.ones(3), 0.5, max_iters=5, L_star=-1)
    assert hist["|dL|"] == [a - b for a, b in pairwise(hist["L(w)"])]
    assert hist["gap"] == [loss + 1 for loss in hist["L(w)"]]
    assert hist["message"].startswith("max_iters at iteration 4: L(w) = 0.00585938, ")
    _, hist = gd.gd_nd_torch(gd.quadratic, torch.zeros(3), 0.5, eps_grad=0)  # a stationary start
    assert (hist["k"], hist["|dL|"], hist["stop"]) == ([0], [], "gradient")
    assert "gap" not in hist  # L* was not given


TWO = torch.ones(2)
NO_LEAF = torch.ones(2, requires_grad=True) * 2
FIRST = lambda w: gd.quadratic(w if torch.is_tensor(w) else w[0])  # noqa: E731
NO_SCALARS = [torch.square, lambda w: w.sum()[None], lambda w: 0.5, lambda w: w.detach().sum()]


@pytest.mark.parametrize(
    ("argument", "value", "named"),
    [
        ("params", 5.0, "params must be a tensor"),
        ("params", [], "params must hold at least one tensor"),
        ("params", torch.tensor([1, 2]), "params must be .* got torch.int64"),
        ("params", [TWO, NO_LEAF], r"params\[1\] must be a leaf"),
        ("params", torch.ones(0), "params must be of finite numbers"),
        ("params", [TWO, torch.tensor([-math.inf, 1])], r"params\[1\] must be of finite numbers"),
        ("params", [TWO, TWO.clone(), TWO], r"params\[2\] must be a tensor of its own"),
        *(("eta", value, "eta must") for value in (0.0, -0.1, math.nan, math.inf)),
        *(("max_iters", value, "max_iters must") for value in (0, math.nan, 2.5)),
        ("eps_grad", -1e-8, "eps_grad must"),
        ("L_star", math.nan, "L_star must"),
        *(("L_fn", L_fn, "L_fn must return a scalar") for L_fn in NO_SCALARS),
        ("params", [TWO, TWO.clone()], "L_fn must use every tensor"),  # L_fn uses the first
    ],
)
def test_bad_argument_is_named(argument, value, named):
    arguments = {"L_fn": FIRST, "params": torch.ones(2), "eta": 0.5, argument: value}
    with pytest.raises(ValueError, match=f"^{named}"):
        gd.gd_nd_torch(**arguments)


class Memory(TorchDispatchMode):
    """Counts the vectors of d numbers, made under it, that are in memory: at their most."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.d, self.made, self.most = d, [], 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        vectors = [x for x in tree_leaves(result) if torch.is_tensor(x) and x.numel() == self.d]
        self.made += [weakref.ref(x.untyped_storage()) for x in vectors]
        alive = {storage().data_ptr() for storage in self.made if storage() is not None}
        self.most = max(self.most, len(alive))
        return result


def test_no_trajectory_is_kept():
    most = []
    for iters in (2, 30):
        with Memory(500) as memory:
            gd.gd_nd_torch(gd.quadratic, torch.ones(500), 0.1, max_iters=iters, eps_grad=0)
        most.append(memory.most)
    assert most[0] == most[1]


@pytest.fixture
def main(monkeypatch, tmp_path, drawn, capsys):
    """main(); it returns what was printed. Its figure is fit to read."""
    monkeypatch.setattr(gd, "FIGURES", tmp_path)

    def run(argv):
        gd.main(argv)
        (figure,) = drawn.values()
        assert complaints(figure) == []
        return capsys.readouterr().out

    yield run
    plt.close("all")


def test_main_prints_the_proofs_and_in_a_notebook_takes_no_arguments(main, monkeypatch):
    monkeypatch.setattr(sys, "ps1", "In : ", raising=False)
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel.json"])
    printed = main(None)
    for d, row in zip(DIMENSIONS, printed.splitlines()[2:6], strict=True):
        *words, _, norm, _ = row.split()
        assert words == [str(d), "37", "gradient"]
        assert float(norm) == pytest.approx(5 / 2**36, rel=1e-6 + inner_product_error(d))
    assert "|gap| below 10 eps L*, the rounding of L? True" in printed
    assert "network, 113 parameters in 4 tensors, eta = 0.5\n  L(w_0) = 0.6901, then " in printed
    assert "lower at every step? True" in printed
    for ratio in ("0.9950  1 - eta/2 = 0.995", "0.2500  1 - eta/2 = 0.25", "0.9994  1 + O(eta)"):
        assert ratio in printed


@pytest.mark.parametrize(
    ("eta", "said"),
    [
        ("3", f"diverged at iteration 62: L(w) = inf, ||grad|| = inf{NOWHERE}smaller eta."),
        ("2", f"||grad|| = 5{NOWHERE}smaller eta."),
        ("1e-9", f"||grad|| = 5{NOWHERE}larger eta."),  # the step is lost in float32
        ("1", ""),  # one step to the minimum
    ],
)
def test_advice_can_help(main, eta, said):
    printed = main(["--eta", eta, "--d", "20", "3", "20", "4", "5"])
    assert [row.split()[0] for row in printed.splitlines()[2:6]] == ["3", "4", "5", "20"]
    assert said in printed and (NOWHERE in printed) == bool(said)


BAD = ["--eta 0", "--eta nan", "--eta x", "--d 0", "--d 1.5", "--d 1 2 3 4 5", "--device tpu"]


@pytest.mark.parametrize("options", BAD)
def test_bad_option_is_named_in_one_line(options, capsys):
    with pytest.raises(SystemExit, match="^2$"):
        gd.main(options.split())
    assert f"argument {options.split()[0]}: " in capsys.readouterr().err.splitlines()[-1]
