"""In-place operations: x + y into new memory, into existing memory, and into x itself.

    python script/inplace.py
    python script/inplace.py --device cuda

Times the three, which move the same bytes, counts the page faults of new memory, shows when
in-place is wrong, and draws figures/inplace_allocation.png
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
from matplotlib.ticker import LogLocator
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
    size = exact.abs().clamp_min(torch.finfo(exact.dtype).tiny)  # where exact is 0, so must s be
    return (s.cpu().double() - exact).div_(size).abs_().max().item()


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
    x: torch.Tensor,
    z: torch.Tensor,
    times: dict[str, Measurement],
    faults: float,
    seconds: float,
    threads: int,
) -> None:
    """Print what the bytes predict beside what was measured, and why they differ.

    Three checks: new memory without the sum, a write over z and over x without the sum, and a
    call that has next to nothing to do. faults are those of a call of x + y.
    """
    ms = {variant: m.median * 1e3 for variant, m in times.items()}
    checks = {
        "pages": partial(touch_new_memory, len(x), x.device),
        "over z": partial(torch.neg, x, out=z),
        "over x": x.neg_,
        "call": x[:1].neg_,
    }
    alone = {name: m.median * 1e3 for name, m in measure(checks, seconds, threads).items()}
    more = f"x + y takes {ms['x + y'] - ms['add, out=z']:.2g} ms more than add, out=z; "
    if faults < 10:
        new_memory = more + "its memory was freed before, and causes no page faults"
    else:  # or this system does not count them
        new_memory = more + f"to touch as much new memory takes {alone['pages']:.2g} ms"
    over_z = alone["over z"] / alone["over x"]
    overwriting = f"-x takes {over_z:.2g} times as long over z as over x"
    if alone["call"] > alone["over x"] / 2:
        overwriting += f", most of it a call, {alone['call'] * 1e3:.2g} us even for one number"
    elif over_z > 1.1 and x.device.type == "cpu":
        overwriting += (
            ": a cache fetches what it is to overwrite, if it is not there yet, and has less room "
            "for x and z than for x"
        )
    whys = {"x + y": new_memory, "add, out=z": overwriting}
    for slow, why in whys.items():
        print(
            f"predicted: {slow} takes 1 times as long as x.add_(y) (bytes moved); "
            f"measured: {ms[slow] / ms['x.add_(y)']:.2g} times"
        )
        print("why:", why)


def draw_timing(
    results: dict[int, dict[str, Measurement]], bandwidth: float, faults: float, outpath: Path
) -> None:
    """Draw the time per number of each variant over n, beside the speed of a large copy.

    faults are those of a call of x + y at the largest n.
    """
    fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    counts = list(results)
    for variant, style in STYLE.items():
        measured = [by_variant[variant] for by_variant in results.values()]
        low, middle, high = np.transpose([quartiles(m) for m in measured]) / counts * 1e9
        spread = [(middle - low).tolist(), (high - middle).tolist()]
        ax.errorbar(counts, middle, spread, label=variant, capsize=4, **style)
    floor = [bytes_moved(n) / bandwidth / n * 1e9 for n in counts]
    ax.plot(counts, floor, color="0.6", zorder=0, label="12 bytes at the speed of a large copy")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("")
    ax.set_xlabel("numbers in $x$, $n$")
    ax.set_ylabel("time per number (ns)")
    ax.grid(alpha=0.3)
    fig.legend(loc="outside lower center", ncols=4, frameon=False)
    n, last = list(results.items())[-1]
    if faults >= 1:
        top = (n, last["x + y"].median / n * 1e9)
        label = f"{faults:,.0f} page faults a call"
        aside = {"xytext": (-10, 0), "textcoords": "offset points", "ha": "right", "va": "center"}
        ax.annotate(label, top, color="#8A5F00", **aside)
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
        description="x + y into new memory, into existing memory, and into x itself.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--device", type=device, default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--threads", type=thread_count, default=1, help="threads on the CPU")
    parser.add_argument(
        "--sizes",
        type=positive_int,
        nargs="+",
        default=argparse.SUPPRESS,
        help="numbers n in x (default: 1000 to 10000000, on a GPU 100000 to 40000000)",
    )
    parser.add_argument(
        "--seconds",
        type=duration,
        default=0.1,
        help=f"time of each measurement in seconds, with {ROUNDS} calls at least",
    )
    args = parser.parse_args(argv)
    where, seconds, threads = args.device, args.seconds, args.threads
    sizes = getattr(args, "sizes", SIZES[where.type])
    check_size(parser, "--sizes", max(sizes))

    show_names_and_memory()
    show_when_in_place_is_wrong()

    reuse_freed_memory()
    bandwidth = copy_bandwidth(where, seconds, threads)
    print(f"\nfloat32, {where.type}, threads: {threads}")
    print(
        f"ceiling: a large copy moves {bandwidth / 1e9:.1f} GB/s; "
        "in-place, and what fits in a cache, may beat it"
    )
    allowed = torch.finfo(torch.float32).eps / 2
    print(f"error allowed: eps/2 = {allowed:.0e}, one rounding\n")
    print(HEADER)
    results, within = {}, True
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
        faults = {variant: page_faults(run) for variant, run in variants.items()}
        for variant, m in results[n].items():
            error = errors[variant]
            within &= error <= allowed
            print_row(f"{n:,}", variant, m, bytes_moved(n), bandwidth, error, faults[variant])

    print("\nevery error within the one allowed?", within)
    print(f"\nAt n = {n:,}:")  # n is the largest now
    times = results[n]
    explain(x, z, times, faults["x + y"], seconds, threads)
    print(verdict("x.add_(y) is faster than x + y", times["x + y"], times["x.add_(y)"]))
    draw_timing(results, bandwidth, faults["x + y"], FIGURES / "inplace_allocation.png")
    print("figure: figures/inplace_allocation.png")


if __name__ == "__main__":
    main()
