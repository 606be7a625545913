"""Gradient descent in d dimensions: the loop of Lecture 1, for a vector, a matrix or many tensors.

    python script/gd_nd_torch.py
    python script/gd_nd_torch.py --d 2 3 4 --eta 1.5
    python script/gd_nd_torch.py --device cuda

Minimises ||w||^2 / 2 in several dimensions, a least-squares loss of a matrix and the loss of a
small network, and measures what one iteration costs. Draws figures/gd_nd_diagnostics.png and
figures/gd_nd_cost.png
"""

import argparse
import math
import os
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.utils.benchmark import Measurement, Timer

try:
    import resource  # not on Windows
except ImportError:
    resource = None

FIGURES = Path(__file__).resolve().parent.parent / "figures"
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"  # Okabe-Ito
VERMILION, PURPLE, BLACK = "#D55E00", "#CC79A7", "#000000"

RADIUS = 5.0  # ||w_0|| of every quadratic run: at d = 1 it is the run of Lecture 1
FIT_ETA = 0.3  # the step size of least squares
RINGS = [("o", 11, BLUE), ("s", 8, GREEN), ("D", 4.5, PURPLE), (".", 3, BLACK)]  # for each d
ROUNDS = 3  # of each measurement


def quadratic(w: torch.Tensor) -> torch.Tensor:
    """||w||^2 / 2 of a vector w, shape (d,), minimal at 0. Its gradient is w."""
    return 0.5 * w.dot(w)


def check_params(params: torch.Tensor | Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """The tensors of params, as leaves that require a gradient.

    Raises ValueError, naming the tensor, for one that is not float32 or float64, not a leaf,
    empty or not finite, for the same tensor twice, and for no tensor at all.
    """
    many = isinstance(params, Iterable) and not torch.is_tensor(params)
    tensors = list(params) if many else [params]
    if not tensors:
        raise ValueError("params must hold at least one tensor, got none")
    for i, w in enumerate(tensors):
        name = f"params[{i}]" if many else "params"
        if not (torch.is_tensor(w) and w.dtype in (torch.float32, torch.float64)):
            kind = w.dtype if torch.is_tensor(w) else type(w).__name__
            raise ValueError(f"{name} must be a tensor of float32 or float64, got {kind}")
        if not w.is_leaf:
            raise ValueError(f"{name} must be a leaf, got the result of {w.grad_fn.name()}")
        if w.numel() == 0:
            raise ValueError(f"{name} must have an entry, got shape {tuple(w.shape)}")
        if not all(math.isfinite(extreme) for extreme in w.detach().aminmax()):
            raise ValueError(f"{name} must be finite, got an entry that is inf or NaN")
        if any(w is earlier for earlier in tensors[:i]):
            raise ValueError(f"{name} must be a tensor of its own, got one that came before")
    return [w.requires_grad_() for w in tensors]


def gradient_norm(tensors: list[torch.Tensor]) -> float:
    """||grad|| over the entries of all tensors: the root of the sum of inner products g.g.

    In the dtype of the gradients. In float32 the rounding of d squares, added one by one, shows:
    about sqrt(d) eps/2 of the norm for random entries, more for equal ones (3e-3 at d = 10^7).
    """
    flat = [w.grad.flatten() for w in tensors]
    squares = [g.dot(g) for g in flat]  # no temporary, where (g * g).sum() needs one
    return math.sqrt(sum(square.item() for square in squares))


def gd_nd_torch(
    L_fn: Callable[..., torch.Tensor],
    params: torch.Tensor | Iterable[torch.Tensor],
    eta: float,
    max_iters: int = 200,
    eps_grad: float = 1e-8,
    L_star: float | None = None,
) -> tuple[torch.Tensor | list[torch.Tensor], dict]:
    """Minimise a loss of one tensor or of many by gradient descent, w <- w - eta * grad.

    params is a tensor or a list of tensors, of any shapes, float32 or float64. They are updated in
    place; one that does not require a gradient is made to. L_fn is called with the tensor, or with
    the list, and returns the loss, shape (). L_star is the least value of the loss, where known.
    The run stops where the joint norm ||grad|| <= eps_grad ("gradient"), after max_iters
    iterations ("max_iters"), or at the first loss or norm that is not finite ("diverged").

    Returns the tensor, or the list, and a history: the lists "k", "L(w)" and "||grad||", one entry
    an iteration, each logged before the update; "|dL|" with |L(w_{k+1}) - L(w_k)|, one entry
    fewer; with L_star, "gap" with L(w_k) - L_star; the reason "stop", and a "message" that says
    where. No iterate is kept: a trajectory would need max_iters times the memory of params.

    Raises ValueError, naming the argument, for params that check_params refuses, an eta that is
    not positive and finite, a max_iters that is not a whole number >= 1, an eps_grad that is
    negative, an L_star that is not finite, a NaN anywhere, or an L_fn that does not return a
    scalar computed from every tensor of params.
    """
    tensors = check_params(params)
    if not 0 < eta <= torch.finfo(torch.float32).max:
        raise ValueError(f"eta must be positive and finite in float32, got {eta}")
    if not (isinstance(max_iters, int) and max_iters >= 1):
        raise ValueError(f"max_iters must be a whole number, at least 1, got {max_iters}")
    if not eps_grad >= 0:
        raise ValueError(f"eps_grad must not be negative, got {eps_grad}")
    if L_star is not None and not math.isfinite(L_star):
        raise ValueError(f"L_star must be finite or None, got {L_star}")

    params = params if torch.is_tensor(params) else tensors
    hist = {"k": [], "L(w)": [], "||grad||": [], "stop": "max_iters"}
    for k in range(max_iters):
        for w in tensors:
            w.grad = None  # clear: backward adds to what is there
        L = L_fn(params)  # forward
        if not (torch.is_tensor(L) and L.shape == () and L.requires_grad):
            raise ValueError(f"L_fn must return a scalar tensor computed from params, got {L}")
        L.backward()  # backward
        if any(w.grad is None for w in tensors):
            raise ValueError("L_fn must use every tensor of params, got one without a gradient")

        norm, loss = gradient_norm(tensors), L.item()  # log
        hist["k"].append(k)
        hist["L(w)"].append(loss)
        hist["||grad||"].append(norm)

        if not (math.isfinite(loss) and math.isfinite(norm)):  # stop?
            hist["stop"] = "diverged"
            break
        if norm <= eps_grad:
            hist["stop"] = "gradient"
            break

        with torch.no_grad():  # update
            for w in tensors:
                w.sub_(w.grad, alpha=eta)  # w -= eta * w.grad, without a temporary

    hist["message"] = f"{hist['stop']} at iteration {k}: L(w) = {loss:g}, ||grad|| = {norm:g}"
    hist["|dL|"] = [abs(after - before) for before, after in pairwise(hist["L(w)"])]
    if L_star is not None:
        hist["gap"] = [loss - L_star for loss in hist["L(w)"]]
    return params, hist


def quadratic_start(d: int, device: torch.device) -> torch.Tensor:
    """A random start of shape (d,) with ||w_0|| = RADIUS, whatever d is."""
    w = torch.randn(d, generator=torch.Generator().manual_seed(0))
    return (RADIUS * (w / w.double().norm())).float().to(device)


def quadratic_theory(eta: float, k: np.ndarray) -> dict[str, np.ndarray]:
    """The diagnostics of gradient descent on ||w||^2 / 2 from ||w_0|| = RADIUS at iterations k.

    The gradient is w, so a step multiplies w by 1 - eta: ||w_k|| = |1 - eta|^k ||w_0||.
    """
    norm = abs(1 - eta) ** k * RADIUS
    loss = norm**2 / 2
    change = loss * abs((1 - eta) ** 2 - 1)
    return {"L(w)": loss, "gap": loss, "||grad||": norm, "|dL|": change}


def least_squares(
    device: torch.device,
) -> tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]:
    """||XW - Y||^2 / (2n) of a matrix W, with n = 200 noisy rows, and its minimiser, shape (5, 3).

    The minimiser is that of torch.linalg.lstsq.
    """
    torch.manual_seed(0)
    X, W = torch.randn(200, 5), torch.randn(5, 3)
    Y = X @ W + torch.randn(200, 3)
    W_star = torch.linalg.lstsq(X, Y).solution.to(device)
    X, Y = X.to(device), Y.to(device)

    def L_fn(W: torch.Tensor) -> torch.Tensor:
        return (X @ W - Y).square().sum() / (2 * len(X))

    return L_fn, W_star


def network(
    device: torch.device,
) -> tuple[Callable[[list[torch.Tensor]], torch.Tensor], list[torch.Tensor]]:
    """The loss of a network of two layers on 8 labelled points, and its four parameters."""
    torch.manual_seed(0)
    X, y = torch.randn(8, 5).to(device), torch.randint(0, 2, (8,)).float().to(device)
    net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1)).to(device)

    def L_fn(params: list[torch.Tensor]) -> torch.Tensor:
        logits = net(X).squeeze(1)  # net holds the very tensors that are in params
        return nn.functional.binary_cross_entropy_with_logits(logits, y)

    return L_fn, list(net.parameters())


def decrease(
    L_fn: Callable[..., torch.Tensor], params: torch.Tensor | list[torch.Tensor], eta: float
) -> tuple[float, float]:
    """What one step from params takes off the loss: eta ||grad||^2 to first order, and in fact.

    By Taylor L(w - eta grad) = L(w) - eta grad.grad + O(eta^2).
    """
    _, hist = gd_nd_torch(L_fn, params, eta, max_iters=2, eps_grad=0)
    return eta * hist["||grad||"][0] ** 2, hist["L(w)"][0] - hist["L(w)"][1]


def bytes_moved(d: int, itemsize: int = 4) -> int:
    """Bytes that an iteration on ||w||^2 / 2 reads and writes, each operand of a kernel once.

    In vectors of d numbers: the inner product reads w (1). Backward multiplies each of its two
    factors, both w, by a number (2 x 2) and adds one product to the other (3). The norm reads the
    gradient (1). The update reads w and the gradient and writes w (3). Not counted is the check of
    the start, which reads w once a call of gd_nd_torch.
    """
    return (1 + 2 * 2 + 3 + 1 + 3) * d * itemsize


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


def iteration_time(
    d: int, device: torch.device, seconds: float, threads: int
) -> tuple[np.ndarray, float]:
    """The time of an iteration on ||w||^2 / 2, and the share of it in the operating system.

    The time is in seconds, shape (3,): first quartile, median and third quartile over calls of
    gd_nd_torch. The share is of processor time.
    """
    iters = max(2, min(100, 10**6 // d))
    names = {
        "gd_nd_torch": gd_nd_torch,
        "L_fn": quadratic,
        "w": quadratic_start(d, device),
        "iters": iters,
    }
    call = "gd_nd_torch(L_fn, w, eta=1e-5, max_iters=iters, eps_grad=0)"
    timer = Timer(call, globals=names, num_threads=threads)
    before = os.times()
    rounds = [timer.blocked_autorange(min_run_time=seconds / ROUNDS) for _ in range(ROUNDS)]
    after = os.times()
    user, system = after.user - before.user, after.system - before.system
    share = system / (user + system) if user + system else 0.0
    return quartiles(Measurement.merge(rounds)[0]) / iters, share


def updates(w: torch.Tensor, eta: float) -> dict[str, Callable[[], object]]:
    """Three ways to write the update of w by its gradient, under no_grad."""
    return {
        "w.sub_(w.grad, alpha=eta)": lambda: w.sub_(w.grad, alpha=eta),
        "torch.optim.SGD": torch.optim.SGD([w], lr=eta).step,
        "w -= eta * w.grad": lambda: w.sub_(eta * w.grad),  # which is the same call
    }


def iterate(w: torch.Tensor, update: Callable[[], object]) -> None:
    """An iteration on ||w||^2 / 2 as in gd_nd_torch, with a given update."""
    w.grad = None
    L = quadratic(w)
    L.backward()
    L.item(), gradient_norm([w])  # log
    with torch.no_grad():
        update()


def update_times(
    d: int, device: torch.device, seconds: float, threads: int
) -> dict[str, Measurement]:
    """Time an iteration on ||w||^2 / 2, by how the update is written."""
    w = quadratic_start(d, device).requires_grad_()
    runs = {name: partial(iterate, w, update) for name, update in updates(w, 1e-5).items()}
    return measure(runs, seconds, threads)


def save_diagnostics_plot(
    runs: dict[int, dict], fit: dict, L_star: float, eta: float, outpath: Path
) -> None:
    """Draw the four diagnostics over k on log axes and save the figure as outpath.

    runs holds the histories on ||w||^2 / 2 by dimension, fit that of a least-squares run, whose
    loss is L_star at best.
    """
    panels = {
        "L(w)": r"loss  $L(w_k)$",
        "gap": r"gap  $L(w_k) - L^\ast$",
        "||grad||": r"gradient  $\|\nabla L(w_k)\|$",
        "|dL|": r"plateau  $|L(w_{k+1}) - L(w_k)|$",
    }
    resolved = 10 * torch.finfo(torch.float32).eps * L_star  # below, the rounding of L shows
    fig, axes = plt.subplots(2, 2, figsize=(8, 6), sharex=True, layout="constrained")
    for ax, (key, label) in zip(axes.flat, panels.items()):
        k = max((hist["k"][: len(hist[key])] for hist in runs.values()), key=len)
        theory = quadratic_theory(eta, np.array(k))[key]
        ax.semilogy(k, theory, color=ORANGE, linewidth=2, zorder=1, label="theory")
        for (d, hist), (marker, size, color) in zip(runs.items(), RINGS):
            k = hist["k"][: len(hist[key])]
            ax.semilogy(k, hist[key], marker, color=color, markersize=size, fillstyle="none")
            ax.get_lines()[-1].set(markevery=3, label=f"d = {d:,}")
        values = np.array(fit[key])
        if key in ("gap", "|dL|"):
            values[values < resolved] = np.nan
        k = fit["k"][: len(values)]
        label_fit = rf"least squares, $\eta = {FIT_ETA:g}$"
        ax.semilogy(k, values, "x", color=VERMILION, markersize=4, label=label_fit)
        ax.set_ylabel(label)
        ax.grid(alpha=0.3)
    axes[0, 0].axhline(L_star, color=VERMILION, linewidth=1, linestyle="--")
    on_line = {"xy": (1, L_star), "xycoords": axes[0, 0].get_yaxis_transform()}
    above = {"xytext": (-6, 3), "textcoords": "offset points", "ha": "right", "va": "bottom"}
    small = {"color": VERMILION, "fontsize": "small"}
    axes[0, 0].annotate(f"L* = {L_star:.2f}, least squares", **on_line, **above, **small)
    for ax, key in [(axes[0, 1], "gap"), (axes[1, 1], "|dL|")]:
        seen = max(k for k, value in zip(fit["k"], fit[key]) if value >= resolved)
        note = "smaller ones drown\nin the rounding of L"
        ax.text(seen + 1.5, resolved, note, va="bottom", **small)
    for ax in axes[1]:
        ax.set_xlabel("iteration $k$")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    fig.suptitle(
        rf"$\|w\|^2/2$, $\eta = {eta:g}$: each step multiplies $w$ by ${1 - eta:g}$, "
        rf"the loss by ${(1 - eta) ** 2:g}$, whatever $d$ is"
    )
    outpath.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(outpath, dpi=200)
    plt.close(fig)


def save_cost_plot(
    times: dict[int, tuple[np.ndarray, float]], bandwidth: float, outpath: Path
) -> None:
    """Draw the time of an iteration over d, beside its memory traffic, and save as outpath.

    times holds what iteration_time returned, by d; bandwidth is in bytes per second.
    """
    d = list(times)
    low, middle, high = 1e3 * np.transpose([spread for spread, _ in times.values()])
    outside = middle * [1 - share for _, share in times.values()]
    traffic = 1e3 * np.array([bytes_moved(n) / bandwidth for n in d])
    fig, ax = plt.subplots(figsize=(8, 4.6), layout="constrained")
    spread = [(middle - low).tolist(), (high - middle).tolist()]
    (line,) = ax.plot(d, traffic, color=ORANGE, linewidth=2, zorder=1)
    measured = ax.errorbar(d, middle, spread, fmt="o", color=BLUE, capsize=4)
    (own,) = ax.plot(d, outside, "s", color=GREEN, markersize=9, fillstyle="none")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(bottom=min(min(low) / 5, traffic[-1] / 2))
    ax.set_xlabel("dimension $d$")
    ax.set_ylabel("time of an iteration (ms)")
    ax.grid(alpha=0.3)
    labels = {
        measured: "measured: median, quartiles",
        own: "outside the operating system",
        line: "predicted: memory traffic",
    }
    fig.legend(labels, labels.values(), loc="outside lower center", ncols=3, frameon=False)
    ax.set_title(
        f"An iteration takes {1e3 * middle[0]:.0f} us at d = {d[0]:,}, "
        f"{middle[-1] / traffic[-1]:.2g} times what its memory traffic predicts at d = {d[-1]:,}",
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
    """A number above 0, finite in float32. Raises ArgumentTypeError if text is none."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= torch.finfo(torch.float32).max:
        raise argparse.ArgumentTypeError(
            f"must be a positive number that float32 holds, got {text}"
        )
    return number


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
        description="Gradient descent on losses of a vector, a matrix and a pile of tensors.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--device", type=device, default="cpu", help="cpu, cuda or mps")
    parser.add_argument(
        "--d",
        type=positive_int,
        nargs="+",
        default=[1, 10, 1000, 1_000_000],
        help="dimensions d of w in ||w||^2 / 2",
    )
    parser.add_argument("--eta", type=positive_float, default=0.5, help="step size there")
    parser.add_argument(
        "--sizes",
        type=positive_int,
        nargs="+",
        default=[1, 100, 10**4, 10**5, 10**6, 3 * 10**6, 10**7],
        help="dimensions d at which an iteration is timed",
    )
    parser.add_argument(
        "--threads", type=thread_count, default=1, help="threads on the CPU, in the timing"
    )
    parser.add_argument(
        "--seconds",
        type=duration,
        default=0.15,
        help=f"time of each measurement in seconds, with {ROUNDS} calls at least",
    )
    args = parser.parse_args(argv)
    where, eta, dimensions = args.device, args.eta, sorted(set(args.d))
    if len(dimensions) > len(RINGS):
        parser.error(f"argument --d: at most {len(RINGS)} dimensions, got {len(dimensions)}")
    check_size(parser, "--d", dimensions[-1])
    check_size(parser, "--sizes", max(args.sizes))

    print(f"||w||^2 / 2 from ||w_0|| = {RADIUS:g}, eta = {eta:g}")
    row = "{:>9}  {:>5}  {:<9} {:>12} {:>12}  {}"
    print(row.format("d", "iters", "stop", "L(w)", "||grad||", "theory |1 - eta|^k ||w_0||"))
    runs = {}
    for d in dimensions:
        w0 = quadratic_start(d, where)
        _, hist = gd_nd_torch(quadratic, w0, eta, max_iters=80, eps_grad=1e-10, L_star=0.0)
        runs[d] = hist
        theory = quadratic_theory(eta, np.array(hist["k"]))["||grad||"]
        ends = (f"{end:.6e}" for end in (hist["L(w)"][-1], hist["||grad||"][-1], theory[-1]))
        print(row.format(d, len(hist["k"]), hist["stop"], *ends), flush=True)
    if hist["stop"] == "diverged":
        print(f"  {hist['message']}. Try a smaller eta.")
    print("\n(in float32 the last digits for many dimensions are the rounding of inner products)")

    L_fn, W_star = least_squares(where)
    L_star, W0 = L_fn(W_star).item(), torch.zeros_like(W_star)
    W, fit = gd_nd_torch(L_fn, W0, eta=FIT_ETA, eps_grad=1e-5, L_star=L_star)
    distance = (W.detach() - W_star).norm().item()
    print(f"\nleast squares, a matrix W of shape {tuple(W.shape)}, eta = {FIT_ETA}")
    print(f"  {fit['message']}")
    eps = torch.finfo(torch.float32).eps
    print(
        f"  by torch.linalg.lstsq: L* = {L_star:g}; |gap| below 10 eps L*, the rounding of L? "
        f"{abs(fit['gap'][-1]) < 10 * eps * L_star}"
    )
    print(f"  ||W - W*|| = {distance:.1e}")

    L_fn, params = network(where)
    params, hist = gd_nd_torch(L_fn, params, eta=0.5)
    numbers, losses = sum(w.numel() for w in params), hist["L(w)"]
    print(f"\nnetwork, {numbers} parameters in {len(params)} tensors, eta = 0.5")
    print(f"  L(w_0) = {losses[0]:.4f}, then {hist['message']}")
    print("  lower at every step?", all(after < before for before, after in pairwise(losses)))

    print("\none step: to first order it takes eta ||grad||^2 off the loss")
    row = "{:<13} {:>5} {:>10} {:>10} {:>8}  {}"
    print(row.format("loss", "eta", "predicted", "actual", "ratio", "theory"))
    for small_or_large in (0.01, 1.5):
        predicted, actual = decrease(quadratic, quadratic_start(d, where), small_or_large)
        cells = (f"{predicted:.5f}", f"{actual:.5f}", f"{actual / predicted:.4f}")
        theory = f"1 - eta/2 = {1 - small_or_large / 2:g}"
        print(row.format("||w||^2 / 2", small_or_large, *cells, theory))
    for small_or_large in (0.01, 20.0):
        predicted, actual = decrease(*network(where), small_or_large)
        cells = (f"{predicted:.5f}", f"{actual:.5f}", f"{actual / predicted:.4f}")
        print(row.format("network", small_or_large, *cells, "1 + O(eta)"))

    bandwidth = copy_bandwidth(where, args.seconds, args.threads)
    print(f"\none iteration on ||w||^2 / 2, float32, {where.type}, threads: {args.threads}")
    print(
        f"ceiling: a large copy moves {bandwidth / 1e9:.1f} GB/s; "
        "reading alone, in-place, and what fits in a cache, may beat it"
    )
    row = "{:>10} {:>11} {:>9} {:>10} {:>11} {:>6} {:>7}"
    names = ("d", "median (ms)", "IQR (ms)", "moves (MB)", "rate (GB/s)", "share", "system")
    print(row.format(*names))
    times = {}
    for d in sorted(set(args.sizes)):
        times[d] = iteration_time(d, where, args.seconds, args.threads)
        (low, middle, high), share = times[d]
        rate = bytes_moved(d) / middle
        cells = (
            f"{1e3 * middle:.4g}",
            f"{1e3 * (high - low):.2g}",
            f"{bytes_moved(d) / 1e6:.4g}",
            f"{rate / 1e9:.3g}",
            f"{rate / bandwidth:.0%}",
            f"{share:.0%}",
        )
        print(row.format(d, *cells), flush=True)
    print(
        f"\npredicted: at d = {d} the traffic takes {1e3 * bytes_moved(d) / bandwidth:.3g} ms; "
        f"measured: {1e3 * middle:.3g} ms ({1e3 * low:.3g}-{1e3 * high:.3g})"
    )
    smallest, fixed = min(times), times[min(times)][0][1]
    w = quadratic_start(d, where)
    faults = page_faults(partial(gd_nd_torch, quadratic, w, eta=1e-5, max_iters=1, eps_grad=0))
    if where.type == "cpu" and faults >= 10:
        print(
            f"why: {faults:,.0f} page faults an iteration, since each backward gets new memory; "
            f"{share:.0%} of the processor time goes to the operating system (last column)"
        )
    elif fixed > middle / 2:
        print(f"why: an iteration takes {1e6 * fixed:.3g} us at d = {smallest}: calls from Python")
    print(f"\none iteration at d = {d}, by how the update is written:")
    updates = update_times(d, where, args.seconds, args.threads)
    ours = updates["w.sub_(w.grad, alpha=eta)"].median
    for name, m in updates.items():
        low, middle, high = 1e3 * quartiles(m)
        spread = f"{middle:.3g} ms ({low:.3g}-{high:.3g})"
        print(f"  {name:<26} {spread:<22} {m.median / ours:.3g} times as long")

    save_diagnostics_plot(runs, fit, L_star, eta, FIGURES / "gd_nd_diagnostics.png")
    save_cost_plot(times, bandwidth, FIGURES / "gd_nd_cost.png")
    print("figure: figures/gd_nd_diagnostics.png")
    print("figure: figures/gd_nd_cost.png")


if __name__ == "__main__":
    main()
