"""Tours as cells: split a tour, run its cells, hold what they print to their comments.

Each check returns its complaints: an empty list is a pass.

A code cell ends with what it prints. `# Output:` is held line by line, with `...` for any text
within a line and white space folded. `# Example output:` depends on hardware or time: the cell
must print as many lines, whatever they say. One comment a cell; it holds at least one word, so
that wildcards alone prove nothing.
"""

import ast
import contextlib
import doctest
import io
import json
import os
import re
import shutil
import subprocess
import sys
import traceback
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
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
    def expected(self) -> list[str]:
        """The lines to print, with ... for each line of an example."""
        mark, *lines = self.lines[self.comment :] or [EXACT]
        return ["..." if mark == EXAMPLE else uncommented(line) for line in lines]


@dataclass(frozen=True)
class Tour:
    path: Path
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def code(self) -> list[Cell]:
        """The code cells: the imports, then those that show something."""
        return [cell for cell in self.cells if cell.kind == CODE]


def uncommented(line: str) -> str:
    return line.removeprefix("#").removeprefix(" ")


def is_tour(path: Path) -> bool:
    return CODE in path.read_text(encoding="utf-8").splitlines()


def read(path: Path) -> Tour:
    """The tour at path. Faults of form are kept, for form() to find."""
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

    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
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
    for cell, before in zip(tour.cells, [None, *tour.cells]):
        where = f"line {cell.number}: "
        if cell.kind not in (CODE, MARKDOWN):
            complaints.append(where + f"{cell.kind!r} before it opens no cell")
        elif (cell.kind == MARKDOWN) == (before is not None and before.kind == MARKDOWN):
            complaints.append(where + "a markdown cell and a code cell must take turns")
        elif cell.kind == MARKDOWN:
            head, *text = [uncommented(line) for line in cell.lines if line != "#"] or [""]
            if not re.match("# |## ", head):
                complaints.append(where + "the markdown cell has no heading")
            if not 1 <= len(text) <= 4:
                complaints.append(where + f"{len(text)} lines under the heading, not 1 to 4")
            if not all(line.startswith("#") for line in cell.lines):
                complaints.append(where + "text outside a comment")
    if tour.cells[-1].kind != CODE:
        complaints.append("the last cell shows nothing")
    headings = [cell.heading for cell in tour.code]
    complaints += [f"two cells under {h!r}" for h in set(headings) if headings.count(h) > 1]
    if tour.code:
        complaints += [
            f"line {tour.code[0].number - 1 + node.lineno}: more than imports and CONSTANTS"
            for node in ast.parse("\n".join(tour.code[0].lines)).body
            if not isinstance(node, (ast.Import, ast.ImportFrom))
            and not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).isupper())
        ]
    return complaints


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


def differences(expected: list[str], got: str) -> list[str]:
    """Each line that is not as expected, beside what was to come."""
    same = doctest.OutputChecker().check_output
    return [
        f"expected: {'(no more)' if want is None else want}\n"
        f"     got: {'(no more)' if line is None else line}"
        for want, line in zip_longest(expected, got.splitlines())
        if want is None or line is None or not same(want, line, FLAGS)
    ]


def figures_named(text: str) -> list[str]:
    """The names of the figures that a cell says it drew."""
    return re.findall(r"^figure: figures/(.*)$", text, re.MULTILINE)


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


def alone(tour: Tour, cell: Cell, folder: Path) -> list[str]:
    """Run the imports, then this one cell, as if the tour were folder/script/<its name>.

    The random seed is set to one that no cell chose: a cell that draws must seed itself.
    """
    script = folder / "script" / tour.name
    script.parent.mkdir(parents=True)
    shutil.copy(tour.path, script)
    namespace = {"__name__": "__main__", "__file__": str(script)}
    before, printed, complaints = settings(), io.StringIO(), promise(cell)
    try:
        with contextlib.redirect_stdout(printed):
            for part in (tour.code[0], cell):
                source = "\n" * (part.number - 1) + "\n".join(part.lines)
                exec(compile(source, tour.path, "exec", dont_inherit=True), namespace)
                torch.manual_seed(20_240_229)
    except Exception:
        complaints.append(traceback.format_exc())
    finally:
        plt.close("all")
    complaints += differences(cell.expected, printed.getvalue())
    written = sorted(path.name for path in (folder / "figures").glob("*"))
    named = sorted(figures_named(printed.getvalue()))
    if written != named:
        complaints.append(f"the cell wrote the figures {written}, but names {named}")
    after = settings()
    complaints += [f"the cell changes the {key}" for key in before if before[key] != after[key]]
    return complaints


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


def run_in_kernel(tours: list[Tour], folder: Path) -> dict[str, list[list[dict]]]:
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
        starts[tour.name] = len(cells)
        cells += [notebook_cell("\n".join(cell.lines)) for cell in tour.code]
    notebook = folder / "tours.ipynb"
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    notebook.write_text(json.dumps(content), encoding="utf-8")

    # MPLBACKEND as students have it, unset: figures show inline
    left_out = ("JUPYTER", "MPLBACKEND", "PYTHONDONTWRITEBYTECODE")
    environ = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
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


def in_kernel(tour: Tour, outputs: list[list[dict]]) -> list[str]:
    """Hold what a notebook shows under each cell to the cell's comment: text, and pictures."""
    complaints = []
    for cell, shown in zip(tour.code, outputs, strict=True):
        printed, pictures, found = "", 0, []
        for output in shown:
            kind = output["output_type"]
            if kind == "stream" and output["name"] == "stdout":
                printed += "".join(output["text"])
            elif kind == "display_data" and "image/png" in output["data"]:
                pictures += 1
            elif kind == "error":
                found.append(f"{output['ename']}: {output['evalue']}")
            else:
                found.append(f"the notebook shows what the script does not print: {output}")
        found += differences(cell.expected, printed)
        if pictures != len(figures_named(printed)):
            found.append(f"{pictures} pictures for the figures {figures_named(printed)}")
        complaints += [f"{cell.heading}:\n{complaint}" for complaint in found]
    return complaints
