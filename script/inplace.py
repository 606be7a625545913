"""In-place operations: x + y into new memory, into existing memory, and into x itself.

    python script/inplace.py
    python script/inplace.py --device cuda

Times the three, which move the same bytes, counts the page faults of new memory, shows when
in-place is wrong, and draws figures/inplace_allocation.png
"""

import argparse
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.utils.benchmark import Measurement, Timer

try:
    import resource  # not on Windows
except ImportError:
    resource = None

FIGURES = Path(__file__).resolve().parent.parent / "figures"
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"  # Okabe-Ito
SIZES = {  # a GPU needs more work than its launch costs
    "cpu": [1000, 10_000, 100_000, 1_000_000, 10_000_000],
    "cuda": [100_000, 1_000_000, 10_000_000, 40_000_000],
    "mps": [100_000, 1_000_000, 10_000_000, 40_000_000],
}
ROUNDS = 10
ROW = "{:>13} {:<16} {:>11} {:>9} {:>10} {:>11} {:>6} {:>6} {:>6}"
HEADER = ROW.format(
    *("n", "variant", "median (ms)", "IQR (ms)", "moves (MB)", "rate (GB/s)", "share"),
    *("error", "faults"),
)
STYLE = {
    "x + y": {"color": ORANGE, "marker": "s"},
    "add, out=z": {"color": GREEN, "marker": "D"},
    "x.add_(y)": {"color": BLUE, "marker": "o"},
}


def out_of_place(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """x + y, shape (n,), in new memory."""
    return x + y


def into_existing(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """x + y, shape (n,), in the memory of z; what z held is gone."""
    return torch.add(x, y, out=z)


def in_place(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """x + y, shape (n,), in the memory of x; what x held is gone."""
    return x.add_(y)


def show_names_and_memory() -> None:
    """Print what each way does to x, and to another name of the same memory."""
    x, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 20.0, 30.0])
    print("out-of-place:", x + y)
    print("x unchanged:", x)
    alias = x
    x = x + y  # out-of-place: the name x moves on to the new memory, alias stays
    print("after x = x + y, alias:", alias)
    x = alias
    x.add_(y)  # so does x += y
    print("in-place:", x)
    print("after x.add_(y), alias:", alias)


def show_when_in_place_is_wrong() -> None:
    """Print the error of a backward pass that needs a value which is gone.

    The derivative of exp(w) is exp(w) itself, so autograd keeps the result. Sums keep nothing.
    """
    w = torch.zeros(3, requires_grad=True)
    L = w.exp().add_(1).sum()
    try:
        L.backward()
    except RuntimeError as error:
        print("backward failed:", str(error).split(":")[0])
    L = (w + 1).add_(1).sum()
    L.backward()
    print("after a sum in-place is fine, w.grad:", w.grad)


def touch_new_memory(n: int, device: torch.device) -> torch.Tensor:
    """New memory for n float32 with one number written in each 4 KiB: its page faults alone."""
    memory = torch.empty(n, device=device)
    memory[::1024] = 0
    return memory


def bytes_moved(n: int, itemsize: int = 4) -> int:
    """Bytes that each of the three variants reads and writes: two numbers in, one out."""
    return 3 * n * itemsize


def max_relative_error(s: torch.Tensor, exact: torch.Tensor) -> float:
    """max_i |s_i - exact_i| / |exact_i|, exact in float64 on the CPU.

    Each s_i is one sum, rounded once: the error is at most eps/2 of the dtype of s
    (Higham, Accuracy and Stability of Numerical Algorithms, section 2.2).
    """
    return (s.cpu().double() - exact).div_(exact).abs_().max().item()


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
    """Time each variant for about the given seconds.

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

    128 MiB each way, far more than caches hold, into memory that is there already.
    """
    source = torch.ones(2**25, device=device)
    target = torch.ones_like(source)
    m = measure({"copy": lambda: target.copy_(source)}, seconds, threads)["copy"]
    return 2 * source.nbytes / m.median


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
    """The closing line: did fast beat slow, by what ratio of medians, from and to (quartiles)?"""
    low, ratio, high = quartiles(slow) / quartiles(fast)[::-1]
    held = "held here" if low > 1 else "did not hold here"
    return f'claim: "{claim}": {held}, {ratio:.3g}x ({low:.3g}-{high:.3g})'


def explain(
    x: torch.Tensor, z: torch.Tensor, times: dict[str, Measurement], seconds: float, threads: int
) -> None:
    """Print what the bytes predict beside what was measured, and why they differ.

    Two checks: new memory without the sum, and a write over z and over x without the sum.
    """
    ms = {variant: m.median * 1e3 for variant, m in times.items()}
    checks = {
        "pages": partial(touch_new_memory, len(x), x.device),
        "over z": partial(torch.neg, x, out=z),
        "over x": x.neg_,
    }
    alone = {name: m.median * 1e3 for name, m in measure(checks, seconds, threads).items()}
    whys = {
        "x + y": f"x + y takes {ms['x + y'] - ms['add, out=z']:.2g} ms more than add, out=z; "
        f"faulting in as many new pages takes {alone['pages']:.2g} ms",
        "add, out=z": "a cache fetches what it is to overwrite, if it is not there yet; -x takes "
        f"{alone['over z'] / alone['over x']:.2g} times as long over z as over x",
    }
    for slow, why in whys.items():
        print(
            f"predicted: {slow} takes 1 times as long as x.add_(y) (bytes moved); "
            f"measured: {ms[slow] / ms['x.add_(y)']:.2g} times"
        )
        print("why:", why)


def draw_timing(
    results: dict[int, dict[str, Measurement]], bandwidth: float, outpath: Path
) -> None:
    """Draw the time per element of each variant over n, beside what memory allows."""
    fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    counts = list(results)
    for variant, style in STYLE.items():
        measured = [by_variant[variant] for by_variant in results.values()]
        low, middle, high = np.transpose([quartiles(m) for m in measured]) / counts * 1e9
        spread = [middle - low, high - middle]
        ax.errorbar(counts, middle, spread, label=variant, capsize=4, **style)
    floor = [bytes_moved(n) / bandwidth / n * 1e9 for n in counts]
    ax.plot(counts, floor, color="0.6", zorder=0, label="at the speed of a large copy")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("numbers in $x$, $n$")
    ax.set_ylabel("time per number (ns)")
    ax.grid(alpha=0.3)
    fig.legend(loc="outside lower center", ncols=4, frameon=False)
    n, last = list(results.items())[-1]
    new, existing = (last[name].median / last["x.add_(y)"].median for name in list(STYLE)[:2])
    ax.set_title(
        f"n = {n:,}: new memory takes {new:.2g} times, existing memory {existing:.2g} times "
        "as long as in-place",
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


def positive_float(text: str) -> float:
    """A finite number above 0. Raises ArgumentTypeError if text is none."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text}")
    return number


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="x + y into new memory, into existing memory, and into x itself.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--device", type=device, default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--threads", type=positive_int, default=1, help="threads on the CPU")
    parser.add_argument(
        "--sizes",
        type=positive_int,
        nargs="+",
        default=argparse.SUPPRESS,
        help="numbers n in x (default: 1000 to 10000000, on a GPU 100000 to 40000000)",
    )
    parser.add_argument(
        "--seconds", type=positive_float, default=0.1, help="time of each measurement in seconds"
    )
    args = parser.parse_args(argv)
    where, seconds, threads = args.device, args.seconds, args.threads
    sizes = getattr(args, "sizes", SIZES[where.type])

    show_names_and_memory()
    show_when_in_place_is_wrong()

    reuse_freed_memory()
    bandwidth = copy_bandwidth(where, seconds, threads)
    print(f"\nfloat32, {where.type}, threads: {threads}")
    print(
        f"ceiling: a large copy moves {bandwidth / 1e9:.1f} GB/s; what fits in a cache may beat it"
    )
    print(f"error allowed: eps/2 = {torch.finfo(torch.float32).eps / 2:.0e}, one rounding\n")
    print(HEADER)
    results = {}
    for n in sorted(set(sizes)):
        torch.manual_seed(0)
        x, y = torch.randn(n).to(where), torch.randn(n).to(where)
        z = torch.zeros_like(x)
        exact = x.cpu().double() + y.cpu().double()
        variants = {
            "x + y": partial(out_of_place, x, y),
            "add, out=z": partial(into_existing, x, y, z),
            "x.add_(y)": partial(in_place, x, y),
        }
        errors = {name: max_relative_error(run(), exact) for name, run in variants.items()}
        del exact
        results[n] = measure(variants, seconds, threads)
        for variant, m in results[n].items():
            faults = page_faults(variants[variant])
            print_row(f"{n:,}", variant, m, bytes_moved(n), bandwidth, errors[variant], faults)

    print(f"\nAt n = {n:,}:")  # n is the largest now
    times = results[n]
    explain(x, z, times, seconds, threads)
    print(verdict("x.add_(y) is faster than x + y", times["x + y"], times["x.add_(y)"]))
    draw_timing(results, bandwidth, FIGURES / "inplace_allocation.png")
    print("figure: figures/inplace_allocation.png")


if __name__ == "__main__":
    main()
