"""gd_1d_torch.py, held to theory: on w^2 / 2 the iterates are (1 - eta)^k w_0."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from conftest import load_script

gd = load_script("gd_1d_torch")

PRINTED = """\
[quadratic]  final w=7.275958e-11, final L=2.646978e-21, iters=37
[shifted]    final w=1.000000e+00, final L=0.000000e+00, iters=27
[doublewell] final w=9.999991e-01, final L=1.818989e-12, iters=200
"""
FIGURE = "gd_torch_quadratic_diagnostics.png"


# The function gd_1d_torch.


@pytest.mark.parametrize("eta", [0.5, 1.5, 3.0])
def test_iterates_equal_theory_to_the_bit(eta):
    """With these eta a step multiplies w by 0.5, -0.5 or -2, which rounds nothing in base 2."""
    w, hist = gd.gd_1d_torch(gd.quadratic, 5.0, eta, max_iters=20, eps_grad=0)
    theory = [(1 - eta) ** k * 5.0 for k in range(21)]
    assert hist["k"] == list(range(20))
    assert hist["w"] == theory[:20]
    assert hist["|dL/dw|"] == [abs(w_k) for w_k in theory[:20]]
    assert hist["L(w)"] == [w_k**2 / 2 for w_k in theory[:20]]
    assert w == theory[20]


@pytest.mark.parametrize("eta", [0.01, 0.3, 0.9, 1.3, 1.9, 2.5])
def test_history_follows_theory_within_its_rounding(eta):
    _, hist = gd.gd_1d_torch(gd.quadratic, -3.0, eta, max_iters=15, eps_grad=0)
    k = np.arange(15)
    w = (1 - eta) ** k * -3.0
    # a step rounds eta, eta * w and the difference: eps / 2 each, relative to (1 - eta) w
    eps = torch.finfo(torch.float32).eps
    error_of_w = (k + 1) * eps * (eta / abs(1 - eta) + 1)
    assert np.all(abs(hist["w"] / w - 1) <= error_of_w)
    assert np.all(abs(hist["|dL/dw|"] / abs(w) - 1) <= error_of_w)
    assert np.all(abs(hist["L(w)"] / (w**2 / 2) - 1) <= 2 * error_of_w)


def test_eta_1_reaches_the_minimiser_in_one_step():
    w, hist = gd.gd_1d_torch(gd.quadratic, 5.0, eta=1.0)
    assert w == 0
    assert hist["w"] == [5, 0]
    assert hist["stop"] == "gradient"


def test_eta_2_bounces_between_two_points_and_never_arrives():
    _, hist = gd.gd_1d_torch(gd.quadratic, 5.0, eta=2.0, max_iters=10)
    assert hist["w"] == [5, -5, 5, -5, 5, -5, 5, -5, 5, -5]
    assert hist["stop"] == "max_iters"


@pytest.mark.parametrize("eta", [2.5, 3.0, 10.0])
def test_divergence_stops_at_the_first_loss_that_is_not_finite(eta):
    """In theory the first k at which w^2, with |w| = (eta - 1)^k 5, does not fit into a float32."""
    _, hist = gd.gd_1d_torch(gd.quadratic, 5.0, eta, max_iters=1000)
    largest = math.sqrt(torch.finfo(torch.float32).max)
    assert hist["stop"] == "diverged"
    assert hist["k"][-1] == math.ceil(math.log(largest / 5) / math.log(eta - 1))
    assert hist["L(w)"][-1] == math.inf
    assert np.all(np.isfinite(hist["L(w)"][:-1]))


def test_loss_that_is_nan_stops_at_once():
    _, hist = gd.gd_1d_torch(torch.sqrt, w0=-1.0, eta=0.1)
    assert hist["k"] == [0]
    assert hist["stop"] == "diverged"


def test_derivative_that_is_infinite_stops_at_once():
    """That of the root at 0, where the root itself is finite."""
    _, hist = gd.gd_1d_torch(torch.sqrt, w0=0.0, eta=0.1)
    assert hist["k"] == [0]
    assert hist["stop"] == "diverged"


def test_eps_obj_stops_at_the_first_loss_that_is_small():
    _, hist = gd.gd_1d_torch(gd.quadratic, 5.0, eta=0.5, eps_grad=0, eps_obj=1e-3)
    assert hist["stop"] == "objective"
    assert hist["L(w)"][-2] > 1e-3
    assert hist["L(w)"][-1] <= 1e-3


@pytest.mark.parametrize(("w0", "minimum"), [(-2.0, -1.0), (2.0, 1.0)])
def test_double_well_ends_in_the_well_of_its_start(w0, minimum):
    w, _ = gd.gd_1d_torch(gd.doublewell, w0, eta=0.1)
    assert w == pytest.approx(minimum)


def test_double_well_stays_on_its_hill():
    w, hist = gd.gd_1d_torch(gd.doublewell, w0=0.0, eta=0.1)
    assert w == 0
    assert hist["stop"] == "gradient"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("w0", math.nan),
        ("w0", math.inf),
        ("w0", 1e39),  # inf in float32
        ("eta", 0.0),
        ("eta", -0.1),
        ("eta", math.nan),
        ("eta", math.inf),
        ("eta", 1e50),  # inf in float32
        ("eta", 1e-50),  # 0 in float32
        ("max_iters", 0),
        ("max_iters", math.nan),
        ("max_iters", 2.5),
        ("eps_grad", -1e-8),
        ("eps_grad", math.nan),
        ("eps_obj", math.nan),
        ("L_fn", lambda w: torch.stack([w, w])),  # two numbers
        ("L_fn", lambda w: (w * w).reshape(1)),  # one number, but shape (1,)
        ("L_fn", lambda w: 0.5),  # not a tensor
        ("L_fn", lambda w: torch.tensor(0.5)),  # not computed from w
        ("L_fn", lambda w: w.detach() ** 2),  # cut off from w
        ("L_fn", lambda w: torch.ones((), requires_grad=True) ** 2),  # of another tensor
    ],
)
def test_bad_argument_is_named(argument, value):
    arguments = {"L_fn": gd.quadratic, "w0": 5.0, "eta": 0.5}
    arguments[argument] = value
    with pytest.raises(ValueError, match=f"^{argument} must "):
        gd.gd_1d_torch(**arguments)


# The program.


def test_program_prints_the_lines_of_the_lecture_first(run_of):
    assert run_of("gd_1d_torch").stdout.startswith(PRINTED)


@pytest.fixture
def figures(monkeypatch, tmp_path):
    """The folder in which main() draws during a test."""
    monkeypatch.setattr(gd, "FIGURES", tmp_path)
    yield tmp_path
    plt.close("all")


def test_figure_shows_the_run_and_the_theory(figures, drawn):
    """The run of the quadratic: 36 steps by the factor 0.5, from w = 5, where L = 12.5."""
    gd.main([])
    k = np.arange(37)
    losses = 12.5 * 0.25**k
    slopes = 5.0 * 0.5**k

    left, right = drawn[FIGURE].axes
    for ax, theory in [(left, losses), (right, slopes)]:
        assert ax.get_yscale() == "log"
        run_line, theory_line = ax.get_lines()
        np.testing.assert_array_equal(run_line.get_xdata(), k)
        np.testing.assert_array_equal(theory_line.get_xdata(), k)
        # the run is exact, see above; the theory that is drawn rounds in float64
        np.testing.assert_array_equal(run_line.get_ydata(), theory)
        np.testing.assert_allclose(theory_line.get_ydata(), theory)


def test_folder_of_the_figure_is_made(drawn, tmp_path):
    hist = {"k": [0], "L(w)": [12.5], "|dL/dw|": [5.0]}
    gd.save_diagnostics_plot(hist, tmp_path / "new" / "folder" / FIGURE, "a title")
    plt.close("all")
    assert (tmp_path / "new" / "folder" / FIGURE).exists()


NEW_STEP_SIZE = "Try eta = 0.5, or a start closer to the minimum."
NEW_START = "Try a start closer to a minimum."


@pytest.mark.parametrize(
    ("option", "advice"),
    [
        ("--eta=3", [NEW_STEP_SIZE, NEW_STEP_SIZE]),  # the double well has its own eta
        ("--eta=2", [NEW_STEP_SIZE, NEW_STEP_SIZE]),
        ("--eta=1e-9", [NEW_STEP_SIZE, NEW_STEP_SIZE]),  # lost in float32: w never moves
        ("--w0=8", [NEW_START]),  # only the double well diverges
        ("--w0=1e-10", [NEW_START]),  # on top of the double well's hill
        ("--w0=1e30", [NEW_STEP_SIZE, NEW_STEP_SIZE, NEW_START]),
    ],
)
def test_a_run_that_does_not_help_gets_advice_that_can(option, advice, figures, drawn, capsys):
    gd.main([option])
    printed = capsys.readouterr().out.splitlines()
    said = [line for line in printed if line.startswith("  ")]
    assert len(said) == len(advice)
    for line, end in zip(said, advice, strict=True):
        assert line.endswith(f" {end}")


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--eta=3", "  diverged at iteration 62: L(w) = inf. Try"),  # 62 by theory, as above
        ("--eta=2", "  after 80 iterations no lower than at the start. Try"),
        ("--w0=1e30", "  diverged at iteration 0: L(w) = inf. Try"),
    ],
)
def test_a_run_that_does_not_help_says_what_happened(option, reason, figures, drawn, capsys):
    gd.main([option])
    quadratic, line_below = capsys.readouterr().out.splitlines()[:2]
    assert quadratic.startswith("[quadratic]")
    assert line_below.startswith(reason)


def test_picture_that_cannot_be_written_costs_no_number(figures, capsys):
    """A folder lies where the picture is to be."""
    (figures / FIGURE).mkdir()
    with pytest.raises(SystemExit, match=f"^no figure: .*{FIGURE}"):
        gd.main([])
    assert capsys.readouterr().out == PRINTED


@pytest.mark.parametrize(("start", "loss"), [("0", "0"), ("1e20", "inf")])
def test_start_that_a_log_axis_cannot_show_needs_no_figure(start, loss, figures, capsys):
    gd.main([f"--w0={start}"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"[quadratic]  final w={float(start):.6e}")
    assert lines[-1] == f"no figure: a logarithmic axis cannot show a loss of {loss}"
    assert list(figures.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "argument"),
    [
        ("--eta=0", "eta"),
        ("--eta=nan", "eta"),
        ("--eta=1e50", "eta"),
        ("--w0=inf", "w0"),
    ],
)
def test_bad_option_ends_in_one_line_that_names_it(option, argument, capsys):
    with pytest.raises(SystemExit, match="^2$"):
        gd.main([option])
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert f"error: {argument} must be" in last_line
