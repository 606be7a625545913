"""Devices: where tensors live, how to move them, and what an accelerator gains.

    python script/devices.py                  # every device of this machine
    python script/devices.py --device cpu     # the CPU alone
    python script/devices.py --device cuda    # the CPU and this accelerator

Times square products on each device, the way there and back apart, and draws
figures/devices_matmul.png
"""

import argparse
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.utils.benchmark import Measurement, Timer

FIGURES = Path(__file__).resolve().parent.parent / "figures"
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"  # Okabe-Ito
LARGE = {"cpu": 1024, "cuda": 8192, "mps": 4096}  # n of the product that measures the ceiling
WAIT = {"cpu": 512, "cuda": 4096, "mps": 2048}  # n of the product that the clock waits for
DTYPES = ("float16", "bfloat16", "float32", "float64", "int32", "int64", "bool")
ROUNDS = 10
ROW = "{:>13} {:<16} {:>11} {:>9} {:>10} {:>11} {:>6} {:>6}"
HEADER = ROW.format(
    *("n", "variant", "median (ms)", "IQR (ms)", "does (M)", "rate (G/s)", "share", "error")
)


def mixing_error(x: torch.Tensor, y: torch.Tensor) -> str:
    """What PyTorch says to the midpoint of x and y, which live on different devices."""
    try:
        torch.lerp(x, y, 0.5)
    except RuntimeError as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    raise ValueError(f"x and y both live on {x.device}")


def dtypes_taken(device: torch.device) -> tuple[list[str], list[str]]:
    """Names of the dtypes that device can hold, and of those whose matrices it can multiply.

    Each device has its own: mps holds no float64.
    """
    held, multiplied = [], []
    for name in DTYPES:
        with suppress(RuntimeError, TypeError):  # NotImplementedError is a RuntimeError
            x = torch.ones(2, 2, dtype=getattr(torch, name), device=device)
            held.append(name)
            x @ x
            multiplied.append(name)
    return held, multiplied


def early_and_late(A: torch.Tensor, threads: int, calls: int = 3) -> tuple[float, float]:
    """Seconds that A @ A seems to take on a clock that does not wait for the device, and takes.

    The first is the mistake: on a GPU a call returns when its work is queued, not when it is done.
    The best of five rounds each, in turns.
    """
    late = Timer("A @ A", globals={"A": A}, num_threads=threads)  # synchronises
    early = Timer("A @ A", globals={"A": A}, num_threads=threads, timer=time.perf_counter)
    rounds = [(early.timeit(calls).median, late.timeit(calls).median) for _ in range(5)]
    return min(round_[0] for round_ in rounds), min(round_[1] for round_ in rounds)


def factors(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two random matrices, shape (n, n), on the CPU: the same ones each time."""
    torch.manual_seed(0)
    return torch.randn(n, n), torch.randn(n, n)


def bytes_moved(n: int, itemsize: int = 4) -> dict[str, int]:
    """Bytes of the two n x n factors on their way there, and of the product on its way back."""
    return {"there": 2 * n * n * itemsize, "back": n * n * itemsize}


def max_relative_error(C: torch.Tensor, exact: torch.Tensor) -> float:
    """max_ij |C_ij - exact_ij| / max_ij |exact_ij|: any device against float64 on the CPU."""
    return ((C.cpu().double() - exact).abs().max() / exact.abs().max()).item()


def allowed_error(A: torch.Tensor, B: torch.Tensor) -> float:
    """Largest max_relative_error of a float32 product AB, both of them float64.

    |error| <= k u / (1 - k u) |A||B| entry by entry, with k terms added in any order and u = eps/2
    (Higham, Accuracy and Stability, 3.5).
    """
    ku = len(B) * torch.finfo(torch.float32).eps / 2
    return (ku / (1 - ku) * (A.abs() @ B.abs()).max() / (A @ B).abs().max()).item()


def wins_from(ns: list[int], slow: list[float], fast: list[float]) -> int | None:
    """The n of ns (ascending) from which on fast takes less time than slow; None if never."""
    start = None
    for n, slow_time, fast_time in zip(ns, slow, fast):
        if fast_time >= slow_time:
            start = None
        elif start is None:
            start = n
    return start


def predicted_win(cpu_rate: float, rate: float, bandwidth: float) -> float:
    """The n from which on an accelerator should win, the way there and back included.

    There n^3 / cpu_rate = n^3 / rate + bytes / bandwidth, with rates in multiply-adds per second
    and bandwidth in bytes per second. inf if its rate is no higher.
    """
    if rate <= cpu_rate:
        return math.inf
    return sum(bytes_moved(1).values()) / bandwidth / (1 / cpu_rate - 1 / rate)


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


def print_transfer(size: str, variant: str, m: Measurement, moved: int) -> None:
    """Print a row of the table for moved bytes on their way."""
    median, iqr = f"{m.median * 1e3:.4g}", f"{m.iqr * 1e3:.2g}"
    megabytes, rate = f"{moved / 1e6:.4g} MB", f"{moved / m.median / 1e9:.3g} GB/s"
    print(ROW.format(size, variant, median, iqr, megabytes, rate, "", ""), flush=True)


def verdict(claim: str, slow: Measurement, fast: Measurement) -> str:
    """The closing line: did fast beat slow, by what ratio of medians, from and to (quartiles)?

    Where the quartiles overlap, neither answer is given.
    """
    low, ratio, high = quartiles(slow) / quartiles(fast)[::-1]
    held = "held here" if low > 1 else "did not hold here" if high < 1 else "not decided here"
    return f'claim: "{claim}": {held}, {ratio:.3g}x ({low:.3g}-{high:.3g})'


def show_devices(devices: list[torch.device], threads: int) -> None:
    """Print where tensors live, how they move, and what each device can do."""
    where = devices[-1]  # the accelerator, if there is one
    x = torch.ones(2, 3)
    y = x.to(where)
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    print(f"cuda here? {cuda}  mps here? {mps}  compared: {', '.join(map(str, devices))}")
    pick = 'torch.device("cuda" if cuda else "mps" if mps else "cpu")'
    print(f"to pick one: {pick} is {torch.device('cuda' if cuda else 'mps' if mps else 'cpu')}")
    print(f"torch.ones(2, 3).device: {x.device}")
    print(f'x.to("{where}").device: {y.device}, and back, y.cpu().device: {y.cpu().device}')
    print("back unchanged?", torch.equal(x, y.cpu()))
    print('x.to("cpu") moves nothing, it is x?', x.to("cpu") is x)
    other = where
    if where == x.device:
        other = torch.device("meta")
        print("meta stands in for a second device; its tensors have shapes, and no numbers")
    print(f"between cpu and {other}: {mixing_error(x, torch.ones_like(x, device=other))}")
    for each in devices:
        held, multiplied = dtypes_taken(each)
        print(f"{each} holds:      ", *held)
        print(f"{each} multiplies: ", *multiplied)
    for each in devices:
        n = WAIT[each.type]
        early, late = early_and_late(torch.randn(n, n, device=each), threads)
        print(
            f"{each}, {n} x {n}: {early * 1e3:.3g} ms on a clock that does not wait, "
            f"{late * 1e3:.3g} ms when synchronised"
        )
    print("(a GPU's call returns when its work is queued, the cpu's when it is done)")


def compare(
    devices: list[torch.device],
    ns: list[int],
    ceilings: dict[str, float],
    seconds: float,
    threads: int,
) -> dict[int, dict[str, Measurement]]:
    """Time the n x n product on each device, and the ways there and back; print the table.

    ceilings in multiply-adds per second, by device.
    """
    results, within = {}, True
    for n in ns:
        A, B = factors(n)
        exact, allowed = A.double() @ B.double(), allowed_error(A.double(), B.double())
        runs = {str(each): partial(torch.matmul, A.to(each), B.to(each)) for each in devices}
        for each in devices[1:]:
            runs[f"to {each}"] = lambda A=A, B=B, each=each: (A.to(each), B.to(each))
            runs[f"from {each}"] = runs[str(each)]().cpu
        results[n] = measure(runs, seconds, threads)
        for variant, times in results[n].items():
            if variant in ceilings:
                error = max_relative_error(runs[variant](), exact)
                within &= error <= allowed
                print_row(str(n), variant, times, n**3, ceilings[variant], error)
            else:
                moved = bytes_moved(n)["there" if variant.startswith("to ") else "back"]
                print_transfer(str(n), variant, times, moved)
    print(
        f"\nerror allowed at n = {n}: {allowed:.0e}; every error within the one allowed? {within}"
    )
    return results


def round_trip(times: dict[str, Measurement], name: str) -> float:
    """Seconds of a product on the device called name, with the ways there and back."""
    return sum(times[part].median for part in (f"to {name}", name, f"from {name}"))


def draw(
    results: dict[int, dict[str, Measurement]], ceilings: dict[str, float], outpath: Path
) -> None:
    """Draw the time of a product over n on each device, beside the rate of its ceiling.

    ceilings in multiply-adds per second, by device, the CPU first.
    """
    fig, ax = plt.subplots(figsize=(8, 4.8), layout="constrained")
    ns = list(results)
    for (name, ceiling), color, marker in zip(
        ceilings.items(), [BLUE, ORANGE, GREEN], ["o", "s", "D"]
    ):
        spreads = [quartiles(times[name]) for times in results.values()]
        low, middle, high = np.transpose(spreads) * 1e3
        style = {"color": color, "marker": marker, "capsize": 4, "label": f"{name}: product"}
        spread = [(middle - low).tolist(), (high - middle).tolist()]
        ax.errorbar(ns, middle, spread, **style)
        floor = [n**3 / ceiling * 1e3 for n in ns]
        label = f"{name}: $n^3$ multiply-adds at the ceiling's rate"
        ax.plot(ns, floor, color=color, alpha=0.4, linestyle=":", zorder=0, label=label)
        if name != "cpu":
            total = [round_trip(times, name) * 1e3 for times in results.values()]
            label = f"{name}: product, there and back"
            ax.plot(ns, total, color=color, marker=marker, linestyle="--", label=label)
    ax.set_xscale("log")
    gaps = np.diff(np.log(ns))
    roomy = len(ns) == 1 or gaps.min() > 0.1 * gaps.sum()
    ax.set_xticks(ns if roomy else [ns[0], ns[-1]])
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.minorticks_off()
    ax.set_yscale("log")
    ax.set_xlabel("size $n$ of the matrices")
    ax.set_ylabel("time (ms)")
    ax.grid(alpha=0.3)
    fig.legend(loc="outside lower center", ncols=2, frameon=False)
    ax.set_title(finding(results, list(ceilings)))
    outpath.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(outpath, dpi=200)
    plt.close(fig)


def finding(results: dict[int, dict[str, Measurement]], names: list[str]) -> str:
    """What the results say, in a line: where an accelerator wins, or what the CPU does alone."""
    cpu = [times["cpu"].median for times in results.values()]
    ns = list(results)
    if len(names) == 1:
        rates = [n**3 / time / 1e9 for n, time in zip(ns, cpu)]
        return (
            f"The cpu alone: {rates[-1]:.3g} G multiply-adds a second at n = {ns[-1]}, "
            f"{rates[0]:.3g} G at n = {ns[0]}"
        )
    lines = []
    for name in names[1:]:
        alone = wins_from(ns, cpu, [times[name].median for times in results.values()])
        moved = wins_from(ns, cpu, [round_trip(times, name) for times in results.values()])
        wins = [f"from n = {start}" if start else "at no size" for start in (alone, moved)]
        lines.append(f"{name} beats the cpu {wins[0]}, with the ways there and back {wins[1]}")
    return "\n".join(lines)


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


def devices(name: str) -> list[torch.device]:
    """The devices to compare, the CPU first: for "all" every one there is, else the named.

    Raises ArgumentTypeError, naming those present, if it is absent.
    """
    names = ["cuda", "mps"] if name == "all" else [name]
    found = [torch.device("cpu")]
    for each in names:
        try:
            found.append(device(each))
        except argparse.ArgumentTypeError:
            if name != "all":
                raise
    return list(dict.fromkeys(found))


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


def run(devices: list[torch.device], ns: list[int], seconds: float, threads: int) -> None:
    """Show the devices, compare them, and say where an accelerator wins."""
    show_devices(devices, threads)
    ceilings = {str(each): matmul_rate(each, seconds, threads) for each in devices}
    print(f"\nfloat32, threads on the cpu: {threads}")
    for each in devices:
        large = LARGE[each.type]
        print(
            f"ceiling of {each}: a product of {large} x {large} matrices does at best "
            f"{ceilings[str(each)] / 1e9:.4g} G multiply-adds a second"
        )
    print()
    print(HEADER)
    results = compare(devices, ns, ceilings, seconds, threads)
    n, last = ns[-1], results[ns[-1]]
    for each in devices:
        small, large = results[ns[0]][str(each)].median, last[str(each)].median
        one = torch.ones(1, 1, device=each)
        call = measure({"call": partial(torch.matmul, one, one)}, seconds, threads)["call"].median
        if n > ns[0]:
            print(
                f"{each}, n = {ns[0]} to {n}, predicted: {(n / ns[0]) ** 3:.4g} times as long "
                f"(n^3); measured: {large / small:.4g} times"
            )
        print(
            f"why: a call takes {call * 1e6:.2g} us even for 1 x 1, "
            f"{call / small:.0%} of the time at n = {ns[0]}"
        )
    claim = "an accelerator multiplies large matrices faster than the cpu"
    for name in list(ceilings)[1:]:
        way = last[f"to {name}"].median + last[f"from {name}"].median
        predicted = predicted_win(
            ceilings["cpu"], ceilings[name], sum(bytes_moved(n).values()) / way
        )
        print(
            f"predicted: {name} wins from n = {predicted:.0f} with the ways there and back "
            f"(multiply-adds and bytes); measured: {finding(results, ['cpu', name])}"
        )
        print(verdict(claim, last["cpu"], last[name]))
    if len(devices) == 1:
        print(f'claim: "{claim}": not tried here, only the cpu was timed')
    draw(results, ceilings, FIGURES / "devices_matmul.png")
    print("figure: figures/devices_matmul.png")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="Where tensors live, and square products on every device of this machine.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--device",
        type=devices,
        default="all",
        metavar="DEVICE",
        help="cpu: the cpu alone; cuda or mps: the cpu and this one; all: every one there is",
    )
    parser.add_argument("--threads", type=thread_count, default=1, help="threads on the CPU")
    parser.add_argument(
        "--n",
        type=positive_int,
        nargs="+",
        default=[64, 128, 256, 512, 1024],
        help="sizes of the matrices",
    )
    parser.add_argument(
        "--seconds",
        type=duration,
        default=0.3,
        help=f"time of each measurement in seconds, with {ROUNDS} calls at least",
    )
    args = parser.parse_args(argv)
    check_size(parser, "--n", max(args.n) ** 2)
    try:
        run(args.device, sorted(set(args.n)), args.seconds, args.threads)
    except (RuntimeError, TypeError) as error:
        if "mps" not in [each.type for each in args.device]:
            raise
        parser.exit(1, f"{error}\nPyTorch on mps is fragile: rerun with --device cpu\n")


if __name__ == "__main__":
    main()
