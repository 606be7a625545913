"""matmul_order.py: the multiply-adds are those that are done, and the figures say so."""

import matplotlib.pyplot as plt
import pytest
import torch
from conftest import ROOT, defined, drawing
from figure_checks import table_in
from torch.utils.flop_counter import FlopCounterMode
from tour import define, read

matmul_order = defined("matmul_order")


@pytest.mark.parametrize(("m", "n", "p"), [(1, 1, 1), (4, 3, 2), (3, 1, 5)])
def test_multiply_adds_are_those_of_the_three_loops(m, n, p):
    X = torch.ones(m, n)
    Y = torch.ones(n, p)
    count = 0
    for _row in range(m):
        for _column in range(p):
            for _term in range(n):
                count += 1
    assert matmul_order.multiply_adds(X, Y) == count


@pytest.mark.parametrize("p", [8, 500, 512, 1024])
def test_multi_dot_takes_the_order_with_fewer_multiply_adds(p):
    """PyTorch's own counter counts a multiply-add as two operations."""
    A = torch.ones(512, 512)
    B = torch.ones(512, p)
    C = torch.ones(p, 512)
    AB_first = matmul_order.multiply_adds(A, B) + matmul_order.multiply_adds(A @ B, C)
    BC_first = matmul_order.multiply_adds(B, C) + matmul_order.multiply_adds(A, B @ C)
    with FlopCounterMode(display=False) as counter:
        torch.linalg.multi_dot([A, B, C])
    assert counter.get_total_flops() == 2 * min(AB_first, BC_first)


@pytest.mark.parametrize("p", [8, 500, 512, 1024])
def test_both_orders_change_places_where_p_is_512(p):
    A = torch.ones(512, 512)
    B = torch.ones(512, p)
    C = torch.ones(p, 512)
    AB_first = matmul_order.multiply_adds(A, B) + matmul_order.multiply_adds(A @ B, C)
    BC_first = matmul_order.multiply_adds(B, C) + matmul_order.multiply_adds(A, B @ C)
    assert (AB_first < BC_first) == (p < 512)
    assert (AB_first == BC_first) == (p == 512)


@pytest.fixture
def ax() -> plt.Axes:
    """The figure of the two orders: (AB)C above, A(BC) below, in the order of its products."""
    fig = matmul_order.draw_orders()
    [ax] = fig.axes
    yield ax
    plt.close(fig)


SIZES = [  # rows, columns
    (512, 512),  # A
    (512, 8),  # B
    (512, 8),  # AB
    (512, 8),  # AB again
    (8, 512),  # C
    (512, 512),  # ABC
    (512, 8),  # B
    (8, 512),  # C
    (512, 512),  # BC
    (512, 512),  # A
    (512, 512),  # BC again
    (512, 512),  # ABC
]


def test_matrices_are_drawn_to_scale(ax):
    """A side of 512 is 1 long."""
    sizes = []
    for patch in ax.patches:
        rows = round(512 * patch.get_height())
        columns = round(512 * patch.get_width())
        sizes.append((rows, columns))
    assert sizes == SIZES


def test_sizes_of_the_matrices_stand_under_them(ax):
    sizes = [text for text in ax.texts if " x " in text.get_text()]
    for (rows, columns), text, patch in zip(SIZES, sizes, ax.patches, strict=True):
        x, y = text.get_position()
        assert text.get_text() == f"{rows} x {columns}"
        assert x == pytest.approx(patch.get_x() + patch.get_width() / 2)
        assert y < patch.get_y()


def test_multiply_adds_of_the_products_stand_under_them(ax):
    """Those of A B and of AB C, then those of B C and of A BC: the lecture's counts in parts."""
    counts = [text.get_text() for text in ax.texts if "multiply-adds" in text.get_text()]
    assert counts == [
        "2,097,152 multiply-adds",  # 512 * 512 * 8
        "2,097,152 multiply-adds",  # 512 * 8 * 512
        "2,097,152 multiply-adds",  # 512 * 8 * 512
        "134,217,728 multiply-adds",  # 512 * 512 * 512
    ]


def test_predicted_times_are_the_counts_at_the_rate_of_a_square_product(tmp_path, capsys):
    """Where each call takes 1000 ms, a square product of size 16 does 16^3 in that time."""
    whole = read(ROOT / "script" / "matmul_order.py", {"N": "16", "INNER": "[4, 16, 32]"})
    [cell] = [cell for cell in whole.showing if "rate = " in cell.code]
    names = define(whole, whole.above(cell), tmp_path)
    names["milliseconds"] = lambda function: 1000
    with drawing():
        exec(cell.code, names)
    plt.close("all")
    table = table_in(capsys.readouterr().out)
    assert table["predicted (A @ B) @ C"] == [500, 2000, 4000]  # 1000 * 2 p / 16
    assert table["predicted A @ (B @ C)"] == [1250, 2000, 3000]  # 1000 * (p / 16 + 1)
