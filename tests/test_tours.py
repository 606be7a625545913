"""Every line that a tour prints: each cell alone, all in a fresh process, all in a notebook."""

import ast
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import matplotlib
import notebooks
import pytest
import torch
import tour
from conftest import DRAWING_PROGRAMS, TOURS, drawing, hold, path_of
from figure_checks import complaints, misdrawn_lines
from scripts import SCRIPTS
from tour import CODE, EXACT, Cell, Tour

TIMED = [name for name in TOURS if SCRIPTS[name].timing]

# A tour that passes every check. The tests at the end spoil it, one place at a time.
SMALL = """\
# %% [markdown]
# # A small tour
# It passes every check.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import torch

plt.rcdefaults()
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
def row(n):
    return f"n = {n:,}  3.5 ms"

# %%
print(row(1000))
print("a takes 3 times as long as b")
# Example output:
# n = 2  1.25e-03 ms
# a takes 1.5 times as long as b

# %% [markdown]
# ## Try it
# Predict first.
#
# 1. What is 2 + 2?
# 2. And 2 * 2?
"""
LAST = SMALL[SMALL.index("# %%\nprint(row") : SMALL.index("\n# %% [markdown]\n# ## Try it")]
ROWS = SMALL[SMALL.index("# n = 2") : SMALL.index("\n\n# %% [markdown]\n# ## Try it")]
CLOCK = "# ## One clock"
FIGURE_LINES = "print(\"figure: figures/small.png\")\n# Output:\n# figure: figures/small.png"

# What to replace, by what, and the complaint to come.
SPOILED_LAYOUT = {
    "no title": ("# # A small tour\n", "", "the first cell is no text with a title"),
    "a heading alone": ("# It passes every check.\n", "", "none under the heading"),
    "text outside a comment": ("# It passes", "It passes", "text outside a comment"),
    "no text": (f"# %% [markdown]\n{CLOCK}", "# %%\nx\n# Output:\n#", "needs text above it"),
    "a title of a cell": ("# %%\nprint(row", "# %% One clock\nprint(row", "opens no cell"),
    "no space": ("# %%\nprint(row", "#%%\nprint(row", "'#%%' before it opens no cell"),
    "a docstring": ("# %% [markdown]", '"""A tour."""\n# %% [markdown]', "line 1: '' before it"),
    "a heading twice": ("## One clock", "## One number", "two cells under 'One number'"),
    "one exercise": ("# 2. And 2 * 2?\n", "", "no two or three exercises"),
    "no exercises": ("## Try it", "## Do not try it", "no two or three exercises"),
    "a variable shared": ("\nHERE", "\nx = 1\nHERE", "line 12: this cell shows nothing and"),
    "a seed shared": ("\nHERE", "\ntorch.manual_seed(0)\nHERE", "line 12: this cell shows nothing"),
    "no comment": (f"\n{FIGURE_LINES}", "", "this cell shows nothing and defines more"),
    "a user's colours": ("plt.rcdefaults()\n", "", "draws begins with plt.rcdefaults()"),
}
SPOILED_CELL = {
    "a figure without a title": ('ax.set_title("A finding")\n', "", "no title"),
    "a falsified line": ("# four: 4", "# four: 5", "expected: four: 5\n     got: four: 4"),
    "a line missing": ("# four: 4\n", "", "expected: (no more)\n     got: four: 4"),
    "a line too many": ("# four: 4", "# four: 4\n# 5", "expected: 5\n     got: (no more)"),
    "a wildcard for two lines": ("# version: ...\n# four: 4", "# ...", "got: four: 4"),
    "nothing but wildcards": ("# figure: figures/small.png", "# ..., ...", "nothing but wildcards"),
    "an example of nothing": (ROWS, "# ...", "nothing but wildcards"),
    "an example not recorded": (f"\n{ROWS}", "", "nothing is recorded: run tests/record.py"),
    "an example too short": ("\n# n = 2  1.25e-03 ms", "", "(no more)\n     got: a takes"),
    "an example's row renamed": ("# n = 2 ", "# m = 2 ", "expected: m = 2"),
    "an example's words changed": ("as long as b\n\n#", "as long as c\n\n#", "as long as c"),
    "an example's rows exchanged": (ROWS, "\n".join(ROWS.splitlines()[::-1]), "expected: a takes"),
    "a definition cell prints": ("def row(n):", "def row(n, _=print(1)):", "cell prints"),
    "code after the comment": ("# four: 4", "# four: 4\ny = 1", "code after the output comment"),
    "two comments": ("# four: 4", "# Output:\n# four: 4", "two output comments"),
    "an error": ('"four:", 4', '"four:", 4 / 0', "ZeroDivisionError"),
    "a warning": ("print(row(1000))", "print(row(1000))\nplt.legend()", "UserWarning: No artists"),
    "another cell's variable": ("print(row(1000))", "print(row(1000), x)", "NameError: name 'x'"),
    "no seed": ("torch.manual_seed(0)\n", "", "expected: x:   tensor([1.5410])"),
    "a figure not named": (
        FIGURE_LINES,
        'print("drawn")\n# Output:\n# drawn',
        "wrote the figures ['small.png'], but names []",
    ),
    "a figure not drawn": ("fig.savefig", "str", "wrote the figures [], but names ['small.png']"),
}
SETTINGS = {
    "default dtype": "torch.set_default_dtype(torch.float64)",
    "default device": "torch.set_default_device('meta')",
    "grad mode": "torch.set_grad_enabled(False)",
    "number of threads": "torch.set_num_threads(torch.get_num_threads() + 1)",
    "print options": "torch.set_printoptions(precision=2)",
    "rcParams": "plt.rcParams['font.size'] = 77",
}
SPOILED_NOTEBOOKS = {  # each of these small tours is spoiled in several places
    "first": {
        "a falsified line": ("# four: 4", "# four: 5", "One number:\nexpected: four: 5\n     got:"),
        "a closed figure": ("FIGURES.mk", "plt.close()\nFIGURES.mk", "One picture:\n0 pictures"),
        "a value": ("as long as b\")", "as long as b\")\n4", "One clock:\nthe notebook shows"),
    },
    "second": {
        "an error": ('"four:", 4', '"four:", 4 / 0', "One number:\nZeroDivisionError"),
        "a warning": ("print(row(1000))", "print(row(1000))\nplt.legend()", "No artists"),
    },
    "third": {
        "a variable of the tour before": ("x = torch.randn(1)\n", "", "NameError: name 'x'"),
    },
}


def small_tour(name: str) -> Tour:
    """A tour of the lecture, made small."""
    return tour.read(path_of(name), SCRIPTS[name].small)


def cells() -> list:
    """A case for each cell that shows something: its tour, and where it stands among these."""
    params = []
    for name in TOURS:
        for number, cell in enumerate(tour.read(path_of(name)).showing):
            params.append(pytest.param(name, number, id=f"{name}: {cell.heading}"))
    return params


def cases(spoiled: dict[str, tuple[str, str, str]]) -> list:
    """A case for each spoiled place: what to replace, by what, and the complaint to come."""
    return [pytest.param(*case, id=place) for place, case in spoiled.items()]


def notebook_cases() -> list:
    """A case for each place that is spoiled in a notebook: the notebook's name, the complaint."""
    params = []
    for name, places in SPOILED_NOTEBOOKS.items():
        for place, (_, _, complaint) in places.items():
            params.append(pytest.param(name, complaint, id=place))
    return params


def alone(lesson: Tour, cell: Cell, folder: Path, timing: tuple[str, ...] = ()) -> list[str]:
    """What is wrong with a cell run alone, and with the figures that it draws.

    Those named in timing are to show the numbers that the cell prints.
    """
    with drawing() as figures:
        printed, found = tour.alone(lesson, cell, folder)
    for name, figure in figures.items():
        found += complaints(figure)
        if name in timing:
            found += misdrawn_lines(figure, printed)
    return found


def write_small(path: Path, *spoils: tuple[str, str]) -> Tour:
    """SMALL with one text replaced by another in each place, as a tour at path."""
    text = SMALL
    for old, new in spoils:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    return tour.read(path)


def as_tour(name: str) -> Tour:
    """A program as a notebook of one cell."""
    lines = path_of(name).read_text(encoding="utf-8").splitlines()
    return Tour(path_of(name), (Cell(CODE, name, (*lines, EXACT), 1),))


@pytest.fixture(scope="session")
def small_notebooks(tmp_path_factory) -> dict[str, Tour]:
    """The small tours for the kernel: the spoiled, and one that is right and names its Python."""
    folder = tmp_path_factory.mktemp("small tours")
    python = f"# %%\nimport sys\n\nprint(sys.prefix)\n# Output:\n# {sys.prefix}\n"
    small = {"right": write_small(folder / "right.py", (LAST, python))}
    for name, places in SPOILED_NOTEBOOKS.items():
        spoils = [(old, new) for old, new, _ in places.values()]
        small[name] = write_small(folder / f"{name}.py", *spoils)
    return small


@pytest.fixture(scope="session")
def notebook(tmp_path_factory) -> Iterator[Callable[[Tour], list[list[dict]]]]:
    """What a notebook of a tour shows under each cell. All tours share a kernel.

    There is another kernel of the same name, as a user may have it: one that cannot start.
    """
    folder = tmp_path_factory.mktemp("kernel")
    other = folder / "other" / "kernels" / "python3" / "kernel.json"
    other.parent.mkdir(parents=True)
    other.write_text(json.dumps({"argv": ["none"], "display_name": "none", "language": "python"}))
    users = {**os.environ, "JUPYTER_PATH": str(folder / "other")}
    with notebooks.kernel(folder, users) as run:
        yield cache(run)


@pytest.mark.parametrize("name", TOURS)
def test_layout(name):
    hold(tour.form(small_tour(name)))


@pytest.mark.parametrize(("name", "number"), cells())
def test_cell_alone(name, number, tmp_path):
    """And its figures are fit to read, and show the times that it prints."""
    lesson = small_tour(name)
    hold(alone(lesson, lesson.showing[number], tmp_path, SCRIPTS[name].timing))


@pytest.mark.parametrize("name", TOURS)
def test_in_order_in_a_fresh_process(name, run_of):
    hold(tour.in_order(small_tour(name), run_of(name).stdout))


@pytest.mark.parametrize("name", TIMED)
def test_defaults_print_what_the_examples_say(name, default_of):
    hold(tour.in_order(small_tour(name), default_of(name).stdout))


@pytest.mark.parametrize("name", TOURS)
def test_in_a_notebook(name, notebook):
    lesson = small_tour(name)
    hold(notebooks.in_kernel(lesson, notebook(lesson)))


@pytest.mark.parametrize("name", DRAWING_PROGRAMS)
def test_program_pasted_into_a_notebook_runs_with_its_defaults(name, notebook, run_of):
    (outputs,) = notebook(as_tour(name))
    printed = ""
    for output in outputs:
        printed += "".join(output.get("text", []))
    numbers, _, figure = printed.rpartition("figure: ")
    assert numbers == run_of(name).stdout.rpartition("figure: ")[0]
    assert figure.strip().endswith(SCRIPTS[name].figures[0])


@pytest.mark.parametrize("function", ["save", "milliseconds"])
def test_what_stands_in_several_tours_is_the_same_text(function):
    texts = {}
    for name in TOURS:
        for node in ast.walk(ast.parse(path_of(name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name == function:
                texts[name] = ast.unparse(node)
    if function == "milliseconds":
        texts.pop("devices", None)  # whose function takes a number of threads
    assert len(texts) >= 6
    first = next(iter(texts))
    others = [name for name in texts if texts[name] != texts[first]]
    assert not others, f"{function} in {others} is not the text that it is in {first}"


# The checks themselves: each lets SMALL pass, and catches what is wrong with a spoiled one.


def test_small_tour_passes(tmp_path):
    small = write_small(tmp_path / "small.py")
    assert tour.form(small) == []
    assert [cell.heading for cell in small.showing] == ["One number", "One picture", "One clock"]
    for cell in small.showing:
        assert alone(small, cell, tmp_path / cell.heading) == []


@pytest.mark.parametrize(("old", "new", "complaint"), cases(SPOILED_LAYOUT))
def test_spoiled_layout_is_caught(old, new, complaint, tmp_path):
    assert complaint in "\n".join(tour.form(write_small(tmp_path / "small.py", (old, new))))


@pytest.mark.filterwarnings("default")  # a warning is an error whatever pytest makes of it
@pytest.mark.parametrize(("old", "new", "complaint"), cases(SPOILED_CELL))
def test_spoiled_cell_is_caught_and_no_other(old, new, complaint, tmp_path, monkeypatch):
    """Spoiled examples, too: a tour's are held on machines like the lecture's, these on all."""
    monkeypatch.setattr(tour, "LIKE_RECORDED", True)
    small = write_small(tmp_path / "small.py", (old, new))
    torch.manual_seed(0)  # as another cell may have left it
    caught = []
    for cell in small.showing:
        found = alone(small, cell, tmp_path / cell.heading)
        if found:
            caught.append("\n".join(found))
    assert len(caught) == 1
    assert complaint in caught[0]


@pytest.fixture
def settings_come_back():
    number_of_threads = torch.get_num_threads()
    with matplotlib.rc_context():
        yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.set_num_threads(number_of_threads)
    torch.set_printoptions(profile="default")


@pytest.mark.usefixtures("settings_come_back")
@pytest.mark.parametrize(("setting", "code"), SETTINGS.items())
def test_setting_left_behind_is_caught(setting, code, tmp_path):
    small = write_small(tmp_path / "small.py", ("print(row(1000))", f"{code}\nprint(row(1000))"))
    *_, clock = small.showing
    assert f"the cell changes the {setting}" in tour.alone(small, clock, tmp_path)[1]


def test_timing_figure_that_shows_no_printed_times_is_caught(tmp_path):
    small = write_small(tmp_path / "small.py")
    picture = small.cell_that_draws("small.png")
    found = alone(small, picture, tmp_path, timing=("small.png",))
    assert found == ["no table is printed with the figure"]


@pytest.mark.parametrize(
    ("stdout", "complaint"),
    [
        ("1\nversion: 2\nfour: 4\nfigure: figures/small.png\n", "got: 1"),
        ("x: tensor([1.5410])\nversion: 2\nfigure: figures/small.png\n", "expected: four: 4"),
        ("", "expected: version: ...\n     got: (no more)"),
    ],
)
def test_spoiled_whole_is_caught(stdout, complaint, tmp_path):
    small = write_small(tmp_path / "small.py", (LAST, ""))
    assert complaint in "\n".join(tour.in_order(small, stdout))


def test_where_times_are_not_compared_the_exact_lines_around_them_are(tmp_path, monkeypatch):
    monkeypatch.setattr(tour, "LIKE_RECORDED", False)
    small = write_small(tmp_path / "small.py")
    exact = "x: tensor([1.5410])\nversion: 2\nfour: 4\nfigure: figures/small.png\n"
    example = "whatever a GPU's machine says\nof its times\n"
    assert tour.in_order(small, exact + example) == []
    complaint = "\n".join(tour.in_order(small, exact.replace("four: 4", "four: 5") + example))
    assert "four: 4" in complaint
    assert "four: 5" in complaint


@pytest.mark.parametrize(("name", "complaint"), notebook_cases())
def test_spoiled_notebook_is_caught(name, complaint, small_notebooks, notebook):
    small = small_notebooks[name]
    assert complaint in "\n".join(notebooks.in_kernel(small, notebook(small)))


def test_small_tour_passes_in_a_kernel_of_this_environment(small_notebooks, notebook):
    right = small_notebooks["right"]
    assert notebooks.in_kernel(right, notebook(right)) == []


@pytest.mark.parametrize(
    ("line", "held"),
    [
        ("1,000  x.sum(dim=1)  0.5 ms  -1.2e-05", "# x.sum(dim=1) # ms #"),
        ("float32 of 3 x 40: inf", "float32 of # x #: #"),
        ("x + y takes 2.5 times as long", "x + y takes # times as long"),
    ],
)
def test_of_an_example_words_are_held_and_numbers_are_free(line, held):
    assert tour.words(line) == held


def test_constants_are_made_small_where_they_stand():
    text = "A = [\n    1,\n]\nC = 3\n"
    assert tour.shrunk(text, {"A": "2"}) == "A = 2\n\n\nC = 3\n"
    with pytest.raises(AssertionError, match="makes {'D'} small, but the script has none"):
        tour.shrunk(text, {"D": "1"})
