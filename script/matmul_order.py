"""Matrix products in two orders: (AB)C against A(BC), the same matrix at different cost.

    python script/matmul_order.py
    python script/matmul_order.py --device cuda

Times the orders against the multiply-adds they need and draws
figures/matmul_associativity_cost.png and figures/matmul_order_timing.png
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

FIGURES = Path(__file__).resolve().parent.parent / "figures"
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"  # Okabe-Ito
N = {"cpu": 512, "cuda": 4096, "mps": 2048}  # a GPU needs more work than its launch costs
LARGE = {"cpu": 1024, "cuda": 8192, "mps": 4096}  # n of the product that measures the ceiling
ROUNDS = 10
ROW = "{:>13} {:<16} {:>11} {:>9} {:>10} {:>11} {:>6} {:>6}"
HEADER = ROW.format(
    *("p", "variant", "median (ms)", "IQR (ms)", "does (M)", "rate (G/s)", "share", "error")
)
STYLE = {
    "(A @ B) @ C": {"color": BLUE, "marker": "o"},
    "A @ (B @ C)": {"color": ORANGE, "marker": "s"},
    "multi_dot": {"color": GREEN, "marker": "D", "linestyle": "", "fillstyle": "none", "ms": 11},
}


def left_first(A: torch.Tensor, B: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
    """(AB)C, shape (m, q), of A (m, n), B (n, p) and C (p, q), by way of AB, shape (m, p)."""
    return (A @ B) @ C


def right_first(A: torch.Tensor, B: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
    """A(BC), shape (m, q), of A (m, n), B (n, p) and C (p, q), by way of BC, shape (n, q)."""
    return A @ (B @ C)


def multiply_adds(m: int, n: int, p: int, q: int) -> dict[str, int]:
    """Multiply-adds of each variant for A (m, n), B (n, p) and C (p, q).

    Each entry of a product takes as many as its sum has terms. multi_dot takes the cheaper order.
    """
    left, right = m * n * p + m * p * q, n * p * q + m * n * q
    return {"(A @ B) @ C": left, "A @ (B @ C)": right, "multi_dot": min(left, right)}


def max_relative_error(D: torch.Tensor, exact: torch.Tensor) -> float:
    """max_ij |D_ij - exact_ij| / max_ij |exact_ij|: any device against float64 on the CPU."""
    return ((D.cpu().double() - exact).abs().max() / exact.abs().max()).item()


def allowed_error(A: torch.Tensor, B: torch.Tensor, C: torch.Tensor) -> float:
    """Largest max_relative_error of a float32 product ABC in either order, all of them float64.

    |error| <= k u / (1 - k u) |A||B||C| entry by entry, with k = n + p terms added in any order
    and u = eps/2 (Higham, Accuracy and Stability, 3.5).
    """
    ku = sum(B.shape) * torch.finfo(torch.float32).eps / 2
    return (ku / (1 - ku) * (A.abs() @ B.abs() @ C.abs()).max() / (A @ B @ C).abs().max()).item()


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


def matmul_rate(device: torch.device, seconds: float, threads: int) -> float:
    """The ceiling of arithmetic: multiply-adds per second of a large square float32 product.

    The best of several, into memory that is there already.
    """
    n = LARGE[device.type]
    A = torch.randn(n, n, device=device)
    product = {"A": A, "C": torch.zeros_like(A)}
    timer = Timer("torch.matmul(A, A, out=C)", globals=product, num_threads=threads)
    return n**3 / min(timer.blocked_autorange(min_run_time=seconds).times)


def print_row(
    size: str, variant: str, m: Measurement, does: int, ceiling: float, error: float
) -> None:
    """Print a row of the table: does in multiply-adds, ceiling in multiply-adds per second."""
    rate = does / m.median
    print(
        ROW.format(
            size,
            variant,
            f"{m.median * 1e3:.4g}",
            f"{m.iqr * 1e3:.2g}",
            f"{does / 1e6:.4g}",
            f"{rate / 1e9:.3g}",
            f"{rate / ceiling:.0%}",
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
    B: torch.Tensor,
    C: torch.Tensor,
    times: dict[str, Measurement],
    ceiling: float,
    seconds: float,
    threads: int,
) -> None:
    """Print how the orders agree, and what their multiply-adds predict beside the measured times.

    Checks say why the two differ; ceiling in multiply-adds per second.
    """
    (m, n), (p, q) = A.shape, C.shape
    left, right = left_first(A, B, C), right_first(A, B, C)
    print(
        f"A @ B @ C goes from left to right: equal to (A @ B) @ C? {torch.equal(A @ B @ C, left)}"
    )
    print(
        f"the orders differ by rounding: {(left - right).abs().max():.0e} at most, "
        f"{max_relative_error(left, right.cpu().double()):.0e} of the largest entry (allowed for "
        f"each order: {allowed_error(*(X.cpu().double() for X in (A, B, C))):.0e} of it)"
    )
    print("multiply-adds of (AB)C: mnp + mpq, of A(BC): npq + mnq")
    does = multiply_adds(m, n, p, q)
    medians = {variant: found.median for variant, found in times.items()}
    predicted, measured = (x["A @ (B @ C)"] / x["(A @ B) @ C"] for x in (does, medians))
    print(
        f"predicted: A @ (B @ C) takes {predicted:.3g} times as long as (A @ B) @ C "
        f"(multiply-adds); measured: {measured:.2g} times"
    )
    AB, BC = A @ B, B @ C
    steps = {
        "A @ B": (partial(torch.matmul, A, B), m * n * p),
        "AB @ C": (partial(torch.matmul, AB, C), m * p * q),
        "B @ C": (partial(torch.matmul, B, C), n * p * q),
        "A @ BC": (partial(torch.matmul, A, BC), m * n * q),
        "column-major": (partial(torch.matmul, A, B.t().contiguous().t()), m * n * p),
        "wide": (partial(torch.matmul, A, torch.cat([B, B], dim=1)), m * n * 2 * p),
        "call": (partial(torch.matmul, A[:1, :1], B[:1, :1]), 1),
    }
    runs = {name: run for name, (run, _) in steps.items()}
    step = {name: found.median for name, found in measure(runs, seconds, threads).items()}
    share = {name: count / step[name] / ceiling for name, (_, count) in steps.items()}
    print(
        "why: shares of the ceiling: "
        + ", ".join(f"{name} {share[name]:.0%}" for name in list(steps)[:4])
    )
    column_major, wide = (step[name] / step["A @ B"] for name in ("column-major", "wide"))
    if step["call"] > step["A @ B"] / 2:
        print(f"why: a call takes {step['call'] * 1e6:.2g} us even for 1 x 1")
    elif min(column_major, wide) < 0.8:
        print(
            "why: a product so thin gets a slow path of the library: with B column-major A @ B "
            f"takes {column_major:.2g} times as long, with twice the columns {wide:.2g} times"
        )
    elif share["A @ B"] < 0.6:
        scarce = "A" if p <= m else "B"
        print(f"why: A @ B does only {min(m, p)} multiply-adds for each number of {scarce}")
    print(
        f"multi_dot finds the cheaper order: {medians['multi_dot'] / medians['(A @ B) @ C']:.2g} "
        "times the time of (A @ B) @ C"
    )


def draw_orders(m: int, n: int, p: int, q: int, outpath: Path) -> None:
    """Draw the two products of each order, every matrix to scale, with their multiply-adds."""
    fig, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
    ax.set_aspect("equal")
    ax.axis("off")
    side = max(m, n, p, q)  # the length 1 of the drawing
    room = 0.6  # for the label of a thin matrix
    shapes = {"A": (m, n), "B": (n, p), "C": (p, q), "AB": (m, p), "BC": (n, q), "ABC": (m, q)}
    colors = {"AB": ORANGE, "BC": ORANGE, "ABC": GREEN}

    def product(left: float, middle: float, names: list[str]) -> float:
        """Draw the names X, Y, Z as X Y = Z from left on, and return where they end."""
        start = left
        for name, sign in zip(names, [r"$\cdot$", "$=$", ""]):
            rows, columns = shapes[name]
            height, width = rows / side, columns / side
            cell = max(width, room)
            corner = (left + (cell - width) / 2, middle - height / 2)
            box = Rectangle(corner, width, height, facecolor=colors.get(name, BLUE), linewidth=0)
            box.set_snap(False)  # a thin matrix keeps its width, whatever pixels it falls on
            ax.add_patch(box)
            center = left + cell / 2
            ax.text(center, middle + 0.62, f"${name}$", ha="center", va="center", fontsize=12)
            ax.text(center, middle - 0.62, f"{rows} x {columns}", ha="center", va="center")
            left += cell
            if sign:
                ax.text(left + 0.19, middle, sign, ha="center", va="center", fontsize=16)
                left += 0.38
        (rows, terms), (_, columns) = shapes[names[0]], shapes[names[1]]
        count = f"{rows * columns * terms:,} multiply-adds"
        ax.text((start + left) / 2, middle - 0.88, count, ha="center", va="center")
        return left

    ends = []
    for middle, order, first, second in [
        (2.1, "$(AB)C$", ["A", "B", "AB"], ["AB", "C", "ABC"]),
        (0.0, "$A(BC)$", ["B", "C", "BC"], ["A", "BC", "ABC"]),
    ]:
        ax.text(0, middle, order, ha="center", va="center", fontsize=16)
        end = product(0.55, middle, first)
        ax.text(end + 0.3, middle, "then", ha="center", va="center")
        ends.append(product(end + 0.6, middle, second))
    ax.set_xlim(-0.4, max(ends) + 0.1)
    ax.set_ylim(-1.05, 2.9)
    does = multiply_adds(m, n, p, q)
    left, right = does["(A @ B) @ C"], does["A @ (B @ C)"]
    fig.suptitle(
        f"$(AB)C$ takes {left:,} multiply-adds, $A(BC)$ {right / left:.3g} times as many:\n"
        f"$AB$ has {m * p:,} entries, $BC$ has {n * q:,}"
    )
    outpath.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(outpath, dpi=200)
    plt.close(fig)


def draw_timing(
    results: dict[int, dict[str, Measurement]], n: int, p: int, ceiling: float, outpath: Path
) -> None:
    """Draw the times over the inner size, and the ratio of the orders, beside the prediction.

    All other sizes are n; the title tells the ratio at p; ceiling in multiply-adds per second.
    """
    fig, (ax, ratio_ax) = plt.subplots(1, 2, figsize=(8, 4.6), layout="constrained")
    ps = list(results)
    does = [multiply_adds(n, n, size, n) for size in ps]
    for variant, style in STYLE.items():
        measured = [by_variant[variant] for by_variant in results.values()]
        low, middle, high = np.transpose([quartiles(m) for m in measured]) * 1e3
        spread = [(middle - low).tolist(), (high - middle).tolist()]
        ax.errorbar(ps, middle, spread, label=variant, capsize=4, **style)
        if variant != "multi_dot":
            floor = [by_variant[variant] / ceiling * 1e3 for by_variant in does]
            label = "multiply-adds at the ceiling's rate"
            label = None if variant == "A @ (B @ C)" else label
            ax.plot(ps, floor, color="0.6", zorder=0, label=label)
    ax.set_ylabel("time (ms)")

    right, left = "A @ (B @ C)", "(A @ B) @ C"
    spreads = [quartiles(times[right]) / quartiles(times[left])[::-1] for times in results.values()]
    low, ratio, high = np.transpose(spreads)
    spread = [(ratio - low).tolist(), (high - ratio).tolist()]
    ratio_ax.errorbar(ps, ratio, spread, color="black", marker="o", capsize=4, label="time")
    predicted = [by_variant[right] / by_variant[left] for by_variant in does]
    ratio_ax.plot(ps, predicted, color="0.6", zorder=0, label="multiply-adds")
    ratio_ax.set_ylabel("$A(BC)$ to $(AB)C$ (ratio)")
    for axes in (ax, ratio_ax):
        axes.set_xscale("log")
        axes.set_yscale("log")
        gaps = np.diff(np.log(ps))
        roomy = len(ps) == 1 or gaps.min() > 0.1 * gaps.sum()
        axes.set_xticks(ps if roomy else [ps[0], ps[-1]])
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.minorticks_off()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
        axes.set_xlabel("inner size $p$")
        axes.grid(alpha=0.3)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), frameon=False)
    at = ps.index(p)
    fig.suptitle(
        f"$n = {n}$, $p = {p}$: $A(BC)$ takes {ratio[at]:.2g} times as long as $(AB)C$\n"
        f"for {predicted[at]:.3g} times the multiply-adds"
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
        description="(AB)C against A(BC): A is n x n, B is n x p, C is p x n.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--device", type=device, default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--threads", type=thread_count, default=1, help="threads on the CPU")
    parser.add_argument(
        "--n",
        type=positive_int,
        default=argparse.SUPPRESS,
        help="outer sizes (default: 512, on cuda 4096, on mps 2048)",
    )
    parser.add_argument("--p", type=positive_int, default=8, help="inner size of the claim")
    parser.add_argument(
        "--sweep",
        type=positive_int,
        nargs="+",
        default=[2, 8, 32, 128, 512],
        help="inner sizes to time as well",
    )
    parser.add_argument(
        "--seconds",
        type=duration,
        default=0.15,
        help=f"time of each measurement in seconds, with {ROUNDS} calls at least",
    )
    args = parser.parse_args(argv)
    where, seconds, threads = args.device, args.seconds, args.threads
    n = getattr(args, "n", N[where.type])
    p = max(args.p, *args.sweep)
    check_size(parser, "--n" if n > p else "--p" if p == args.p else "--sweep", n * max(n, p))

    draw_orders(n, n, args.p, n, FIGURES / "matmul_associativity_cost.png")
    print(f"A is {n} x {n}, B is {n} x p, C is p x {n}.")
    ceiling = matmul_rate(where, seconds, threads)
    print(f"\nfloat32, {where.type}, threads: {threads}")
    print(
        f"ceiling: a product of {LARGE[where.type]} x {LARGE[where.type]} matrices does at best "
        f"{ceiling / 1e9:.1f} G multiply-adds a second\n"
    )
    print(HEADER)
    results, within = {}, True
    for p in sorted({args.p, *args.sweep}):
        torch.manual_seed(0)
        factors = torch.randn(n, n), torch.randn(n, p), torch.randn(p, n)
        exact = torch.linalg.multi_dot([X.double() for X in factors])
        allowed = allowed_error(*(X.double() for X in factors))
        factors = tuple(X.to(where) for X in factors)
        runs = {
            "(A @ B) @ C": partial(left_first, *factors),
            "A @ (B @ C)": partial(right_first, *factors),
            "multi_dot": partial(torch.linalg.multi_dot, factors),
        }
        results[p] = measure(runs, seconds, threads)
        does = multiply_adds(n, n, p, n)
        for variant, times in results[p].items():
            error = max_relative_error(runs[variant](), exact)
            within &= error <= allowed
            print_row(str(p), variant, times, does[variant], ceiling, error)
        if p == args.p:
            claimed = factors

    print("\nevery error within the one allowed?", within)
    print(f"\nAt p = {args.p}:")
    explain(*claimed, results[args.p], ceiling, seconds, threads)
    claim = "(AB)C is faster than A(BC)"
    print(verdict(claim, results[args.p]["A @ (B @ C)"], results[args.p]["(A @ B) @ C"]))
    draw_timing(results, n, args.p, ceiling, FIGURES / "matmul_order_timing.png")
    print("figure: figures/matmul_associativity_cost.png")
    print("figure: figures/matmul_order_timing.png")


if __name__ == "__main__":
    main()
