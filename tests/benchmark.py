"""What the tests of the benchmarks share: known times, the printed table, a figure's error bars."""

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from torch.utils.benchmark import Measurement
from torch.utils.benchmark.utils.common import TaskSpec

BENCHMARKS = (
    *("inplace", "broadcasting", "vectorization"),
    *("memory_layout", "matmul_order", "devices"),
)
TIMES = [1, 1.1, 1.3, 2]
LOW, MIDDLE, HIGH = np.percentile(TIMES, [25, 50, 75])


def measurement(*times: float) -> Measurement:
    """A measurement of these times, in seconds."""
    return Measurement(1, list(times), TaskSpec("run()", "pass"))


def known(seconds: float) -> Measurement:
    """A measurement whose quartiles are LOW, MIDDLE and HIGH times seconds."""
    return measurement(*(seconds * k for k in TIMES))


def table(stdout: str) -> tuple[str, list[dict[str, str]]]:
    """The header of the printed table and its rows: a cell by its column, the first one "size"."""
    lines = stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if "median" in line)
    names = [word for word in lines[start][30:].split() if not word.startswith("(")]
    rows = lines[start + 1 : lines.index("", start)]
    return lines[start], [
        {
            "size": row[:13].strip(),
            "variant": row[14:30].strip(),
            **dict(zip(names, row[30:].split())),
        }
        for row in rows
    ]


def adds_up(row: dict[str, str], work: int, ceiling: float) -> bool:
    """Whether a row shows work, in bytes or multiply-adds, and the rate and share that follow.

    ceiling is in the unit of the column rate. Three digits of a rate are printed, four of others.
    """
    shown, rate = float(row.get("moves") or row["does"]), float(row["rate"])
    return (
        shown * 1e6 == pytest.approx(work, rel=1e-3)
        and rate == pytest.approx(shown / float(row["median"]), rel=0.01)
        and float(row["share"].rstrip("%")) == pytest.approx(100 * rate / ceiling, rel=0.02, abs=1)
    )


def error_bars(container: ErrorbarContainer) -> np.ndarray:
    """Drawn points with their bars, shape (points, 4): x, low end, y, high end."""
    data, _, (bars,) = container.lines
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    return np.c_[data.get_xdata(), ends[:, 0], data.get_ydata(), ends[:, 1]]
