"""Tours in a Jupyter notebook, as a student runs them: the cells, and what stands under each."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tour import Cell, Tour, differences, figures_named

NO_GPU = "No CUDA runtime is found"  # of a CUDA build, where there is nvcc and no GPU
# Starts a kernel, and in it runs the notebooks whose names it reads, each in its file.
SERVE = """
import sys
import nbclient, nbformat
client = nbclient.NotebookClient(nbformat.v4.new_notebook(), allow_errors=True)
with client.setup_kernel():
    for line in sys.stdin:
        name = line.strip()
        client.nb = nbformat.read(name, as_version=4)
        for number, cell in enumerate(client.nb.cells):
            client.execute_cell(cell, number)
        nbformat.write(client.nb, name)
        print("ran", name, flush=True)
"""
# To freeze what is loaded spares %reset's garbage collection a walk through all of torch.
START = """
__import__('gc').freeze()
%reset -f
__import__('os').chdir({place!r})
"""


def cells_in_turn(tour: Tour) -> list[Cell]:
    """The definition cells, then those that show something, the last one first."""
    return tour.defining + tour.showing[::-1]


def code_cell(source: str) -> dict:
    """A code cell as a notebook file holds it, not yet run."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": source,
    }


def environment(folder: Path, users: Mapping[str, str]) -> dict[str, str]:
    """The user's variables without those that lead Jupyter to the user's kernels and settings.

    MPLBACKEND is as students have it, unset: figures show inline.
    """
    environ = {}
    for name, value in users.items():
        if not name.startswith(("JUPYTER", "MPLBACKEND", "PYTHONDONTWRITEBYTECODE")):
            environ[name] = value
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        environ[name] = str(folder / name)
    return environ


def write_notebook(tour: Tour, path: Path, place: Path) -> None:
    """The tour's cells_in_turn as a notebook at path, below a cell that makes the kernel as new.

    As in a notebook there is no __file__, and the working directory is the notebook's: place.
    """
    cells = [code_cell(START.format(place=str(place)))]
    for cell in cells_in_turn(tour):
        cells.append(code_cell("\n".join(cell.lines)))
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    path.write_text(json.dumps(content), encoding="utf-8")


@contextmanager
def kernel(folder: Path, users: Mapping[str, str]) -> Iterator[Callable[[Tour], list[list[dict]]]]:
    """A function that runs a tour: what a notebook shows under each of its cells_in_turn.

    One kernel of this environment serves all tours and is emptied between them: to start it and
    to import torch takes longer than all cells.
    """
    complaints = folder / "complaints.txt"
    with (
        open(complaints, "wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-c", SERVE],
            cwd=folder,
            env=environment(folder, users),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
            errors="replace",
        ) as server,
    ):

        def run(tour: Tour) -> list[list[dict]]:
            place = folder / tour.name / "script"
            place.mkdir(parents=True, exist_ok=True)
            path = folder / f"{tour.name}.ipynb"
            write_notebook(tour, path, place)
            with suppress(OSError):  # the server has ended: then it prints no line, either
                print(path.name, file=server.stdin, flush=True)
            for line in server.stdout:
                if line.strip() == f"ran {path.name}":
                    break
            else:
                raise AssertionError(complaints.read_text(encoding="utf-8", errors="replace"))
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            return [cell["outputs"] for cell in cells[1:]]

        yield run


def faults_of_outputs(cell: Cell, outputs: list[dict]) -> list[str]:
    """Hold what a notebook shows under a cell to the cell's comment: text, and pictures."""
    complaints = []
    printed = ""
    pictures = 0
    for output in outputs:
        kind = output["output_type"]
        text = "".join(output.get("text", []))
        if kind == "stream" and output["name"] == "stdout":
            printed += text
        elif kind == "stream" and NO_GPU in text:
            continue
        elif kind == "display_data" and "image/png" in output["data"]:
            pictures += 1
        elif kind == "error":
            complaints.append(f"{output['ename']}: {output['evalue']}")
        else:
            complaints.append(f"the notebook shows what the script does not print: {output}")
    complaints += differences(cell.expected, printed)
    named = figures_named(printed)
    if pictures != len(named):
        complaints.append(f"{pictures} pictures for the figures {named}")
    return complaints


def in_kernel(tour: Tour, shown: list[list[dict]]) -> list[str]:
    """Hold what a notebook shows under each of a tour's cells_in_turn to the cell's comment."""
    complaints = []
    for cell, outputs in zip(cells_in_turn(tour), shown, strict=True):
        for fault in faults_of_outputs(cell, outputs):
            complaints.append(f"{cell.heading}:\n{fault}")
    return complaints
