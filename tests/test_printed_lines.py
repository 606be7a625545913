"""What a student who follows the lecture expects to see printed, and which script prints it.

PRINTED are the lines of the notes. FACTS are what the lecture states beyond them: test_tours.py
holds what a cell prints to its comment, this keeps the cell from being dropped.

White space is folded. An error message may go on after the words given, a float after its third
decimal.
"""

import re

import pytest

PRINTED = """\
# tensor_creation.py: From Python lists
x: tensor([1., 2., 3.])
A: tensor([[1, 2, 3], [4, 5, 6]])
x.shape: torch.Size([3])
A.shape: torch.Size([2, 3])

# tensor_creation.py: Indexing with [] and :
x[0]: tensor(10.)
x[-1]: tensor(40.)
x[1:3]: tensor([20., 30.])
A[0, 1]: tensor(2)
A[1, :]: tensor([4, 5, 6])
A[:, -1]: tensor([3, 6, 9])

# tensor_creation.py: From and to NumPy
a_t: tensor([[1., 2.], [3., 4.]])
same memory? True
after modifying numpy, a_t: tensor([[999., 2.], [3., 4.]])

# tensor_creation.py: Random tensors
g: tensor([[1.5410, -0.2934, -2.1788], [0.5684, -1.0845, -1.3986]])
u: tensor([[0.0223, 0.1689, 0.2939], [0.5185, 0.6977, 0.8000]])

# tensor_creation.py: Zeros and ones
zeros: tensor([[0., 0., 0.], [0., 0., 0.]])
ones: tensor([[1., 1., 1.], [1., 1., 1.]])

# tensor_creation.py: Reference/clone
after y[0]=999:
x: tensor([999., 2., 3.])
y: tensor([999., 2., 3.])
z: tensor([1., 2., 3.])

# tensor_manipulation.py: .numel and .shape
A.shape: torch.Size([2, 3, 4])
A.numel(): 24

# tensor_manipulation.py: Memory layout: contiguous vs non-contiguous
A.shape: torch.Size([3, 4]) stride: (4, 1) contiguous: True
AT.shape: torch.Size([4, 3]) stride: (1, 4) contiguous: False

# tensor_manipulation.py: reshape: change shape (maybe copy)
x: tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
A: tensor([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]])
A.shape: torch.Size([3, 4])
B.shape: torch.Size([2, 6])
B: tensor([[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]])

# tensor_manipulation.py: view: change shape without copying (requires contiguous layout)
A from view: tensor([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]])
A.is_contiguous(): True
AT.is_contiguous(): False
view failed: view size is not compatible with input tensor's size and stride
reshape worked: tensor([0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11])

# tensor_manipulation.py: Concatenation: vertical and horizontal
V.shape: torch.Size([4, 3])
V: tensor([[1, 2, 3], [4, 5, 6], [10, 20, 30], [40, 50, 60]])
H.shape: torch.Size([2, 6])
H: tensor([[1, 2, 3, 10, 20, 30], [4, 5, 6, 40, 50, 60]])
concat failed: Sizes of tensors must match except in dimension 1

# tensor_manipulation.py: squeeze and unsqueeze
v.shape: torch.Size([3])
v_row.shape: torch.Size([1, 3])
v_col.shape: torch.Size([3, 1])
concat failed: Tensors must have same number of dimensions: got 2 and 1
A2.shape: torch.Size([3, 3])
tensor([[0., 0., 0.], [0., 0., 0.], [1., 2., 3.]])

# tensor_operations.py: Entrywise operations
exp: tensor([2.7183, 7.3891, 20.0855])
log: tensor([0.0000, 0.6931, 1.0986])
sin: tensor([0.8415, 0.9093, 0.1411])
x**2: tensor([1., 4., 9.])
x*x: tensor([1., 4., 9.])

# tensor_operations.py: Reductions replace loops
sum all: 10.0
sum dim=0: tensor([4., 6.])
sum dim=1: tensor([3., 7.])
mean: 2.5
max: 4.0
argmax (flattened): 3

# tensor_operations.py: Basic linear algebra
A.T: tensor([[1., 3.], [2., 4.]])
A @ x: tensor([50., 110.])
x @ x: tensor(500.)
||x||: tensor(22.3607)

# tensor_operations.py: Matrix-matrix multiplication
C.shape: torch.Size([2, 4])

# tensor_operations.py: Logical ops and masking
mask: tensor([False, False, False, True, True])
x[mask]: tensor([1., 2.])

# losses_and_models.py: Logistic regression for spam vs not-spam (vectorized)
logits.shape: torch.Size([8])
loss: 1.333

# losses_and_models.py: torch.nn: a tiny two-layer network
loss: 0.690

# autograd_tour.py: Why you "can't just assign into" a leaf tensor requiring grad
in-place assignment failed: a view of a leaf Variable that requires grad is being used in \
an in-place operation.
w.requires_grad: True

# autograd_tour.py: detach: stop tracking, but keep the same storage
same storage? True
after modifying v:
w: tensor([999., 2., 3.], requires_grad=True)
v: tensor([999., 2., 3.])

# autograd_tour.py: clone: copy data
w.is_leaf: True
c.is_leaf: False
snap.requires_grad: False
same storage? False

# autograd_tour.py: 4.6 Lingering question: what happens if backward() sees a non-scalar tensor?
backward failed: grad can be implicitly created only for scalar outputs
w.grad: tensor([20., 80., 180.])

# dtypes.py: Accumulation exercise (float16 vs float32)
float32 accumulator + float32 values: tensor(10.0002)
float16 accumulator + float16 values: tensor(9.9531, dtype=torch.float16)
float32 accumulator + float16 values (implicit upcast): tensor(10.0021)
float32 accumulator + float16 values (explicit upcast): tensor(10.0021)

# inplace.py: In-place operations: the _ suffix
out-of-place: tensor([11., 22., 33.])
x unchanged: tensor([1., 2., 3.])
in-place: tensor([11., 22., 33.])

# broadcasting.py: Broadcasting: matrix-vector Hadamard product
A.shape: torch.Size([4, 3])
B.shape: torch.Size([4, 3])
"""

FACTS = """\
# losses_and_models.py: logsumexp does not overflow
log(sum(exp(x))): tensor(inf)
logsumexp(x): tensor(1000.6932)

# losses_and_models.py: sigmoid, then BCE gives half the loss, and no gradient
plain formula loss inf |dL/dz| nan
sigmoid, then BCE loss 100.0 |dL/dz| 0.0
BCE with logits loss 200.0 |dL/dz| 1.0

# losses_and_models.py: logistic regression
loss: 1.3335
gradient equals X^T (sigmoid(z) - y) / n? True

# losses_and_models.py: the two-layer network
logits.shape: torch.Size([8]) loss: 0.6901
0.weight (16, 5) 80
0.bias (16,) 16
2.weight (1, 16) 16
2.bias (1,) 1
parameters: 113

# autograd_tour.py: gradients add up until cleared
after the second backward: tensor([2., 4., 6.])
cleared, then backward: tensor([1., 2., 3.])

# autograd_tour.py: the recorded graph
DivBackward0 SumBackward0 MulBackward0 AccumulateGrad AccumulateGrad

# autograd_tour.py: clones, in the graph and out of it
w.grad: tensor([1., 2., 3.]) c.grad: tensor([1., 2., 3.])
snap: tensor([1., 2., 3.])

# autograd_tour.py: the leaf lost, the leaf kept
w.is_leaf: False
w.grad: None
w: tensor([0.8000, 1.6000, 2.4000], requires_grad=True) w.is_leaf: True

# autograd_tour.py: what backward refuses
one of the variables needed for gradient computation has been modified by an inplace operation
Trying to backward through the graph a second time

# autograd_tour.py: the vector-Jacobian product
J: [[2.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 6.0]] J^T v: tensor([20., 80., 180.])
J: [[2.0, 1.0, 0.0], [0.0, 3.0, 2.0]] J^T v: tensor([20., 13., 2.])

# dtypes.py: the types
float16 16 1+5+10 65504 6.1035e-05 2^-10
bfloat16 16 1+8+7 3.3895e+38 1.1755e-38 2^-7
float32 32 1+8+23 3.4028e+38 1.1755e-38 2^-23
float64 64 1+11+52 1.7977e+308 2.2251e-308 2^-52
torch.int32 4 bytes
torch.int64 8 bytes
torch.bool 1 bytes

# dtypes.py: overflow, underflow, promotion
70000: tensor(inf, dtype=torch.float16) 1e-8: tensor(0., dtype=torch.float16)
1e-8: tensor(1.0012e-08, dtype=torch.bfloat16)
float16 + float32: torch.float32

# dtypes.py: accumulation
bfloat16 accumulator + bfloat16 values: tensor(4., dtype=torch.bfloat16)
float32 accumulator + bfloat16 values: tensor(10.0098)
float16 float32 0.010002136230 0.00204 = 0.00204 +0.00000
half the spacing at 4: 0.015625, the value: 0.010010
Kahan: tensor(10., dtype=torch.bfloat16)
x.sum(dtype=torch.float32): tensor(100000.)
"""


def fold(text: str) -> str:
    """text on one line, spaced as torch spaces a tensor of small whole numbers."""
    return " ".join(text.split()).replace("[ ", "[")


def prints(stdout: str, line: str) -> bool:
    """Whether stdout has line, from its label to its end."""
    more = ""
    if "failed: " in line:
        more = ".*"
    elif re.search(r"\.\d{3}$", line):
        more = r"\d*"
    return bool(re.search(rf"(?<!\S){re.escape(fold(line))}{more}(?!\S)", fold(stdout)))


def sections() -> list:
    """One test case for each heading: the script's name, and the lines it must print."""
    cases = []
    for section in PRINTED.split("\n\n") + FACTS.split("\n\n"):
        lines = section.splitlines()
        title = lines[0].removeprefix("# ")
        script = title.split(".py: ")[0]
        cases.append(pytest.param(script, lines[1:], id=title))
    return cases


@pytest.mark.parametrize(("script", "lines"), sections())
def test_script_prints_what_the_lecture_shows(script, lines, run_of):
    stdout = run_of(script).stdout
    assert [line for line in lines if not prints(stdout, line)] == []


@pytest.mark.parametrize(
    ("stdout", "line", "printed"),
    [
        ("x: tensor([[ 1.,  2.],\n        [ 3.,  4.]])", "x: tensor([[1., 2.], [3., 4.]])", True),
        ("x: tensor([1., 2.])", "x: tensor([1., 3.])", False),
        ("x: tensor([1., 2.])", "y: tensor([1., 2.])", False),
        ("max: 4.0", "x: 4.0", False),  # a label must be whole
        ("max: 4.02", "max: 4.0", False),
        ("loss: 1.3335", "loss: 1.333", True),
        ("loss: 1.34", "loss: 1.333", False),
        ("view failed: size is wrong", "view failed: size", True),
        ("view failed: stride", "view failed: size", False),
        ("", "max: 4.0", False),
    ],
)
def test_a_line_is_found_only_where_it_is_printed(stdout, line, printed):
    assert prints(stdout, line) is printed
