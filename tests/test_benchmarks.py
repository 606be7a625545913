"""What holds for every benchmark: how it measures, what it concludes, and what it refuses.

The helpers that each benchmark brings along are the same, word for word: one copy is tested.
"""

import inspect
import io
import math
import os
from argparse import ArgumentTypeError
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from benchmark import BENCHMARKS, measurement, table
from conftest import drawing, load_script
from scripts import SCRIPTS
from torch.utils.benchmark import Measurement

bench = load_script("inplace")

HELPERS = [
    *("measure", "quartiles", "verdict", "copy_bandwidth", "matmul_rate", "page_faults"),
    *("touch_new_memory", "reuse_freed_memory"),
    *("device", "positive_int", "thread_count", "duration", "check_size"),
]
OWN = {("vectorization", "verdict")}  # its ratios need a separator of thousands
SIZES = {
    "inplace": ["--sizes"],
    "broadcasting": ["--rows", "--columns"],
    "vectorization": ["--sizes", "--loop"],
    "memory_layout": ["--m"],
    "matmul_order": ["--n", "--p", "--sweep"],
    "devices": ["--n"],
    "gd_nd_torch": ["--d", "--sizes"],  # a benchmark too, in its second half
}
NUMBERS = ("0", "-1", "nan", "inf", "soon")


@pytest.mark.parametrize("helper", HELPERS)
def test_helpers_are_the_same_word_for_word(helper):
    sources = [
        inspect.getsource(getattr(load_script(name), helper))
        for name in SIZES
        if hasattr(load_script(name), helper) and (name, helper) not in OWN
    ]
    assert len(sources) > 1
    assert len(set(sources)) == 1


def test_variants_take_turns():
    order = []
    bench.measure({name: lambda name=name: order.append(name) for name in "ab"}, 1e-4, threads=1)
    turns = [name for i, name in enumerate(order) if i == 0 or name != order[i - 1]]
    assert turns == ["a", "b"] * (1 + bench.ROUNDS)  # once to see how long a call takes


def test_measurement_holds_the_times_of_all_rounds():
    m = bench.measure({"a": lambda: None}, 1e-4, threads=1)["a"]
    assert len(m.times) == bench.ROUNDS
    assert m.median == pytest.approx(np.median(m.times))


def test_measures_with_the_threads_asked_for():
    seen = set()
    bench.measure({"a": lambda: seen.add(torch.get_num_threads())}, 1e-4, threads=3)
    assert seen == {3}


def test_a_round_takes_its_part_of_the_seconds(monkeypatch):
    calls = []

    class Clock(bench.Timer):  # on which a call takes a millisecond
        def timeit(self, number):
            calls.append(number)
            return Measurement(number, [number * 1e-3], self._task_spec)

    monkeypatch.setattr(bench, "Timer", Clock)
    assert bench.measure({"a": lambda: None}, 0.1, threads=1)["a"].median == pytest.approx(1e-3)
    assert calls == [1] + [math.floor(0.1 / bench.ROUNDS / 1e-3)] * bench.ROUNDS


def test_bandwidth_counts_what_is_read_and_what_is_written_in_the_best_copy(monkeypatch):
    times = measurement(3.0, 2.0, 9.0)
    monkeypatch.setattr(bench.Timer, "blocked_autorange", lambda self, min_run_time: times)
    nowhere = torch.device("meta")  # takes no memory
    assert bench.copy_bandwidth(nowhere, 0.1, 1) == 2 * 128 * 2**20 / 2.0


def test_ceiling_of_arithmetic_is_the_rate_of_the_best_run(monkeypatch):
    matmul = load_script("matmul_order")

    class Clock(matmul.Timer):
        def blocked_autorange(self, min_run_time):
            return measurement(0.5, 0.25, 1.0)

    monkeypatch.setattr(matmul, "Timer", Clock)
    monkeypatch.setitem(matmul.LARGE, "cpu", 10)
    assert matmul.matmul_rate(torch.device("cpu"), 0.1, 1) == 1000 / 0.25


def test_page_faults_are_those_of_one_call(monkeypatch):
    usage = SimpleNamespace(ru_minflt=100)

    def run():
        usage.ru_minflt += 7

    fake = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda _: SimpleNamespace(**vars(usage)))
    monkeypatch.setattr(bench, "resource", fake)
    assert bench.page_faults(run) == 7


def test_page_faults_are_unknown_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.setattr(bench, "resource", None)
    assert math.isnan(bench.page_faults(lambda: None))


@pytest.mark.parametrize(
    ("slow", "fast", "line"),
    [
        ((4, 5, 6, 7, 8), (1, 2, 3, 4, 5), "held here, 2x (1.25-3.5)"),
        ((1, 2, 3, 4, 5), (4, 5, 6, 7, 8), "did not hold here, 0.5x (0.286-0.8)"),
        ((3, 4, 5, 6, 7), (2, 3, 4, 5, 6), "not decided here, 1.25x (0.8-2)"),  # spreads overlap
    ],
)
@pytest.mark.parametrize("name", ["inplace", "vectorization"])
def test_verdict(name, slow, fast, line):
    found = load_script(name).verdict("a claim", measurement(*slow), measurement(*fast))
    assert found == f'claim: "a claim": {line}'


@pytest.mark.parametrize("name", BENCHMARKS)
def test_table_stands_under_its_header(run_of, name):
    header, rows = table(run_of(name).stdout)
    assert header == load_script(name).HEADER
    assert rows


@pytest.fixture(scope="module")
def traced(tmp_path_factory) -> Callable[[str], SimpleNamespace]:
    """What main() does with --threads 3, where every result is said to be wrong.

    Returns the threads that it times with, and leaves, the dtypes of references, and stdout.
    """

    @cache
    def run(name: str) -> SimpleNamespace:
        script, seen = load_script(name), SimpleNamespace(threads=set(), dtypes=set())

        class Timer(script.Timer):
            def __init__(self, *args, num_threads, **options):
                seen.threads.add(num_threads)
                super().__init__(*args, num_threads=num_threads, **options)

        def wrong(result: torch.Tensor | float, exact: torch.Tensor | float) -> float:
            seen.dtypes.add(getattr(exact, "dtype", type(exact)))
            return 1.0

        def small_ones(*size, ones=torch.ones, **options) -> torch.Tensor:
            return ones(*(min(n, 1000) for n in size), **options)

        stdout = io.StringIO()
        with drawing(), pytest.MonkeyPatch.context() as patch, redirect_stdout(stdout):
            patch.setattr(script, "Timer", Timer)
            patch.setattr(script, "FIGURES", tmp_path_factory.mktemp("figures"))
            patch.setattr(torch, "ones", small_ones)  # of which a ceiling copies many
            for name_of_error in ("max_relative_error", "relative_error"):
                if hasattr(script, name_of_error):
                    patch.setattr(script, name_of_error, wrong)
            if hasattr(script, "LARGE"):
                patch.setitem(script.LARGE, "cpu", 16)
            before = torch.get_num_threads()
            patch.setattr(os, "cpu_count", lambda: 3)
            script.main([*SCRIPTS[name].small[:-1], "0.001", "--threads", "3"])
            seen.left = torch.get_num_threads()
            torch.set_num_threads(before)
        seen.stdout = stdout.getvalue()
        return seen

    return run


@pytest.mark.parametrize("name", SIZES)
def test_all_is_timed_with_the_threads_asked_for(name, traced):
    assert traced(name).threads == {3}


def test_values_of_the_sums_are_computed_with_the_threads_asked_for(traced):
    assert traced("vectorization").left == 3


@pytest.mark.parametrize("name", BENCHMARKS)
def test_reference_is_computed_in_float64(name, traced):
    in_float64 = float if name == "vectorization" else torch.float64
    assert traced(name).dtypes == {in_float64}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_says_whether_every_error_is_within_the_one_allowed(name, run_of, traced):
    assert "every error within the one allowed? True" in run_of(name).stdout
    assert "every error within the one allowed? False" in traced(name).stdout


def refusals() -> list:
    """A bad option of a script, and what the script is to say of it."""
    whole, number = (
        "must be a positive whole number, got",
        "must be a positive number that float32 holds, got",
    )
    seconds = "must be a positive number, 3600 at most, got"
    cores, large = f"this machine has {os.cpu_count()} cores, got", "numbers is too large, 2^31 at"
    here = "is not here; this machine has cpu"
    cases = []
    for name, sizes in SIZES.items():
        values = [(size, value, f"{whole} {value}") for size in sizes for value in ("0", "-3")]
        values += [(sizes[0], value, f"{whole} {value}") for value in ("1.5", "many")]
        values += [(size, str(2**40), large) for size in sizes if size != "--loop"]
        values += [("--threads", value, f"{whole} {value}") for value in ("0", "-1", "none")]
        values += [("--threads", "1000000", f"{cores} 1000000")]
        values += [("--seconds", value, f"{seconds} {value}") for value in (*NUMBERS, "3601")]
        values += [("--device", "tpu", f"tpu {here}")]
        if name == "gd_nd_torch":
            values += [("--eta", value, f"{number} {value}") for value in (*NUMBERS, "1e50")]
            values += [("--d", "1 2 3 4 5", "at most 4 dimensions, got 5")]
        cases += [pytest.param(name, *case, id=f"{name} {case[0]}={case[1]}") for case in values]
    return cases


@pytest.mark.parametrize(("name", "option", "value", "complaint"), refusals())
def test_bad_option_ends_in_one_line(name, option, value, complaint, capsys):
    with pytest.raises(SystemExit) as exit_:
        load_script(name).main([option, *value.split()])
    assert exit_.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"error: argument {option}: " in last
    assert complaint in last


def test_device_that_is_absent_names_those_present(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert bench.device("cuda") == torch.device("cuda")
    with pytest.raises(ArgumentTypeError, match="mps is not here; this machine has cpu, cuda$"):
        bench.device("mps")
