"""matmul_order.py: both orders give one product, and multiply-adds are those that are done."""

import itertools

import numpy as np
import pytest
import torch
from benchmark import HIGH, LOW, MIDDLE, adds_up, error_bars, known, table
from conftest import drawing, load_script
from figure_checks import complaints
from matplotlib.patches import Rectangle
from matplotlib.testing.compare import compare_images
from torch.utils.flop_counter import FlopCounterMode

bench = load_script("matmul_order")

LEFT, RIGHT, MULTI_DOT = VARIANTS = ["(A @ B) @ C", "A @ (B @ C)", "multi_dot"]
DIAGRAM, TIMING = "matmul_associativity_cost.png", "matmul_order_timing.png"
SHAPES = [(512, 512, 8, 512), (4, 3, 2, 5), (3, 50, 40, 2), (1, 1, 1, 1)]


def factors(m: int, n: int, p: int, q: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=generator) for shape in [(m, n), (n, p), (p, q)]]


def products(A: torch.Tensor, B: torch.Tensor, C: torch.Tensor) -> dict:
    """The variants as main() runs them."""
    return {
        LEFT: lambda: bench.left_first(A, B, C),
        RIGHT: lambda: bench.right_first(A, B, C),
        MULTI_DOT: lambda: torch.linalg.multi_dot([A, B, C]),
    }


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_multiply_adds_are_those_that_pytorch_counts(shape, variant):
    run = products(*factors(*shape))[variant]
    with FlopCounterMode(display=False) as counter:
        run()
    assert counter.get_total_flops() == 2 * bench.multiply_adds(*shape)[variant]


def test_multiply_adds_are_those_of_the_loops():
    m, n, p, q = 4, 3, 2, 5
    loops = {
        LEFT: len(list(itertools.product(range(m), range(p), range(n))))
        + len(list(itertools.product(range(m), range(q), range(p)))),
        RIGHT: len(list(itertools.product(range(n), range(q), range(p))))
        + len(list(itertools.product(range(m), range(q), range(n)))),
    }
    does = bench.multiply_adds(m, n, p, q)
    assert {variant: does[variant] for variant in loops} == loops


def test_lecture_case_takes_32_and_a_half_times_the_multiply_adds():
    does = bench.multiply_adds(512, 512, 8, 512)
    assert does == {LEFT: 4_194_304, RIGHT: 136_314_880, MULTI_DOT: 4_194_304}
    assert does[RIGHT] / does[LEFT] == 32.5


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_product_is_within_the_error_allowed(shape, variant):
    A, B, C = factors(*shape)
    exact = A.double() @ B.double() @ C.double()
    product = products(A, B, C)[variant]()
    assert product.shape == (shape[0], shape[3])
    allowed = bench.allowed_error(A.double(), B.double(), C.double())
    assert bench.max_relative_error(product, exact) <= allowed


def test_error_allowed_is_reached_to_its_order_by_the_worst_rounding():
    # all ones: |A||B||C| = ABC, and every one of the n + p roundings may add up
    ones = [torch.ones(shape, dtype=torch.float64) for shape in [(2, 30), (30, 4), (4, 2)]]
    worst = (1 + torch.finfo(torch.float32).eps / 2) ** 34 - 1
    assert bench.allowed_error(*ones) == pytest.approx(worst, rel=1e-5)


def test_error_sees_one_wrong_entry():
    A, B, C = factors(20, 30, 4, 20)
    product, exact = A @ B @ C, A.double() @ B.double() @ C.double()
    product[3, 5] += 2**-6 * product.abs().max()
    error = bench.max_relative_error(product, exact)
    assert error == pytest.approx(
        2**-6, abs=bench.allowed_error(A.double(), B.double(), C.double())
    )


def test_table_has_a_row_for_each_size_and_variant(run_of):
    rows = table(run_of("matmul_order").stdout)[1]
    found = [(row["size"], row["variant"]) for row in rows]
    assert found == [(p, variant) for p in ("2", "4", "24") for variant in VARIANTS]


def test_table_adds_up(run_of):
    stdout = run_of("matmul_order").stdout
    ceiling = float(stdout.split("at best ")[1].split(" G")[0])
    for row in table(stdout)[1]:
        p = int(row["size"])
        assert adds_up(row, bench.multiply_adds(24, 24, p, 24)[row["variant"]], ceiling), row
        A, B, C = (X.double() for X in main_factors(24, p))
        assert float(row["error"]) <= bench.allowed_error(A, B, C) * 1.5  # printed to one digit


def main_factors(n: int, p: int) -> tuple[torch.Tensor, ...]:
    """The factors that main() draws."""
    torch.manual_seed(0)
    return torch.randn(n, n), torch.randn(n, p), torch.randn(p, n)


def test_prediction_is_the_ratio_of_multiply_adds(run_of):
    does = bench.multiply_adds(24, 24, 4, 24)
    ratio = does[RIGHT] / does[LEFT]
    assert f"takes {ratio:.3g} times as long as (A @ B) @ C" in run_of("matmul_order").stdout


def test_says_how_the_orders_differ_and_what_pytorch_does(run_of):
    lines = run_of("matmul_order").stdout.splitlines()
    assert "A @ B @ C goes from left to right: equal to (A @ B) @ C? True" in lines
    differ = next(line for line in lines if line.startswith("the orders differ by rounding: "))
    A, B, C = main_factors(24, 4)
    most = (bench.left_first(A, B, C) - bench.right_first(A, B, C)).abs().max().item()
    allowed = bench.allowed_error(A.double(), B.double(), C.double())
    assert most > 0
    largest = (A @ B @ C).abs().max().item()
    # each order may err by what is allowed; one digit is printed
    assert float(differ.split()[5]) <= 2 * allowed * largest * 1.5


def test_says_why_prediction_and_measurement_differ(run_of):
    shares, reason = [x for x in run_of("matmul_order").stdout.splitlines() if x[:4] == "why:"]
    products = [part.rsplit(" ", 1)[0] for part in shares.split(": ")[-1].split(", ")[-4:]]
    assert [name.removeprefix("shares of the ceiling: ") for name in products] == [
        "A @ B",
        "AB @ C",
        "B @ C",
        "A @ BC",
    ]
    assert any(character.isdigit() for character in reason)


def test_ends_with_claim_and_figures(run_of):
    *_, claim, diagram, timing = run_of("matmul_order").stdout.splitlines()
    assert claim.startswith('claim: "(AB)C is faster than A(BC)": ')
    assert (diagram, timing) == (f"figure: figures/{DIAGRAM}", f"figure: figures/{TIMING}")


def test_draws_the_committed_diagram(committed, tmp_path):
    bench.draw_orders(512, 512, 8, 512, tmp_path / DIAGRAM)
    assert compare_images(committed(DIAGRAM), tmp_path / DIAGRAM, tol=1) is None


@pytest.mark.parametrize("shape", [(512, 512, 8, 512), (300, 200, 100, 400)])
def test_diagram_is_to_scale(drawn, tmp_path, shape):
    m, n, p, q = shape
    bench.draw_orders(*shape, tmp_path / DIAGRAM)
    ax = drawn[DIAGRAM].axes[0]
    assert ax.get_aspect() == 1
    boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    sizes = np.array([(box.get_height(), box.get_width()) for box in boxes])
    first = [(m, n), (n, p), (m, p), (m, p), (p, q), (m, q)]
    second = [(n, p), (p, q), (n, q), (m, n), (n, q), (m, q)]
    assert sizes * max(shape) == pytest.approx(np.array(first + second))
    assert complaints(drawn[DIAGRAM]) == []


def test_diagram_tells_names_sizes_and_multiply_adds(drawn, tmp_path):
    bench.draw_orders(512, 512, 8, 512, tmp_path / DIAGRAM)
    ax = drawn[DIAGRAM].axes[0]
    texts = [text.get_text() for text in ax.texts]
    names = [text for text in texts if text.strip("$") in ("A", "B", "C", "AB", "BC", "ABC")]
    assert "".join(names) == "$A$$B$$AB$$AB$$C$$ABC$" + "$B$$C$$BC$$A$$BC$$ABC$"
    sizes = [text for text in texts if " x " in text]
    big, tall, flat = "512 x 512", "512 x 8", "8 x 512"
    assert sizes == [big, tall, tall, tall, flat, big, tall, flat, big, big, big, big]
    counts = [int(t.split()[0].replace(",", "")) for t in texts if t.endswith("multiply-adds")]
    does = bench.multiply_adds(512, 512, 8, 512)
    assert [sum(counts[:2]), sum(counts[2:])] == [does[LEFT], does[RIGHT]]
    assert "$A(BC)$ 32.5 times as many" in drawn[DIAGRAM].get_suptitle()


@pytest.fixture(scope="module")
def timing(tmp_path_factory):
    """The figure of times that are known, and these times in milliseconds by p and variant."""
    milliseconds = {
        8: {LEFT: 0.5, RIGHT: 4.0, MULTI_DOT: 0.6},
        64: {LEFT: 1, RIGHT: 5, MULTI_DOT: 1.1},
    }
    results = {
        p: {variant: known(ms * 1e-3) for variant, ms in by_variant.items()}
        for p, by_variant in milliseconds.items()
    }
    outpath = tmp_path_factory.mktemp("figure") / "new folder" / TIMING
    with drawing() as figures:
        bench.draw_timing(results, 512, 8, 40e9, outpath)
    return figures[TIMING], milliseconds


def test_figure_shows_medians_and_quartiles(timing):
    fig, milliseconds = timing
    for container, variant in zip(fig.axes[0].containers, VARIANTS, strict=True):
        assert container.get_label() == variant
        x, *y = error_bars(container).T
        assert x == pytest.approx([8, 64])
        ms = [by_variant[variant] for by_variant in milliseconds.values()]
        assert np.array(y) == pytest.approx(np.outer([LOW, MIDDLE, HIGH], ms))


def test_figure_shows_what_the_ceiling_predicts(timing):
    lines = [line for line in timing[0].axes[0].get_lines() if line.get_color() == "0.6"]
    for line, variant in zip(lines, [LEFT, RIGHT], strict=True):
        ms = [bench.multiply_adds(512, 512, p, 512)[variant] / 40e9 * 1e3 for p in (8, 64)]
        assert line.get_ydata() == pytest.approx(ms)


def test_figure_shows_the_ratio_of_the_orders_beside_the_prediction(timing):
    ax = timing[0].axes[1]
    _, *y = error_bars(ax.containers[0]).T
    assert np.array(y) == pytest.approx(np.outer([LOW / HIGH, 1, HIGH / LOW], [8, 5]))
    prediction = next(line for line in ax.get_lines() if line.get_label() == "multiply-adds")
    assert prediction.get_ydata() == pytest.approx([(p + 512) / (2 * p) for p in (8, 64)])


def test_figure_says_what_was_found(timing):
    title = timing[0].get_suptitle()
    assert "$A(BC)$ takes 8 times as long as $(AB)C$\nfor 32.5 times the multiply-adds" in title
    assert complaints(timing[0]) == []


def test_main_draws_what_it_measured(drawn, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "FIGURES", tmp_path)
    monkeypatch.setitem(bench.LARGE, "cpu", 16)
    bench.main(["--n", "16", "--p", "4", "--sweep", "8", "2", "--seconds", "0.001"])
    rows = table(capsys.readouterr().out)[1]
    for container, variant in zip(drawn[TIMING].axes[0].containers, VARIANTS, strict=True):
        printed = [float(row["median"]) for row in rows if row["variant"] == variant]
        assert container.lines[0].get_xdata() == pytest.approx([2, 4, 8])
        assert container.lines[0].get_ydata() == pytest.approx(printed, rel=1e-3)
