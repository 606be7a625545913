"""Record the lecture anew: figures/lecture/, and every `# Example output:` in its place.

    .venv/bin/python tests/record.py                # every script
    .venv/bin/python tests/record.py inplace dtypes # these alone

Each script runs with its defaults, in a folder of its own. A timed tour runs until two runs in a
row give the ratios of its claims within 15% of each other; the second is recorded. So choose a
quiet hour. On a tour just recorded a recording changes numbers and verdicts alone.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts import SCRIPTS
from tour import EXAMPLE, Tour, is_tour, read

ROOT = Path(__file__).resolve().parent.parent
END = "(the end of a cell)"
TRIES = 8


def with_ends(tour: Tour) -> str:
    """The tour's code, printing END after each showing cell, and its machine at the very end."""
    parts = []
    for cell in tour.code:
        parts += [cell.code.strip("\n"), f"print({END!r})" if cell.shows else ""]
    machine = "print(globals().get('MACHINE'))"
    return "\n".join([*parts, machine, ""])


def run(path: Path, code: str, folder: Path) -> str:
    """Run code as folder/script/<name of path>: what it prints."""
    copy = folder / "script" / path.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(code, encoding="utf-8")
    environ = {**os.environ, "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, copy], cwd=folder, env=environ, stdout=subprocess.PIPE, encoding="utf-8"
    )
    if done.returncode:
        sys.exit(f"{path.name} ended with status {done.returncode}")
    return done.stdout


def ratios(printed: str) -> list[float]:
    """The ratios of the claims that a tour printed."""
    found = re.findall(r"^claim: .* ([\d,.]+) times \(", printed, re.MULTILINE)
    return [float(number.replace(",", "")) for number in found]


def agree(one: list[float], other: list[float]) -> bool:
    """Whether ratios lie within 15% of each other; those above 1000 are of a loop timed once."""
    return all(abs(a / b - 1) <= 0.15 for a, b in zip(one, other, strict=True) if a < 1000)


def example(text: str) -> list[str]:
    """The comment that records text."""
    lines = [re.sub(r"^figure: .*/", "figure: ...", line) for line in text.splitlines()]
    return [EXAMPLE, *(f"# {line}".rstrip() for line in lines)]


def recorded(tour: Tour, printed: str) -> str:
    """The text of the tour with each of its examples replaced by what the run printed."""
    *texts, machine = printed.split(f"{END}\n")
    lines = tour.path.read_text(encoding="utf-8").splitlines()
    for cell, text in reversed(list(zip(tour.showing, texts, strict=True))):
        if cell.lines[cell.comment] == EXAMPLE:
            start = cell.number - 1 + cell.comment
            lines[start : cell.number - 1 + len(cell.lines)] = example(text)
    line = f"# Example outputs: {machine.strip()}."
    lines = [line if old.startswith("# Example outputs: ") else old for old in lines]
    return "\n".join(lines) + "\n"


def quote_in_readme() -> None:
    """Put the last example of inplace.py into the README, where that quotes it."""
    readme, tour = ROOT / "README.md", read(ROOT / "script" / "inplace.py")
    text = readme.read_text(encoding="utf-8")
    lines = "".join(f"    {line}\n" for line in tour.showing[-1].expected)
    text = re.sub(r"(?<=ten million numbers\):\n\n)(    .*\n)+", lambda _: lines, text)
    readme.write_text(text, encoding="utf-8")


def record(name: str, folder: Path) -> None:
    """Run a script until its ratios agree, and put its figures and examples in their places."""
    path = ROOT / "script" / f"{name}.py"
    if not is_tour(path):
        run(path, path.read_text(encoding="utf-8"), folder)
    else:
        tour = read(path)
        printed = run(path, with_ends(tour), folder)
        for _ in range(TRIES if SCRIPTS[name].timing else 0):
            before, printed = ratios(printed), run(path, with_ends(tour), folder)
            print(f"{name}: {before} then {ratios(printed)}", flush=True)
            if agree(before, ratios(printed)):
                break
        else:
            if SCRIPTS[name].timing:
                sys.exit(f"{name}: no two runs in a row agreed within 15%, nothing is recorded")
        if any(cell.lines[cell.comment] == EXAMPLE for cell in tour.showing):
            path.write_text(recorded(tour, printed), encoding="utf-8")
    for figure in SCRIPTS[name].figures:
        shutil.copy(folder / "figures" / figure, ROOT / "figures" / "lecture" / figure)
    print(f"{name}: recorded", flush=True)


if __name__ == "__main__":
    for name in sys.argv[1:] or SCRIPTS:
        with tempfile.TemporaryDirectory() as folder:
            record(name, Path(folder))
    quote_in_readme()
