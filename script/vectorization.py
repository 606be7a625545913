"""Vectorization: the sum of w_i^2 by a Python loop, by torch.sum(w * w), and in one pass.

    python script/vectorization.py               # the loop takes 3 to 20 seconds
    python script/vectorization.py --device cuda

Times the three, shows which is accurate, and draws figures/vectorization_timing.png
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.utils.benchmark import Measurement, TaskSpec, Timer

try:
    import resource  # not on Windows
except ImportError:
    resource = None

FIGURES = Path(__file__).resolve().parent.parent / "figures"
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"  # Okabe-Ito
SIZES = {  # a GPU needs more work than its launch costs
    "cpu": [1000, 10_000, 100_000, 1_000_000, 5_000_000],
    "cuda": [10_000, 100_000, 1_000_000, 5_000_000, 40_000_000],
    "mps": [10_000, 100_000, 1_000_000, 5_000_000, 40_000_000],
}
LOOP = {"cpu": 5_000_000, "cuda": 100_000, "mps": 100_000}  # fetching a number from a GPU is slow
ROUNDS = 10
ROW = "{:>13} {:<16} {:>11} {:>9} {:>10} {:>11} {:>6} {:>6}"
HEADER = ROW.format(
    *("n", "variant", "median (ms)", "IQR (ms)", "moves (MB)", "rate (GB/s)", "share", "error")
)
STYLE = {
    "loop": {"color": ORANGE, "marker": "s"},
    "sum(w * w)": {"color": GREEN, "marker": "D"},
    "dot(w, w)": {"color": BLUE, "marker": "o"},
}


def sum_of_squares_loop(w: torch.Tensor, start: int = 0, total: float = 0.0) -> float:
    """Sum of squares of w, shape (n,), number by number, in Python's float64.

    With start and total, the sum of squares of w[:start], it goes on from there. It shows on
    stderr how far it is.
    """
    for i in range(start, len(w)):
        total += w[i].item() ** 2
        if (i + 1) % 500_000 == 0:
            print(f"loop: {i + 1:,} of {len(w):,} numbers", file=sys.stderr, flush=True)
    return total


def sum_of_squares(w: torch.Tensor) -> torch.Tensor:
    """Sum of squares of w, shape (n,), with the squares written to memory in between."""
    return torch.sum(w * w)


def sum_of_squares_fused(w: torch.Tensor) -> torch.Tensor:
    """Sum of squares of w, shape (n,), in one pass over memory."""
    return torch.dot(w, w)


def sum_of_squares_existing(w: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Sum of squares of w, shape (n,), with the squares written to the memory of z."""
    return torch.sum(torch.mul(w, w, out=z))


def bytes_moved(n: int, itemsize: int = 4) -> dict[str, int]:
    """Bytes that each variant reads and writes.

    The loop and dot read w once; w * w writes as much again, and sum reads that.
    """
    elements = {"loop": n, "sum(w * w)": 3 * n + 1, "dot(w, w)": n + 1}
    return {variant: itemsize * count for variant, count in elements.items()}


def relative_error(total: float, exact: float) -> float:
    """|total - exact| / exact."""
    return abs(total - exact) / exact


def allowed_error(n: int) -> float:
    """Largest relative error of a float32 sum of n squares, added in any order: n eps/2.

    Source: Jeannerod and Rump, Improved Error Bounds for Inner Products, 2013.
    """
    return n * torch.finfo(torch.float32).eps / 2


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


def measured_once(seconds: float) -> Measurement:
    """The one time of the loop, as a Measurement without spread."""
    return Measurement(1, [seconds], TaskSpec("sum_of_squares_loop(w)", setup="pass"))


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
            f"{m.iqr * 1e3:.2g}" if len(m.times) > 1 else "once",
            f"{moved / 1e6:.4g}",
            f"{rate / 1e9:.3g}",
            f"{rate / bandwidth:.0%}",
            f"{error:.0e}",
        ),
        flush=True,
    )


def readable(ratio: float) -> str:
    """ratio to three digits, without an exponent: 1.66 or 8,580."""
    return f"{float(f'{ratio:.3g}'):,g}"


def verdict(claim: str, slow: Measurement, fast: Measurement) -> str:
    """The closing line: did fast beat slow, by what ratio of medians, from and to (quartiles)?

    Where the quartiles overlap, neither answer is given.
    """
    low, ratio, high = quartiles(slow) / quartiles(fast)[::-1]
    held = "held here" if low > 1 else "did not hold here" if high < 1 else "not decided here"
    spread = f"{readable(low)}-{readable(high)}"
    return f'claim: "{claim}": {held}, {readable(ratio)}x ({spread})'


def explain_times(
    w: torch.Tensor, results: dict[int, dict[str, Measurement]], seconds: float, threads: int
) -> None:
    """Print what the bytes predict beside what was measured, and why they differ."""
    looped = [n for n, times in results.items() if "loop" in times]
    few, many, n = looped[0], looped[-1], len(w)
    for size, slow in [(many, "loop"), (n, "sum(w * w)")]:
        times, moved = results[size], bytes_moved(size)
        print(
            f"predicted: {slow} takes {moved[slow] / moved['dot(w, w)']:.2g} times as long as "
            f"dot(w, w) (bytes moved); measured at n = {size:,}: "
            f"{readable(times[slow].median / times['dot(w, w)'].median)} times"
        )
        if slow == "loop":
            turns = [
                f"{results[k]['loop'].median / k * 1e6:.2g} us at n = {k:,}"
                for k in sorted({few, many})
            ]
            print("why: a turn of the loop takes", " and ".join(turns))
    runs = {
        "existing": partial(sum_of_squares_existing, w, torch.zeros_like(w)),
        "dot": partial(sum_of_squares_fused, w),
        "read": partial(torch.sum, w),
        "call": partial(sum_of_squares_fused, w[:1]),
    }
    took = {name: m.median for name, m in measure(runs, seconds, threads).items()}
    faults = page_faults(partial(sum_of_squares, w))
    if faults >= 10:
        print(
            f"why: w * w takes new memory, {faults:.0f} page faults a call; into memory that is "
            f"there the two passes take {took['existing'] / took['dot']:.2g} times as long"
        )
    if took["call"] > took["dot"] / 2:
        reason = f"a call takes {took['call'] * 1e3:.2g} ms even for one number"
    elif took["read"] < 0.8 * took["dot"]:
        reason = "adding holds dot back"
    elif took["dot"] < 0.8 * took["read"]:
        reason = "adding holds sum back"
    else:
        reason = "they take as long"
    dot, read = (f"{took[name] * 1e3:.2g} ms" for name in ("dot", "read"))
    print(f"why: dot(w, w) takes {dot}, torch.sum(w) {read} for the same bytes: {reason}")


def explain_errors(w: torch.Tensor, exact: float) -> None:
    """Print what float32 makes of the sum of squares of w, and why the order of adding matters.

    A running sum of n terms errs by up to n eps/2, by about sqrt(n) eps/2 if roundings are random
    (Higham and Mary, A New Approach to Probabilistic Rounding Error Analysis, 2019); a sum of
    sums of pairs by up to log2(n) eps/2 (Higham, Accuracy and Stability, 4.2).
    """
    n, u = len(w), torch.finfo(torch.float32).eps / 2
    in_pieces = torch.stack([torch.dot(piece, piece) for piece in w.split(4096)]).sum()
    print(f"float64: {exact:.2f}")
    for name, total in [
        ("sum(w * w)", sum_of_squares(w)),
        ("dot(w, w)", sum_of_squares_fused(w)),
        ("dot of pieces of 4096, summed", in_pieces),
    ]:
        print(f"{name}: {total:.2f}, error {relative_error(total.item(), exact):.0e}")
    print(
        f"why: a running sum errs by about sqrt(n) eps/2 = {math.sqrt(n) * u:.0e}, "
        f"a sum of sums of pairs by log2(n) eps/2 = {math.log2(n) * u:.0e} at most"
    )


def draw_timing(
    results: dict[int, dict[str, Measurement]], bandwidth: float, outpath: Path
) -> None:
    """Draw the time per number of each variant over n, beside the speed of a large copy."""
    fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for variant, style in STYLE.items():
        counts = [n for n, times in results.items() if variant in times]
        measured = [results[n][variant] for n in counts]
        low, middle, high = np.transpose([quartiles(m) for m in measured]) / counts * 1e9
        spread = [(middle - low).tolist(), (high - middle).tolist()]
        ax.errorbar(counts, middle, spread, label=variant, capsize=4, **style)
    counts = list(results)
    floor = [bytes_moved(n)["dot(w, w)"] / bandwidth / n * 1e9 for n in counts]
    ax.plot(counts, floor, color="0.6", zorder=0, label="one pass at the speed of a large copy")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("numbers in $w$, $n$")
    ax.set_ylabel("time per number (ns)")
    ax.grid(alpha=0.3)
    fig.legend(loc="outside lower center", ncols=4, frameon=False)
    n = counts[-1]
    many = [k for k in counts if "loop" in results[k]][-1]
    loop = results[many]["loop"].median / results[many]["dot(w, w)"].median
    two_passes = results[n]["sum(w * w)"].median / results[n]["dot(w, w)"].median
    where = f" (n = {many:,})" if many < n else ""
    ax.set_title(
        f"A loop takes {readable(loop)} times as long as dot(w, w){where}, "
        f"sum(w * w) {two_passes:.2g} times (n = {n:,})",
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
        description="The sum of w_i^2 by a Python loop, by torch.sum(w * w), and in one pass.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--device", type=device, default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--threads", type=thread_count, default=1, help="threads on the CPU")
    parser.add_argument(
        "--sizes",
        type=positive_int,
        nargs="+",
        default=argparse.SUPPRESS,
        help="numbers n in w (default: 1000 to 5000000, on a GPU 10000 to 40000000)",
    )
    parser.add_argument(
        "--loop",
        type=positive_int,
        default=argparse.SUPPRESS,
        help="largest n for the loop (default: 5000000, on a GPU 100000, or the smallest size)",
    )
    parser.add_argument(
        "--seconds",
        type=duration,
        default=0.1,
        help=f"time of each measurement in seconds, with {ROUNDS} calls at least",
    )
    args = parser.parse_args(argv)
    where, seconds, threads = args.device, args.seconds, args.threads
    sizes = sorted(set(getattr(args, "sizes", SIZES[where.type])))
    check_size(parser, "--sizes", sizes[-1])
    largest_loop = getattr(args, "loop", max(LOOP[where.type], sizes[0]))
    if largest_loop < sizes[0]:
        parser.error(f"argument --loop: must be at least the smallest size, {sizes[0]}")

    torch.set_num_threads(threads)  # for the values too: threads change the order of additions
    torch.manual_seed(0)
    w = torch.randn(sizes[-1]).to(where)
    reuse_freed_memory()
    bandwidth = copy_bandwidth(where, seconds, threads)
    print(f"float32, {where.type}, threads: {threads}")
    print(
        f"ceiling: a large copy moves {bandwidth / 1e9:.1f} GB/s; "
        "reading alone, and what fits in a cache, may beat it"
    )
    allowed = allowed_error(sizes[-1])
    print(f"error allowed: n eps/2 in any order of adding, {allowed:.0e} at n = {sizes[-1]:,}\n")
    sum_of_squares_loop(w[:100])  # warm-up
    print(HEADER)
    results, within = {}, True
    looped, total, elapsed = 0, 0.0, 0.0
    for n in sizes:
        part = w[:n]
        exact = part.cpu().double().square().sum().item()
        totals, results[n] = {}, {}
        if n <= largest_loop:  # the loop goes on from the size before
            begin = time.perf_counter()
            total = sum_of_squares_loop(part, looped, total)
            elapsed += time.perf_counter() - begin
            looped, totals["loop"], results[n]["loop"] = n, total, measured_once(elapsed)
        variants = {
            "sum(w * w)": partial(sum_of_squares, part),
            "dot(w, w)": partial(sum_of_squares_fused, part),
        }
        results[n] |= measure(variants, seconds, threads)
        totals |= {variant: run().item() for variant, run in variants.items()}
        for variant, m in results[n].items():
            moved, error = bytes_moved(n)[variant], relative_error(totals[variant], exact)
            within &= error <= allowed_error(n)
            print_row(f"{n:,}", variant, m, moved, bandwidth, error)

    print("\nevery error within the one allowed?", within, end="\n\n")
    explain_times(w, results, seconds, threads)
    print(f"\nAt n = {n:,}:")
    explain_errors(w, exact)
    for size, slow, claim in [
        (looped, "loop", "vectorized code is faster than a Python loop"),
        (n, "sum(w * w)", "one fused pass is faster than two"),
    ]:
        claim = f"{claim}, n = {size:,}"
        print(verdict(claim, results[size][slow], results[size]["dot(w, w)"]))
    draw_timing(results, bandwidth, FIGURES / "vectorization_timing.png")
    print("figure: figures/vectorization_timing.png")


if __name__ == "__main__":
    main()
