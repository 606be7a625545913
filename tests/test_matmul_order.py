"""matmul_order.py: multiply-adds are those that are done."""

import itertools

import pytest
import torch
from conftest import defined
from torch.utils.flop_counter import FlopCounterMode

tour = defined("matmul_order")

ORDERS = {
    "(A @ B) @ C": lambda A, B, C: (A @ B) @ C,
    "A @ (B @ C)": lambda A, B, C: A @ (B @ C),
    "multi_dot": lambda A, B, C: torch.linalg.multi_dot([A, B, C]),
}


@pytest.mark.parametrize("shape", [(512, 512, 8, 512), (4, 3, 2, 5), (3, 50, 40, 2), (1, 1, 1, 1)])
@pytest.mark.parametrize("order", ORDERS)
def test_multiply_adds_are_those_that_pytorch_counts(shape, order):
    m, n, p, q = shape
    with FlopCounterMode(display=False) as counter:
        ORDERS[order](torch.ones(m, n), torch.ones(n, p), torch.ones(p, q))
    assert counter.get_total_flops() == 2 * tour.multiply_adds(*shape)[order]


def test_multiply_adds_are_those_of_the_loops():
    def count(*sizes: int) -> int:
        return len(list(itertools.product(*map(range, sizes))))

    m, n, p, q = 4, 3, 2, 5
    does = tour.multiply_adds(m, n, p, q)
    assert does["(A @ B) @ C"] == count(m, p, n) + count(m, q, p)
    assert does["A @ (B @ C)"] == count(n, q, p) + count(m, q, n)
