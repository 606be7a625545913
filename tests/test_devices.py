"""devices.py: which devices are compared, what the CPU alone says, and the way to an accelerator.

A second name of the CPU, cpu:0, stands in for an accelerator.
"""

import math
import re
from argparse import ArgumentTypeError

import numpy as np
import pytest
import torch
from benchmark import HIGH, LOW, MIDDLE, adds_up, error_bars, known, measurement, table
from conftest import load_script
from figure_checks import complaints
from torch.utils.benchmark import Measurement

bench = load_script("devices")

CPU, CUDA, MPS, STAND_IN = map(torch.device, ["cpu", "cuda", "mps", "cpu:0"])
FIGURE = "devices_matmul.png"


@pytest.fixture
def machine(monkeypatch):
    """A function that makes PyTorch report these accelerators."""

    def report(*names: str) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)

    return report


@pytest.mark.parametrize(
    ("present", "option", "compared"),
    [
        ([], "all", [CPU]),
        ([], "cpu", [CPU]),
        (["cuda"], "all", [CPU, CUDA]),
        (["cuda"], "cuda", [CPU, CUDA]),
        (["cuda"], "cpu", [CPU]),
        (["mps"], "all", [CPU, MPS]),
        (["cuda", "mps"], "all", [CPU, CUDA, MPS]),
        (["cuda", "mps"], "mps", [CPU, MPS]),
    ],
)
def test_option_picks_the_devices_to_compare(machine, present, option, compared):
    machine(*present)
    assert bench.devices(option) == compared


def test_device_that_is_absent_names_those_present(machine):
    machine("cuda")
    with pytest.raises(ArgumentTypeError, match="mps is not here; this machine has cpu, cuda$"):
        bench.devices("mps")


def test_two_devices_do_not_mix():
    message = bench.mixing_error(torch.ones(3), torch.ones(3, device="meta"))
    assert message.startswith("RuntimeError: ")
    assert "meta" in message
    assert "cpu" in message


def test_one_device_mixes():
    with pytest.raises(ValueError, match="both live on cpu"):
        bench.mixing_error(torch.ones(3), torch.ones(3))


def test_cpu_takes_all_dtypes_and_multiplies_all_but_bool():
    held, multiplied = bench.dtypes_taken(CPU)
    assert held == list(bench.DTYPES)
    assert multiplied == [name for name in bench.DTYPES if name != "bool"]


def test_dtype_that_a_device_refuses_is_left_out(monkeypatch):
    ones = torch.ones

    def refusing(*size, dtype, **options):  # as mps does
        if dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return ones(*size, dtype=dtype, **options)

    monkeypatch.setattr(torch, "ones", refusing)
    held, multiplied = bench.dtypes_taken(CPU)
    assert set(bench.DTYPES) - set(held) == {"float64"}
    assert "float64" not in multiplied


def test_early_clock_does_not_wait_and_late_clock_does(monkeypatch):
    events = []

    def waiting_clock() -> float:  # Timer's own clock waits for the device
        events.append("wait")
        return 0.0

    class Timer(bench.Timer):
        def __init__(self, *args, timer=waiting_clock, **options):
            super().__init__(*args, timer=timer, **options)

    class Matrix:
        def __matmul__(self, other):
            events.append("call")

    monkeypatch.setattr(bench, "Timer", Timer)
    bench.early_and_late(Matrix(), threads=1, calls=10)
    timed = ["wait"] + ["call"] * 10 + ["wait"]
    warm_up = ["wait"] + ["call"] * 2 + ["wait"]
    assert events == (["call"] * 12 + warm_up + timed) * 5


def test_bytes_are_those_of_the_factors_and_of_the_product():
    A, B = bench.factors(30)
    moved = bench.bytes_moved(30)
    assert moved == {"there": A.nbytes + B.nbytes, "back": (A @ B).nbytes}


@pytest.mark.parametrize("n", [1, 8, 300])
def test_product_is_within_the_error_allowed(n):
    A, B = bench.factors(n)
    exact = A.double() @ B.double()
    allowed = bench.allowed_error(A.double(), B.double())
    assert bench.max_relative_error(A @ B, exact) <= allowed


def test_error_allowed_is_that_of_the_worst_rounding():
    ones = torch.ones(40, 40, dtype=torch.float64)  # all roundings may add up
    worst = (1 + torch.finfo(torch.float32).eps / 2) ** 40 - 1
    assert bench.allowed_error(ones, ones) == pytest.approx(worst, rel=1e-5)


def test_error_sees_one_wrong_entry():
    A, B = bench.factors(20)
    C = A @ B
    C[3, 5] += 2**-6 * C.abs().max()
    error = bench.max_relative_error(C, A.double() @ B.double())
    assert error == pytest.approx(2**-6, abs=bench.allowed_error(A.double(), B.double()))


def test_factors_are_the_same_each_time():
    first, second = bench.factors(5), bench.factors(5)
    assert torch.equal(torch.stack(first), torch.stack(second))
    assert not torch.equal(*first)


@pytest.mark.parametrize(
    ("fast", "start"),
    [
        ([1, 1, 1, 1], 10),
        ([9, 9, 1, 1], 30),
        ([1, 9, 1, 1], 30),  # a win that does not last is none
        ([1, 1, 1, 9], None),
        ([5, 5, 5, 5], None),  # a draw is no win
    ],
)
def test_wins_from_the_size_after_which_it_never_loses(fast, start):
    assert bench.wins_from([10, 20, 30, 40], [5, 5, 5, 5], fast) == start


def test_predicted_win_is_where_both_take_as_long():
    cpu_rate, rate, bandwidth = 40e9, 2000e9, 5e9
    n = bench.predicted_win(cpu_rate, rate, bandwidth)
    assert n**3 / cpu_rate == pytest.approx(n**3 / rate + 3 * 4 * n**2 / bandwidth)


def test_no_win_is_predicted_for_a_device_that_is_no_faster():
    assert bench.predicted_win(40e9, 40e9, 5e9) == math.inf


def test_round_trip_adds_the_ways_to_the_product():
    times = {name: measurement(seconds) for name, seconds in [("gpu", 1), ("cpu", 50)]}
    times |= {"to gpu": measurement(2), "from gpu": measurement(4)}
    assert bench.round_trip(times, "gpu") == 7


def test_shows_where_tensors_live(run_of):
    lines = run_of("devices").stdout.splitlines()
    assert "torch.ones(2, 3).device: cpu" in lines
    assert "back unchanged? True" in lines
    assert 'x.to("cpu") moves nothing, it is x? True' in lines


def test_shows_dtypes_and_clocks_of_the_cpu(run_of):
    lines = run_of("devices").stdout.splitlines()
    assert [line.split(":")[1].split() for line in lines if line.startswith("cpu holds:")] == [
        list(bench.DTYPES)
    ]
    assert any(line.startswith("cpu, 512 x 512: ") and "synchronised" in line for line in lines)


def test_table_adds_up(run_of):
    stdout = run_of("devices").stdout
    products = [row for row in table(stdout)[1] if row["variant"] == "cpu"]
    assert [row["size"] for row in products] == ["8", "32"]
    ceiling = float(stdout.split("ceiling of cpu: ")[1].split("at best ")[1].split(" G")[0])
    for row in products:
        n = int(row["size"])
        assert adds_up(row, n**3, ceiling), row
        allowed = bench.allowed_error(*(X.double() for X in bench.factors(n)))
        assert float(row["error"]) <= allowed * 1.5  # printed to one digit


def test_predicts_eight_times_the_work_for_twice_the_size(run_of):
    stdout = run_of("devices").stdout
    assert f"cpu, n = 8 to 32, predicted: {(32 / 8) ** 3:g} times as long (n^3)" in stdout


def test_cpu_alone_says_so(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "FIGURES", tmp_path)
    monkeypatch.setitem(bench.LARGE, "cpu", 16)
    bench.main(["--device", "cpu", "--n", "8", "--seconds", "0.001"])
    *_, claim, figure = capsys.readouterr().out.splitlines()
    assert claim == (
        'claim: "an accelerator multiplies large matrices faster than the cpu": '
        "not tried here, only the cpu was timed"
    )
    assert figure == f"figure: figures/{FIGURE}"


def test_accelerator_is_compared_with_the_ways_apart(monkeypatch, tmp_path, capsys, drawn):
    monkeypatch.setattr(bench, "FIGURES", tmp_path)
    monkeypatch.setitem(bench.LARGE, "cpu", 16)
    monkeypatch.setitem(bench.WAIT, "cpu", 16)
    monkeypatch.setattr(bench, "devices", lambda _: [CPU, STAND_IN])
    monkeypatch.setattr(bench, "mixing_error", lambda x, y: "RuntimeError: two devices")
    bench.main(["--n", "8", "16", "--seconds", "0.001"])
    stdout = capsys.readouterr().out
    rows = table(stdout)[1]
    assert [row["variant"] for row in rows] == ["cpu", "cpu:0", "to cpu:0", "from cpu:0"] * 2
    for row, factor in zip(rows[6:], [2, 1]):
        # no share and no error: the unit takes the place of the next cell
        megabytes, unit, rate = row["does"], row["rate"], row["share"]
        assert (float(megabytes), unit) == (factor * 16 * 16 * 4 / 1e6, "MB")
        printed = float(megabytes) / float(row["median"])
        assert float(rate) == pytest.approx(printed, rel=0.01)
    lines = stdout.splitlines()
    assert "between cpu and cpu:0: RuntimeError: two devices" in lines
    assert any(line.startswith("predicted: cpu:0 wins from n = ") for line in lines)
    assert lines[-2].startswith('claim: "an accelerator multiplies large matrices faster than ')
    assert re.search(r": (held|did not hold|not decided) here, [\d.e+-]+x \(", lines[-2])
    assert complaints(drawn[FIGURE]) == []


def known_results(*names: str) -> dict[int, dict[str, Measurement]]:
    """Times of products on the devices called names, and of the ways to all but the first."""
    seconds = {"cpu": (1e-6, 2e-4), "cuda": (1e-5, 2e-5), "mps": (1e-5, 1.5e-4)}
    results = {64: {}, 512: {}}
    for name in names:
        for n, time in zip(results, seconds[name]):
            results[n][name] = known(time)
            if name != "cpu":
                results[n] |= {f"to {name}": measurement(6e-5), f"from {name}": measurement(4e-5)}
    return results


def test_figure_of_the_cpu_alone(drawn, tmp_path):
    bench.draw(known_results("cpu"), {"cpu": 40e9}, tmp_path / "new folder" / FIGURE)
    ax = drawn[FIGURE].axes[0]
    x, *y = error_bars(ax.containers[0]).T
    assert x == pytest.approx([64, 512])
    assert np.array(y) == pytest.approx(np.outer([LOW, MIDDLE, HIGH], [1e-3, 0.2]))
    ceiling = next(line for line in ax.get_lines() if "ceiling" in line.get_label())
    assert ceiling.get_ydata() == pytest.approx([64**3 / 40e9 * 1e3, 512**3 / 40e9 * 1e3])
    assert ax.get_title() == (
        "The cpu alone: 559 G multiply-adds a second at n = 512, 218 G at n = 64"
    )
    assert complaints(drawn[FIGURE]) == []


def test_figure_of_two_accelerators(drawn, tmp_path):
    results = known_results("cpu", "cuda", "mps")
    ceilings = {"cpu": 40e9, "cuda": 9000e9, "mps": 2000e9}
    bench.draw(results, ceilings, tmp_path / FIGURE)
    ax = drawn[FIGURE].axes[0]
    lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    ways = 0.1
    assert lines["cuda: product, there and back"] == pytest.approx(
        np.array([1e-2, 2e-2]) * MIDDLE + ways
    )
    assert ax.get_title() == (
        "cuda beats the cpu from n = 512, with the ways there and back from n = 512\n"
        "mps beats the cpu from n = 512, with the ways there and back at no size"
    )
    assert complaints(drawn[FIGURE]) == []


def fail(*_) -> None:
    raise RuntimeError("a strange thing happened")


def test_trouble_on_mps_advises_the_cpu(monkeypatch, machine, capsys):
    machine("mps")
    monkeypatch.setattr(bench, "show_devices", fail)
    with pytest.raises(SystemExit) as exit_:
        bench.main([])
    assert exit_.value.code == 1
    assert capsys.readouterr().err.splitlines() == [
        "a strange thing happened",
        "PyTorch on mps is fragile: rerun with --device cpu",
    ]


def test_trouble_elsewhere_is_not_hidden(monkeypatch, machine):
    machine("mps")
    monkeypatch.setattr(bench, "show_devices", fail)
    with pytest.raises(RuntimeError, match="a strange thing happened"):
        bench.main(["--device", "cpu"])
