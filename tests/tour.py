"""Tours as cells: split a tour, run its cells, hold what they print to their comments.

Each check returns its complaints: an empty list is a pass.

A code cell ends with what it prints; one that has no such comment is a definition cell, and prints
nothing. `# Output:` is held line by line, with `...` for any text within a line and white space
folded. `# Example output:` depends on the machine: its words, its lines and their order are held,
its numbers are free. It was recorded on Linux with the CPU alone, and is held there. A cell has
one comment; it holds at least one word, so that wildcards alone prove nothing.
"""

import ast
import contextlib
import doctest
import io
import json
import os
import re
import subprocess
import sys
import traceback
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch

CODE, MARKDOWN = "# %%", "# %% [markdown]"
EXACT, EXAMPLE = "# Output:", "# Example output:"
EXECUTE = """
import sys
import nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, allow_errors=True).execute()
nbformat.write(notebook, sys.argv[1])
"""
NUMBER = r"(?<![\w=.])[-+]?(\d[\d,]*(\.\d+)?(e[-+]?\d+)?|inf|nan)"
NO_GPU = "No CUDA runtime is found"  # of a CUDA build, where there is nvcc and no GPU
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
        marks = [i for i, line in enumerate(self.lines) if line in (EXACT, EXAMPLE)]
        return marks[0] if marks else len(self.lines)

    @property
    def shows(self) -> bool:
        """Whether it is to print something: a definition cell is not."""
        return self.kind == CODE and self.comment < len(self.lines)

    @property
    def code(self) -> str:
        """The cell without its comment, under as many empty lines as stand above it in its file."""
        return "\n" * (self.number - 1) + "\n".join(self.lines[: self.comment])

    @property
    def expected(self) -> list[str]:
        """The lines to print; those of an example are an Example each."""
        mark, *lines = self.lines[self.comment :] or [EXACT]
        return [(Example if mark == EXAMPLE else str)(uncommented(line)) for line in lines]


class Example(str):
    """A line to print of which the numbers are free."""


@dataclass(frozen=True)
class Tour:
    path: Path
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def code(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.kind == CODE]

    @property
    def showing(self) -> list[Cell]:
        return [cell for cell in self.code if cell.shows]

    def above(self, cell: Cell) -> list[Cell]:
        """The definition cells that stand above a cell."""
        return [each for each in self.code if not each.shows and each.number < cell.number]

    def definitions(self, folder: Path) -> dict:
        """What all definition cells define, as if the tour were folder/script/<its name>."""
        return define(self, [cell for cell in self.code if not cell.shows], folder)


def uncommented(line: str) -> str:
    return line.removeprefix("#").removeprefix(" ")


def is_tour(path: Path) -> bool:
    return CODE in path.read_text(encoding="utf-8").splitlines()


def shrunk(text: str, small: dict[str, str]) -> str:
    """A script whose CONSTANTS have other values: small has them by what they are assigned to."""
    lines, missing = text.splitlines(), set(small)
    for node in ast.parse(text).body:
        name = ast.unparse(node.targets[0]).strip("()") if isinstance(node, ast.Assign) else ""
        if name in missing:
            missing.remove(name)
            lines[node.lineno - 1 : node.end_lineno] = [
                f"{name} = {small[name]}",
                *[""] * (node.end_lineno - node.lineno),
            ]
    assert not missing, f"no CONSTANTS {missing}"
    return "\n".join(lines) + "\n"


def read(path: Path, small: dict[str, str] | None = None) -> Tour:
    """The tour at path, its CONSTANTS made small. Faults of form are kept, for form() to find."""
    cells = []
    heading = ""
    kind, start, lines = "", 1, []

    def close() -> None:
        nonlocal heading
        while lines and not lines[-1].strip():
            lines.pop()
        if kind == MARKDOWN:
            heading = uncommented(lines[0]).lstrip("# ") if lines else ""
        if kind or lines:
            cells.append(Cell(kind, heading, tuple(lines), start))

    text = path.read_text(encoding="utf-8")
    text = shrunk(text, small) if small else text
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r"#\s*%%", line):
            close()
            kind, start, lines = line, number + 1, []
        else:
            lines.append(line)
    close()
    return Tour(path, tuple(cells))


def form(tour: Tour) -> list[str]:
    """What is wrong with how the tour is laid out."""
    complaints = []
    before = None
    for cell in tour.cells:
        where = f"line {cell.number}: "
        if cell.kind not in (CODE, MARKDOWN):
            complaints.append(where + f"{cell.kind!r} before it opens no cell")
        elif cell.kind == MARKDOWN:
            complaints += [where + fault for fault in faults_of_text(cell)]
        elif cell.shows and (before is None or before.shows):
            complaints.append(where + "a cell that shows something needs text above it")
        elif not cell.shows:
            complaints += [
                f"line {node.lineno}: this cell shows nothing and defines more than functions, "
                "classes and CONSTANTS"
                for node in ast.parse(cell.code).body
                if not defines(node)
            ]
        before = cell
    first, last = tour.cells[0], tour.cells[-1]
    if first.kind != MARKDOWN or not first.lines[0].startswith("# # "):
        complaints.append("the first cell is no text with a title")
    if last.kind != MARKDOWN or len(exercises(last)) not in (2, 3):
        complaints.append("the last cell has no two or three exercises under 'Try it'")
    headings = [cell.heading for cell in tour.showing]
    complaints += [f"two cells under {h!r}" for h in set(headings) if headings.count(h) > 1]
    return complaints


def faults_of_text(cell: Cell) -> list[str]:
    """What is wrong with a markdown cell."""
    if not all(line.startswith("#") for line in cell.lines):
        return ["text outside a comment"]
    lines = [uncommented(line) for line in cell.lines]
    if not [line for line in lines if line and not line.startswith("#")]:
        return ["there is no text, or none under the heading"]
    return []


def exercises(cell: Cell) -> list[str]:
    """The first line of each exercise under "Try it"."""
    lines = [uncommented(line) for line in cell.lines]
    if "## Try it" not in lines:
        return []
    after = lines[lines.index("## Try it") :]
    return [line for line in after if re.match(r"\d\. ", line)]


def defines(node: ast.stmt) -> bool:
    """Whether a definition cell may hold the statement: it changes nothing a reader must know."""
    if isinstance(node, ast.Assign):
        names = [each.id for each in ast.walk(node.targets[0]) if isinstance(each, ast.Name)]
        return all(name.isupper() for name in names)
    if isinstance(node, ast.Expr):
        return ast.unparse(node) == "plt.rcdefaults()"
    return isinstance(node, DEFINES)


def promise(cell: Cell) -> list[str]:
    """What is wrong with a cell's output comment, whatever the cell prints."""
    comment = cell.lines[cell.comment :]
    if not comment:
        return [f"no {EXACT!r} says what the cell prints"]
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


def same(want: str | None, line: str | None) -> bool:
    """Whether a printed line is as expected; None is the end of either text."""
    if want is None or line is None:
        return want is line
    if isinstance(want, Example):
        want, line = words(want), words(line)
    return doctest.OutputChecker().check_output(want, line, FLAGS)


def differences(expected: list[str], got: str) -> list[str]:
    """Each line that is not as expected, beside what was to come."""
    if not LIKE_RECORDED and any(isinstance(line, Example) for line in expected):
        return []
    return [
        f"expected: {'(no more)' if want is None else want}\n"
        f"     got: {'(no more)' if line is None else line}"
        for want, line in zip_longest(expected, got.splitlines())
        if not same(want, line)
    ]


def figures_named(text: str) -> list[str]:
    """The names of the figures that a cell says it drew."""
    return re.findall(r"^figure: (?:.*/)?(.*)$", text, re.MULTILINE)


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
    """Run definition cells as if the tour were folder/script/<its name>: the names they define."""
    script = folder / "script" / tour.name
    namespace = {"__name__": "__main__", "__file__": str(script)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(script)])
        for cell in cells:
            exec(compile(cell.code, tour.path, "exec", dont_inherit=True), namespace)
    return namespace


def run_cell(tour: Tour, cell: Cell, folder: Path) -> str:
    """Run the definition cells above a cell, then the cell, as if in folder/script/: its output.

    The random seed is set to one that no cell chose: a cell that draws must seed itself.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        namespace = define(tour, tour.above(cell), folder)
        if printed.getvalue():
            raise AssertionError(f"a definition cell prints {printed.getvalue()!r}")
        torch.manual_seed(20_240_229)
        exec(compile(cell.code, tour.path, "exec", dont_inherit=True), namespace)
    return printed.getvalue()


def alone(tour: Tour, cell: Cell, folder: Path) -> list[str]:
    """Run one cell alone: what is wrong with what it prints, writes and leaves behind."""
    printed, complaints, before = "", promise(cell), settings()
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
    changed = [key for key in after if before[key] != after[key]]
    return complaints + [f"the cell changes the {key}" for key in changed]


def in_order(tour: Tour, stdout: str) -> list[str]:
    """Hold what the whole tour printed to all its comments."""
    return differences([line for cell in tour.code for line in cell.expected], stdout)


def notebook_cell(source: str) -> dict:
    """A code cell as a notebook file holds it, not yet run."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": source,
    }


def run_in_kernel(
    tours: list[Tour], folder: Path, **settings: str
) -> dict[str, list[list[dict]]]:
    """What a notebook shows under each code cell of each tour, by the tour's name.

    The kernel is this environment's: Jupyter sees none that the user has installed, and no
    settings of theirs. One kernel serves all tours and is emptied between them: to start it and
    to import torch takes longer than all cells. As in a notebook there is no __file__, and the
    working directory is the notebook's: folder/<name>/script.
    """
    cells, starts = [], {}
    for tour in tours:
        place = folder / tour.name / "script"
        place.mkdir(parents=True)
        # to freeze what is loaded spares %reset's garbage collection a walk through all of torch
        freeze, leave = "__import__('gc').freeze()", f"__import__('os').chdir({str(place)!r})"
        empty = f"{freeze}\n%reset -f\n{leave}"
        cells.append(notebook_cell(empty))
        definitions = [cell for cell in tour.code if not cell.shows]
        starts[tour.name] = len(cells)
        cells += [notebook_cell("\n".join(cell.lines)) for cell in definitions + backwards(tour)]
    notebook = folder / "tours.ipynb"
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    notebook.write_text(json.dumps(content), encoding="utf-8")

    # MPLBACKEND as students have it, unset: figures show inline
    left_out = ("JUPYTER", "MPLBACKEND", "PYTHONDONTWRITEBYTECODE")
    given = {**os.environ, **settings}
    environ = {key: value for key, value in given.items() if not key.startswith(left_out)}
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        environ[name] = str(folder / name)
    run = subprocess.run(
        [sys.executable, "-c", EXECUTE, notebook],
        env=environ,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    assert run.returncode == 0, run.stderr
    outputs = [cell["outputs"] for cell in json.loads(notebook.read_text("utf-8"))["cells"]]
    return {each.name: outputs[starts[each.name] :][: len(each.code)] for each in tours}


def backwards(tour: Tour) -> list[Cell]:
    """The showing cells, the last one first."""
    return tour.showing[::-1]


def in_kernel(tour: Tour, outputs: list[list[dict]]) -> list[str]:
    """Hold what a notebook shows under each cell to the cell's comment: text, and pictures."""
    complaints = []
    cells = [cell for cell in tour.code if not cell.shows] + backwards(tour)
    for cell, shown in zip(cells, outputs, strict=True):
        printed, pictures, found = "", 0, []
        for output in shown:
            kind = output["output_type"]
            if kind == "stream" and output["name"] == "stdout":
                printed += "".join(output["text"])
            elif kind == "display_data" and "image/png" in output["data"]:
                pictures += 1
            elif kind == "stream" and NO_GPU in "".join(output["text"]):
                continue
            elif kind == "error":
                found.append(f"{output['ename']}: {output['evalue']}")
            else:
                found.append(f"the notebook shows what the script does not print: {output}")
        found += differences(cell.expected, printed)
        if pictures != len(figures_named(printed)):
            found.append(f"{pictures} pictures for the figures {figures_named(printed)}")
        complaints += [f"{cell.heading}:\n{complaint}" for complaint in found]
    return complaints
