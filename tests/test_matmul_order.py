"""matmul_order.py: the multiply-adds are those that are done, and the figures say so."""

import itertools

import pytest
import torch
from conftest import ROOT, defined, drawing
from figure_checks import table_in
from matplotlib.patches import Rectangle
from torch.utils.flop_counter import FlopCounterMode
from tour import define, read

tour = defined("matmul_order")


def test_multiply_adds_are_those_of_the_loops():
    for m, n, p in [(1, 1, 1), (4, 3, 2), (3, 1, 5)]:
        loops = itertools.product(range(m), range(p), range(n))
        assert tour.multiply_adds(torch.ones(m, n), torch.ones(n, p)) == len(list(loops))


@pytest.mark.parametrize("p", [8, 500, 512, 1024])
def test_multi_dot_takes_the_order_with_fewer_multiply_adds(p):
    """PyTorch's own counter counts a multiply-add as two operations."""
    A, B, C = torch.ones(512, 512), torch.ones(512, p), torch.ones(p, 512)
    AB_first = tour.multiply_adds(A, B) + tour.multiply_adds(A @ B, C)
    BC_first = tour.multiply_adds(B, C) + tour.multiply_adds(A, B @ C)
    with FlopCounterMode(display=False) as counter:
        torch.linalg.multi_dot([A, B, C])
    assert counter.get_total_flops() == 2 * min(AB_first, BC_first)
    assert (AB_first < BC_first, AB_first > BC_first) == (p < 512, p > 512)


def test_figure_is_to_scale_and_counts_what_the_orders_take():
    (ax,) = tour.draw_orders().axes
    sides = [
        (round(512 * patch.get_height()), round(512 * patch.get_width()))
        for patch in ax.patches
        if isinstance(patch, Rectangle)
    ]
    square, tall, flat = (512, 512), (512, 8), (8, 512)
    assert sides == [
        *[square, tall, tall, tall, flat, square],  # A B = AB, then AB C = ABC
        *[tall, flat, square, square, square, square],  # B C = BC, then A BC = ABC
    ]
    texts = [text.get_text() for text in ax.texts]
    assert [text for text in texts if " x " in text] == [f"{m} x {n}" for m, n in sides]
    counts = [text.removesuffix(" multiply-adds") for text in texts if "multiply-adds" in text]
    first, second, third, fourth = [int(count.replace(",", "")) for count in counts]
    assert (first + second, third + fourth) == (4_194_304, 136_314_880)


def test_predicted_times_are_the_counts_at_the_rate_of_a_square_product(tmp_path, capsys):
    """Where each call takes 1000 ms, a square product of size 16 does 16^3 in that time."""
    whole = read(ROOT / "script" / "matmul_order.py", {"N": "16", "INNER": "[4, 16, 32]"})
    (cell,) = [cell for cell in whole.showing if "rate = " in cell.code]
    names = define(whole, whole.above(cell), tmp_path)
    names["milliseconds"] = lambda function: 1000
    with drawing():
        exec(cell.code, names)
    table = table_in(capsys.readouterr().out)
    assert table["predicted (A @ B) @ C"] == [500, 2000, 4000]  # 2 p / 16
    assert table["predicted A @ (B @ C)"] == [1250, 2000, 3000]  # p / 16 + 1
