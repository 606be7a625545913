"""gd_nd_torch.py, held to theory: on ||w||^2 / 2 a step multiplies w by 1 - eta, whatever d is."""

import math
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import load_script
from figure_checks import complaints
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

gd = load_script("gd_nd_torch")
gd_1d = load_script("gd_1d_torch")

CPU = torch.device("cpu")
DEVICES = [CPU, *(torch.device(name) for name in ["cuda"] if torch.cuda.is_available())]
DIAGNOSTICS, COST = "gd_nd_diagnostics.png", "gd_nd_cost.png"
EPS = torch.finfo(torch.float32).eps
DIMENSIONS = [1, 10, 1000, 1_000_000]


def inner_product_error(d: int) -> float:
    """A bound on the relative error of w.w in float32, for w of shape (d,).

    lambda sqrt(d) eps/2 holds with probability 1 - 2 exp(-lambda^2 / 2) (Higham and Mary, SIAM J.
    Sci. Comput. 41, 2019); with lambda = 8 that is certain enough. One eps more for the rest.
    """
    return 8 * math.sqrt(d) * EPS / 2 + EPS


def step_error(eta: float, k: np.ndarray) -> np.ndarray:
    """A bound on the relative error of w_k: a step rounds eta, eta * w and the difference."""
    return (k + 1) * EPS * (eta / abs(1 - eta) + 1)


def pile(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def sum_of_squares(params: list[torch.Tensor]) -> torch.Tensor:
    return sum(0.5 * (w * w).sum() for w in params)


@pytest.mark.parametrize("eta", [0.5, 1.5, 3.0])  # factors 0.5, -0.5, -2: exact in binary
def test_in_one_dimension_it_is_the_loop_of_lecture_1(eta):
    w_1d, hist_1d = gd_1d.gd_1d_torch(gd_1d.quadratic, 5.0, eta, max_iters=80)
    w, hist = gd.gd_nd_torch(gd.quadratic, torch.tensor([5.0]), eta, max_iters=80)
    assert w.item() == w_1d
    assert (hist["k"], hist["stop"]) == (hist_1d["k"], hist_1d["stop"])
    assert hist["L(w)"] == hist_1d["L(w)"]
    assert hist["||grad||"][:-1] == hist_1d["|dL/dw|"][:-1]
    overflow = eta == 3.0  # ||grad|| is a root of a sum of squares
    assert hist["||grad||"][-1] == (math.inf if overflow else hist_1d["|dL/dw|"][-1])


@pytest.mark.parametrize("device", DEVICES, ids=str)
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


def test_theory_is_the_closed_form():
    theory = gd.quadratic_theory(0.5, np.arange(3))
    assert theory["||grad||"].tolist() == [5, 2.5, 1.25]
    assert theory["L(w)"].tolist() == theory["gap"].tolist() == [12.5, 3.125, 0.78125]
    assert theory["|dL|"].tolist() == [9.375, 2.34375, 0.5859375]


def test_diagnostics_are_the_same_for_every_d():
    runs = [
        gd.gd_nd_torch(gd.quadratic, gd.quadratic_start(d, CPU), 0.5, 80, 1e-10)[1]
        for d in DIMENSIONS
    ]
    for d, hist in zip(DIMENSIONS, runs):
        assert (len(hist["k"]), hist["stop"]) == (37, "gradient")
        for key in ("L(w)", "||grad||", "|dL|"):
            np.testing.assert_allclose(hist[key], runs[0][key], rtol=4 * inner_product_error(d))


@pytest.mark.parametrize("d", DIMENSIONS)
def test_starts_have_equal_norm(d):
    w0 = gd.quadratic_start(d, CPU)
    assert (w0.shape, w0.dtype) == ((d,), torch.float32)
    assert abs(w0.double().norm().item() / 5 - 1) <= EPS
    assert torch.equal(w0, gd.quadratic_start(d, CPU))


def test_pile_of_tensors_steps_as_one_vector():
    params = pile((3,), (2, 4), ())
    vector = torch.cat([w.flatten() for w in params])
    _, hist = gd.gd_nd_torch(sum_of_squares, params, 0.3, max_iters=20)
    _, expected = gd.gd_nd_torch(gd.quadratic, vector, 0.3, max_iters=20)
    for key in ("L(w)", "||grad||", "|dL|"):
        np.testing.assert_allclose(hist[key], expected[key], rtol=1e-13)  # 60 roundings of 1e-16
    assert torch.allclose(torch.cat([w.flatten() for w in params]), vector, rtol=1e-13)


def test_loss_gets_what_was_given_and_so_does_the_caller():
    got = []

    def L_fn(params):
        got.append(params)
        return gd.quadratic(params) if torch.is_tensor(params) else sum_of_squares(params)

    (w,) = pile((3,))
    assert gd.gd_nd_torch(L_fn, w, 0.1, max_iters=1)[0] is got[-1] is w
    params = pile((3,), (2,))
    result, _ = gd.gd_nd_torch(L_fn, iter(params), 0.1, max_iters=1)  # as net.parameters() is
    assert result is got[-1]
    assert all(a is b for a, b in zip(result, params, strict=True))


def test_steps_are_those_of_the_textbook():
    """w_{k+1} = w_k - eta grad L(w_k), on a loss whose gradient is no multiple of w."""

    def L_fn(params):
        W, b = params
        return ((W @ W.t() - 1).square().sum() + (W.sum(0) * b).sin().sum()) / 20

    params, expected = pile((2, 3), (3,)), pile((2, 3), (3,))
    gd.gd_nd_torch(L_fn, params, eta=0.3, max_iters=10)
    for _ in range(10):
        leaves = [w.detach().requires_grad_() for w in expected]
        grads = torch.autograd.grad(L_fn(leaves), leaves)
        expected = [w.detach() - 0.3 * g for w, g in zip(leaves, grads)]
    assert all(torch.allclose(a, b, rtol=1e-11) for a, b in zip(params, expected, strict=True))


@pytest.mark.parametrize("layout", ["transposed", "every second"])
def test_parameter_need_not_be_contiguous(layout):
    (w,) = pile((4, 6))
    w = w.t() if layout == "transposed" else w[:, ::2]
    start = w.clone()
    _, hist = gd.gd_nd_torch(lambda w: 0.5 * (w * w).sum(), w, 0.5, max_iters=1)
    assert hist["||grad||"][0] == pytest.approx(start.norm().item(), rel=1e-14)
    assert torch.equal(w, 0.5 * start)


def test_old_gradient_is_cleared_and_gradient_switched_on():
    w = torch.tensor([4.0])
    w.grad = torch.tensor([1000.0])
    gd.gd_nd_torch(gd.quadratic, w, 0.5, max_iters=1)
    assert (w.item(), w.requires_grad) == (2.0, True)


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_matrix_run_reaches_the_optimum_of_lstsq(device):
    L_fn, W_star = gd.least_squares(device)
    L_star = L_fn(W_star).item()
    W, hist = gd.gd_nd_torch(L_fn, torch.zeros_like(W_star), eta=0.3, eps_grad=1e-5, L_star=L_star)
    assert hist["stop"] == "gradient"
    assert hist["gap"][0] > 5
    # the Hessian X^T X / n has eigenvalues from 0.9 on, so ||W - W*|| <= ||grad|| / 0.9, and the
    # gap <= ||grad||^2 / 1.8 is below the rounding of a sum of 600 squares
    assert (W.detach() - W_star).norm().item() <= 2 * 1e-5 / 0.9
    assert abs(hist["gap"][-1]) <= inner_product_error(600) * L_star


def test_least_squares_minimiser_is_stationary():
    L_fn, W_star = gd.least_squares(CPU)
    L_fn(W_star.requires_grad_()).backward()
    assert W_star.shape == (5, 3)
    assert W_star.grad.norm() <= 1e-5


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_loss_of_the_network_falls_at_every_step(device):
    L_fn, params = gd.network(device)
    _, hist = gd.gd_nd_torch(L_fn, params, eta=0.5)
    losses = np.array(hist["L(w)"])
    assert sum(w.numel() for w in params) == 113
    assert losses[0] == pytest.approx(0.6901, abs=5e-5)
    assert np.all(np.diff(losses) < 0)
    assert losses[-1] < 0.01


@pytest.mark.parametrize("eta", [1e-3, 0.1, 1.0, 1.5, 3.0])
def test_decrease_is_the_first_order_one_less_its_half_eta(eta):
    (w,) = pile((100,))
    norm = w.norm().item()
    predicted, actual = gd.decrease(gd.quadratic, w, eta)
    assert predicted == pytest.approx(eta * norm**2, rel=1e-13)
    assert actual / predicted == pytest.approx(1 - eta / 2, rel=1e-11)


def test_decrease_of_the_network_is_first_order_for_small_eta():
    errors = []
    for eta in (1.0, 0.1):
        predicted, actual = gd.decrease(*gd.network(CPU), eta)
        errors.append(1 - actual / predicted)
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.4)  # first order: in proportion to eta


@pytest.mark.parametrize("d", [1, 1000])
def test_divergence_stops_at_the_first_loss_that_is_not_finite(d):
    w, hist = gd.gd_nd_torch(gd.quadratic, gd.quadratic_start(d, CPU), 3.0, max_iters=1000)
    # theory: the first k at which ||w||^2, 4^k 25, no longer fits into a float32
    k = math.ceil(math.log(math.sqrt(torch.finfo(torch.float32).max) / 5.0) / math.log(2))
    assert (hist["k"][-1], hist["stop"]) == (k, "diverged")
    assert hist["message"] == f"diverged at iteration {k}: L(w) = inf, ||grad|| = inf"
    assert all(math.isfinite(loss) for loss in hist["L(w)"][:-1])
    assert w.isfinite().all()  # no step was taken from there


@pytest.mark.parametrize(
    ("L_fn", "said"),
    [
        (lambda params: params[0].sum() + params[1].sum() * math.nan, "L(w) = nan"),
        (lambda params: params[0].sum() + params[1].abs().sqrt().sum(), "||grad|| = nan"),
        (lambda params: params[0].sum() + params[1].clamp(min=0).sqrt().sum(), "||grad|| = inf"),
    ],
)
def test_nan_or_inf_anywhere_stops_at_once(L_fn, said):
    _, hist = gd.gd_nd_torch(L_fn, [torch.ones(2), torch.tensor([1.0, 0.0])], 0.1)
    assert (hist["k"], hist["stop"]) == ([0], "diverged")
    assert "at iteration 0:" in hist["message"]
    assert said in hist["message"]


def test_history_is_of_numbers_and_says_why_the_run_ended():
    _, hist = gd.gd_nd_torch(gd.quadratic, torch.ones(3), 0.5, max_iters=5, L_star=-1)
    assert hist.keys() == {"k", "L(w)", "||grad||", "|dL|", "gap", "stop", "message"}
    assert hist["k"] == [0, 1, 2, 3, 4]
    assert hist["|dL|"] == [a - b for a, b in zip(hist["L(w)"], hist["L(w)"][1:])]
    assert hist["gap"] == [loss + 1 for loss in hist["L(w)"]]
    assert hist["stop"] == "max_iters"
    assert hist["message"].startswith("max_iters at iteration 4: L(w) = 0.00585938, ")
    lists = [values for values in hist.values() if isinstance(values, list)]
    assert all(type(value) in (int, float) for values in lists for value in values)


def test_gap_is_left_out_where_the_optimum_is_not_known():
    _, hist = gd.gd_nd_torch(gd.quadratic, torch.ones(3), 0.5)
    assert "gap" not in hist
    assert hist["||grad||"][-1] <= 1e-8 < hist["||grad||"][-2]
    assert hist["stop"] == "gradient"


def test_stationary_start_stops_before_the_first_step():
    w, hist = gd.gd_nd_torch(gd.quadratic, torch.zeros(3), 0.5, eps_grad=0)
    assert (hist["k"], hist["|dL|"], hist["stop"]) == ([0], [], "gradient")


TWO = torch.ones(2)
NO_LEAF = torch.ones(2, requires_grad=True) * 2


@pytest.mark.parametrize(
    ("argument", "value", "named"),
    [
        ("params", 5.0, "params must be a tensor"),
        ("params", [TWO, None], r"params\[1\] must be a tensor"),
        ("params", [], "params must hold at least one tensor"),
        ("params", torch.tensor([1, 2]), "params must be .* got torch.int64"),
        ("params", TWO.half(), "params must be .* got torch.float16"),
        ("params", TWO + 1j, "params must be .* got torch.complex64"),
        ("params", NO_LEAF, "params must be a leaf"),
        ("params", [TWO, NO_LEAF], r"params\[1\] must be a leaf"),
        ("params", torch.ones(0), "params must have an entry"),
        ("params", torch.tensor([1, math.nan]), "params must be finite"),
        ("params", [TWO, torch.tensor([-math.inf, 1])], r"params\[1\] must be finite"),
        ("params", [TWO, TWO.clone(), TWO], r"params\[2\] must be a tensor of its own"),
        ("eta", 0.0, "eta"),
        ("eta", -0.1, "eta"),
        ("eta", math.nan, "eta"),
        ("eta", math.inf, "eta"),
        ("max_iters", 0, "max_iters"),
        ("max_iters", math.nan, "max_iters"),
        ("max_iters", 2.5, "max_iters"),
        ("eps_grad", -1e-8, "eps_grad"),
        ("eps_grad", math.nan, "eps_grad"),
        ("L_star", math.nan, "L_star"),
        ("L_star", -math.inf, "L_star"),
        ("L_fn", lambda w: w * w, "L_fn must return a scalar"),  # a vector
        ("L_fn", lambda w: w.dot(w).reshape(1), "L_fn must return a scalar"),  # shape (1,)
        ("L_fn", lambda w: 0.5, "L_fn must return a scalar"),  # not a tensor
        ("L_fn", lambda w: torch.tensor(0.5), "L_fn must return a scalar"),  # not of w
        ("L_fn", lambda w: w.detach().dot(w.detach()), "L_fn must return a scalar"),  # cut off
        ("L_fn", lambda w: NO_LEAF.sum(), "L_fn must use every tensor"),  # of another tensor
    ],
)
def test_bad_argument_is_named(argument, value, named):
    arguments = {"L_fn": gd.quadratic, "params": torch.ones(2), "eta": 0.5, argument: value}
    with pytest.raises(ValueError, match=f"^{named}"):
        gd.gd_nd_torch(**arguments)


def test_parameter_that_the_loss_does_not_use_is_refused():
    with pytest.raises(ValueError, match="L_fn must use every tensor of params"):
        gd.gd_nd_torch(lambda params: params[0].sum(), pile((2,), (3,)), 0.5)


class Vectors(TorchDispatchMode):
    """Watches the vectors of d numbers that operations under it read, write and make.

    alive is how many of those made are in memory, at_update their number at the end of each
    update, moved the bytes read and written, each operand of an operation once.
    """

    def __init__(self, d: int) -> None:
        super().__init__()
        self.d, self.made, self.at_update, self.moved = d, [], [], 0

    @property
    def alive(self) -> int:
        return sum(storage() is not None for storage in self.made)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        if operation is torch.ops.aten.detach.default:  # a view: nothing is moved
            return result
        read = {x.data_ptr(): x for x in args if torch.is_tensor(x) and x.numel() == self.d}
        written = [x for x in tree_leaves(result) if torch.is_tensor(x) and x.numel() == self.d]
        self.moved += sum(x.nbytes for x in [*read.values(), *written])
        self.made += [weakref.ref(x.untyped_storage()) for x in written if x.data_ptr() not in read]
        if operation is torch.ops.aten.sub_.Tensor:
            self.at_update.append(self.alive)
        return result


@pytest.mark.parametrize("iters", [2, 30])
def test_memory_is_the_parameter_its_gradient_and_what_the_loss_needs(iters):
    at_forward = []

    def L_fn(w):
        at_forward.append(vectors.alive)
        return gd.quadratic(w)

    w0 = torch.ones(500)
    with Vectors(500) as vectors:
        gd.gd_nd_torch(L_fn, w0, 0.1, max_iters=iters)
    assert at_forward == [0] * iters  # beside w: nothing kept from the iteration before
    assert vectors.at_update == [1] * iters  # beside w: the gradient


def test_bytes_are_those_that_the_operations_read_and_write():
    w0 = torch.ones(500)
    with Vectors(500) as vectors:
        gd.gd_nd_torch(gd.quadratic, w0, 0.1, max_iters=1)
    finite = 500 * 4  # the check of the start, once a run, reads w
    assert vectors.moved - finite == gd.bytes_moved(500)
    assert gd.bytes_moved(500, itemsize=8) == 2 * gd.bytes_moved(500)


def test_iteration_time_returns_quartiles_and_a_share():
    quartiles, share = gd.iteration_time(7, CPU, seconds=0.01, threads=1)
    assert quartiles.shape == (3,)
    assert 0 < quartiles[0] <= quartiles[1] <= quartiles[2] < 1
    assert 0 <= share <= 1


def test_share_is_that_of_processor_time(monkeypatch):
    clock = iter([SimpleNamespace(user=1.0, system=0.5), SimpleNamespace(user=4.0, system=1.5)])
    monkeypatch.setattr(gd.os, "times", lambda: next(clock))
    assert gd.iteration_time(7, CPU, seconds=0.01, threads=1)[1] == 0.25


UPDATES = ["w.sub_(w.grad, alpha=eta)", "torch.optim.SGD", "w -= eta * w.grad"]


@pytest.mark.parametrize("name", UPDATES)
def test_each_way_to_write_the_update_takes_the_steps_of_the_loop(name):
    w, expected = (gd.quadratic_start(100, CPU).requires_grad_() for _ in range(2))
    for _ in range(5):
        gd.iterate(w, gd.updates(w, 0.3)[name])
    gd.gd_nd_torch(gd.quadratic, expected, eta=0.3, max_iters=5)
    assert torch.allclose(w, expected, rtol=10 * EPS)  # two roundings a step


def test_each_way_to_write_the_update_is_timed_and_printed(run_of):
    names = list(gd.update_times(7, CPU, seconds=0.001, threads=1))
    assert names == UPDATES
    lines = run_of("gd_nd_torch").stdout.split("one iteration at d = 1000,")[1].splitlines()[1:4]
    assert [line[2:28].strip() for line in lines] == names
    medians = [float(line[28:].split(" ms")[0]) for line in lines]
    ratios = [float(line.split(") ")[-1].split(" times")[0]) for line in lines]
    assert ratios == pytest.approx([median / medians[0] for median in medians], rel=0.02)


@pytest.fixture(scope="module")
def fit():
    """The history of a least-squares run, and its L*."""
    L_fn, W_star = gd.least_squares(CPU)
    L_star = L_fn(W_star).item()
    start = torch.zeros_like(W_star)
    return gd.gd_nd_torch(L_fn, start, 0.3, eps_grad=1e-5, L_star=L_star)[1], L_star


def test_diagnostics_show_the_runs_and_the_theory(fit, drawn, tmp_path):
    runs = {
        d: gd.gd_nd_torch(gd.quadratic, gd.quadratic_start(d, CPU), 0.5, 80, 1e-10, 0)[1]
        for d in (1, 10, 1000)
    }
    gd.save_diagnostics_plot(runs, *fit, 0.5, tmp_path / "new folder" / DIAGNOSTICS)
    figure, (least_squares, L_star) = drawn[DIAGNOSTICS], fit
    k = np.arange(37)
    closed_forms = [12.5 * 0.25**k, 12.5 * 0.25**k, 5 * 0.5**k, 12.5 * 0.75 * 0.25 ** k[:-1]]
    for ax, key, closed_form in zip(
        figure.axes, ["L(w)", "gap", "||grad||", "|dL|"], closed_forms, strict=True
    ):
        assert ax.get_yscale() == "log"
        theory, *lines, squares = ax.get_lines()[:5]
        np.testing.assert_allclose(theory.get_ydata(), closed_form)
        for line, (d, hist) in zip(lines, runs.items(), strict=True):
            assert line.get_label() == f"d = {d:,}"
            np.testing.assert_array_equal(line.get_xydata(), np.c_[k[: len(hist[key])], hist[key]])
        y = squares.get_ydata()
        seen = np.isfinite(y)
        assert seen.sum() > 15
        np.testing.assert_array_equal(y[seen], np.array(least_squares[key])[seen])
        assert np.all(np.array(least_squares[key])[~seen] < 10 * EPS * L_star)
    optimum = figure.axes[0].get_lines()[5]
    assert set(optimum.get_ydata()) == {L_star}
    # one marker around the other: those of several d at one point can all be seen
    sizes = [line.get_markersize() for line in lines]
    assert all(outer > 1.3 * inner for outer, inner in zip(sizes, sizes[1:]))
    assert {line.get_fillstyle() for line in lines} == {"none"}
    assert len({line.get_marker() for line in lines}) == len({line.get_color() for line in lines})
    assert complaints(figure) == []


def test_cost_figure_shows_times_and_memory_traffic(drawn, tmp_path):
    times = {
        1: (np.array([4e-5, 5e-5, 7e-5]), 0.0),
        10**6: (np.array([1e-3, 2e-3, 3e-3]), 0.1),
        10**7: (np.array([0.04, 0.05, 0.06]), 0.6),
    }
    gd.save_cost_plot(times, 24e9, tmp_path / "new folder" / COST)
    figure = drawn[COST]
    (ax,) = figure.axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    (measured,) = ax.containers
    middle, _, (bars,) = measured
    np.testing.assert_allclose(middle.get_xydata(), [(1, 0.05), (10**6, 2), (10**7, 50)])
    spread = [(bar[0, 1], bar[1, 1]) for bar in bars.get_segments()]
    np.testing.assert_allclose(spread, [(0.04, 0.07), (1, 3), (40, 60)])
    predicted, *_, own = ax.get_lines()
    np.testing.assert_allclose(own.get_ydata(), [0.05, 1.8, 20])
    np.testing.assert_allclose(predicted.get_ydata(), [2e-6, 2, 20])  # 48 d bytes at 24 GB/s
    title = "50 us at d = 1, 2.5 times what its memory traffic predicts at d = 10,000,000"
    assert title in ax.get_title()
    assert complaints(figure) == []


def rows_under(stdout: str, first: str) -> list[list[str]]:
    """The cells of the table whose header begins with the word first, row by row."""
    lines = stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == [first])
    return [line.split() for line in lines[start + 1 : lines.index("", start)]]


def test_prints_each_run_with_its_theory(run_of):
    stdout = run_of("gd_nd_torch").stdout
    rows = rows_under(stdout, "d")
    assert [row[:3] for row in rows] == [[str(d), "37", "gradient"] for d in DIMENSIONS]
    for d, row in zip(DIMENSIONS, rows):
        assert float(row[5]) == pytest.approx(5 / 2**36, rel=1e-6)
        assert float(row[4]) == pytest.approx(5 / 2**36, rel=1e-6 + inner_product_error(d))
    assert "|gap| below 10 eps L*, the rounding of L? True" in stdout
    assert "network, 113 parameters in 4 tensors" in stdout
    assert "L(w_0) = 0.6901" in stdout
    assert "lower at every step? True" in stdout


def test_prints_predicted_and_actual_decrease(run_of):
    rows = rows_under(run_of("gd_nd_torch").stdout, "loss")
    assert len(rows) == 4
    for *_, eta, predicted, actual, ratio in (row[: row.index("1")] for row in rows):
        assert float(ratio) == pytest.approx(float(actual) / float(predicted), abs=0.02)
        assert (float(ratio) > 0.99) == (float(eta) == 0.01)


def test_prints_what_an_iteration_costs(run_of):
    stdout = run_of("gd_nd_torch").stdout
    (ceiling,) = [line.split()[5] for line in stdout.splitlines() if "ceiling" in line]
    table = stdout[stdout.index("ceiling") :]
    rows = rows_under(table, "d")
    assert [row[0] for row in rows] == ["1", "1000"]
    for d, median, _, moves, rate, share, system in rows:
        assert float(moves) == pytest.approx(48e-6 * int(d))
        assert float(rate) == pytest.approx(48e-6 * int(d) / float(median), rel=0.02)
        assert float(share[:-1]) == pytest.approx(100 * float(rate) / float(ceiling), abs=1)
        assert 0 <= float(system[:-1]) <= 100
    assert stdout.splitlines()[-2:] == [f"figure: figures/{name}" for name in (DIAGNOSTICS, COST)]
    assert stdout.isascii()


@pytest.mark.parametrize("eta", [2.0, 1.0])  # the loss stays as it is, or is 0 after a step
def test_step_sizes_at_the_limits_are_drawn(fit, drawn, tmp_path, eta):
    _, hist = gd.gd_nd_torch(gd.quadratic, gd.quadratic_start(7, CPU), eta, 80, 1e-10, 0)
    gd.save_diagnostics_plot({7: hist}, *fit, eta, tmp_path / DIAGNOSTICS)
    assert complaints(drawn[DIAGNOSTICS]) == []


@pytest.fixture
def small_main(monkeypatch, tmp_path, drawn):
    """main() with small options and those given; it returns the figures it drew."""
    monkeypatch.setattr(gd, "FIGURES", tmp_path)

    def run(*options: str) -> dict:
        gd.main(["--sizes", "9", "--seconds", "0.003", *options])
        return drawn

    return run


def test_main_draws_each_dimension_once_and_says_that_a_run_diverged(small_main, capsys):
    figure = small_main("--eta", "3", "--d", "20", "3", "20", "4", "5")[DIAGNOSTICS]
    lines = figure.axes[0].get_lines()[1:5]
    assert [line.get_label() for line in lines] == [f"d = {d}" for d in (3, 4, 5, 20)]
    assert "diverged at iteration 62: L(w) = inf" in capsys.readouterr().out
    assert complaints(figure) == []


@pytest.mark.skipif(len(DEVICES) == 1, reason="no CUDA device here")
def test_main_runs_on_cuda(small_main, capsys):
    small_main("--device", "cuda")
    assert "float32, cuda" in capsys.readouterr().out
