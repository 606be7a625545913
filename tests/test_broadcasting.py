"""broadcasting.py: three ways agree to the bit, and a row of v is never copied."""

import numpy as np
import pytest
import torch
from benchmark import HIGH, LOW, MIDDLE, adds_up, error_bars, known, table
from conftest import load_script
from figure_checks import complaints
from torch.autograd.profiler import profile
from torch.overrides import TorchFunctionMode

bench = load_script("broadcasting")

VARIANTS = ["loop", "repeat", "broadcast", "broadcast, out=B"]
DIAGRAM, TIMING = "broadcasting_matrix_vector.png", "broadcasting_timing.png"
FLOAT32 = torch.finfo(torch.float32).eps


def operands(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=generator), torch.randn(d, generator=generator)


def calls(A: torch.Tensor, v: torch.Tensor) -> dict:
    """The variants as main() runs them."""
    B = torch.zeros_like(A)
    return {
        "loop": lambda: bench.by_loop(A, v),
        "repeat": lambda: bench.by_repeat(A, v),
        "broadcast": lambda: bench.by_broadcasting(A, v),
        "broadcast, out=B": lambda: torch.mul(A, v, out=B),
    }


SHAPES = [(4, 3), (1, 1), (1, 9), (9, 1), (33, 70)]


@pytest.mark.parametrize("shape", SHAPES)
def test_variants_agree_to_the_bit(shape):
    A, v = operands(*shape)
    results = [run() for run in calls(A, v).values()]
    assert results[0].shape == shape
    assert all(torch.equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("shape", SHAPES)
def test_error_is_that_of_one_rounding(shape):
    A, v = operands(*shape)
    exact = A.double() * v.double()
    assert bench.max_relative_error(A * v, exact) <= FLOAT32 / 2


def test_error_sees_one_wrong_element():
    A, v = operands(5, 7)
    B = A * v
    B[3, 2] *= 1 + 2**-10
    error = bench.max_relative_error(B, A.double() * v.double())
    assert error == pytest.approx(2**-10, abs=FLOAT32)


class ByteCounter(TorchFunctionMode):
    """Adds up the bytes that each operation reads and writes, seen from outside."""

    moved = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func.__name__ in ("mul", "repeat"):
            self.moved += result.nbytes + sum(x.nbytes for x in args if torch.is_tensor(x))
        elif func.__name__ == "__setitem__":  # B[i] = row
            self.moved += 2 * args[2].nbytes
        else:  # these move nothing
            assert func.__name__ in ("__getitem__", "__len__", "empty_like"), func
        return result


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(4, 3), (2, 50)])
def test_bytes_are_those_that_the_operations_touch(variant, shape):
    run = calls(*operands(*shape))[variant]
    with ByteCounter() as counter:
        run()
    assert counter.moved == bench.bytes_moved(*shape)[variant]


def test_expand_allocates_nothing_and_repeat_every_row():
    _, v = operands(4, 1000)
    assert v.expand(4, 1000).stride() == (0, 1)
    assert bench.allocated_bytes(v.expand(4, 1000), v) == 0
    assert bench.allocated_bytes(v.repeat(4, 1), v) == 4 * 1000 * 4


def test_profiler_sees_the_same_allocations():
    A, v = operands(100, 1000)
    seen = {}
    for name in ("repeat", "broadcast", "broadcast, out=B"):
        run = calls(A, v)[name]
        with profile(use_kineto=False, profile_memory=True) as prof:
            run()
        seen[name] = sum(max(event.self_cpu_memory_usage, 0) for event in prof.function_events)
    assert seen["broadcast, out=B"] == 0
    assert seen["broadcast"] == A.nbytes
    repeated = bench.allocated_bytes(v.repeat(100, 1), v)
    assert seen["repeat"] - seen["broadcast"] == pytest.approx(repeated, abs=1000)  # small change


def test_prints_the_documented_lines(run_of):
    lines = run_of("broadcasting").stdout.splitlines()
    assert "A.shape: torch.Size([4, 3])" in lines
    assert "B.shape: torch.Size([4, 3])" in lines
    assert "loop and repeat equal B? True" in lines


def test_prints_strides_and_allocation_of_the_largest_case(run_of):
    stdout = run_of("broadcasting").stdout
    assert "v.expand(30, 50): strides (0, 1), allocates 0 bytes" in stdout
    assert "v.repeat(30, 1): strides (50, 1), allocates 6,000 bytes" in stdout


def test_table_has_a_row_for_each_size_and_variant(run_of):
    rows = table(run_of("broadcasting").stdout)[1]
    found = [(row["size"], row["variant"]) for row in rows]
    assert found == [(size, name) for size in ("3 x 50", "30 x 50") for name in VARIANTS]


def test_table_adds_up(run_of):
    stdout = run_of("broadcasting").stdout
    ceiling = float(stdout.split("moves ")[1].split(" GB/s")[0])
    for row in table(stdout)[1]:
        n, d = map(int, row["size"].split(" x "))
        assert adds_up(row, bench.bytes_moved(n, d)[row["variant"]], ceiling), row
        assert float(row["error"]) <= 6e-8  # eps/2, as printed to one digit


def test_prediction_is_the_ratio_of_bytes(run_of):
    stdout = run_of("broadcasting").stdout
    moved = bench.bytes_moved(30, 50)
    for name in ("loop", "repeat"):
        ratio = moved[name] / moved["broadcast"]
        assert f"predicted: {name} takes {ratio:.2g} times as long as broadcast" in stdout


def test_ends_with_claims_and_figures(run_of):
    stdout = run_of("broadcasting").stdout
    ms = {row["variant"]: float(row["median"]) for row in table(stdout)[1]}  # of the last size
    *_, loop, repeat, diagram, timing = stdout.splitlines()
    for line, slow, other in [
        (loop, "loop", "a loop over rows"),
        (repeat, "repeat", "repeating v"),
    ]:
        claim, verdict = line.rsplit(": ", 1)
        assert claim == f'claim: "broadcasting is faster than {other}"'
        ratio = float(verdict.split(", ")[1].split("x ")[0])
        assert ratio == pytest.approx(ms[slow] / ms["broadcast"], rel=0.01)  # three digits
    assert (diagram, timing) == (f"figure: figures/{DIAGRAM}", f"figure: figures/{TIMING}")


def lecture_case() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.arange(1.0, 13.0).reshape(4, 3), torch.tensor([1.0, 10.0, 100.0])


def test_diagram_fills_just_the_cells_that_lie_in_memory(drawn, tmp_path):
    A, v = lecture_case()
    bench.draw_replication(A, v, tmp_path / DIAGRAM)
    ax = drawn[DIAGRAM].axes[0]
    filled = sum(box.get_facecolor()[3] > 0 for box in ax.patches)
    # A, B and the one row of v; below them what expand and what repeat keep in memory
    assert filled == 4 * 3 + 4 * 3 + 3 + v.expand(4, 3).untyped_storage().nbytes() // 4 + 12
    assert len(ax.patches) - filled == 3 * 3  # the rows that are not there
    numbers = [float(text.get_text()) for text in ax.texts if text.get_text().isdigit()]
    B = (A * v).flatten().tolist()
    assert numbers == A.flatten().tolist() + v.tolist() * 4 + B + v.tolist() * 5
    assert complaints(drawn[DIAGRAM]) == []


def test_diagram_is_to_scale(drawn, tmp_path):
    bench.draw_replication(*lecture_case(), tmp_path / DIAGRAM)
    ax = drawn[DIAGRAM].axes[0]
    assert ax.get_aspect() == 1
    sides = [(round(b.get_width(), 6), round(b.get_height(), 6)) for b in ax.patches]
    assert all(width == height for width, height in sides)
    assert len({side for side, box in zip(sides, ax.patches) if box.get_linestyle() == "-"}) == 2


def test_timing_figure_shows_medians_quartiles_and_ceiling(drawn, tmp_path):
    bandwidth = 10e9
    nanoseconds = dict(zip(VARIANTS, [80, 30, 10, 5]))
    results = {
        (n, 100): {name: known(n * 100 * ns * 1e-9) for name, ns in nanoseconds.items()}
        for n in (10, 1000)
    }
    bench.draw_timing(results, bandwidth, 9766, tmp_path / TIMING)
    figure = drawn[TIMING]
    ax = figure.axes[0]
    for container, name in zip(ax.containers, VARIANTS, strict=True):
        assert container.get_label() == name
        x, *y = error_bars(container).T
        assert x == pytest.approx([1000, 100_000])
        expected = np.outer([LOW, MIDDLE, HIGH], [nanoseconds[name]] * 2)
        assert np.array(y) == pytest.approx(expected)
    ceiling = ax.get_lines()[-1]
    bytes_per_element = [bench.bytes_moved(n, 100)["broadcast"] / (n * 100) for n in (10, 1000)]
    assert ceiling.get_ydata() == pytest.approx(np.array(bytes_per_element) / bandwidth * 1e9)
    (label,) = ax.texts
    assert label.get_text() == "9,766 page\nfaults a call"
    assert label.xy == pytest.approx((100_000, 10 * MIDDLE))
    assert "1000 x 100: a loop takes 8 times, a repeat 3 times" in ax.get_title()
    assert complaints(figure) == []


def test_main_draws_what_it_measured(drawn, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "FIGURES", tmp_path)
    monkeypatch.setattr(bench, "copy_bandwidth", lambda *_: 1e10)
    bench.main(["--rows", "20", "2", "--columns", "30", "--seconds", "0.001"])
    rows = table(capsys.readouterr().out)[1]
    for container, variant in zip(drawn[TIMING].axes[0].containers, VARIANTS):
        printed = [float(row["median"]) * 1e6 for row in rows if row["variant"] == variant]
        assert container.lines[0].get_xdata() == pytest.approx([60, 600])
        drawn_times = container.lines[0].get_ydata() * [60, 600]
        assert drawn_times == pytest.approx(printed, rel=1e-3)  # four digits are printed
