"""Every line that a tour prints: each cell alone, all in a fresh process, all in a notebook."""

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import tour
from conftest import ROOT, drawing, step_back, wanted
from figure_checks import complaints
from tour import Tour

TOURS = [tour.read(path) for path in sorted((ROOT / "script").glob("*.py")) if tour.is_tour(path)]
CELLS = [
    pytest.param(each, cell, id=f"{each.name}: {cell.heading}")
    for each in TOURS
    for cell in each.code[1:]
]
every_tour = pytest.mark.parametrize("each", TOURS, ids=lambda each: each.name)

# A tour that passes every check. The tests at the end spoil it, one place at a time.
SMALL = """\
# %% [markdown]
# # A small tour
# It passes every check.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import torch

HERE = Path(__file__).parent if "__file__" in globals() else Path.cwd()
FIGURES = HERE.resolve().parent / "figures"

# %% [markdown]
# ## One number
# The seed makes it the same each time.

# %%
torch.manual_seed(0)
x = torch.randn(1)
print("x:", x)
print("version:", torch.__version__)
print("four:", 4)
# Output:
# x:   tensor([1.5410])
# version: ...
# four: 4

# %% [markdown]
# ## One picture
# A notebook shows it under the cell.

# %%
fig, ax = plt.subplots(figsize=(4, 3))
ax.axis("off")
ax.set_title("A finding")
FIGURES.mkdir(parents=True, exist_ok=True)
fig.savefig(FIGURES / "small.png")
print("figure: figures/small.png")
# Output:
# figure: figures/small.png

# %% [markdown]
# ## One clock
# How fast the machine is, nobody can promise.

# %%
print("3 ms")
# Example output:
# 5 ms
"""

# What to replace, by what, and the complaint to come.
SPOILED_LAYOUT = {
    "no heading": ("# ## One clock\n", "", "the markdown cell has no heading"),
    "a heading alone": ("# It passes every check.\n", "", "0 lines under the heading"),
    "five lines of text": ("# It passes", "# 1\n# 2\n# 3\n# 4\n# It passes", "5 lines under"),
    "text outside a comment": ("# It passes", "It passes", "text outside a comment"),
    "two code cells": ("print", "# %%\nprint", "must take turns"),
    "a cell with a title": (
        "# %%\nprint",
        "# %% One clock\nprint",
        "'# %% One clock' before it opens",
    ),
    "a marker without its space": ("# %%\nprint", "#%%\nprint", "'#%%' before it opens no cell"),
    "a docstring": ("# %% [markdown]", '"""A tour."""\n# %% [markdown]', "line 1: '' before it"),
    "a heading twice": ("## One clock", "## One number", "two cells under 'One number'"),
    "nothing shown": ('# %%\nprint("3 ms")\n# Example output:\n# 5 ms\n', "", "shows nothing"),
    "a variable shared": ("\nHERE", "\nx = 1\nHERE", "line 11: more than imports and CONSTANTS"),
    "a seed shared": ("\nHERE", "\ntorch.manual_seed(0)\nHERE", "line 11: more than imports"),
}
SPOILED_CELL = {
    "a figure without a title": ('ax.set_title("A finding")\n', "", "no title"),
    "a falsified line": ("# four: 4", "# four: 5", "expected: four: 5\n     got: four: 4"),
    "a line missing": ("# four: 4\n", "", "expected: (no more)\n     got: four: 4"),
    "a line too many": ("# four: 4", "# four: 4\n# 5", "expected: 5\n     got: (no more)"),
    "a wildcard for two lines": ("# version: ...\n# four: 4", "# ...", "got: four: 4"),
    "nothing but wildcards": ("# figure: figures/small.png", "# ...", "nothing but wildcards"),
    "dotted wildcards": ("# figure: figures/small.png", "# ..., ...", "nothing but wildcards"),
    "an empty comment": ("\n# 5 ms", "", "nothing but wildcards"),
    "an example of nothing": ("# 5 ms", "# ...", "nothing but wildcards"),
    "an example too short": ("3 ms", "3\\nms", "got: ms"),
    "no comment": ("# Output:\n# figure: figures/small.png\n", "", "no '# Output:' says"),
    "nothing printed": ('print("3 ms")', "ms = 3", "got: (no more)"),
    "code after the comment": ("# four: 4", "# four: 4\ny = 1", "code after the output comment"),
    "two comments": ("# four: 4", "# Output:\n# four: 4", "two output comments"),
    "an error": ('"four:", 4', '"four:", 4 / 0', "ZeroDivisionError"),
    "a warning": ('print("3 ms")', 'print("3 ms")\nplt.legend()', "UserWarning: No artists"),
    "another cell's variable": ('print("3 ms")', "print(x)", "NameError: name 'x'"),
    "no seed": ("torch.manual_seed(0)\n", "", "expected: x:   tensor([1.5410])"),
    "a setting left behind": (
        'print("3 ms")',
        'torch.set_printoptions(precision=2)\nprint("3 ms")',
        "the cell changes the print options",
    ),
    "a figure not named": (
        'print("figure: figures/small.png")\n# Output:\n# figure: figures/small.png',
        'print("drawn")\n# Output:\n# drawn',
        "wrote the figures ['small.png'], but names []",
    ),
    "a figure not drawn": ("fig.savefig", "str", "wrote the figures [], but names ['small.png']"),
}
SPOILED_NOTEBOOKS = {  # each of these small tours is spoiled in several places
    "first": {
        "a falsified line": ("# four: 4", "# four: 5", "One number:\nexpected: four: 5\n     got:"),
        "a closed figure": ("FIGURES.mk", "plt.close()\nFIGURES.mk", "One picture:\n0 pictures"),
        "a value": ('print("3 ms")', 'print("3 ms")\n4', "One clock:\nthe notebook shows what"),
    },
    "second": {
        "an error": ('"four:", 4', '"four:", 4 / 0', "One number:\nZeroDivisionError"),
        "a warning": ('print("3 ms")', 'print("3 ms")\nplt.legend()', "UserWarning: No artists"),
    },
    "third": {
        "a variable of the tour before": ("x = torch.randn(1)\n", "", "NameError: name 'x'"),
    },
}


def hold(found: list[str]) -> None:
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def alone(each: Tour, cell: tour.Cell, folder: Path) -> list[str]:
    """What is wrong with a cell run alone, and with the figures that it draws."""
    with drawing() as figures:
        found = tour.alone(each, cell, folder)
    return found + [complaint for figure in figures.values() for complaint in complaints(figure)]


def cases(spoiled: dict[str, tuple[str, str, str]]) -> pytest.MarkDecorator:
    params = [pytest.param(*case, id=name) for name, case in spoiled.items()]
    return pytest.mark.parametrize(("old", "new", "complaint"), params)


def write_small(path: Path, *spoils: tuple[str, str]) -> Tour:
    """SMALL with one text replaced by another in each place, as a tour at path."""
    text = SMALL
    for old, new in spoils:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    return tour.read(path)


@pytest.fixture(scope="session")
def small_notebooks(tmp_path_factory) -> dict[str, Tour]:
    """The small tours for the kernel: the spoiled, and one that is right and names its Python."""
    folder = tmp_path_factory.mktemp("small tours")
    clock = 'print("3 ms")\n# Example output:\n# 5 ms'
    python = f"import sys\n\nprint(sys.prefix)\n# Output:\n# {sys.prefix}"
    spoils = {"right": [(clock, python)]}
    for name, places in SPOILED_NOTEBOOKS.items():
        spoils[name] = [(old, new) for old, new, _ in places.values()]
    return {name: write_small(folder / f"{name}.py", *spoils[name]) for name in spoils}


@pytest.fixture(scope="session")
def other_kernel(tmp_path_factory) -> str:
    """A JUPYTER_PATH with another kernel python3, one that cannot start."""
    path = tmp_path_factory.mktemp("jupyter")
    spec = path / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["none"], "display_name": "none", "language": "python"}))
    return str(path)


@pytest.fixture(scope="session")
def kernel(small_notebooks, other_kernel, tmp_path_factory) -> Iterator[Future]:
    """What a notebook shows under each cell, by the name of the tour.

    It takes longest of all that runs beside the tests, and does not wait for the rest.
    """
    folder = tmp_path_factory.mktemp("kernel")
    with (
        pytest.MonkeyPatch.context() as patch,
        ThreadPoolExecutor(1, initializer=step_back) as executor,
    ):
        patch.setenv("JUPYTER_PATH", other_kernel)  # as a user may have it
        yield executor.submit(tour.run_in_kernel, [*TOURS, *small_notebooks.values()], folder)


@pytest.fixture(scope="session", autouse=True)
def start_early(request):
    if wanted(request, "notebook"):
        request.getfixturevalue("kernel")


@pytest.fixture
def notebook(kernel) -> Callable[[str], list[list[dict]]]:
    """What a notebook of a tour shows under each cell, by the tour's name."""
    return lambda name: kernel.result()[name]


def test_every_tour_is_found():
    assert {each.path.stem for each in TOURS} >= {
        "gradients_and_convexity",
        "tensor_creation",
        "tensor_manipulation",
        "tensor_operations",
        "losses_and_models",
        "autograd_tour",
        "dtypes",
    }


@every_tour
def test_layout(each):
    hold(tour.form(each))


@pytest.mark.parametrize(("each", "cell"), CELLS)
def test_cell_alone(each, cell, tmp_path):
    hold(alone(each, cell, tmp_path))


@every_tour
def test_in_order_in_a_fresh_process(each, run_of):
    hold(tour.in_order(each, run_of(each.path.stem).stdout))


@every_tour
def test_in_a_notebook(each, notebook):
    hold(tour.in_kernel(each, notebook(each.name)))


# The checks themselves: each lets SMALL pass, and catches what is wrong with a spoiled one.


def test_small_tour_passes(tmp_path):
    small = write_small(tmp_path / "small.py")
    assert tour.form(small) == []
    assert [cell.heading for cell in small.code[1:]] == ["One number", "One picture", "One clock"]
    for cell in small.code[1:]:
        assert alone(small, cell, tmp_path / cell.heading) == []


@cases(SPOILED_LAYOUT)
def test_spoiled_layout_is_caught(old, new, complaint, tmp_path):
    assert complaint in "\n".join(tour.form(write_small(tmp_path / "small.py", (old, new))))


@cases(SPOILED_CELL)
def test_spoiled_cell_is_caught(old, new, complaint, tmp_path):
    small = write_small(tmp_path / "small.py", (old, new))
    torch.manual_seed(0)  # as another cell may have left it
    found = {cell.heading: alone(small, cell, tmp_path / cell.heading) for cell in small.code[1:]}
    torch.set_printoptions(profile="default")
    (caught,) = [complaints for complaints in found.values() if complaints]  # in one cell only
    assert complaint in "\n".join(caught)


@pytest.mark.parametrize(
    ("stdout", "complaint"),
    [
        ("1\nversion: 2\nfour: 4\nfigure: figures/small.png\n5 ms\n", "got: 1"),
        ("x: tensor([1.5410])\nversion: 2\nfigure: figures/small.png\n5 ms\n", "expected: four: 4"),
        ("", "expected: version: ...\n     got: (no more)"),
    ],
)
def test_spoiled_whole_is_caught(stdout, complaint, tmp_path):
    small = write_small(tmp_path / "small.py")
    assert complaint in "\n".join(tour.in_order(small, stdout))


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        pytest.param(name, complaint, id=place)
        for name, places in SPOILED_NOTEBOOKS.items()
        for place, (_, _, complaint) in places.items()
    ],
)
def test_spoiled_notebook_is_caught(name, complaint, small_notebooks, notebook):
    assert complaint in "\n".join(tour.in_kernel(small_notebooks[name], notebook(f"{name}.py")))


def test_small_tour_passes_in_a_kernel_of_this_environment(small_notebooks, notebook):
    assert tour.in_kernel(small_notebooks["right"], notebook("right.py")) == []
