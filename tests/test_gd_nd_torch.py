"""gd_nd_torch.py, held to theory: on ||w||^2 / 2 a step multiplies w by 1 - eta, whatever d is."""

import math
import weakref

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

DEVICES = ["cpu"]
if torch.cuda.is_available():
    DEVICES.append("cuda")
on_every_device = pytest.mark.parametrize("device", DEVICES)

EPS = torch.finfo(torch.float32).eps


def error_of_sum_of_squares(d: int) -> float:
    """A bound on the relative error of a sum of d squares in float32.

    8 sqrt(d) eps / 2 is certain enough for independent roundings in whatever order they are added
    (Higham and Mary, SIAM J. Sci. Comput. 41, 2019). The squares round as well, and the result.
    """
    return 8 * math.sqrt(d) * EPS / 2 + EPS


def error_of_steps(eta: float, steps: int | np.ndarray) -> float | np.ndarray:
    """A bound on the relative error of w after so many steps.

    A step rounds eta, eta * w and the difference, each relative to (1 - eta) w.
    """
    return steps * EPS * (eta / abs(1 - eta) + 1)


# The function gd_nd_torch on the quadratic, where all is known.


@pytest.mark.parametrize("eta", [0.5, 1.5, 3.0])
def test_in_one_dimension_it_is_the_loop_of_lecture_1(eta):
    """To the bit: with these eta a step multiplies w by 0.5, -0.5 or -2."""
    w_1d, hist_1d = gd_1d.gd_1d_torch(gd_1d.quadratic, 5.0, eta, max_iters=80)
    w, hist = gd.gd_nd_torch(gd.quadratic, torch.tensor([5.0]), eta, max_iters=80)
    assert w.item() == w_1d
    assert hist["k"] == hist_1d["k"]
    assert hist["stop"] == hist_1d["stop"]
    assert hist["L(w)"] == hist_1d["L(w)"]
    # without the last: where eta is 3 the square of ||grad|| overflows there, |dL/dw| does not
    assert hist["||grad||"][:-1] == hist_1d["|dL/dw|"][:-1]


@on_every_device
@pytest.mark.parametrize("eta", [0.01, 0.3, 1.9, 2.5])
@pytest.mark.parametrize("d", [1, 10, 1000, 1_000_000])
def test_run_follows_theory_within_its_rounding(d, eta, device):
    w0 = gd.quadratic_start(d, device)
    w_in_theory = (1 - eta) ** 15 * w0.double()
    w, hist = gd.gd_nd_torch(gd.quadratic, w0, eta, max_iters=15, eps_grad=0, L_star=0)
    error = (w.detach().double() - w_in_theory).norm() / w_in_theory.norm()
    assert error <= error_of_steps(eta, 15)

    k = np.arange(15)
    norm = abs(1 - eta) ** k * 5
    loss = norm**2 / 2
    # k steps, and one more for the rounding of the start, whose norm is not quite 5
    rtol = 2 * error_of_steps(eta, k + 1) + error_of_sum_of_squares(d)
    assert np.all(abs(hist["||grad||"] - norm) <= rtol * norm)
    assert np.all(abs(hist["L(w)"] - loss) <= rtol * loss)
    assert np.all(abs(hist["gap"] - loss) <= rtol * loss)

    change = abs(np.diff(loss))
    error_of_loss = rtol * loss
    error_of_change = error_of_loss[:-1] + error_of_loss[1:]
    assert np.all(abs(hist["|dL|"] - change) <= error_of_change)


@pytest.mark.parametrize("d", [1, 1000])
def test_divergence_stops_at_the_first_loss_that_is_not_finite(d):
    """In theory the first k at which ||w||^2, which is 4^k 25, does not fit into a float32."""
    w0 = gd.quadratic_start(d, "cpu")
    w, hist = gd.gd_nd_torch(gd.quadratic, w0, eta=3.0, max_iters=1000)
    largest = torch.finfo(torch.float32).max
    assert hist["stop"] == "diverged"
    assert hist["k"][-1] == math.ceil(math.log(largest / 25) / math.log(4))
    assert hist["L(w)"][-1] == math.inf
    assert np.all(np.isfinite(hist["L(w)"][:-1]))
    assert w.isfinite().all()  # no step was taken from there


def test_plateau_metric_and_gap_are_differences_of_the_losses():
    _, hist = gd.gd_nd_torch(gd.quadratic, torch.ones(3), eta=0.5, max_iters=5, L_star=-1)
    assert hist["k"] == [0, 1, 2, 3, 4]
    assert hist["stop"] == "max_iters"
    assert hist["|dL|"] == abs(np.diff(hist["L(w)"])).tolist()
    assert hist["gap"] == [loss + 1 for loss in hist["L(w)"]]


def test_stationary_start_needs_no_step():
    _, hist = gd.gd_nd_torch(gd.quadratic, torch.zeros(3), eta=0.5, eps_grad=0)
    assert hist["k"] == [0]
    assert hist["|dL|"] == []
    assert hist["stop"] == "gradient"


def test_without_L_star_there_is_no_gap():
    _, hist = gd.gd_nd_torch(gd.quadratic, torch.ones(3), eta=0.5, max_iters=5)
    assert "gap" not in hist


class VectorsInMemory(TorchDispatchMode):
    """Counts the vectors of d numbers, made under it, that are in memory: at their most."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.d = d
        self.made = []  # weak references to the memory of each vector
        self.most = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        for x in tree_leaves(result):
            if torch.is_tensor(x) and x.numel() == self.d:
                self.made.append(weakref.ref(x.untyped_storage()))
        self.made = [memory for memory in self.made if memory() is not None]  # not freed yet
        addresses = {memory().data_ptr() for memory in self.made}
        self.most = max(self.most, len(addresses))
        return result


def test_no_trajectory_is_kept():
    """Thirty iterations hold as many vectors in memory as two."""
    with VectorsInMemory(500) as two_iterations:
        gd.gd_nd_torch(gd.quadratic, torch.ones(500), eta=0.1, max_iters=2, eps_grad=0)
    with VectorsInMemory(500) as thirty_iterations:
        gd.gd_nd_torch(gd.quadratic, torch.ones(500), eta=0.1, max_iters=30, eps_grad=0)
    assert thirty_iterations.most == two_iterations.most > 0


# Other losses.


def test_steps_are_those_of_the_textbook_with_one_norm_for_all_tensors():
    """On a loss whose gradient is no multiple of w, of a matrix and a vector in float64.

    The textbook makes new tensors in each step. It may add in another order than the loop: each of
    the ten steps rounds some numbers by 1e-16, far below the rtol of 1e-11.
    """

    def L_fn(params):
        W, b = params
        return ((W @ W.t() - 1).square().sum() + (W.sum(0) * b).sin().sum()) / 20

    torch.manual_seed(0)
    W = torch.randn(3, 2, dtype=torch.float64).t()  # not contiguous
    b = torch.randn(3, dtype=torch.float64)
    b.grad = torch.ones_like(b)  # an old gradient, to be cleared
    expected_W = W.clone()
    expected_b = b.clone()
    expected_norms = []
    for _ in range(10):
        leaf_W = expected_W.detach().requires_grad_()
        leaf_b = expected_b.detach().requires_grad_()
        grad_W, grad_b = torch.autograd.grad(L_fn([leaf_W, leaf_b]), [leaf_W, leaf_b])
        expected_norms.append(torch.cat([grad_W.flatten(), grad_b]).norm().item())
        expected_W = expected_W - 0.3 * grad_W
        expected_b = expected_b - 0.3 * grad_b

    result, hist = gd.gd_nd_torch(L_fn, iter([W, b]), eta=0.3, max_iters=10)
    result_W, result_b = result
    assert result_W is W
    assert result_b is b
    torch.testing.assert_close(W.detach(), expected_W, rtol=1e-11, atol=0)
    torch.testing.assert_close(b.detach(), expected_b, rtol=1e-11, atol=0)
    assert hist["||grad||"] == pytest.approx(expected_norms, rel=1e-11)


@on_every_device
def test_matrix_run_reaches_the_optimum_of_lstsq(device):
    """The eigenvalues of the Hessian X^T X / n are at least the smallest of them.

    So ||W - W*|| <= ||grad|| / smallest. W* itself is rounded by some eps.
    """
    L_fn, W_star, eigenvalues = gd.least_squares(device)
    W, hist = gd.gd_nd_torch(L_fn, torch.zeros_like(W_star), eta=1.0, eps_grad=1e-5)
    distance = (W.detach() - W_star).norm().item()
    smallest = eigenvalues[0].item()
    assert hist["stop"] == "gradient"
    assert distance <= 1e-5 / smallest + 10 * EPS * W_star.norm().item()


@on_every_device
def test_gap_of_the_matrix_run_ends_within_the_rounding_of_the_loss(device):
    """The gap is at most ||grad||^2 / (2 smallest), which is far below the rounding of L_star."""
    L_fn, W_star, _ = gd.least_squares(device)
    L_star = L_fn(W_star).item()
    start = torch.zeros_like(W_star)
    _, hist = gd.gd_nd_torch(L_fn, start, eta=1.0, eps_grad=1e-5, L_star=L_star)
    assert abs(hist["gap"][-1]) <= error_of_sum_of_squares(600) * L_star


@pytest.mark.parametrize(
    ("part_of_the_limit", "stop"),
    [
        (0.98, "gradient"),
        (1.02, "max_iters"),
    ],
)
def test_matrix_run_needs_a_step_size_below_2_by_the_largest_eigenvalue(part_of_the_limit, stop):
    L_fn, _, eigenvalues = gd.least_squares("cpu")
    eta = part_of_the_limit * 2 / eigenvalues[-1].item()
    _, hist = gd.gd_nd_torch(L_fn, torch.zeros(5, 3), eta, max_iters=600, eps_grad=1e-3)
    assert hist["stop"] == stop


@on_every_device
def test_loss_of_the_network_falls_at_every_step(device):
    L_fn, params = gd.network(device)
    _, hist = gd.gd_nd_torch(L_fn, params, eta=0.5)
    assert np.all(np.diff(hist["L(w)"]) < 0)


def test_loss_of_the_network_is_computed_from_its_argument():
    """By hand: W2 relu(W1 x + b1) + b2, and then the mean of -log p(y)."""
    L_fn, params = gd.network("cpu")
    moved = [w.detach() + 0.1 for w in params]
    W1, b1, W2, b2 = moved
    torch.manual_seed(0)
    X = torch.randn(8, 5)
    y = torch.randint(0, 2, (8,))
    logits = (X @ W1.T + b1).relu() @ W2.T + b2
    p_of_1 = torch.sigmoid(logits[:, 0]).double()
    p_of_y = torch.where(y == 1, p_of_1, 1 - p_of_1)
    by_hand = -p_of_y.log().mean().item()
    assert L_fn(moved).item() == pytest.approx(by_hand, rel=1e-5)
    assert L_fn(params).item() != pytest.approx(by_hand, rel=1e-2)


@pytest.mark.parametrize("eta", [1e-3, 0.1, 1.0, 1.5, 3.0])
def test_decrease_of_the_quadratic_is_the_first_order_one_less_its_half_eta(eta):
    """L(w) - L(w - eta w) = (1 - (1 - eta)^2) ||w||^2 / 2 = eta ||w||^2 (1 - eta / 2).

    In float64, whose eps is 2e-16. The smallest eta loses three of its digits in a difference.
    """
    torch.manual_seed(0)
    w = torch.randn(100, dtype=torch.float64)
    norm = w.norm().item()
    predicted, actual = gd.decrease(gd.quadratic, w, eta)
    assert predicted == pytest.approx(eta * norm**2, rel=1e-13)
    assert actual / predicted == pytest.approx(1 - eta / 2, rel=1e-11)


def test_decrease_of_the_network_misses_the_prediction_in_proportion_to_eta():
    def relative_miss(eta):
        L_fn, params = gd.network("cpu")
        predicted, actual = gd.decrease(L_fn, params, eta)
        return 1 - actual / predicted

    assert relative_miss(1.0) / relative_miss(0.1) == pytest.approx(10, rel=0.4)


# What stops a run at once, and what is refused.


@pytest.mark.parametrize(
    "f",
    [
        lambda w: w * math.nan,  # the loss is NaN
        lambda w: w.abs().sqrt(),  # the gradient is NaN at 0
        torch.sqrt,  # the gradient is infinite at 0
    ],
)
def test_loss_or_gradient_that_is_not_finite_stops_at_once(f):
    def L_fn(params):
        return params[0].sum() + f(params[1]).sum()

    params = [torch.ones(2), torch.tensor([1.0, 0.0])]
    _, hist = gd.gd_nd_torch(L_fn, params, eta=0.1)
    assert hist["k"] == [0]
    assert hist["stop"] == "diverged"


TWO = torch.ones(2)
RESULT = 2 * torch.ones(2, requires_grad=True)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([], "params must hold at least one tensor"),
        ([5.0], "params must be tensors"),
        (torch.tensor([1, 2]), "params must be tensors of float32 or float64, got"),
        ([TWO, RESULT], "params must not be the results of operations"),
        (torch.ones(0), "params must hold finite numbers"),
        ([TWO, torch.tensor([-math.inf, 1])], "params must hold finite numbers"),
        ([TWO, TWO.clone(), TWO], "params must not hold the same tensor twice"),
        ([TWO, TWO.clone()], "L_fn must use every tensor"),
    ],
)
def test_bad_params_are_refused(params, message):
    """The loss uses only the first tensor."""

    def L_fn(params):
        if torch.is_tensor(params):
            return params.sum()
        return params[0].sum()

    with pytest.raises(ValueError, match=f"^{message}"):
        gd.gd_nd_torch(L_fn, params, eta=0.5)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("eta", 0.0),
        ("eta", -0.1),
        ("eta", math.nan),
        ("eta", math.inf),
        ("eta", 1e39),  # inf in float32
        ("eta", 1e-50),  # 0 in float32
        ("max_iters", 0),
        ("max_iters", math.nan),
        ("max_iters", 2.5),
        ("eps_grad", -1e-8),
        ("L_star", math.nan),
    ],
)
def test_bad_number_is_named(argument, value):
    arguments = {"L_fn": gd.quadratic, "params": torch.ones(2), "eta": 0.5}
    arguments[argument] = value
    with pytest.raises(ValueError, match=f"^{argument} must "):
        gd.gd_nd_torch(**arguments)


@pytest.mark.parametrize(
    "L_fn",
    [
        lambda w: w * w,  # two numbers
        lambda w: w.sum().reshape(1),  # one number, but shape (1,)
        lambda w: 0.5,  # not a tensor
        lambda w: w.detach().sum(),  # cut off from w
    ],
)
def test_loss_that_is_no_scalar_computed_from_w_is_refused(L_fn):
    with pytest.raises(ValueError, match="^L_fn must return a tensor of shape"):
        gd.gd_nd_torch(L_fn, torch.ones(2), eta=0.5)


# The program.


@pytest.fixture
def figures(monkeypatch, tmp_path, drawn):
    """The figures that main() draws during a test, by file name."""
    monkeypatch.setattr(gd, "FIGURES", tmp_path)
    yield drawn
    plt.close("all")


def test_each_dimension_has_one_row_the_smallest_first(figures, capsys):
    gd.main(["--d", "20", "3", "20", "4", "5"])
    first_table = capsys.readouterr().out.split("\n\n")[0]
    first_words = [line.split()[0] for line in first_table.splitlines()]
    assert first_words == ["a", "d", "3", "4", "5", "20"]  # a title, the headings, the rows


@pytest.mark.parametrize(
    ("eta", "rows_with_advice"),
    [
        (3, 4),  # diverges
        (2, 4),  # bounces
        (1e-9, 4),  # the step is lost in float32
        (1, 0),  # one step to the minimum
    ],
)
def test_a_run_that_does_not_help_gets_advice(eta, rows_with_advice, capsys):
    gd.show_vectors([3, 4, 5, 20], eta, "cpu")
    advice = "  no lower than at the start. Try eta = 0.5.\n"
    assert capsys.readouterr().out.count(advice) == rows_with_advice


@pytest.mark.parametrize("eta", ["3", "2", "1e-9", "1"])
def test_figure_is_fit_to_read_whatever_the_runs_do(eta, figures):
    gd.main(["--eta", eta, "--d", "3", "4", "5", "20"])
    assert complaints(figures["gd_nd_diagnostics.png"]) == []


def test_figure_shows_the_runs_and_the_theory(figures):
    """36 steps by the factor 0.5, from ||w|| = 5.

    Halving is exact in base 2. A sum of ten squares rounds by less than 2e-6 of itself, and the
    change of the loss, three quarters of it, by less than 5e-6: the rtol of 1e-5 is enough.
    """
    gd.main(["--d", "1", "10"])
    norm = 0.5 ** np.arange(37) * 5
    loss = norm**2 / 2
    change = abs(np.diff(loss))
    panels = figures["gd_nd_diagnostics.png"].axes
    for ax, theory in zip(panels, [loss, loss, norm, change], strict=True):
        drawn = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
        np.testing.assert_allclose(drawn["theory"], theory)
        np.testing.assert_allclose(drawn["d = 1"], theory, rtol=1e-5)
        np.testing.assert_allclose(drawn["d = 10"], theory, rtol=1e-5)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--eta", "0"),
        ("--eta", "nan"),
        ("--eta", "x"),
        ("--d", "0"),
        ("--d", "1.5"),
        ("--device", "tpu"),
    ],
)
def test_bad_option_ends_in_one_line_that_names_it(option, value, capsys):
    with pytest.raises(SystemExit, match="^2$"):
        gd.main([option, value])
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert f"argument {option}: " in last_line


def test_five_dimensions_are_too_many(capsys):
    with pytest.raises(SystemExit, match="^2$"):
        gd.main(["--d", "1", "2", "3", "4", "5"])
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert "argument --d: must be up to 4 whole numbers" in last_line
