"""Gradient descent in one dimension: the complete loop of Lecture 1.

    python script/gd_1d_torch.py
    python script/gd_1d_torch.py --eta 3      # a step size that diverges

Minimises three losses of one number and draws the diagnostics of the first:
figures/gd_torch_quadratic_diagnostics.png
"""

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.ticker import MaxNLocator

HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"
BLUE, ORANGE = "#0072B2", "#E69F00"  # Okabe-Ito


def quadratic(w: torch.Tensor) -> torch.Tensor:
    """w^2 / 2, minimal at 0. Its derivative is w."""
    return 0.5 * w**2


def shifted(w: torch.Tensor) -> torch.Tensor:
    """(w - 1)^2 / 2, minimal at 1."""
    return 0.5 * (w - 1) ** 2


def doublewell(w: torch.Tensor) -> torch.Tensor:
    """(w^2 - 1)^2 / 2, minimal at -1 and at 1, with a local maximum at 0."""
    return 0.5 * (w**2 - 1) ** 2


def gd_1d_torch(
    L_fn: Callable[[torch.Tensor], torch.Tensor],
    w0: float,
    eta: float,
    max_iters: int = 200,
    eps_grad: float = 1e-8,
    eps_obj: float | None = None,
) -> tuple[float, dict]:
    """Minimise a loss of one float by gradient descent, w <- w - eta * dL/dw.

    L_fn takes the parameter, a float32 tensor of shape (), and returns the loss, shape ().
    The run stops where |dL/dw| <= eps_grad ("gradient"), where L(w) <= eps_obj if that is given
    ("objective"), after max_iters iterations ("max_iters"), or at the first loss or derivative
    that is not finite ("diverged").

    Returns the final w and a history: the lists "k", "w", "L(w)" and "|dL/dw|", one entry an
    iteration, each logged before the update, and the reason "stop". So after "max_iters" the final
    w is one update past the last entry.

    Raises ValueError, naming the argument, for a w0 that is not finite, an eta that is not
    positive and finite in float32, a max_iters that is not a whole number >= 1, an eps_grad that
    is negative, a NaN anywhere, or an L_fn that does not return a scalar computed from w.
    """
    if not math.isfinite(w0):
        raise ValueError(f"w0 must be finite, got {w0}")
    if not 0 < eta <= torch.finfo(torch.float32).max:
        raise ValueError(f"eta must be positive and finite in float32, got {eta}")
    if not (isinstance(max_iters, int) and max_iters >= 1):
        raise ValueError(f"max_iters must be a whole number, at least 1, got {max_iters}")
    if not eps_grad >= 0:
        raise ValueError(f"eps_grad must not be negative, got {eps_grad}")
    if eps_obj is not None and math.isnan(eps_obj):
        raise ValueError(f"eps_obj must be a number or None, got {eps_obj}")

    w = torch.tensor(float(w0), requires_grad=True)
    hist = {"k": [], "w": [], "L(w)": [], "|dL/dw|": [], "stop": "max_iters"}
    for k in range(max_iters):
        w.grad = None  # clear: backward adds to what is there
        L = L_fn(w)  # forward
        if not (torch.is_tensor(L) and L.shape == () and L.requires_grad):
            raise ValueError(f"L_fn must return a scalar tensor computed from w, got {L}")
        L.backward()  # backward
        if w.grad is None:
            raise ValueError("L_fn must return a scalar computed from w, got one that is not")

        loss, slope = L.item(), abs(w.grad.item())  # log
        hist["k"].append(k)
        hist["w"].append(w.item())
        hist["L(w)"].append(loss)
        hist["|dL/dw|"].append(slope)

        if not (math.isfinite(loss) and math.isfinite(slope)):  # stop?
            hist["stop"] = "diverged"
            break
        if slope <= eps_grad:
            hist["stop"] = "gradient"
            break
        if eps_obj is not None and loss <= eps_obj:
            hist["stop"] = "objective"
            break

        with torch.no_grad():  # update
            w -= eta * w.grad
    return w.item(), hist


def save_diagnostics_plot(
    hist: dict, outpath: Path, title: str, contraction: float | None = None
) -> None:
    """Draw L(w_k) and |dL/dw| over k on log axes and save the figure as outpath.

    With contraction = |w_{k+1}| / |w_k|, which is |1 - eta| on w^2 / 2, the theory is drawn
    beside the run: L falls as contraction^(2k), |dL/dw| as contraction^k.
    """
    plt.rcdefaults()
    fig, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
    panels = [("L(w)", r"loss  $L(w_k)$", 2), ("|dL/dw|", r"derivative  $|dL/dw|$", 1)]
    for ax, (key, label, power) in zip(axes, panels, strict=True):
        ax.semilogy(hist["k"], hist[key], "o", color=BLUE, markersize=5, label="run")
        if contraction is not None:
            theory = [hist[key][0] * contraction ** (power * k) for k in hist["k"]]
            exponent = "k" if power == 1 else "2k"
            law = rf"theory: $\propto {contraction:g}^{{{exponent}}}$"
            ax.semilogy(hist["k"], theory, "-", color=ORANGE, linewidth=2, zorder=1, label=law)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel("iteration $k$")
        ax.set_ylabel(label)
        ax.grid(alpha=0.3)
        ax.legend(frameon=False)
    fig.suptitle(title)
    outpath.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(outpath, dpi=200)


def report(name: str, w: float, hist: dict, cure: str) -> None:
    """Print how a run ended. One that diverged or got nowhere says so, and what may cure it."""
    loss, iters = hist["L(w)"][-1], len(hist["k"])  # after max_iters, w is one update past loss
    print(f"{f'[{name}]':<12} final w={w:.6e}, final L={loss:.6e}, iters={iters}")
    if hist["stop"] == "diverged":
        cure = "Start closer to a minimum." if iters == 1 else cure
        print(f"  diverged at iteration {hist['k'][-1]}: L(w) = {loss}. {cure}")
    elif hist["stop"] == "max_iters" and loss >= hist["L(w)"][0]:
        print(f"  after {iters} iterations no lower than at the start. {cure}")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="Gradient descent on three losses of one number.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--w0", type=float, default=5.0, help="start of every run")
    parser.add_argument("--eta", type=float, default=0.5, help="step size on both quadratics")
    # a notebook's kernel has arguments of its own
    args = parser.parse_args([] if argv is None and hasattr(sys, "ps1") else argv)
    if quadratic(torch.tensor(args.w0)) == 0:
        parser.error("w0 must be farther from 0, where the first loss is minimal already")

    try:
        w, hist = gd_1d_torch(quadratic, args.w0, args.eta, max_iters=80, eps_grad=1e-10)
    except ValueError as error:
        parser.error(str(error))
    # eta = 1 reaches the minimum of both quadratics in a step; one of 1e-9 is lost in rounding
    cure = "Try a smaller eta." if args.eta > 1 else "Try a larger eta."
    report("quadratic", w, hist, cure)
    run = gd_1d_torch(shifted, args.w0, args.eta, max_iters=80, eps_grad=1e-10)
    report("shifted", *run, cure)
    run = gd_1d_torch(doublewell, args.w0, 0.02, max_iters=200, eps_grad=1e-10)
    report("doublewell", *run, "Start closer to a minimum.")  # no option changes its eta

    contraction = abs(1 - args.eta)
    title = (
        rf"$L(w) = w^2/2$, $\eta = {args.eta:g}$: "
        rf"each step multiplies $w$ by ${1 - args.eta:g}$, the loss by ${contraction**2:g}$"
    )
    outpath = FIGURES / "gd_torch_quadratic_diagnostics.png"
    try:
        save_diagnostics_plot(hist, outpath, title, contraction)
    except OSError as error:
        sys.exit(f"no figure: {error}")
    print("figure:", outpath.as_posix().removeprefix(f"{Path.cwd().as_posix()}/"))


if __name__ == "__main__":
    main()
