"""inplace.py: one sum in three memories, the same bytes for each, and when in-place is wrong."""

import numpy as np
import pytest
import torch
from benchmark import HIGH, LOW, MIDDLE, adds_up, error_bars, known, table
from conftest import load_script
from figure_checks import complaints

bench = load_script("inplace")

VARIANTS = ["x + y", "add, out=z", "x.add_(y)"]
FIGURE = "inplace_allocation.png"
FLOAT32 = torch.finfo(torch.float32).eps


def terms(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, generator=generator), torch.randn(n, generator=generator)


@pytest.mark.parametrize("n", [1, 3, 1000])
def test_each_variant_leaves_the_sum_where_it_says(n):
    x, y = terms(n)
    z = torch.zeros_like(x)
    before, expected = x.clone(), torch.tensor([a + b for a, b in zip(x.tolist(), y.tolist())])

    new = bench.out_of_place(x, y)
    assert torch.equal(new, expected)
    assert new.data_ptr() not in (x.data_ptr(), y.data_ptr())
    assert torch.equal(x, before)

    assert bench.into_existing(x, y, z).data_ptr() == z.data_ptr()
    assert torch.equal(z, expected)
    assert torch.equal(x, before)

    assert bench.in_place(x, y) is x
    assert torch.equal(x, expected)


def test_error_is_that_of_one_rounding():
    x, y = terms(10_000)
    exact = x.double() + y.double()
    assert bench.max_relative_error(x + y, exact) <= FLOAT32 / 2


def test_error_sees_one_wrong_element():
    x, y = terms(50)
    s = x + y
    s[7] *= 1 + 2**-10
    assert bench.max_relative_error(s, x.double() + y.double()) == pytest.approx(
        2**-10, abs=FLOAT32
    )


def test_error_leaves_a_float64_tensor_as_it_is():
    x, y = (term.double() for term in terms(50))
    before = x.clone()
    bench.max_relative_error(x, y)
    assert torch.equal(x, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bytes_are_those_of_two_terms_and_a_sum(dtype):
    x, y = (term.to(dtype) for term in terms(1000))
    counted = x.nbytes + y.nbytes + bench.out_of_place(x, y).nbytes
    assert bench.bytes_moved(1000, x.element_size()) == counted


def test_new_memory_is_touched_in_every_page_and_hardly_anywhere_else():
    n = 10_000
    memory = bench.touch_new_memory(n, torch.device("cpu"))
    assert (memory.shape, memory.dtype) == ((n,), torch.float32)
    pages = n * 4 // 4096
    assert memory[::1024].eq(0).sum() == pages + 1  # a last page, not whole


def test_prints_the_documented_lines(run_of):
    lines = run_of("inplace").stdout.splitlines()
    assert lines[:2] == [
        "out-of-place: tensor([11., 22., 33.])",
        "x unchanged: tensor([1., 2., 3.])",
    ]
    assert "in-place: tensor([11., 22., 33.])" in lines


def test_x_equal_x_plus_y_leaves_the_old_tensor_to_its_other_names(run_of):
    lines = run_of("inplace").stdout.splitlines()
    assert "after x = x + y, alias: tensor([1., 2., 3.])" in lines
    assert "after x.add_(y), alias: tensor([11., 22., 33.])" in lines


def test_shows_the_error_of_a_backward_pass_whose_value_is_gone(run_of):
    lines = run_of("inplace").stdout.splitlines()
    assert (
        "backward failed: one of the variables needed for gradient computation has been modified "
        "by an inplace operation"
    ) in lines
    assert "after a sum in-place is fine, w.grad: tensor([1., 1., 1.])" in lines


def test_table_has_a_row_for_each_size_and_variant(run_of):
    rows = table(run_of("inplace").stdout)[1]
    found = [(row["size"], row["variant"]) for row in rows]
    assert found == [(size, name) for size in ("100", "3,000") for name in VARIANTS]


def test_table_adds_up(run_of):
    stdout = run_of("inplace").stdout
    ceiling = float(stdout.split("moves ")[1].split(" GB/s")[0])
    for row in table(stdout)[1]:
        assert adds_up(row, bench.bytes_moved(int(row["size"].replace(",", ""))), ceiling), row
        assert float(row["error"]) <= 6e-8  # eps/2, as printed to one digit


def test_says_why_equal_bytes_take_unequal_time(run_of):
    stdout = run_of("inplace").stdout
    after = stdout.split("At n = 3,000:\n")[1].splitlines()
    starts = [
        "predicted: x + y takes 1 times as long as x.add_(y) (bytes moved); measured: ",
        "why: x + y takes ",
        "predicted: add, out=z takes 1 times as long as x.add_(y) (bytes moved); measured: ",
        "why: -x takes ",
        'claim: "x.add_(y) is faster than x + y": ',
        f"figure: figures/{FIGURE}",
    ]
    ms = {row["variant"]: float(row["median"]) for row in table(stdout)[1]}  # of the last size
    ratio = float(after[-2].split(", ")[1].split("x ")[0])
    assert ratio == pytest.approx(ms["x + y"] / ms["x.add_(y)"], rel=0.01)  # three digits
    assert [line[: len(start)] for line, start in zip(after, starts, strict=True)] == starts


def test_figure_shows_medians_quartiles_and_ceiling(drawn, tmp_path):
    nanoseconds = dict(zip(VARIANTS, [2.1, 0.5, 0.3]))
    results = {
        n: {name: known(n * ns * 1e-9) for name, ns in nanoseconds.items()}
        for n in (1000, 10_000_000)
    }
    bench.draw_timing(results, 20e9, 9766, tmp_path / "new folder" / FIGURE)
    ax = drawn[FIGURE].axes[0]
    for container, name in zip(ax.containers, VARIANTS, strict=True):
        assert container.get_label() == name
        x, *y = error_bars(container).T
        assert x == pytest.approx([1000, 10_000_000])
        expected = np.outer([LOW, MIDDLE, HIGH], [nanoseconds[name]] * 2)
        assert np.array(y) == pytest.approx(expected)
    assert ax.get_lines()[-1].get_ydata() == pytest.approx([12 / 20, 12 / 20])  # bytes, GB/s
    assert ax.get_title() == (
        "n = 10,000,000: new memory takes 7 times, existing memory 1.7 times as long as in-place"
    )
    (label,) = ax.texts
    assert label.get_text() == "9,766 page faults a call"
    assert label.xy == pytest.approx((10_000_000, 2.1 * MIDDLE))
    assert complaints(drawn[FIGURE]) == []


def test_main_prints_and_draws_what_it_measured(drawn, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "FIGURES", tmp_path)
    monkeypatch.setattr(bench, "copy_bandwidth", lambda *_: 1e10)
    faults = {bench.out_of_place: 9766, bench.into_existing: 3, bench.in_place: 1}
    monkeypatch.setattr(bench, "page_faults", lambda run: faults[run.func])
    bench.main(["--sizes", "400", "20", "--seconds", "0.001"])
    rows = table(capsys.readouterr().out)[1]
    assert [row["faults"] for row in rows] == ["9766", "3", "1"] * 2
    for container, variant in zip(drawn[FIGURE].axes[0].containers, VARIANTS, strict=True):
        printed = [float(row["median"]) * 1e6 for row in rows if row["variant"] == variant]
        assert container.lines[0].get_xdata() == pytest.approx([20, 400])
        drawn_times = container.lines[0].get_ydata() * [20, 400]
        assert drawn_times == pytest.approx(printed, rel=1e-3)  # four digits are printed
