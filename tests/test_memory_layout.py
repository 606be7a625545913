"""memory_layout.py: every sum is the same sum, and bytes are those of the lines that hold it."""

import numpy as np
import pytest
import torch
from benchmark import HIGH, LOW, MIDDLE, adds_up, error_bars, known, table
from conftest import drawing, load_script
from figure_checks import complaints

bench = load_script("memory_layout")

WHOLE = ["A.sum(dim=1)", "A.sum(dim=0)", "F.sum(dim=0)", "F.sum(dim=1)"]
SLICE = ["A[i].sum()", "F[i].sum()"]
FIGURE = "memory_layout_efficiency.png"
U = torch.finfo(torch.float32).eps / 2


def numbers(n: int, m: int) -> torch.Tensor:
    return torch.rand(n, m, generator=torch.Generator().manual_seed(0))


def test_column_major_holds_the_same_numbers_column_by_column():
    A = numbers(5, 7)
    F = bench.column_major(A)
    assert torch.equal(A, F)
    assert (A.stride(), F.stride()) == ((7, 1), (1, 5))
    memory = torch.empty(0).set_(F.untyped_storage())
    assert memory.tolist() == [A[i, j].item() for j in range(7) for i in range(5)]


def test_padded_leaves_a_gap_after_each_column():
    A = numbers(5, 7)
    P = bench.padded(bench.column_major(A), unused=3)
    assert torch.equal(A, P)
    assert P.stride() == (1, 8)


def test_next_row_sum_takes_every_row_in_turn_and_starts_again():
    A = torch.arange(12.0).reshape(4, 3)
    for tensor in (A, bench.column_major(A)):
        run = bench.next_row_sum(tensor)
        assert [run().item() for _ in range(6)] == [3.0, 12.0, 21.0, 30.0, 3.0, 12.0]


@pytest.mark.parametrize(("line", "itemsize"), [(32, 4), (64, 4), (64, 8), (128, 4)])
@pytest.mark.parametrize("stride", [1, 2, 3, 7, 16, 17, 512, 528])
def test_line_bytes_are_those_of_the_lines_touched(stride, line, itemsize):
    for count in (1, 2, 16, 17, 100):
        starts = [k * stride * itemsize for k in range(count)]
        touched = {byte // line for start in starts for byte in range(start, start + itemsize)}
        assert bench.line_bytes(count, stride, line, itemsize) == line * len(touched)


@pytest.mark.parametrize("shape", [(512, 2048), (3, 50)])
def test_whole_sums_move_the_tensor_and_its_sums_once(shape):
    A = numbers(*shape)
    F = bench.column_major(A)
    moved = bench.bytes_moved(*shape, line=64)
    for tensor, name in [(A, "A"), (F, "F")]:
        for dim in (0, 1):
            both = tensor.nbytes + tensor.sum(dim=dim).nbytes
            assert moved[f"{name}.sum(dim={dim})"] == both


def test_a_strided_row_moves_sixteen_times_the_bytes_of_a_contiguous_one():
    moved = bench.bytes_moved(512, 32768, line=64)
    contiguous, strided = (moved[variant] - 4 for variant in SLICE)  # less the sum itself
    assert contiguous == numbers(1, 32768).nbytes
    assert strided == 16 * contiguous


@pytest.mark.parametrize("shape", [(512, 300), (3, 5000), (1, 1)])
def test_all_sums_are_within_the_error_allowed(shape):
    A = numbers(*shape)
    F = bench.column_major(A)
    P = bench.padded(F)
    for dim, terms in [(1, shape[1]), (0, shape[0])]:
        exact = A.double().sum(dim=dim)
        for tensor in (A, F, P):
            error = bench.max_relative_error(tensor.sum(dim=dim), exact)
            assert error <= bench.allowed_error(terms)
    one_by_one = torch.stack([row.sum() for row in F])
    assert bench.max_relative_error(one_by_one, A.double().sum(dim=1)) <= bench.allowed_error(
        shape[1]
    )


def test_product_with_ones_makes_the_same_column_sums():
    A = numbers(512, 300)
    error = bench.max_relative_error(torch.ones(512) @ A, A.double().sum(dim=0))
    assert error <= bench.allowed_error(512)


@pytest.mark.parametrize("terms", [1, 2, 512, 32768])
def test_error_allowed_covers_the_worst_rounding_of_every_addition(terms):
    worst = (1 + U) ** (terms - 1) - 1
    assert worst <= bench.allowed_error(terms) <= worst + (terms * U) ** 2


def test_error_sees_one_wrong_sum():
    A = numbers(6, 40)
    sums = A.sum(dim=1)
    sums[4] *= 1 + 2**-8
    error = bench.max_relative_error(sums, A.double().sum(dim=1))
    assert error == pytest.approx(2**-8, abs=bench.allowed_error(41))


@pytest.mark.parametrize(
    ("system", "machine", "where", "size"),
    [
        ("linux", "x86_64", "cpu", 64),
        ("linux", "x86_64", "cuda", 32),
        ("darwin", "arm64", "cpu", 128),
        ("darwin", "arm64", "mps", 128),
        ("win32", "AMD64", "cpu", 64),
    ],
)
def test_line_size(monkeypatch, system, machine, where, size):
    monkeypatch.setattr(bench.sys, "platform", system)
    monkeypatch.setattr(bench.platform, "machine", lambda: machine)
    assert bench.line_size(torch.device(where)) == size


def test_table_has_a_row_for_each_size_and_variant(run_of):
    rows = table(run_of("memory_layout").stdout)[1]
    found = [(row["size"], row["variant"]) for row in rows]
    assert found == [(size, v) for size in ("512 x 16", "512 x 40") for v in WHOLE + SLICE]


def test_table_adds_up(run_of):
    stdout = run_of("memory_layout").stdout
    ceiling = float(stdout.split("moves ")[1].split(" GB/s")[0])
    line = bench.line_size(torch.device("cpu"))
    for row in table(stdout)[1]:
        m = int(row["size"].split(" x ")[1])
        assert adds_up(row, bench.bytes_moved(512, m, line)[row["variant"]], ceiling), row
        terms = m if row["variant"] in ("A.sum(dim=1)", "F.sum(dim=1)", *SLICE) else 512
        assert float(row["error"]) <= bench.allowed_error(terms) * 1.5  # printed to one digit


def test_predictions_are_the_ratios_of_bytes(run_of):
    stdout = run_of("memory_layout").stdout
    moved = bench.bytes_moved(512, 40, bench.line_size(torch.device("cpu")))
    for slow, fast in [("A.sum(dim=0)", "A.sum(dim=1)"), ("F[i].sum()", "A[i].sum()")]:
        ratio = moved[slow] / moved[fast]
        assert f"predicted: {slow} takes {ratio:.2g} times as long as {fast} (bytes" in stdout


def test_says_why_prediction_and_measurement_differ(run_of):
    whys = [line for line in run_of("memory_layout").stdout.splitlines() if line[:4] == "why:"]
    assert len(whys) >= 3  # more where a call is not most of the time
    assert all(any(c.isdigit() for c in why.split(",")[-1]) for why in whys)


def test_ends_with_claims_and_figure(run_of):
    *_, whole, slices, figure = run_of("memory_layout").stdout.splitlines()
    assert whole.startswith('claim: "summing along contiguous rows is faster than down strided')
    assert slices.startswith('claim: "a contiguous row is summed faster than a strided one": ')
    assert figure == f"figure: figures/{FIGURE}"


@pytest.fixture(scope="module")
def figure(tmp_path_factory):
    """The figure of times that are known, and these times."""
    nanoseconds = {"A.sum(dim=1)": 0.1, "A.sum(dim=0)": 0.3, "F.sum(dim=0)": 0.11}
    nanoseconds |= {"F.sum(dim=1)": 0.35, "A[i].sum()": 0.2, "F[i].sum()": 5}
    results = {
        m: {
            variant: known((512 if variant in WHOLE else 1) * m * ns * 1e-9)
            for variant, ns in nanoseconds.items()
        }
        for m in (512, 32768)
    }
    outpath = tmp_path_factory.mktemp("figure") / "new folder" / FIGURE
    with drawing() as figures:
        bench.draw(results, 20e9, 64, 2e-6, outpath)
    return figures[FIGURE], nanoseconds


def test_figure_shows_medians_and_quartiles_per_number(figure):
    fig, nanoseconds = figure
    for ax, variants in zip(fig.axes, [WHOLE, SLICE], strict=True):
        for container, variant in zip(ax.containers, variants, strict=True):
            style = (bench.WHOLE | bench.SLICE)[variant]
            line = container.lines[0]
            assert (line.get_color(), line.get_marker()) == (style["color"], style["marker"])
            x, *y = error_bars(container).T
            assert x == pytest.approx([512, 32768])
            expected = np.outer([LOW, MIDDLE, HIGH], [nanoseconds[variant]] * 2)
            assert np.array(y) == pytest.approx(expected)


def test_legend_tells_the_steps_in_memory(figure):
    A = torch.empty(512, 700)
    steps = {
        f"{name}.sum(dim={dim})": str(tensor.stride(dim)).replace("700", "$m$")
        for name, tensor in [("A", A), ("F", bench.column_major(A))]
        for dim in (0, 1)
    }
    shown = [text.get_text() for text in figure[0].legends[0].get_texts()]
    for variant, style in bench.WHOLE.items():
        assert style["label"].endswith(f"step {steps[variant]}")
        assert style["label"] in shown


def test_figure_shows_what_a_copy_would_take(figure):
    for ax in figure[0].axes:
        floors = sorted(
            line.get_ydata()[0]
            for line in ax.get_lines()
            if len(line.get_xdata()) == 2 and line.get_color() == "0.6"
        )
        assert floors == pytest.approx([4 / 20e9 * 1e9, 64 / 20e9 * 1e9])


def test_figure_shows_the_cost_of_a_call_for_each_number_of_a_row(figure):
    ax = figure[0].axes[1]
    call = next(line for line in ax.get_lines() if line.get_label() == "a call alone")
    assert call.get_ydata() == pytest.approx([2e-6 / 512 * 1e9, 2e-6 / 32768 * 1e9])


def test_figure_says_what_was_found(figure):
    fig, _ = figure
    title = fig.get_suptitle()
    assert "512 x 32768, row-major: column sums take 3 times as long as row sums" in title
    assert "a strided row takes 25 times as long as a contiguous one" in title
    assert complaints(fig) == []


def test_main_draws_what_it_measured(drawn, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "FIGURES", tmp_path)
    monkeypatch.setattr(bench, "copy_bandwidth", lambda *_: 20e9)
    bench.main(["--m", "64", "16", "--seconds", "0.001"])
    rows = table(capsys.readouterr().out)[1]
    for ax, variants, count in zip(drawn[FIGURE].axes, [WHOLE, SLICE], [512, 1]):
        for container, variant in zip(ax.containers, variants):
            printed = [
                float(row["median"]) * 1e6 / count / int(row["size"].split(" x ")[1])
                for row in rows
                if row["variant"] == variant
            ]
            assert container.lines[0].get_xdata() == pytest.approx([16, 64])
            assert container.lines[0].get_ydata() == pytest.approx(printed, rel=1e-3)
