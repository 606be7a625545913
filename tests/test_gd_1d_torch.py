"""gd_1d_torch.py, held to theory: on w^2/2 the iterates are (1 - eta)^k w_0 exactly."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from conftest import load_script
from figure_checks import complaints

gd = load_script("gd_1d_torch")

PRINTED = """\
[quadratic]  final w=7.275958e-11, final L=2.646978e-21, iters=37
[shifted]    final w=1.000000e+00, final L=0.000000e+00, iters=27
[doublewell] final w=9.999991e-01, final L=1.818989e-12, iters=200
"""
FIGURE = "gd_torch_quadratic_diagnostics.png"
FLOAT32 = torch.finfo(torch.float32).eps


@pytest.mark.parametrize("eta", [0.5, 1.5, 3.0])  # factors 0.5, -0.5, -2: exact in binary
def test_iterates_equal_theory_to_the_bit(eta):
    w, hist = gd.gd_1d_torch(gd.quadratic, 5.0, eta, max_iters=20, eps_grad=0)
    theory = [(1 - eta) ** k * 5.0 for k in range(21)]
    assert hist["w"] + [w] == theory
    assert hist["|dL/dw|"] == [abs(w_k) for w_k in theory[:20]]


@pytest.mark.parametrize("eta", [0.01, 0.3, 0.9, 1.3, 1.9, 2.5])
def test_whole_history_follows_theory(eta):
    _, hist = gd.gd_1d_torch(gd.quadratic, -3.0, eta, max_iters=15, eps_grad=0)
    k = np.arange(15)
    w = (1 - eta) ** k * -3.0
    # a step rounds eta, eta * w and the difference: eps/2 each, relative to (1 - eta) w
    rtol = (k + 1) * FLOAT32 * (eta / abs(1 - eta) + 1)
    for key, theory, factor in [("w", w, 1), ("|dL/dw|", abs(w), 1), ("L(w)", w**2 / 2, 2)]:
        assert np.all(abs(np.array(hist[key]) / theory - 1) <= factor * rtol), key


def test_eta_1_reaches_the_minimiser_in_one_step():
    w, hist = gd.gd_1d_torch(gd.quadratic, 5.0, eta=1.0)
    assert (w, hist["w"], hist["stop"]) == (0.0, [5.0, 0.0], "gradient")


def test_eta_2_bounces_between_two_points_and_never_arrives():
    _, hist = gd.gd_1d_torch(gd.quadratic, 5.0, eta=2.0, max_iters=10)
    assert (hist["w"], hist["stop"]) == ([5.0, -5.0] * 5, "max_iters")


@pytest.mark.parametrize("eta", [2.5, 3.0, 10.0])
def test_divergence_stops_at_the_first_loss_that_is_not_finite(eta):
    _, hist = gd.gd_1d_torch(gd.quadratic, 5.0, eta, max_iters=1000)
    assert hist["stop"] == "diverged"
    assert math.isinf(hist["L(w)"][-1])
    assert all(math.isfinite(loss) for loss in hist["L(w)"][:-1])
    # theory: the first k at which w^2 no longer fits into a float32
    largest = math.sqrt(torch.finfo(torch.float32).max)
    assert hist["k"][-1] == math.ceil(math.log(largest / 5.0) / math.log(eta - 1))


@pytest.mark.parametrize("w0", [-1.0, 0.0])  # the loss is NaN, the derivative infinite
def test_what_is_not_finite_stops_at_once(w0):
    _, hist = gd.gd_1d_torch(torch.sqrt, w0, eta=0.1)
    assert (hist["k"], hist["stop"]) == ([0], "diverged")


def test_objective_stop():
    _, hist = gd.gd_1d_torch(gd.quadratic, 5.0, eta=0.5, eps_grad=0, eps_obj=1e-3)
    assert hist["stop"] == "objective"
    assert hist["L(w)"][-1] <= 1e-3 < hist["L(w)"][-2]


def test_double_well_ends_where_its_start_lies():
    ends = [gd.gd_1d_torch(gd.doublewell, w0, 0.1)[0] for w0 in (-2.0, 2.0)]
    assert ends == pytest.approx([-1.0, 1.0])
    assert gd.gd_1d_torch(gd.doublewell, 0.0, 0.1)[1]["stop"] == "gradient"  # the maximum


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(("w0", value) for value in (math.nan, math.inf, 1e39)),
        *(("eta", value) for value in (0.0, -0.1, math.nan, math.inf, 1e50, 1e-50)),
        *(("max_iters", value) for value in (0, math.nan, 2.5)),
        *(("eps_grad", value) for value in (-1e-8, math.nan)),
        ("eps_obj", math.nan),
        ("L_fn", lambda w: torch.stack([w, w])),  # not a scalar
        ("L_fn", lambda w: (w * w).reshape(1)),  # one number, but shape (1,)
        ("L_fn", lambda w: 0.5),  # not a tensor
        ("L_fn", lambda w: torch.tensor(0.5)),  # not computed from w
        ("L_fn", lambda w: w.detach() ** 2),  # cut off from w
        ("L_fn", lambda w: torch.ones((), requires_grad=True) ** 2),  # of another tensor
    ],
)
def test_bad_argument_is_named(argument, value):
    arguments = {"L_fn": gd.quadratic, "w0": 5.0, "eta": 0.5, argument: value}
    with pytest.raises(ValueError, match=argument):
        gd.gd_1d_torch(**arguments)


def test_prints_the_documented_lines(run_of):
    *lines, last = run_of("gd_1d_torch").stdout.splitlines(keepends=True)
    assert "".join(lines) == PRINTED
    assert last.startswith("figure: ") and last.endswith(f"figures/{FIGURE}\n")


def test_figure_shows_the_run_and_the_theory(drawn, tmp_path):
    _, hist = gd.gd_1d_torch(gd.quadratic, 5.0, 0.5, max_iters=80, eps_grad=1e-10)
    gd.save_diagnostics_plot(hist, tmp_path / "new folder" / FIGURE, "a title", contraction=0.5)
    figure, k = drawn[FIGURE], np.arange(37)
    laws = {"L(w)": 12.5 * 0.25**k, "|dL/dw|": 5.0 * 0.5**k}
    for ax, (key, law) in zip(figure.axes, laws.items(), strict=True):
        run_line, theory_line = ax.get_lines()
        assert ax.get_yscale() == "log"
        np.testing.assert_array_equal(run_line.get_xydata(), np.c_[k, hist[key]])
        np.testing.assert_allclose(theory_line.get_ydata(), law)
    assert complaints(figure) == []


@pytest.fixture
def main(monkeypatch, tmp_path, capsys):
    """main(), its figures in tmp_path; it returns the lines printed."""
    monkeypatch.setattr(gd, "FIGURES", tmp_path)

    def run(argv):
        gd.main(argv)
        return capsys.readouterr().out.splitlines()

    yield run
    plt.close("all")


OTHER = "Try eta = 0.5, or a start closer to the minimum."
CLOSER = "Try a start closer to a minimum."


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ("--eta=3", ["diverged at iteration 62: L(w) = inf. " + OTHER, OTHER]),
        ("--eta=2", ["after 80 iterations no lower than at the start. " + OTHER, OTHER]),
        ("--eta=1e-9", [OTHER, OTHER]),  # lost in float32: w never moves
        ("--w0=8", [CLOSER]),  # the double well, whose eta is its own
        ("--w0=1e-10", [CLOSER]),  # on top of its hill
        ("--w0=1e30", ["diverged at iteration 0: L(w) = inf. " + OTHER, OTHER, CLOSER]),
    ],
)
def test_advice_can_help(main, options, advice):
    said = [line for line in main([options]) if line.startswith("  ")]
    assert all(line.endswith(end) for line, end in zip(said, advice, strict=True)), said


def test_figure_that_cannot_be_written_ends_main_after_the_numbers(main, tmp_path, capsys):
    (tmp_path / FIGURE).mkdir()
    with pytest.raises(SystemExit, match=f"^no figure: .*{FIGURE}"):
        main([])
    assert capsys.readouterr().out == PRINTED


def test_start_at_the_minimum_needs_no_figure(main, tmp_path):
    lines = main(["--w0=0"])
    assert lines[0].startswith("[quadratic]  final w=0.000000e+00")
    assert lines[-1].startswith("no figure: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--eta=0", "--eta=nan", "--eta=1e50", "--w0=inf"])
def test_bad_option_ends_in_one_line(option, capsys):
    with pytest.raises(SystemExit, match="^2$"):
        gd.main([option])
    argument = option[2:].split("=")[0]
    assert f"error: {argument} must be" in capsys.readouterr().err.splitlines()[-1]
