"""Broadcasting: B_ij = A_ij v_j by a loop over rows, by repeating v, and by broadcasting.

    python script/broadcasting.py
    python script/broadcasting.py --device cuda

Times the variants against the bytes they must move and draws
figures/broadcasting_matrix_vector.png and figures/broadcasting_timing.png
"""

import argparse
import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator
from torch.utils.benchmark import Measurement, Timer

try:
    import resource  # not on Windows
except ImportError:
    resource = None

FIGURES = Path(__file__).resolve().parent.parent / "figures"
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"  # Okabe-Ito
COLUMNS = {"cpu": 1000, "cuda": 4000, "mps": 4000}  # a GPU needs more work than its launch costs
ROUNDS = 5
ROW = "{:>13} {:<16} {:>11} {:>9} {:>10} {:>11} {:>6} {:>6} {:>6}"
HEADER = ROW.format(
    *("n x d", "variant", "median (ms)", "IQR (ms)", "moves (MB)", "rate (GB/s)", "share"),
    *("error", "faults"),
)
STYLE = {
    "loop": {"color": ORANGE, "marker": "s"},
    "repeat": {"color": PURPLE, "marker": "^"},
    "broadcast": {"color": BLUE, "marker": "o"},
    "broadcast, out=B": {"color": GREEN, "marker": "D", "linestyle": "--"},
}


def by_loop(A: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """A_ij v_j, shape (n, d), row by row: A is (n, d), v is (d,)."""
    B = torch.empty_like(A)
    for i in range(len(A)):
        B[i] = A[i] * v
    return B


def by_repeat(A: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """A_ij v_j, shape (n, d), with v written out n times first."""
    return A * v.repeat(len(A), 1)


def by_broadcasting(A: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """A_ij v_j, shape (n, d): every row of A meets the same v in memory."""
    return A * v


def bytes_moved(n: int, d: int, itemsize: int = 4) -> dict[str, int]:
    """Bytes that the kernels of each variant read and write, each operand of a kernel once.

    A multiplication of a row reads 2d numbers and writes d, storing the row copies d numbers;
    v.repeat reads d and writes n d; A * v reads n d + d and writes n d.
    """
    elements = {
        "loop": n * (3 * d + 2 * d),
        "repeat": (d + n * d) + 3 * n * d,
        "broadcast": 2 * n * d + d,
        "broadcast, out=B": 2 * n * d + d,
    }
    return {variant: itemsize * count for variant, count in elements.items()}


def touch_new_memory(n: int, device: torch.device) -> torch.Tensor:
    """New memory for n float32 with one number written in each 4 KiB: its page faults alone."""
    memory = torch.empty(n, device=device)
    memory[::1024] = 0
    return memory


def allocated_bytes(x: torch.Tensor, v: torch.Tensor) -> int:
    """Bytes of memory allocated for x, which was made from v: 0 where x is a view of v."""
    memory, source = x.untyped_storage(), v.untyped_storage()
    return 0 if memory.data_ptr() == source.data_ptr() else memory.nbytes()


def max_relative_error(B: torch.Tensor, exact: torch.Tensor) -> float:
    """max_ij |B_ij - exact_ij| / |exact_ij|, exact in float64 on the CPU.

    Each B_ij is one product, rounded once: the error is at most eps/2 of the dtype of B
    (Higham, Accuracy and Stability of Numerical Algorithms, section 2.2).
    """
    size = exact.abs().clamp_min(torch.finfo(exact.dtype).tiny)  # where exact is 0, so must B be
    return (B.cpu().double() - exact).div_(size).abs_().max().item()


def reuse_freed_memory() -> None:
    """Have malloc reuse freed blocks below 16 MiB, as in a program that has run for a while.

    glibc gives a freed block back to the system, to fault it in anew next time, if it is larger
    than all freed before, 32 MiB at most (man mallopt, M_MMAP_THRESHOLD). Without this, times
    depend on what ran before. Other allocators do not mind.
    """
    torch.empty(4 * 2**20)  # 16 MiB of float32, freed at once


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


def page_faults(run: Callable[[], torch.Tensor]) -> float:
    """Page faults of a call of run: one for each page of memory that is new to this process.

    nan where the system does not count them.
    """
    if resource is None:
        return math.nan
    run()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    run()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def print_row(
    size: str,
    variant: str,
    m: Measurement,
    moved: int,
    bandwidth: float,
    error: float,
    faults: float,
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
            f"{faults:.0f}",
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
    v: torch.Tensor,
    times: dict[str, Measurement],
    bandwidth: float,
    faults: float,
    seconds: float,
    threads: int,
) -> None:
    """Print what the bytes predict for A and v beside what was measured, and why they differ.

    faults are those of a call of broadcast.
    """
    n, d = A.shape
    moved = bytes_moved(n, d)
    for slow in ("repeat", "loop"):
        print(
            f"predicted: {slow} takes {moved[slow] / moved['broadcast']:.2g} times as long as "
            f"broadcast (bytes moved); "
            f"measured: {times[slow].median / times['broadcast'].median:.2g} times"
        )
    few = partial(by_loop, A[:100, :1], v[:1])
    row = measure({"row": few}, seconds, threads)["row"].median / min(n, 100)
    print(
        f"why: rows of one number, hardly any bytes, still cost the loop {row * 1e6:.2g} us each, "
        f"{n * row * 1e3:.3g} ms for {n}"
    )
    print(
        f"predicted: broadcast takes {moved['broadcast'] / bandwidth * 1e3:.2g} ms at the ceiling; "
        f"measured: {times['broadcast'].median * 1e3:.2g} ms, "
        f"with out=B {times['broadcast, out=B'].median * 1e3:.2g} ms"
    )
    if faults < 10:
        print("why: the memory of B was freed before, and causes no page faults (last column)")
    else:  # or this system does not count them
        pages = partial(touch_new_memory, A.numel(), A.device)
        touch = measure({"pages": pages}, seconds, threads)["pages"].median
        counted = "new memory comes page by page, at a fault each (last column); "
        print(
            f"why: {counted if faults >= 10 else ''}to touch as much new memory takes "
            f"{touch * 1e3:.2g} ms"
        )


def draw_replication(A: torch.Tensor, v: torch.Tensor, outpath: Path) -> None:
    """Draw B_ij = A_ij v_j with the rows that v stands for; below, what lies in memory."""
    n, d = A.shape
    fig, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
    ax.set_aspect("equal")
    ax.axis("off")

    def cells(left: float, top: float, rows: list, color: str, side: float, real: int) -> None:
        """A grid of square cells. Rows from real on are not in memory: dashed and empty."""
        for i, row in enumerate(rows):
            solid, inset = i < real, 0 if i < real else 0.05 * side
            for j, number in enumerate(row):
                x, y = left + j * side, top - (i + 1) * side
                box = Rectangle((x + inset, y + inset), side - 2 * inset, side - 2 * inset)
                box.set(edgecolor=color, facecolor=color + "59" if solid else "none")
                box.set_linestyle("-" if solid else "--")
                ax.add_patch(box)
                ink, size = "black" if solid else "0.4", 11 if side == 1 else 8
                center = (x + side / 2, y + side / 2)
                ax.text(*center, f"{number:g}", color=ink, fontsize=size, ha="center", va="center")

    gap = 1.3
    lefts = [k * (d + gap) for k in range(3)]
    names = [
        f"$A$, shape {tuple(A.shape)}",
        f"$v$, shape {tuple(v.shape)}, expanded to {(n, d)}",
        f"$B$, shape {tuple((A * v).shape)}",
    ]
    cells(lefts[0], n, A.tolist(), ORANGE, side=1, real=n)
    cells(lefts[1], n, v.expand(n, d).tolist(), BLUE, side=1, real=1)
    cells(lefts[2], n, (A * v).tolist(), GREEN, side=1, real=n)
    for left, name in zip(lefts, names):
        ax.text(left + d / 2, n + 0.45, name, ha="center", va="center")
    for left, sign in zip(lefts[1:], [r"$\odot$", "$=$"]):
        ax.text(left - gap / 2, n / 2, sign, ha="center", va="center", fontsize=18)

    side = 0.55
    for y, x, call in [
        (-1.2, v.expand(n, d), f"v.expand({n}, {d})"),
        (-2.2, v.repeat(n, 1), f"v.repeat({n}, 1)"),
    ]:
        memory = torch.empty(0).set_(x.untyped_storage())
        ax.text(0, y, f"{call}: strides {x.stride()}", va="center", family="monospace")
        right = lefts[-1] + d - n * d * side
        cells(right, y + side / 2, [memory.tolist()], BLUE, side, real=1)
    ax.text(0, -0.5, "in memory:", va="center")
    ax.text(lefts[1], -0.5, "dashed: row 1 once more, not in memory", va="center")
    ax.set_xlim(-0.1, lefts[-1] + d + 0.1)
    ax.set_ylim(-2.7, n + 0.9)
    ax.set_title(f"Broadcasting reads the same {d} numbers of $v$ for all {n} rows of $A$")
    outpath.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(outpath, dpi=200)
    plt.close(fig)


def draw_timing(
    results: dict[tuple[int, int], dict[str, Measurement]],
    bandwidth: float,
    faults: float,
    outpath: Path,
) -> None:
    """Draw the time per element of each variant over n d, beside the speed of a large copy.

    faults are those of a call of broadcast at the largest n.
    """
    fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    counts = [n * d for n, d in results]
    for variant, style in STYLE.items():
        measured = [by_variant[variant] for by_variant in results.values()]
        low, middle, high = np.transpose([quartiles(m) for m in measured]) / counts * 1e9
        spread = [(middle - low).tolist(), (high - middle).tolist()]
        ax.errorbar(counts, middle, spread, label=variant, capsize=4, **style)
    floor = [bytes_moved(n, d)["broadcast"] / bandwidth / (n * d) * 1e9 for n, d in results]
    ax.plot(counts, floor, color="0.6", zorder=0, label="broadcast at the speed of a large copy")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("")
    ax.set_xlabel(r"elements of $A$, $n \times d$")
    ax.set_ylabel("time per element (ns)")
    ax.grid(alpha=0.3)
    fig.legend(loc="outside lower center", ncols=3, frameon=False)
    (n, d), last = list(results.items())[-1]
    if faults >= 1:
        top = (n * d, last["broadcast"].median / (n * d) * 1e9)
        label = f"{faults:,.0f} page\nfaults a call"
        aside = {"xytext": (10, 0), "textcoords": "offset points", "ha": "left", "va": "center"}
        ax.annotate(label, top, color=BLUE, **aside)
        room = max(2, (counts[-1] / counts[0]) ** 0.22)  # for the label
        ax.set_xlim(counts[0] / room**0.25, counts[-1] * room)
    loop, repeat = (last[name].median / last["broadcast"].median for name in ("loop", "repeat"))
    ax.set_title(
        f"{n} x {d}: a loop takes {loop:.2g} times, a repeat {repeat:.2g} times "
        "as long as broadcasting",
        fontsize="medium",
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
        description="B_ij = A_ij v_j by a loop over rows, by repeating v, and by broadcasting.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--device", type=device, default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--threads", type=thread_count, default=1, help="threads on the CPU")
    parser.add_argument(
        "--rows", type=positive_int, nargs="+", default=[10, 100, 1000, 10000], help="rows n of A"
    )
    parser.add_argument(
        "--columns",
        type=positive_int,
        default=argparse.SUPPRESS,
        help="columns d of A (default: 1000, on a GPU 4000)",
    )
    parser.add_argument(
        "--seconds",
        type=duration,
        default=0.1,
        help=f"time of each measurement in seconds, with {ROUNDS} calls at least",
    )
    args = parser.parse_args(argv)
    where, seconds, threads = args.device, args.seconds, args.threads
    d = getattr(args, "columns", COLUMNS[where.type])
    check_size(parser, "--rows" if max(args.rows) > d else "--columns", max(args.rows) * d)

    A = torch.arange(1.0, 13.0).reshape(4, 3)  # the lecture's case
    v = torch.tensor([1.0, 10.0, 100.0])
    B = by_broadcasting(A, v)
    print("A.shape:", A.shape)
    print("v.shape:", v.shape)
    print("B.shape:", B.shape)
    print("loop and repeat equal B?", B.equal(by_loop(A, v)) and B.equal(by_repeat(A, v)))
    draw_replication(A, v, FIGURES / "broadcasting_matrix_vector.png")

    reuse_freed_memory()
    bandwidth = copy_bandwidth(where, seconds, threads)
    print(f"\nfloat32, {where.type}, threads: {threads}")
    print(
        f"ceiling: a large copy moves {bandwidth / 1e9:.1f} GB/s; what fits in a cache may beat it"
    )
    allowed = torch.finfo(torch.float32).eps / 2
    print(f"error allowed: eps/2 = {allowed:.0e}, one rounding\n")
    print(HEADER)
    results, within = {}, True
    for n in sorted(set(args.rows)):
        torch.manual_seed(0)
        A, v = torch.randn(n, d).to(where), torch.randn(d).to(where)
        B = torch.zeros_like(A)
        variants = {
            "loop": partial(by_loop, A, v),
            "repeat": partial(by_repeat, A, v),
            "broadcast": partial(by_broadcasting, A, v),
            "broadcast, out=B": partial(torch.mul, A, v, out=B),
        }
        results[n, d] = measure(variants, seconds, threads)
        faults = {variant: page_faults(run) for variant, run in variants.items()}
        exact = A.cpu().double() * v.cpu().double()
        for variant, m in results[n, d].items():
            moved = bytes_moved(n, d)[variant]
            error = max_relative_error(variants[variant](), exact)
            within &= error <= allowed
            print_row(f"{n} x {d}", variant, m, moved, bandwidth, error, faults[variant])

    print("\nevery error within the one allowed?", within)
    print(f"\nAt {n} x {d}:")  # n is the largest now
    expanded, repeated = v.expand(n, d), v.repeat(n, 1)
    for call, x in [(f"v.repeat({n}, 1)", repeated), (f"v.expand({n}, {d})", expanded)]:
        print(f"{call}: strides {x.stride()}, allocates {allocated_bytes(x, v):,} bytes")
    times = results[n, d]
    explain(A, v, times, bandwidth, faults["broadcast"], seconds, threads)
    for slow, claim in [("loop", "a loop over rows"), ("repeat", "repeating v")]:
        print(verdict(f"broadcasting is faster than {claim}", times[slow], times["broadcast"]))
    draw_timing(results, bandwidth, faults["broadcast"], FIGURES / "broadcasting_timing.png")
    print("figure: figures/broadcasting_matrix_vector.png")
    print("figure: figures/broadcasting_timing.png")


if __name__ == "__main__":
    main()
