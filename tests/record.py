"""Record the lecture anew: figures/lecture/, and every `# Example output:` in its place.

    .venv/bin/python tests/record.py                # every script
    .venv/bin/python tests/record.py inplace dtypes # these alone
    .venv/bin/python tests/record.py timed          # the timed tours, in a row

Each script runs with its defaults, in a process and a folder of its own. A timed tour runs until
two runs in a row agree; the second is recorded. So choose a quiet hour. What a timing figure was
drawn from, the text that its cell had printed, goes into its metadata.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from figure_checks import tables_in
from scripts import SCRIPTS
from tour import EXAMPLE, Tour, is_tour, read

ROOT = Path(__file__).resolve().parent.parent
END = "(the end of a cell)"
TRIES = 12

# Runs a script. A figure that it saves carries what its cell has printed.
RUN = f"""
import io, runpy, sys
from matplotlib.figure import Figure

class Copy(io.TextIOBase):
    text = ""

    def write(self, text):
        self.text += text
        return sys.__stdout__.write(text)

def with_text(figure, path, **options):
    text = sys.stdout.text.rpartition({END!r})[2].strip()
    savefig(figure, path, metadata={{"Description": text}}, **options)

savefig = Figure.savefig
Figure.savefig = with_text
sys.stdout = Copy()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def with_ends(lesson: Tour) -> str:
    """The tour's code, printing END after each cell that shows something."""
    code = ""
    for cell in lesson.code:
        code += cell.code.strip("\n") + "\n"
        if cell.shows:
            code += f"print({END!r})\n"
    return code


def run(path: Path, code: str, folder: Path) -> str:
    """Run code as folder/script/<name of path>: what it prints."""
    copy = folder / "script" / path.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RUN, copy],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "Agg", "DEVICE": "cpu"},
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    if done.returncode:
        sys.exit(f"{path.name} ended with status {done.returncode}")
    return done.stdout


def ratios(printed: str) -> Iterator[float]:
    """The ratios that a run printed: every "2.5 times", and those in the last row of each table.

    There, at the largest size, each way's time is compared with the first way's. A column of whole
    numbers holds no times.
    """
    for number in re.findall(r"(\d[\d,.]*) times", printed):
        yield float(number.replace(",", ""))
    for table in tables_in(printed):
        last_row = [column[-1] for column in table.values()]
        first = last_row[1]
        for other in last_row[2:]:
            if other.as_tuple().exponent < 0:
                yield float(other / first)


def agree(one: float, other: float) -> bool:
    """Whether two ratios lie within 15% of each other, or both within 20% of 1.

    Within 20% of 1 nothing is concluded.
    """
    if 0.8 <= one <= 1.2 and 0.8 <= other <= 1.2:
        return True
    return max(one, other) <= 1.15 * min(one, other)


def disagreements(before: str, after: str) -> list[str]:
    """The ratios in which two runs do not agree."""
    pairs = zip(ratios(before), ratios(after), strict=True)
    return [f"{one:.3g} and {other:.3g}" for one, other in pairs if not agree(one, other)]


def example(text: str) -> list[str]:
    """The comment that records text."""
    lines = [EXAMPLE]
    for line in text.splitlines():
        line = re.sub(r"^figure: .*/", "figure: ...", line)
        lines.append(f"# {line}".rstrip())
    return lines


def processor() -> str:
    """The name of the processor where Linux knows it, else an empty text."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return ""
    name = re.search(r"model name\s*: (.*)", cpuinfo.read_text())
    if name is None:
        return ""
    return re.sub(r"\((R|TM)\)| Processor| CPU", "", name.group(1))


def machine() -> str:
    """The lecture's machine: its system, processor and torch."""
    kind = f"{processor()} ({platform.machine()})".strip()
    return f"{platform.system()}, {kind}, torch {torch.__version__.partition('+')[0]}"


def recorded(lesson: Tour, printed: str) -> str:
    """The text of the tour with each of its examples replaced by what the run printed."""
    texts = printed.split(f"{END}\n")[:-1]
    lines = lesson.path.read_text(encoding="utf-8").splitlines()
    cells = zip(lesson.showing, texts, strict=True)
    for cell, text in reversed(list(cells)):  # from below: the numbers of the lines above stay
        if cell.is_example:
            top = cell.number - 1
            lines[top + cell.comment : top + len(cell.lines)] = example(text)
    for number, line in enumerate(lines):
        if line.startswith("# Example outputs:"):
            lines[number] = f"# Example outputs: the lecture's machine, {machine()}."
    return "\n".join(lines) + "\n"


def run_until_two_agree(lesson: Tour, folder: Path) -> str:
    """What a timed tour prints in the second of two runs in a row that agree."""
    printed = run(lesson.path, with_ends(lesson), folder)
    for _ in range(TRIES):
        before = printed
        printed = run(lesson.path, with_ends(lesson), folder)
        found = disagreements(before, printed)
        if not found:
            return printed
        print(f"{lesson.name}: two runs disagree in {found}", flush=True)
    sys.exit(f"{lesson.name}: no two runs in a row agreed, nothing is recorded")


def record(name: str, folder: Path) -> None:
    """Run a script, and put its figures and examples in their places."""
    path = ROOT / "script" / f"{name}.py"
    if not is_tour(path):
        run(path, path.read_text(encoding="utf-8"), folder)
    elif not SCRIPTS[name].timing:
        run(path, with_ends(read(path)), folder)
    else:
        lesson = read(path)
        printed = run_until_two_agree(lesson, folder)
        path.write_text(recorded(lesson, printed), encoding="utf-8")
    for figure in SCRIPTS[name].figures:
        shutil.copy(folder / "figures" / figure, ROOT / "figures" / "lecture" / figure)
    print(f"{name}: recorded", flush=True)


def main(names: list[str]) -> None:
    if names == ["timed"]:
        names = [name for name in SCRIPTS if SCRIPTS[name].timing]
    for name in names or SCRIPTS:
        with tempfile.TemporaryDirectory() as folder:
            record(name, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
