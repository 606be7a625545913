"""Tours as cells: split a tour, run its cells, hold what they print to their comments.

Each check returns its complaints: an empty list is a pass.

A code cell ends with what it prints; one that has no such comment is a definition cell, and prints
nothing. `# Output:` is held line by line, with `...` for any text within a line and white space
folded. `# Example output:` depends on the machine: its words, its lines and their order are held,
its numbers are free. It was recorded on Linux with the CPU alone, and is held there; elsewhere
anything may stand in its place. A cell has one comment; it holds at least one word, so that
wildcards alone prove nothing.
"""

import ast
import contextlib
import doctest
import io
import re
import sys
import traceback
import warnings
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch

CODE = "# %%"
MARKDOWN = "# %% [markdown]"
EXACT = "# Output:"
EXAMPLE = "# Example output:"
NUMBER = r"(?<![\w=.])[-+]?(\d[\d,]*(\.\d+)?(e[-+]?\d+)?|inf|nan)"
DEFINES = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
LIKE_RECORDED = sys.platform == "linux" and not torch.accelerator.is_available()
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.DONT_ACCEPT_TRUE_FOR_1


@dataclass(frozen=True)
class Cell:
    """Some lines of a tour, from the given line number on, without their marker."""

    kind: str  # CODE, MARKDOWN, or what else stands after a marker
    heading: str  # its own for a markdown cell, the one above it for a code cell
    lines: tuple[str, ...]
    number: int

    @property
    def comment(self) -> int:
        """Where the output comment begins in lines; their number if there is none."""
        for index, line in enumerate(self.lines):
            if line in (EXACT, EXAMPLE):
                return index
        return len(self.lines)

    @property
    def shows(self) -> bool:
        """Whether it is to print something: a definition cell is not."""
        return self.kind == CODE and self.comment < len(self.lines)

    @property
    def is_example(self) -> bool:
        """Whether the numbers that it prints depend on the machine."""
        return self.shows and self.lines[self.comment] == EXAMPLE

    @property
    def code(self) -> str:
        """The cell without its comment, under as many empty lines as stand above it in its file."""
        return "\n" * (self.number - 1) + "\n".join(self.lines[: self.comment])

    @property
    def text(self) -> list[str]:
        """The lines of a markdown cell, without their comment signs."""
        return [uncommented(line) for line in self.lines]

    @property
    def expected(self) -> list["Line"]:
        """The lines to print."""
        below = self.lines[self.comment + 1 :]
        return [Line(uncommented(line), numbers_are_free=self.is_example) for line in below]


@dataclass(frozen=True)
class Line:
    """A line to print."""

    text: str
    numbers_are_free: bool = False


@dataclass(frozen=True)
class Tour:
    path: Path
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def code(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.kind == CODE]

    @property
    def defining(self) -> list[Cell]:
        return [cell for cell in self.code if not cell.shows]

    @property
    def showing(self) -> list[Cell]:
        return [cell for cell in self.code if cell.shows]

    def cell_that_draws(self, figure: str) -> Cell:
        """The cell that names the figure's file."""
        found = [cell for cell in self.showing if f'"{figure}"' in cell.code]
        assert len(found) == 1, f"{len(found)} cells of {self.path.name} name {figure!r}, not one"
        return found[0]

    def above(self, cell: Cell) -> list[Cell]:
        """The definition cells that stand above a cell."""
        return [each for each in self.defining if each.number < cell.number]

    def definitions(self, folder: Path) -> dict:
        """What all definition cells define, as if the tour were folder/script/<its file>."""
        return define(self, self.defining, folder)


# Reading


def uncommented(line: str) -> str:
    return line.removeprefix("#").removeprefix(" ")


def is_tour(path: Path) -> bool:
    return CODE in path.read_text(encoding="utf-8").splitlines()


def shrunk(text: str, small: dict[str, str]) -> str:
    """A script whose CONSTANTS have the values in small, and which measures each time briefly.

    No line changes its number.
    """
    lines = text.splitlines()
    missing = set(small)
    for node in ast.parse(text).body:
        if not isinstance(node, ast.Assign):
            continue
        name = ast.unparse(node.targets[0])
        if name in missing:
            missing.remove(name)
            for number in range(node.lineno, node.end_lineno + 1):
                lines[number - 1] = ""
            lines[node.lineno - 1] = f"{name} = {small[name]}"
    assert not missing, f"tests/scripts.py makes {missing} small, but the script has none"
    text = "\n".join(lines) + "\n"
    return text.replace("min_run_time=0.05", "min_run_time=0.001")


def read(path: Path, small: dict[str, str] | None = None) -> Tour:
    """The tour at path, its CONSTANTS made small. Faults of form are kept, for form() to find."""
    text = path.read_text(encoding="utf-8")
    if small:
        text = shrunk(text, small)
    cells = []
    kind = ""
    heading = ""
    lines = []
    start = 1

    for number, line in enumerate([*text.splitlines(), CODE], start=1):  # the last cell ends, too
        if not re.match(r"#\s*%%", line):
            lines.append(line)
            continue
        while lines and not lines[-1].strip():
            lines.pop()
        if kind == MARKDOWN and lines:
            heading = uncommented(lines[0]).lstrip("# ")
        if kind or lines:
            cells.append(Cell(kind, heading, tuple(lines), start))
        kind = line
        lines = []
        start = number + 1
    return Tour(path, tuple(cells))


# How a tour is laid out


def form(tour: Tour) -> list[str]:
    """What is wrong with how the tour is laid out."""
    complaints = []
    before = None
    for cell in tour.cells:
        for fault in faults_of_cell(cell, before):
            complaints.append(f"line {cell.number}: {fault}")
        before = cell
    for cell in tour.defining:
        for node in ast.parse(cell.code).body:
            if not defines(node):
                complaints.append(
                    f"line {node.lineno}: this cell shows nothing and defines more than "
                    "functions, classes and CONSTANTS"
                )
    code = "\n".join(cell.code for cell in tour.code)
    if "matplotlib" in code and "plt.rcdefaults()" not in code:
        complaints.append("a tour that draws begins with plt.rcdefaults()")
    first = tour.cells[0]
    if first.kind != MARKDOWN or not "\n".join(first.lines).startswith("# # "):
        complaints.append("the first cell is no text with a title")
    if len(exercises(tour.cells[-1])) not in (2, 3):
        complaints.append("the last cell has no two or three exercises under 'Try it'")
    headings = [cell.heading for cell in tour.showing]
    for heading in sorted(set(headings)):
        if headings.count(heading) > 1:
            complaints.append(f"two cells under {heading!r}")
    return complaints


def faults_of_cell(cell: Cell, before: Cell | None) -> list[str]:
    """What is wrong with a cell that stands below another one."""
    if cell.kind == MARKDOWN:
        return faults_of_text(cell)
    if cell.kind != CODE:
        return [f"{cell.kind!r} before it opens no cell"]
    if cell.shows and (before is None or before.shows):
        return ["a cell that shows something needs text above it"]
    return []


def faults_of_text(cell: Cell) -> list[str]:
    """What is wrong with a markdown cell."""
    if not all(line.startswith("#") for line in cell.lines):
        return ["text outside a comment"]
    if all(line == "" or line.startswith("#") for line in cell.text):
        return ["there is no text, or none under the heading"]
    return []


def exercises(cell: Cell) -> list[str]:
    """The first line of each exercise under "Try it"; [] where that is no markdown cell."""
    if cell.kind != MARKDOWN or "## Try it" not in cell.text:
        return []
    below = cell.text[cell.text.index("## Try it") :]
    return [line for line in below if re.match(r"\d\. ", line)]


def defines(node: ast.stmt) -> bool:
    """Whether a definition cell may hold the statement: it changes nothing a reader must know."""
    if isinstance(node, ast.Assign):
        names = [each.id for each in ast.walk(node.targets[0]) if isinstance(each, ast.Name)]
        return all(name.isupper() for name in names)
    if isinstance(node, ast.Expr):
        return ast.unparse(node) == "plt.rcdefaults()"
    return isinstance(node, DEFINES)


# What a cell prints


def promise(cell: Cell) -> list[str]:
    """What is wrong with a cell's output comment, whatever the cell prints."""
    comment = cell.lines[cell.comment :]
    if comment == (EXAMPLE,):
        return ["nothing is recorded: run tests/record.py"]
    if not re.search(r"\w", " ".join(comment[1:])):
        return [f"{comment[0]!r} has nothing but wildcards under it"]
    if not all(line.startswith("#") for line in comment):
        return ["code after the output comment"]
    if EXACT in comment[1:] or EXAMPLE in comment[1:]:
        return ["two output comments"]
    return []


def words(line: str) -> str:
    """What is held of a line that depends on the machine."""
    return " ".join(re.sub(NUMBER, "#", line).split())


def same(want: str, got: str) -> bool:
    """Whether a printed line is the one wanted: white space folded, `...` for any text."""
    return doctest.OutputChecker().check_output(want, got, FLAGS)


def is_as_expected(want: Line | None, got: str | None) -> bool:
    """None is the end of either text."""
    if want is None or got is None:
        return False
    if want.numbers_are_free:
        return same(words(want.text), words(got))
    return same(want.text, got)


def differences(expected: list[Line], got: str) -> list[str]:
    """Each line that is not as expected, beside what was to come."""
    if not LIKE_RECORDED and any(line.numbers_are_free for line in expected):
        return differences_around_examples(expected, got)
    complaints = []
    for want, line in zip_longest(expected, got.splitlines()):
        if not is_as_expected(want, line):
            wanted = "(no more)" if want is None else want.text
            printed = "(no more)" if line is None else line
            complaints.append(f"expected: {wanted}\n     got: {printed}")
    return complaints


def differences_around_examples(expected: list[Line], got: str) -> list[str]:
    """On a machine unlike the recorded one: anything may stand where lines depend on the machine.

    The lines that are exact must come, and in their order.
    """
    wanted = "\n".join("..." if line.numbers_are_free else line.text for line in expected)
    if same(wanted, got):
        return []
    return [f"expected: {wanted}\n     got: {got}"]


def figures_named(text: str) -> list[str]:
    """The names of the figures that a cell says it drew."""
    return re.findall(r"^figure: (?:.*/)?(.*)$", text, re.MULTILINE)


# Running


def settings() -> dict[str, object]:
    """What one cell could set behind the back of the next, and of other tests."""
    return {
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "grad mode": torch.is_grad_enabled(),
        "number of threads": torch.get_num_threads(),
        "print options": repr(torch.arange(2000.0) / 3),
        "rcParams": matplotlib.rcParams.copy(),
    }


def define(tour: Tour, cells: list[Cell], folder: Path) -> dict:
    """Run definition cells as if the tour were folder/script/<its file>: the names they define."""
    script = folder / "script" / tour.path.name
    namespace = {"__name__": "__main__", "__file__": str(script)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(script)])
        for cell in cells:
            exec(compile(cell.code, tour.path, "exec", dont_inherit=True), namespace)
    return namespace


def run_cell(tour: Tour, cell: Cell, folder: Path) -> str:
    """Run the definition cells above a cell, then the cell, as if in folder/script/: its output.

    A warning is an error. The random seed is set to one that no cell chose: a cell that draws must
    seed itself.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("error")
        namespace = define(tour, tour.above(cell), folder)
        if printed.getvalue():
            raise AssertionError(f"a definition cell prints {printed.getvalue()!r}")
        torch.manual_seed(20_240_229)
        exec(compile(cell.code, tour.path, "exec", dont_inherit=True), namespace)
    return printed.getvalue()


def alone(tour: Tour, cell: Cell, folder: Path) -> tuple[str, list[str]]:
    """Run one cell alone: what it prints, and what is wrong with that, or with what it leaves."""
    complaints = promise(cell)
    before = settings()
    printed = ""
    try:
        printed = run_cell(tour, cell, folder)
    except Exception:
        complaints.append(traceback.format_exc())
    finally:
        plt.close("all")
    complaints += differences(cell.expected, printed)
    written = sorted(path.name for path in (folder / "figures").glob("*"))
    named = sorted(figures_named(printed))
    if written != named:
        complaints.append(f"the cell wrote the figures {written}, but names {named}")
    after = settings()
    for setting in after:
        if before[setting] != after[setting]:
            complaints.append(f"the cell changes the {setting}")
    return printed, complaints


def in_order(tour: Tour, stdout: str) -> list[str]:
    """Hold what the whole tour printed to all its comments."""
    expected = []
    for cell in tour.showing:
        expected += cell.expected
    return differences(expected, stdout)
