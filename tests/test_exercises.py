"""Each exercise is done: its change is made, run, and must print a line that ANSWERS.md quotes.

A tour's exercise is run in this process: the cell that holds the changed text, or, if that is a
definition cell, the next one that shows something. A program is run in this process as a whole,
with an option, or with one text replaced.
"""

import re
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import tour
from conftest import NAMES, ROOT, TOURS, drawing, hold, path_of
from scripts import SCRIPTS
from tour import Cell, Tour


@dataclass(frozen=True)
class Exercise:
    """In a script, old is replaced by new. A run then prints answer, and did not before.

    number is that of the exercise under "Try it"; an exercise may have more than one row.
    """

    script: str
    number: int
    old: str
    new: str
    answer: str
    options: str = ""


IN_TOURS = [
    Exercise(
        "gradients_and_convexity",
        1,
        "a = torch.tensor([3.0, 0.5])",
        "a = torch.tensor([3.0, 2.0])",
        "minimiser over C: [1.0, 1.0] gradient: [-2.0, -1.0]",
    ),
    Exercise(
        "gradients_and_convexity",
        2,
        "u = torch.tensor(-1.0)",
        "u = torch.tensor(3.0)",
        "graph <= chord? True",
    ),
    Exercise(
        "gradients_and_convexity",
        3,
        "eps = 0.001",
        "eps = 0.01",
        "c = 1e-08: grad = 0.01 |w - w*| = 1e+06 gap = 5000 bound = 10000",
    ),
    Exercise(
        "gradient_geometry",
        1,
        "torch.tensor([1.0, 0.75, 0.78125])",
        "torch.tensor([0.0, 0.0, 0.0])",
        "normal: tensor([ 0.,  0., -1.])",
    ),
    Exercise(
        "gradient_geometry",
        2,
        "(4.0, 1.5)",
        "(0.0, 2.5)",
        "x = [0.0, 2.5], q(x) = 12.5: grad [0.0, 10.0], tangent [-5.0, 0.0]",
    ),
    Exercise(
        "gradient_geometry",
        3,
        "torch.randn(10_000, d)",
        "torch.randn(1_000, d)",
        "1000 0.032 0.031 -0.119",
    ),
    Exercise(
        "gd_nd_cost",
        1,
        "lambda: w.sub_(w.grad, alpha=0.5)",
        "lambda: w.sub(w.grad, alpha=0.5)",
        "w.sub_(w.grad, alpha=0.5): ||grad|| = 4.4721, new w = [4.0, -2.0]",
    ),
    Exercise(
        "gd_nd_cost",
        2,
        '("w.sub_(w.grad, alpha=eta)", 2, 1)',
        '("w.sub_(w.grad, alpha=eta)", 3, 2)',
        "vectors moved: 14",
    ),
    Exercise(
        "tensor_creation",
        1,
        '\na[0, 0] = 999\n',
        '\na = a + 1\n',
        "after modifying numpy, a_t: tensor([[1., 2.],",
    ),
    Exercise(
        "tensor_creation",
        2,
        '\nsnapshot = w.detach().clone()\n',
        '\nsnapshot = w.detach()\n',
        "snapshot: tensor([999.,   2.,   3.])",
    ),
    Exercise(
        "tensor_creation",
        3,
        '\na_t = torch.from_numpy(np.array([1.0, 2.0]))\n',
        '\na_t = torch.from_numpy(np.array([1.0, 2.0], dtype=np.float32))\n',
        "x @ a_t: tensor(50.)",
    ),
    Exercise(
        "tensor_manipulation",
        1,
        '\ncorner = A[1:, ::2]\n',
        '\ncorner = A[::2, 2:]\n',
        "corner: start: 2 stride: (8, 1)",
    ),
    Exercise(
        "tensor_manipulation",
        2,
        '\nA = torch.arange(12).view(3, 4)\n',
        '\nA = torch.arange(12).view(1, 12)\n',
        "AT.reshape(-1) and A: same storage? True",
    ),
    Exercise(
        "tensor_manipulation",
        3,
        '\nspaced = numbers[:, ::2]\n',
        '\nspaced = numbers[1:, ::3]\n',
        "spaced.view(-1): tensor([ 6,  9, 12, 15, 18, 21])",
    ),
    Exercise(
        "tensor_operations",
        1,
        '\nsums = E.sum(dim=1, keepdim=True)\n',
        '\nsums = E.sum(dim=0, keepdim=True)\n',
        "columns of P add up to tensor([1., 1., 1., 1., 1.])",
    ),
    Exercise(
        "tensor_operations",
        2,
        '\nx[mask] = 0\n',
        '\nx[mask][:] = 0\n',
        "after x[mask] = 0, x: tensor([-2., -1.,  0.,  1.,  2.])",
    ),
    Exercise(
        "tensor_operations",
        3,
        '\nH = torch.where(C > 0, C, 0)\n',
        '\nH = C\n',
        "S: tensor([[ 3., -1.,  2., -3., -2.],",
    ),
    Exercise(
        "losses_and_models",
        1,
        "([[5.0, 0.0, 0.0]])",
        "([[5.0, 0.0]])",
        "loss, given probabilities: tensor(0.3169)",
    ),
    Exercise("losses_and_models", 2, '\nh = 16\n', '\nh = 32\n', "parameters: 225"),
    Exercise(
        "losses_and_models",
        3,
        "nn.Dropout(0.5))",
        "nn.Dropout(0.75))",
        "at the start:  tensor([0., 4.])",
    ),
    Exercise(
        "autograd_tour",
        1,
        '("first", "second"):',
        '("first", "second", "third"):',
        "after the third backward: tensor([3., 6., 9.])",
    ),
    Exercise("autograd_tour", 2, 'y = 2 * w\n', 'y = w * w\n', "w.grad: tensor([2., 4., 6.])"),
    Exercise(
        "autograd_tour",
        3,
        "torch.tensor([10.0, 1.0])\n",
        "torch.tensor([0.0, 1.0])\n",
        "w.grad: tensor([0., 3., 2.])",
    ),
    Exercise(
        "dtypes",
        1,
        "[1.0, 2.0, 4.0]:",
        "[1.0, 2.0, 256.0]:",
        "at 256.0: spacing 2.0, really added 0.0",
    ),
    Exercise(
        "dtypes",
        2,
        "value = torch.tensor(NUMBER, dtype=torch.bfloat16)",
        "value = torch.tensor(0.1, dtype=torch.bfloat16)",
        "the sum stalls at 32.0 after 276 terms",
    ),
    Exercise(
        "dtypes",
        3,
        "large = 70_000.0\n",
        "large = 66_000.0\n",
        "66000: tensor(66048., dtype=torch.bfloat16)",
    ),
    Exercise(
        "inplace",
        1,
        "x = x + y  # a new tensor",
        "x[:] = x + y",
        "after x = x + y, other: tensor([11., 22., 33.])",
    ),
    Exercise(
        "inplace",
        2,
        "shared = torch.from_numpy(array)",
        "shared = torch.tensor(array)",
        "array: [0. 0. 0.]",
    ),
    Exercise("inplace", 3, "result = w.exp()", "result = w + 1", "w.grad: tensor([1., 1., 1.])"),
    Exercise(
        "broadcasting",
        1,
        "A * torch.ones(4, 1)).shape",
        "A * torch.ones(4, 1, 1)).shape",
        "(4, 3) and (4, 1): torch.Size([4, 4, 3])",
    ),
    Exercise(
        "broadcasting",
        2,
        "expanded = v.expand(10_000, 1000)",
        "expanded = v[:, None].expand(1000, 10_000)",
        "expanded: strides (1, 0) bytes 4000",
    ),
    Exercise(
        "vectorization",
        1,
        'torch.sum(w * w).item())\nprint',
        'torch.sum(w[1:] * w[:-1]).item())\nprint',
        "torch.sum(w * w): 20.0",
    ),
    Exercise(
        "vectorization",
        2,
        '\nw = torch.randn(5_000_000)\n',
        '\nw = torch.ones(5_000_000)\n',
        "w.dot(w): 5000000.00",
    ),
    Exercise(
        "memory_layout",
        1,
        "[[1, 2, 3], [4, 5, 6]]",
        "[[1, 2], [3, 4], [5, 6]]",
        "small_C.stride(): (1, 3)  in memory: [1, 3, 5, 2, 4, 6]",
    ),
    Exercise(
        "memory_layout",
        2,
        "numbers_per_line = 64 // 4",
        "numbers_per_line = 64 // 8",
        "step 4: 1024 numbers lie in 512 lines",
    ),
    Exercise(
        "matmul_order",
        1,
        'A = torch.ones(512, 512)\n',
        'A = torch.ones(8, 512)\n',
        "A(BC) to (AB)C: 64.0",
    ),
    Exercise(
        "matmul_order",
        2,
        'dtype = torch.float32\n',
        'dtype = torch.float64\n',
        "largest difference: ...e-1... (zero? False, at most 0.001? True)",
    ),
    Exercise(
        "devices",
        1,
        "torch.ones(3)]:",
        "torch.ones(1)]:",
        "shape (1,) failed: Tensor on device meta is not on the expected device cpu...",
    ),
    Exercise(
        "devices",
        2,
        'operations = n**3\n',
        'operations = n**2\n',
        "n = 3000: 0.3 operations per number that moves",
    ),
]

IN_PROGRAMS = [
    Exercise(
        "gd_1d_torch",
        1,
        "",
        "",
        "[quadratic] final w=7.275958e-11, ... iters=19",
        "--eta 1.25",
    ),
    Exercise(
        "gd_1d_torch",
        1,
        "",
        "",
        "after 80 iterations no lower than at the start...",
        "--eta 2",
    ),
    Exercise(
        "gd_1d_torch",
        1,
        "",
        "",
        "diverged at iteration 62: L(w) = inf...",
        "--eta 3",
    ),
    Exercise(
        "gd_1d_torch",
        2,
        "",
        "",
        "[doublewell] final w=-9.999991e-01...",
        "--w0 -5",
    ),
    Exercise(
        "gd_1d_torch",
        2,
        "doublewell, args.w0,",
        "doublewell, 0.0,",
        "[doublewell] final w=0.000000e+00, final L=5.000000e-01, iters=1",
    ),
    Exercise(
        "gd_1d_torch",
        3,
        "doublewell, args.w0, 0.02, max_iters=200",
        "doublewell, 1.3, 0.3623, max_iters=1",
        "[doublewell] final w=6.500...e-01, final L=2.380...e-01, iters=1",
    ),
    Exercise(
        "gd_nd_torch",
        1,
        "",
        "",
        "1000 12 gradient...",
        "--eta 0.9",
    ),
    Exercise(
        "gd_nd_torch",
        2,
        "",
        "",
        "2 80 max_iters...",
        "--d 2 --eta 2",
    ),
    Exercise(
        "gd_nd_torch",
        3,
        "FIT_ETA = 1.0",
        "FIT_ETA = 1.4",
        "2... iterations, stop: gradient...",
    ),
    Exercise(
        "gd_nd_torch",
        3,
        "FIT_ETA = 1.0",
        "FIT_ETA = 2.0",
        "... iterations, stop: diverged...",
    ),
]


def identify(exercise: Exercise) -> str:
    return f"{exercise.script}: {exercise.options or exercise.new}"


def printed_by_cell(lesson: Tour, cell: Cell, folder: Path) -> str:
    with drawing():
        (folder / "figures").mkdir(parents=True)
        printed = tour.run_cell(lesson, cell, folder)
    plt.close("all")
    return printed


def changed_cell(before: Tour, after: Tour) -> int:
    """The number, among the cells that show something, of the one that an exercise runs."""
    shown_earlier = 0
    for old, new in zip(before.cells, after.cells, strict=True):
        if old.lines != new.lines:
            break
        if old.shows:
            shown_earlier += 1
    return shown_earlier


def changed(code: str, exercise: Exercise) -> str:
    """The code with the exercise's text replaced."""
    times = code.count(exercise.old)
    assert times == 1, f"{exercise.old!r} stands {times} times in {exercise.script}.py, not once"
    return code.replace(exercise.old, exercise.new)


def quotes() -> dict[tuple[str, int], list[str]]:
    """What ANSWERS.md quotes for an exercise, by its script and number."""
    page = ROOT / "tests" / "ANSWERS.md"
    quoted = {}
    for section in page.read_text(encoding="utf-8").split("\n## ")[1:]:
        name = section.partition(".py\n")[0]
        for number, text in re.findall(r"^(\d)\. (.*(?:\n   .*)*)", section, re.MULTILINE):
            quoted[name, int(number)] = re.findall("`([^`]+)`", text)
    return quoted


def says(printed: str, answer: str) -> bool:
    """Whether a printed line is the answer, white space folded, `...` for any text."""
    return any(tour.same(answer, line) for line in printed.splitlines())


@pytest.mark.parametrize("exercise", IN_TOURS, ids=identify)
def test_exercise_of_a_tour_has_its_answer(exercise, tmp_path):
    path = path_of(exercise.script)
    copy = tmp_path / path.name
    copy.write_text(changed(path.read_text(encoding="utf-8"), exercise), encoding="utf-8")
    before = tour.read(path, SCRIPTS[exercise.script].small)
    after = tour.read(copy, SCRIPTS[exercise.script].small)
    number = changed_cell(before, after)
    usual = printed_by_cell(before, before.showing[number], tmp_path / "usual")
    printed = printed_by_cell(after, after.showing[number], tmp_path / "changed")
    assert says(printed, exercise.answer), printed
    assert not says(usual, exercise.answer), "the answer is printed without the change, too"


@pytest.mark.parametrize("exercise", IN_PROGRAMS, ids=identify)
def test_exercise_of_a_program_has_its_answer(exercise, run_of, tmp_path, monkeypatch, capsys):
    text = path_of(exercise.script).read_text(encoding="utf-8")
    code = text.split('"""', 2)[2]  # below the docstring, which may name the text to replace
    if exercise.old:
        code = changed(code, exercise)
    copy = tmp_path / f"{exercise.script}.py"
    copy.write_text(code, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", [str(copy), *exercise.options.split()])
    with drawing():
        runpy.run_path(str(copy), run_name="__main__")
    plt.close("all")
    printed = capsys.readouterr().out
    assert says(printed, exercise.answer), printed
    assert not says(run_of(exercise.script).stdout, exercise.answer)


def exercises_of_program(text: str) -> list[str]:
    """The first line of each exercise at the end of a program's docstring."""
    docstring = text.split('"""')[1]
    below = docstring.partition("Try it.")[2]
    return re.findall(r"^\d\. .*", below, re.MULTILINE)


@pytest.mark.parametrize("exercise", IN_TOURS + IN_PROGRAMS, ids=identify)
def test_answer_is_quoted(exercise):
    quoted = quotes().get((exercise.script, exercise.number), [])
    assert any(tour.same(exercise.answer, quote) for quote in quoted), (
        f"tests/ANSWERS.md does not quote {exercise.answer!r} under number {exercise.number} of "
        f"{exercise.script}.py"
    )


@pytest.mark.parametrize("name", [name for name in NAMES if SCRIPTS[name].is_lesson])
def test_every_lesson_has_exercises_and_each_has_its_key(name):
    """Two or three exercises; an exercise may have more than one row."""
    if name in TOURS:
        exercises = tour.exercises(tour.read(path_of(name)).cells[-1])
    else:
        exercises = exercises_of_program(path_of(name).read_text(encoding="utf-8"))
    numbers = list(range(1, len(exercises) + 1))
    rows = {row.number for row in IN_TOURS + IN_PROGRAMS if row.script == name}
    answered = [number for script, number in quotes() if script == name]
    faults = []
    if len(exercises) not in (2, 3):
        faults.append(f"script/{name}.py has {len(exercises)} exercises under 'Try it', not 2 or 3")
    if sorted(rows) != numbers:
        faults.append(
            f"tests/test_exercises.py has rows for the exercises {sorted(rows)} of "
            f"script/{name}.py, which has {numbers}"
        )
    if answered != numbers:
        faults.append(
            f"tests/ANSWERS.md answers the exercises {answered} of script/{name}.py, which has "
            f"{numbers}"
        )
    hold(faults)
