"""vectorization.py: three sums of squares, each as accurate as its order of adding allows."""

import math
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from benchmark import HIGH, LOW, MIDDLE, adds_up, error_bars, known, measurement, table
from conftest import load_script
from figure_checks import complaints
from torch.overrides import TorchFunctionMode

bench = load_script("vectorization")

VARIANTS = ["loop", "sum(w * w)", "dot(w, w)"]
FIGURE = "vectorization_timing.png"
U = torch.finfo(torch.float32).eps / 2


def numbers(n: int) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("n", [1, 3, 1000])
def test_variants_agree_within_the_error_allowed(n):
    w = numbers(n)
    exact = sum(Fraction(x) ** 2 for x in w.tolist())
    assert bench.sum_of_squares(w).shape == bench.sum_of_squares_fused(w).shape == ()
    for total in (bench.sum_of_squares(w), bench.sum_of_squares_fused(w)):
        assert abs(Fraction(total.item()) - exact) <= bench.allowed_error(n) * exact
    # the loop squares and adds in float64: n roundings of eps/2 = 2^-53
    assert abs(Fraction(bench.sum_of_squares_loop(w)) - exact) <= n * 2**-53 * exact


def test_sum_of_the_lecture():
    torch.manual_seed(0)
    w = torch.randn(5_000_000)
    exact = w.double().square().sum().item()
    assert f"{exact:.2f}" == "4997394.78"
    # sums of sums: log2(n) roundings deep (Higham, Accuracy and Stability, 4.2)
    deep = math.log2(len(w)) * U
    assert bench.relative_error(bench.sum_of_squares(w).item(), exact) <= deep
    fused = bench.sum_of_squares_fused(w).item()
    assert bench.relative_error(fused, exact) <= bench.allowed_error(len(w))


def test_error_allowed_covers_the_worst_running_sum():
    """Each small square is rounded away when it is added to a large one."""
    n = 2**13
    w = torch.full((n,), 2**-12 * 0.999)  # squares just below half a unit in the last place of 1
    w[0] = 1.0
    running = torch.tensor(0.0)
    for square in w * w:
        running += square
    assert running == 1.0
    exact = w.double().square().sum().item()
    error = bench.relative_error(running.item(), exact)
    assert 0.99 * bench.allowed_error(n) < error <= bench.allowed_error(n)


def test_relative_error():
    assert bench.relative_error(9.0, 8.0) == bench.relative_error(7.0, 8.0) == 0.125


def test_loop_goes_on_from_a_part_as_if_it_had_never_stopped():
    w = numbers(1000)
    half = bench.sum_of_squares_loop(w[:400])
    assert bench.sum_of_squares_loop(w, 400, half) == bench.sum_of_squares_loop(w)


def test_loop_shows_its_progress(capsys):
    w = torch.ones(1).expand(1_000_001)
    bench.sum_of_squares_loop(w, 499_998)
    assert capsys.readouterr().err.splitlines() == [
        "loop: 500,000 of 1,000,001 numbers",
        "loop: 1,000,000 of 1,000,001 numbers",
    ]


class ByteCounter(TorchFunctionMode):
    """Adds up the bytes that each operation reads and writes, seen from outside."""

    moved = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func.__name__ in ("mul", "sum", "dot", "item"):
            operands = {x.data_ptr(): x.nbytes for x in args}  # w * w reads w once
            self.moved += sum(operands.values())
            self.moved += result.nbytes if torch.is_tensor(result) else 0
        else:  # these move nothing
            assert func.__name__ in ("__getitem__", "__len__"), func
        return result


@pytest.mark.parametrize("n", [1, 500])
def test_bytes_are_those_that_the_operations_touch(n):
    w = numbers(n)
    calls = [bench.sum_of_squares_loop, bench.sum_of_squares, bench.sum_of_squares_fused]
    for variant, call in zip(VARIANTS, calls, strict=True):
        with ByteCounter() as counter:
            call(w)
        assert bench.bytes_moved(n)[variant] == counter.moved, variant


def test_loop_is_measured_once(run_of):
    m = bench.measured_once(2.5)
    assert (m.median, len(m.times)) == (2.5, 1)
    rows = table(run_of("vectorization").stdout)[1]
    assert all((row["IQR"] == "once") == (row["variant"] == "loop") for row in rows)


def test_table_has_a_row_for_each_size_and_variant_and_the_loop_up_to_its_limit(run_of):
    rows = table(run_of("vectorization").stdout)[1]
    found = [(row["size"], row["variant"]) for row in rows]
    everything = [(size, name) for size in ("100", "1,000", "3,000") for name in VARIANTS]
    assert found == [pair for pair in everything if pair != ("3,000", "loop")]


def test_table_adds_up(run_of):
    stdout = run_of("vectorization").stdout
    ceiling = float(stdout.split("moves ")[1].split(" GB/s")[0])
    for row in table(stdout)[1]:
        n = int(row["size"].replace(",", ""))
        assert adds_up(row, bench.bytes_moved(n)[row["variant"]], ceiling), row
        allowed = n * 2**-53 if row["variant"] == "loop" else bench.allowed_error(n)
        assert float(row["error"]) <= 1.5 * allowed  # printed to one digit: 1.4 as 1


def test_prints_the_values_of_the_largest_size(run_of):
    torch.manual_seed(0)
    exact = torch.randn(3000).double().square().sum().item()
    after = run_of("vectorization").stdout.split("At n = 3,000:\n")[1].splitlines()
    assert after[0] == f"float64: {exact:.2f}"
    names = ["sum(w * w)", "dot(w, w)", "dot of pieces of 4096, summed"]
    for line, name in zip(after[1:], names):
        label, value, error = line.replace(", error ", ": ").rsplit(": ", 2)
        assert label == name
        # printed to two places
        assert abs(float(value) - exact) <= bench.allowed_error(3000) * exact + 0.01
        assert float(error) <= 1.5 * bench.allowed_error(3000)


def test_predictions_are_the_ratios_of_bytes(run_of):
    stdout = run_of("vectorization").stdout
    for slow, n in [("loop", 1000), ("sum(w * w)", 3000)]:
        moved = bench.bytes_moved(n)
        ratio = moved[slow] / moved["dot(w, w)"]
        expected = f"predicted: {slow} takes {ratio:.2g} times as long as dot(w, w) (bytes moved);"
        assert f"{expected} measured at n = {n:,}: " in stdout
    assert "why: a turn of the loop takes " in stdout
    assert "why: dot(w, w) takes " in stdout


def test_ends_with_claims_and_figure(run_of):
    stdout = run_of("vectorization").stdout
    ms = {(row["size"], row["variant"]): float(row["median"]) for row in table(stdout)[1]}
    *_, loop, fused, figure = stdout.splitlines()
    for line, size, slow, expected in [
        (loop, "1,000", "loop", "vectorized code is faster than a Python loop"),
        (fused, "3,000", "sum(w * w)", "one fused pass is faster than two"),
    ]:
        claim, verdict = line.rsplit(": ", 1)
        assert claim == f'claim: "{expected}, n = {size}"'
        ratio = float(verdict.split(", ")[1].split("x ")[0].replace(",", ""))
        assert ratio == pytest.approx(ms[size, slow] / ms[size, "dot(w, w)"], rel=0.01)
    assert figure == f"figure: figures/{FIGURE}"


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0.28571, "0.286"), (1.664, "1.66"), (8576.3, "8,580"), (123456.0, "123,000")],
)
def test_ratios_are_readable(ratio, text):
    assert bench.readable(ratio) == text


def test_verdict_is_readable():
    found = bench.verdict("a claim", measurement(12_000), measurement(1, 2, 3, 4, 5))
    assert found == 'claim: "a claim": held here, 4,000x (3,000-6,000)'


def test_figure_shows_medians_quartiles_and_ceiling(drawn, tmp_path):
    nanoseconds = dict(zip(VARIANTS, [2000, 0.4, 0.2]))
    results = {
        n: {
            name: known(n * ns * 1e-9)
            for name, ns in nanoseconds.items()
            if (name, n) != ("loop", 5_000_000)
        }
        for n in (1000, 100_000, 5_000_000)
    }
    bench.draw_timing(results, 20e9, tmp_path / "new folder" / FIGURE)
    ax = drawn[FIGURE].axes[0]
    for container, name in zip(ax.containers, VARIANTS, strict=True):
        sizes = [n for n in results if name in results[n]]
        assert container.get_label() == name
        x, *y = error_bars(container).T
        assert x == pytest.approx(sizes)
        expected = np.outer([LOW, MIDDLE, HIGH], [nanoseconds[name]] * len(sizes))
        assert np.array(y) == pytest.approx(expected)
    bytes_per_number = [4 * (n + 1) / n for n in results]
    assert ax.get_lines()[-1].get_ydata() == pytest.approx(np.array(bytes_per_number) / 20)
    assert ax.get_title() == (
        "A loop takes 10,000 times as long as dot(w, w) (n = 100,000), "
        "sum(w * w) 2 times (n = 5,000,000)"
    )
    assert complaints(drawn[FIGURE]) == []


def test_main_runs_the_loop_once_and_draws_what_it_measured(drawn, monkeypatch, tmp_path, capsys):
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    calls = []

    def loop(w, start=0, total=0.0):  # takes a millisecond a number
        clock.now += 1e-3 * (len(w) - start)
        calls.append((len(w), start))
        return sum_of_squares_loop(w, start, total)

    sum_of_squares_loop = bench.sum_of_squares_loop
    monkeypatch.setattr(bench, "sum_of_squares_loop", loop)
    monkeypatch.setattr(bench, "time", clock)
    monkeypatch.setattr(bench, "FIGURES", tmp_path)
    monkeypatch.setattr(bench, "copy_bandwidth", lambda *_: 1e10)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # other tests run after this
    bench.main(["--sizes", "40", "10", "200", "--seconds", "0.001"])

    warm_up, *once = calls
    assert warm_up == (100, 0)
    assert once == [(10, 0), (40, 10), (200, 40)]
    rows = table(capsys.readouterr().out)[1]
    for container, variant in zip(drawn[FIGURE].axes[0].containers, VARIANTS, strict=True):
        printed = [float(row["median"]) for row in rows if row["variant"] == variant]
        if variant == "loop":
            assert printed == [10, 40, 200]
        drawn_ms = container.lines[0].get_ydata() * [10, 40, 200] / 1e6
        assert drawn_ms == pytest.approx(printed, rel=1e-3)  # four digits are printed


def test_loop_below_the_smallest_size_is_refused_in_one_line(capsys):
    with pytest.raises(SystemExit) as exit_:
        bench.main(["--loop", "9", "--sizes", "10"])
    assert exit_.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "--loop: must be at least the smallest size, 10" in last
