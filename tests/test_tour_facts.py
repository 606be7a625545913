"""The facts that the lecture states, beyond the notes' own lines: each is printed by its tour.

test_tours.py holds what a cell prints to its comment; this keeps the cell from being dropped.
"""

import pytest

FACTS = """\
# losses_and_models: logsumexp does not overflow
log(sum(exp(x))): tensor(inf)
logsumexp(x): tensor(1000.6932)

# losses_and_models: sigmoid, then BCE gives half the loss, and no gradient
plain formula loss inf |dL/dz| nan
sigmoid, then BCE loss 100.0 |dL/dz| 0.0
BCE with logits loss 200.0 |dL/dz| 1.0

# losses_and_models: logistic regression
loss: 1.3335
gradient equals X^T (sigmoid(z) - y) / n? True

# losses_and_models: the two-layer network
logits.shape: torch.Size([8]) loss: 0.6901
0.weight (16, 5) 80
0.bias (16,) 16
2.weight (1, 16) 16
2.bias (1,) 1
parameters: 113

# autograd_tour: gradients add up until cleared
after the second backward: tensor([2., 4., 6.])
cleared, then backward: tensor([1., 2., 3.])

# autograd_tour: the recorded graph
DivBackward0 SumBackward0 MulBackward0 AccumulateGrad AccumulateGrad

# autograd_tour: clones, in the graph and out of it
w.grad: tensor([1., 2., 3.]) c.grad: tensor([1., 2., 3.])
snap: tensor([1., 2., 3.])

# autograd_tour: the leaf lost, the leaf kept
w.is_leaf: False
w.grad: None
w: tensor([0.8000, 1.6000, 2.4000], requires_grad=True) w.is_leaf: True

# autograd_tour: what backward refuses
one of the variables needed for gradient computation has been modified by an inplace operation
Trying to backward through the graph a second time

# autograd_tour: the vector-Jacobian product
J: [[2.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 6.0]] J^T v: tensor([20., 80., 180.])
J: [[2.0, 1.0, 0.0], [0.0, 3.0, 2.0]] J^T v: tensor([20., 13., 2.])

# dtypes: the types
float16 16 1+5+10 65504 6.1035e-05 2^-10
bfloat16 16 1+8+7 3.3895e+38 1.1755e-38 2^-7
float32 32 1+8+23 3.4028e+38 1.1755e-38 2^-23
float64 64 1+11+52 1.7977e+308 2.2251e-308 2^-52
torch.int32 4 bytes
torch.int64 8 bytes
torch.bool 1 bytes

# dtypes: overflow, underflow, promotion
70000: tensor(inf, dtype=torch.float16) 1e-8: tensor(0., dtype=torch.float16)
1e-8: tensor(1.0012e-08, dtype=torch.bfloat16)
float16 + float32: torch.float32

# dtypes: accumulation
bfloat16 accumulator + bfloat16 values: tensor(4., dtype=torch.bfloat16)
float32 accumulator + bfloat16 values: tensor(10.0098)
float16 float32 0.010002136230 0.00204 = 0.00204 +0.00000
half a step at 4: 0.015625, the value: 0.010010
sum nearest in 100 of 100 rows
x.sum(dtype=torch.float32): tensor(100000.)
"""


def fold(text: str) -> str:
    """text on one line, spaced as torch spaces a tensor of small whole numbers."""
    return " ".join(text.split()).replace("[ ", "[")


def cases() -> list:
    """One test case for each heading: the tour's name, and what it must print."""
    found = []
    for section in FACTS.split("\n\n"):
        title, *facts = section.splitlines()
        name, _, _ = title.removeprefix("# ").partition(":")
        found.append(pytest.param(name, facts, id=title.removeprefix("# ")))
    return found


@pytest.mark.parametrize(("name", "facts"), cases())
def test_tour_prints_the_fact(name, facts, run_of):
    printed = fold(run_of(name).stdout)
    assert [fact for fact in facts if fold(fact) not in printed] == []
