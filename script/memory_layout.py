"""Memory layout: sums of a 512 x m tensor along its rows and along its columns.

    python script/memory_layout.py
    python script/memory_layout.py --device cuda

Times contiguous against strided sums, of the whole tensor and of one row at a time, and draws
figures/memory_layout_efficiency.png
"""

import argparse
import math
import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.ticker import LogLocator
from torch.utils.benchmark import Measurement, Timer

FIGURES = Path(__file__).resolve().parent.parent / "figures"
BLUE, ORANGE = "#0072B2", "#E69F00"  # Okabe-Ito: contiguous, strided
N = 512  # rows
M = {  # columns: a GPU needs more work than its launch costs
    "cpu": [512, 2048, 8192, 32768],
    "cuda": [4096, 16384, 65536, 262144],
    "mps": [2048, 8192, 32768, 131072],
}
ROUNDS = 10
ROW = "{:>13} {:<16} {:>11} {:>9} {:>10} {:>11} {:>6} {:>6}"
HEADER = ROW.format(
    *("n x m", "variant", "median (ms)", "IQR (ms)", "moves (MB)", "rate (GB/s)", "share", "error")
)
WHOLE = {
    "A.sum(dim=1)": {"color": BLUE, "marker": "o", "label": "along rows of A, step 1"},
    "A.sum(dim=0)": {"color": ORANGE, "marker": "s", "label": "down columns of A, step $m$"},
    "F.sum(dim=0)": {"color": BLUE, "marker": "D", "label": "down columns of F, step 1"},
    "F.sum(dim=1)": {"color": ORANGE, "marker": "^", "label": "along rows of F, step 512"},
}
SLICE = {  # the styles of sums along rows, which the legend has once
    "A[i].sum()": {"color": BLUE, "marker": "o"},
    "F[i].sum()": {"color": ORANGE, "marker": "^"},
}


def column_major(A: torch.Tensor) -> torch.Tensor:
    """A copy of A, shape (n, m), with its columns one after the other: strides (1, n)."""
    return A.t().contiguous().t()


def padded(F: torch.Tensor, unused: int = 16) -> torch.Tensor:
    """A copy of F, shape (n, m), of strides (1, n + unused): a gap follows each column."""
    n, m = F.shape
    return F.new_zeros(m, n + unused)[:, :n].t().copy_(F)


def next_row_sum(A: torch.Tensor) -> Callable[[], torch.Tensor]:
    """A function that returns the sum of one row of A, shape (n, m): of the next, each call."""
    rows = cycle(A.unbind(0))
    return lambda: next(rows).sum()


def line_size(device: torch.device) -> int:
    """Bytes that memory hands out at once: a line of the cache, on an NVIDIA GPU a sector."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return 128
    return 32 if device.type == "cuda" else 64


def line_bytes(count: int, stride: int, line: int, itemsize: int = 4) -> int:
    """Bytes of the cache lines that hold count numbers, each stride numbers after the last.

    Memory moves in lines of line bytes. The first number starts one.
    """
    step = itemsize * stride
    if step >= line:
        return count * line  # no line holds two
    span = (count - 1) * step + itemsize
    return math.ceil(span / line) * line


def bytes_moved(n: int, m: int, line: int, itemsize: int = 4) -> dict[str, int]:
    """Bytes that each variant reads and writes.

    A sum of all rows or of all columns reads each number once. A sum of one row reads the lines
    that hold it: m numbers in line, or m lines, each for the sake of one number.
    """
    to_rows, to_columns = itemsize * (n * m + n), itemsize * (n * m + m)
    return {
        "A.sum(dim=1)": to_rows,
        "A.sum(dim=0)": to_columns,
        "F.sum(dim=0)": to_columns,
        "F.sum(dim=1)": to_rows,
        "A[i].sum()": line_bytes(m, 1, line) + itemsize,
        "F[i].sum()": line_bytes(m, n, line) + itemsize,
    }


def max_relative_error(sums: torch.Tensor, exact: torch.Tensor) -> float:
    """max_i |sums_i - exact_i| / |exact_i|: sums of any device against float64 on the CPU."""
    return ((sums.cpu().double() - exact).abs() / exact.abs()).max().item()


def allowed_error(terms: int) -> float:
    """Largest relative error of a float32 sum of positive terms, added in any order.

    k u / (1 - k u) for k = terms - 1 additions, u = eps/2 (Higham, Accuracy and Stability, 4.2).
    """
    ku = (terms - 1) * torch.finfo(torch.float32).eps / 2
    return ku / (1 - ku)


def measure(
    variants: dict[str, Callable[[], torch.Tensor]], seconds: float, threads: int
) -> dict[str, Measurement]:
    """Time each variant for about the given seconds, with ROUNDS calls at least.

    They take turns in short rounds, so that a slow phase of the machine hits all alike.
    """
    timers = {
        name: Timer("run()", globals={"run": run}, num_threads=threads)
        for name, run in variants.items()
    }
    calls = {
        name: max(1, int(seconds / ROUNDS / timer.timeit(1).median))
        for name, timer in timers.items()
    }
    rounds = {name: [] for name in timers}
    for _ in range(ROUNDS):
        for name, timer in timers.items():
            rounds[name].append(timer.timeit(calls[name]))
    return {name: Measurement.merge(parts)[0] for name, parts in rounds.items()}


def quartiles(m: Measurement) -> np.ndarray:
    """First quartile, median and third quartile of the times of m, in seconds."""
    return np.percentile(m.times, [25, 50, 75])


def copy_bandwidth(device: torch.device, seconds: float, threads: int) -> float:
    """The ceiling of memory: bytes per second of a copy, read and write counted.

    128 MiB each way, far more than caches hold, into memory that is there already. The best of
    several: whatever else runs on the machine can only slow a copy down.
    """
    source = torch.ones(2**25, device=device)
    target = torch.ones_like(source)
    names = {"source": source, "target": target}
    timer = Timer("target.copy_(source)", globals=names, num_threads=threads)
    return 2 * source.nbytes / min(timer.blocked_autorange(min_run_time=seconds).times)


def print_row(
    size: str, variant: str, m: Measurement, moved: int, bandwidth: float, error: float
) -> None:
    """Print a row of the table: moved in bytes, bandwidth (the ceiling) in bytes per second."""
    rate = moved / m.median
    print(
        ROW.format(
            size,
            variant,
            f"{m.median * 1e3:.4g}",
            f"{m.iqr * 1e3:.2g}",
            f"{moved / 1e6:.4g}",
            f"{rate / 1e9:.3g}",
            f"{rate / bandwidth:.0%}",
            f"{error:.0e}",
        ),
        flush=True,
    )


def verdict(claim: str, slow: Measurement, fast: Measurement) -> str:
    """The closing line: did fast beat slow, by what ratio of medians, from and to (quartiles)?

    Where the quartiles overlap, neither answer is given.
    """
    low, ratio, high = quartiles(slow) / quartiles(fast)[::-1]
    held = "held here" if low > 1 else "did not hold here" if high < 1 else "not decided here"
    return f'claim: "{claim}": {held}, {ratio:.3g}x ({low:.3g}-{high:.3g})'


def explain(
    A: torch.Tensor,
    F: torch.Tensor,
    times: dict[str, Measurement],
    line: int,
    seconds: float,
    threads: int,
) -> float:
    """Print what the bytes predict beside the measured times, and checks of why they differ.

    Returns the time of a call that has next to nothing to do, in seconds.
    """
    n, m = A.shape
    columns = min(line // A.element_size(), m)  # whose numbers share a line
    checks = {
        "rows": partial(A.sum, dim=1),
        "product": partial(torch.matmul, A.new_ones(n), A),
        "a column": partial(A[:, :1].sum, dim=0),
        "columns": partial(A[:, :columns].sum, dim=0),
        "contiguous": next_row_sum(A),
        "gap": next_row_sum(padded(F)),
        "new lines": next_row_sum(F[::columns]),
        "call": A[0, :1].sum,
    }
    check = {name: found.median for name, found in measure(checks, seconds, threads).items()}
    whys = {
        ("A.sum(dim=0)", "A.sum(dim=1)"): [
            "down a column the steps are m; ones @ A makes the same sums in steps of 1, in "
            f"{check['product'] / check['rows']:.2g} times the time of A.sum(dim=1)",
            f"{columns} columns, which share the lines of a cache, are added together in "
            f"{check['columns'] / check['a column']:.2g} times the time of one",
        ],
        ("F[i].sum()", "A[i].sum()"): [
            f"a call takes {check['call'] * 1e6:.2g} us even for one number, "
            f"{check['call'] / check['contiguous']:.0%} of the time of A[i].sum()",
        ],
    }
    if check["call"] < check["contiguous"] / 2:
        whys["F[i].sum()", "A[i].sum()"] += [
            f"numbers {4 * n} bytes apart share few places of a cache; with a gap after each "
            f"column it takes {check['gap'] / check['contiguous']:.2g} times as long",
            "the next rows lie in the same lines, which a cache may still hold; with every "
            f"{columns}th row alone {check['new lines'] / check['contiguous']:.2g} times as long",
        ]
    moved = bytes_moved(n, m, line)
    for (slow, fast), reasons in whys.items():
        print(
            f"predicted: {slow} takes {moved[slow] / moved[fast]:.2g} times as long as {fast} "
            f"(bytes moved); measured: {times[slow].median / times[fast].median:.2g} times"
        )
        for reason in reasons:
            print(f"why: {reason}")
    return check["call"]


def draw(
    results: dict[int, dict[str, Measurement]],
    bandwidth: float,
    line: int,
    call: float,
    outpath: Path,
) -> None:
    """Draw the time per number over m, of the whole tensor and of one row at a time.

    Beside it, what moving 4 bytes or a line of line bytes takes at the bandwidth of a large copy
    (bytes per second), and a call (seconds) shared out among the numbers of a row.
    """
    fig, axes = plt.subplots(1, 2, figsize=(8, 4.8), sharey=True, layout="constrained")
    ms = list(results)
    panels = [
        ("the whole tensor, A.sum(dim)", WHOLE, N),
        ("one row at a time, A[i].sum()", SLICE, 1),
    ]
    for ax, (title, styles, rows) in zip(axes, panels):
        counts = rows * np.array(ms)
        for variant, style in styles.items():
            measured = [results[m][variant] for m in ms]
            low, middle, high = np.transpose([quartiles(m) for m in measured]) / counts * 1e9
            spread = [(middle - low).tolist(), (high - middle).tolist()]
            ax.errorbar(ms, middle, spread, capsize=4, **style)
        for moved, linestyle in [(4, "-"), (line, "--")]:
            label = f"to copy {moved} bytes" if styles is SLICE else None
            floor = moved / bandwidth * 1e9
            ax.axhline(floor, color="0.6", linestyle=linestyle, zorder=0, label=label)
        if styles is SLICE:
            ax.plot(ms, call / counts * 1e9, ":", color="0.4", zorder=0, label="a call alone")
        ax.set_xscale("log")
        gaps = np.diff(np.log(ms))
        roomy = len(ms) == 1 or gaps.min() > 0.1 * gaps.sum()
        ax.set_xticks(ms if roomy else [ms[0], ms[-1]])
        ax.xaxis.set_major_formatter("{x:g}")
        ax.minorticks_off()
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("")
        ax.set_xlabel("numbers in a row, $m$")
        ax.set_title(title, fontsize="medium")
        ax.grid(alpha=0.3)
    fig.legend(loc="outside lower center", ncols=3, frameon=False)
    axes[0].set_ylabel("time per number (ns)")
    last = {variant: m.median for variant, m in results[ms[-1]].items()}
    columns = last["A.sum(dim=0)"] / last["A.sum(dim=1)"]
    row = last["F[i].sum()"] / last["A[i].sum()"]
    fig.suptitle(
        f"{N} x {ms[-1]}, row-major: column sums take {columns:.2g} times as long as row sums;\n"
        f"summed alone, a strided row takes {row:.2g} times as long as a contiguous one"
    )
    outpath.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(outpath, dpi=200)
    plt.close(fig)


def device(name: str) -> torch.device:
    """The device called name. Raises ArgumentTypeError, naming those present, if it is absent."""
    present = ["cpu"]
    if torch.cuda.is_available():
        present.append("cuda")
    if torch.backends.mps.is_available():
        present.append("mps")
    if name not in present:
        raise argparse.ArgumentTypeError(
            f"{name} is not here; this machine has {', '.join(present)}"
        )
    return torch.device(name)


def positive_int(text: str) -> int:
    """A whole number above 0. Raises ArgumentTypeError if text is none."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a positive whole number, got {text}")
    return int(text)


def thread_count(text: str) -> int:
    """A whole number above 0, no more than this machine has cores. Raises ArgumentTypeError."""
    if positive_int(text) > (os.cpu_count() or 1):
        raise argparse.ArgumentTypeError(f"this machine has {os.cpu_count()} cores, got {text}")
    return int(text)


def duration(text: str) -> float:
    """A number of seconds above 0, an hour at most. Raises ArgumentTypeError if text is none."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= 3600:
        raise argparse.ArgumentTypeError(f"must be a positive number, 3600 at most, got {text}")
    return number


def check_size(parser: argparse.ArgumentParser, option: str, count: int) -> None:
    """End in one line if option asks for a tensor of more than 2^31 numbers, 8 GiB of float32."""
    if count > 2**31:
        parser.error(f"argument {option}: a tensor of {count:,} numbers is too large, 2^31 at most")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="Sums of a 512 x m tensor along its rows and along its columns.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--device", type=device, default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--threads", type=thread_count, default=1, help="threads on the CPU")
    parser.add_argument(
        "--m",
        type=positive_int,
        nargs="+",
        default=argparse.SUPPRESS,
        help="columns (default: 512 2048 8192 32768, more on a GPU)",
    )
    parser.add_argument(
        "--seconds",
        type=duration,
        default=0.15,
        help=f"time of each measurement in seconds, with {ROUNDS} calls at least",
    )
    args = parser.parse_args(argv)
    where, seconds, threads = args.device, args.seconds, args.threads
    ms = sorted(set(getattr(args, "m", M[where.type])))
    check_size(parser, "--m", N * ms[-1])
    line = line_size(where)

    print(f"A is {N} x m, row-major: a step of 1 along a row, of m down a column.")
    print(f"F holds the same numbers column-major: {N} along a row, 1 down a column.")
    print("A.sum(dim=1) adds along rows, A.sum(dim=0) down columns; A[i].sum() is one row.")
    bandwidth = copy_bandwidth(where, seconds, threads)
    print(f"\nfloat32, {where.type}, threads: {threads}")
    print(
        f"ceiling: a large copy moves {bandwidth / 1e9:.1f} GB/s; "
        "reading alone, and what fits in a cache, may beat it"
    )
    print(
        f"error allowed: (terms - 1) eps/2, {allowed_error(N):.0e} for {N} terms, "
        f"{allowed_error(ms[-1]):.0e} for {ms[-1]}\n"
    )
    print(HEADER)
    results, within = {}, True
    for m in ms:
        torch.manual_seed(0)
        numbers = torch.rand(N, m)  # all positive: no sum is small by cancelling
        exact = {dim: numbers.double().sum(dim=dim) for dim in (0, 1)}
        A = numbers.to(where)
        F = column_major(A)
        runs = {
            "A.sum(dim=1)": partial(A.sum, dim=1),
            "A.sum(dim=0)": partial(A.sum, dim=0),
            "F.sum(dim=0)": partial(F.sum, dim=0),
            "F.sum(dim=1)": partial(F.sum, dim=1),
        }
        sums = {variant: run() for variant, run in runs.items()}
        for variant, tensor in [("A[i].sum()", A), ("F[i].sum()", F)]:
            runs[variant] = next_row_sum(tensor)
            sums[variant] = torch.stack([runs[variant]() for _ in range(N)])  # each row once
        results[m] = measure(runs, seconds, threads)
        moved = bytes_moved(N, m, line)
        for variant, times in results[m].items():
            error = max_relative_error(sums[variant], exact[0 if "dim=0" in variant else 1])
            within &= error <= allowed_error(N if "dim=0" in variant else m)
            print_row(f"{N} x {m}", variant, times, moved[variant], bandwidth, error)

    print("\nevery error within the one allowed?", within)
    print(f"\nAt {N} x {m}:")
    last = results[m]
    call = explain(A, F, last, line, seconds, threads)
    calls = Timer("A.sum(dim=1)", globals={"A": A}, num_threads=threads).timeit(10)
    print(
        f"10 calls of A.sum(dim=1) take {calls.raw_times[0] * 1e3:.3g} ms, one "
        f"{calls.mean * 1e3:.3g} ms; the notes' timer returns the total and calls it the average"
    )
    claim = "summing along contiguous rows is faster than down strided columns"
    print(verdict(claim, last["A.sum(dim=0)"], last["A.sum(dim=1)"]))
    claim = "a contiguous row is summed faster than a strided one"
    print(verdict(claim, last["F[i].sum()"], last["A[i].sum()"]))
    draw(results, bandwidth, line, call, FIGURES / "memory_layout_efficiency.png")
    print("figure: figures/memory_layout_efficiency.png")


if __name__ == "__main__":
    main()
