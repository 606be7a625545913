"""gd_nd_torch.py, held to theory: on ||w||^2 / 2 a step multiplies w by 1 - eta, whatever d is."""

import math
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
NOWHERE = "no lower than at the start. Try eta = 0.5."


def inner_product_error(d: int) -> float:
    """A bound on the relative error of a sum of d squares in float32.

    8 sqrt(d) eps/2 is certain enough for independent roundings in whatever order they are added
    (Higham and Mary, SIAM J. Sci. Comput. 41, 2019).
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
    L_fn, W_star, eigenvalues = gd.least_squares(device)
    L_star = L_fn(W_star).item()
    W, hist = gd.gd_nd_torch(L_fn, torch.zeros_like(W_star), 1.0, eps_grad=1e-5, L_star=L_star)
    assert hist["stop"] == "gradient"
    # the eigenvalues of the Hessian X^T X / n are at least the smallest of them, so
    # ||W - W*|| <= ||grad|| / smallest, and the gap is at most ||grad||^2 / (2 smallest), which
    # is below the rounding of a sum of 600 squares; W* itself is rounded by some eps
    smallest = eigenvalues[0].item()
    assert (W.detach() - W_star).norm().item() <= 1e-5 / smallest + 10 * EPS * W_star.norm().item()
    assert abs(hist["gap"][-1]) <= inner_product_error(600) * L_star


@pytest.mark.parametrize(("eta", "stop"), [(0.98, "gradient"), (1.02, "max_iters")])
def test_matrix_run_needs_a_step_size_below_2_by_the_largest_eigenvalue(eta, stop):
    L_fn, W_star, eigenvalues = gd.least_squares("cpu")
    limit = 2 / eigenvalues[-1].item()
    _, hist = gd.gd_nd_torch(L_fn, torch.zeros(5, 3), eta * limit, max_iters=600, eps_grad=1e-3)
    assert hist["stop"] == stop


@pytest.mark.parametrize("device", DEVICES)
def test_loss_of_the_network_falls_at_every_step(device):
    losses = gd.gd_nd_torch(*gd.network(device), eta=0.5)[1]["L(w)"]
    assert all(after < before for before, after in pairwise(losses))


def test_loss_of_the_network_is_computed_from_its_argument():
    """By hand: W2 relu(W1 x + b1) + b2, then the mean of -log p(y)."""
    L_fn, params = gd.network("cpu")
    moved = [w.detach() + 0.1 for w in params]
    W1, b1, W2, b2 = moved
    torch.manual_seed(0)
    X, y = torch.randn(8, 5), torch.randint(0, 2, (8,))
    p = torch.sigmoid((X @ W1.T + b1).relu() @ W2.T + b2).squeeze(1).double()
    by_hand = -torch.where(y == 1, p, 1 - p).log().mean()
    assert L_fn(moved).item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert L_fn(params).item() != pytest.approx(by_hand.item(), rel=1e-2)


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
    assert (hist["stop"], hist["k"][-1], hist["L(w)"][-1]) == ("diverged", k, math.inf)
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
    assert (hist["stop"], hist["k"]) == ("max_iters", [0, 1, 2, 3, 4])
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
        ("params", [], "params must hold at least one tensor"),
        ("params", [5.0], "params must be tensors"),
        ("params", torch.tensor([1, 2]), "params must be tensors of float32 or float64, got"),
        ("params", [TWO, NO_LEAF], "params must not be the results of operations"),
        ("params", torch.ones(0), "params must hold finite numbers"),
        ("params", [TWO, torch.tensor([-math.inf, 1])], "params must hold finite numbers"),
        ("params", [TWO, TWO.clone(), TWO], "params must not hold the same tensor twice"),
        *(("eta", value, "eta must") for value in (0.0, -0.1, math.nan, math.inf, 1e39, 1e-50)),
        *(("max_iters", value, "max_iters must") for value in (0, math.nan, 2.5)),
        ("eps_grad", -1e-8, "eps_grad must"),
        ("L_star", math.nan, "L_star must"),
        *(("L_fn", L_fn, "L_fn must return a tensor of shape") for L_fn in NO_SCALARS),
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

    def run(options):
        gd.main(options.split())
        (figure,) = drawn.values()
        assert complaints(figure) == []
        return capsys.readouterr().out

    yield run
    plt.close("all")


@pytest.mark.parametrize(
    ("eta", "said"),
    [
        ("3", True),
        ("2", True),
        ("1e-9", True),  # the step is lost in float32
        ("1", False),  # one step to the minimum
    ],
)
def test_advice_can_help(main, eta, said):
    printed = main(f"--eta {eta} --d 20 3 20 4 5")
    rows = [line for line in printed.split("\n\n")[0].splitlines()[2:] if NOWHERE not in line]
    assert [row.split()[0] for row in rows] == ["3", "4", "5", "20"]
    assert (NOWHERE in printed) == said


def test_figure_shows_the_runs_and_the_theory(main, drawn):
    main("--d 1 10")
    norm = 0.5 ** np.arange(37) * 5.0
    laws = [norm**2 / 2, norm**2 / 2, norm, abs(np.diff(norm**2 / 2))]
    for ax, law in zip(drawn["gd_nd_diagnostics.png"].axes, laws, strict=True):
        theory, *runs, _ = [line for line in ax.get_lines() if len(line.get_xdata()) > 2]
        np.testing.assert_allclose(theory.get_ydata(), law)
        for run in runs:
            np.testing.assert_allclose(run.get_ydata(), law, rtol=1e-5)
        assert len(runs) == 2


BAD = ["--eta 0", "--eta nan", "--eta x", "--d 0", "--d 1.5", "--d 1 2 3 4 5", "--device tpu"]


@pytest.mark.parametrize("options", BAD)
def test_bad_option_is_named_in_one_line(options, capsys):
    with pytest.raises(SystemExit, match="^2$"):
        gd.main(options.split())
    assert f"argument {options.split()[0]}: " in capsys.readouterr().err.splitlines()[-1]
