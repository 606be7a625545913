"""Gradient descent in d dimensions: the loop of Lecture 1, for a vector, a matrix or many tensors.

    python script/gd_nd_torch.py
    python script/gd_nd_torch.py --d 2 3 4 --eta 1.5

Minimises ||w||^2 / 2 in several dimensions, a least-squares loss of a matrix and the loss of a
small network, and draws the diagnostics of the first two: figures/gd_nd_diagnostics.png
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"  # Okabe-Ito
VERMILION, PURPLE, BLACK = "#D55E00", "#CC79A7", "#000000"
Params = torch.Tensor | Iterable[torch.Tensor]
Loss = Callable[..., torch.Tensor]  # of the tensor, or of the list of them
RADIUS = 5.0  # ||w_0|| of every quadratic run: at d = 1 it is the run of Lecture 1
FIT_ETA = 0.3  # the step size of least squares
RINGS = [("o", 11, BLUE), ("s", 8, GREEN), ("D", 4.5, PURPLE), (".", 3, BLACK)]  # for each d


def quadratic(w: torch.Tensor) -> torch.Tensor:
    """||w||^2 / 2 of a vector w, shape (d,), minimal at 0. Its gradient is w."""
    return 0.5 * w.dot(w)


def gd_nd_torch(
    L_fn: Loss,
    params: Params,
    eta: float,
    max_iters: int = 200,
    eps_grad: float = 1e-8,
    L_star: float | None = None,
) -> tuple[Params, dict]:
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


def check_params(params: Params) -> list[torch.Tensor]:
    """The tensors of params, as leaves that require a gradient.

    Raises ValueError, naming the tensor, for one that is not float32 or float64, not a leaf,
    empty or not finite, for the same tensor twice, and for no tensor at all.
    """
    many = isinstance(params, Iterable) and not torch.is_tensor(params)
    tensors = list(params) if many else [params]
    if not tensors:
        raise ValueError("params must hold at least one tensor, got none")
    for i, w in enumerate(tensors):
        if not (torch.is_tensor(w) and w.dtype in (torch.float32, torch.float64)):
            fault = f"a tensor of float32 or float64, got {getattr(w, 'dtype', type(w))}"
        elif not w.is_leaf:
            fault = "a leaf, got the result of an operation"
        elif w.numel() == 0 or not w.isfinite().all():
            fault = "of finite numbers, got none, or one that is inf or NaN"
        elif any(w is earlier for earlier in tensors[:i]):
            fault = "a tensor of its own, got one that came before"
        else:
            continue
        raise ValueError(f"{f'params[{i}]' if many else 'params'} must be {fault}")
    return [w.requires_grad_() for w in tensors]


def gradient_norm(tensors: list[torch.Tensor]) -> float:
    """||grad|| over the entries of all tensors: the root of the sum of inner products g.g.

    In the dtype of the gradients. In float32 each small square that is added to a large sum is
    rounded, and with a bias: at d = 10^7 the norm of equal entries errs by up to 5e-3.
    """
    flat = [w.grad.flatten() for w in tensors]
    return math.sqrt(sum(g.dot(g).item() for g in flat))  # (g * g).sum() would need a temporary


def quadratic_start(d: int, device: str) -> torch.Tensor:
    """A random start of shape (d,) with ||w_0|| = RADIUS, whatever d is."""
    w = torch.randn(d, generator=torch.Generator().manual_seed(0))
    return (RADIUS * (w / w.double().norm())).float().to(device)


def quadratic_theory(eta: float, k: np.ndarray) -> dict[str, np.ndarray]:
    """The diagnostics of gradient descent on ||w||^2 / 2 from ||w_0|| = RADIUS at iterations k.

    The gradient is w, so a step multiplies w by 1 - eta: ||w_k|| = |1 - eta|^k ||w_0||.
    """
    norm = abs(1 - eta) ** k * RADIUS
    loss = norm**2 / 2
    return {"L(w)": loss, "gap": loss, "||grad||": norm, "|dL|": loss * abs((1 - eta) ** 2 - 1)}


def least_squares(device: str) -> tuple[Loss, torch.Tensor]:
    """||XW - Y||^2 / (2n) of a matrix W, with n = 200 noisy rows, and its minimiser, shape (5, 3).

    The minimiser is that of torch.linalg.lstsq.
    """
    torch.manual_seed(0)
    X, W = torch.randn(200, 5), torch.randn(5, 3)
    Y = X @ W + torch.randn(200, 3)
    W_star = torch.linalg.lstsq(X, Y).solution.to(device)
    X, Y = X.to(device), Y.to(device)
    return lambda W: (X @ W - Y).square().sum() / (2 * len(X)), W_star


def network(device: str) -> tuple[Loss, list[torch.Tensor]]:
    """The loss of a network of two layers on 8 labelled points, and its four parameters."""
    torch.manual_seed(0)
    X, y = torch.randn(8, 5).to(device), torch.randint(0, 2, (8,)).float().to(device)
    net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1)).to(device)

    def L_fn(params: list[torch.Tensor]) -> torch.Tensor:
        logits = net(X).squeeze(1)  # net holds the very tensors that are in params
        return nn.functional.binary_cross_entropy_with_logits(logits, y)

    return L_fn, list(net.parameters())


def decrease(L_fn: Loss, params: Params, eta: float) -> tuple[float, float]:
    """What one step from params takes off the loss: eta ||grad||^2 to first order, and in fact.

    By Taylor L(w - eta grad) = L(w) - eta grad.grad + O(eta^2).
    """
    _, hist = gd_nd_torch(L_fn, params, eta, max_iters=2, eps_grad=0)
    return eta * hist["||grad||"][0] ** 2, hist["L(w)"][0] - hist["L(w)"][1]


def draw_diagnostics(runs: dict[int, dict], fit: dict, L_star: float, eta: float) -> plt.Figure:
    """Draw the four diagnostics over k on log axes.

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
    small = {"color": VERMILION, "fontsize": "small", "va": "bottom"}
    k_max = max(len(hist["k"]) for hist in runs.values())
    plt.rcdefaults()
    fig, axes = plt.subplots(2, 2, figsize=(8, 6), sharex=True, layout="constrained")
    for ax, (key, label) in zip(axes.flat, panels.items(), strict=True):
        theory = quadratic_theory(eta, np.arange(k_max - (key == "|dL|")))[key]
        ax.semilogy(theory, color=ORANGE, linewidth=2, zorder=1, label="theory")
        for (d, hist), (marker, size, color) in zip(runs.items(), RINGS, strict=False):
            ring = {"marker": marker, "markersize": size, "fillstyle": "none", "markevery": 3}
            ax.semilogy(hist[key], linestyle="", color=color, label=f"d = {d:,}", **ring)
        values = np.array(fit[key])
        if key in ("gap", "|dL|"):
            values[values < resolved] = np.nan
            note = "smaller ones drown\nin the rounding of L"
            ax.text(np.flatnonzero(values > 0)[-1] + 1.5, resolved, note, **small)
        label_fit = rf"least squares, $\eta = {FIT_ETA:g}$"
        ax.semilogy(values, "x", color=VERMILION, markersize=4, label=label_fit)
        ax.set_ylabel(label)
        ax.grid(alpha=0.3)
    axes[0, 0].axhline(L_star, color=VERMILION, linewidth=1, linestyle="--")
    at = {"xy": (1, L_star), "xycoords": axes[0, 0].get_yaxis_transform(), "ha": "right"}
    at |= {"xytext": (-6, 3), "textcoords": "offset points"}
    axes[0, 0].annotate(f"L* = {L_star:.2f}, least squares", **at, **small)
    for ax in axes[1]:
        ax.set_xlabel("iteration $k$")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    fig.suptitle(
        rf"$\|w\|^2/2$, $\eta = {eta:g}$: each step multiplies $w$ by ${1 - eta:g}$, "
        rf"the loss by ${(1 - eta) ** 2:g}$, whatever $d$ is"
    )
    return fig


def save(fig: plt.Figure, name: str) -> None:
    """Save fig as FIGURES/name and print where it lies."""
    try:
        FIGURES.mkdir(parents=True, exist_ok=True)
        fig.savefig(FIGURES / name, dpi=200)
    except OSError as error:
        sys.exit(f"no figure: {error}")
    print("figure:", (FIGURES / name).as_posix().removeprefix(f"{Path.cwd().as_posix()}/"))


def main(argv: list[str] | None = None) -> None:
    present = ["cpu", *(name for name in ("cuda", "mps") if getattr(torch, name).is_available())]
    parser = argparse.ArgumentParser(
        description="The loop of gd_1d_torch.py, for a vector, a matrix and a pile of tensors.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--device", choices=present, default="cpu", help="where tensors live")
    sizes = [1, 10, 1000, 10**6]
    parser.add_argument("--d", type=int, nargs="+", default=sizes, help="dimensions of w, up to 4")
    parser.add_argument("--eta", type=float, default=0.5, help="step size on ||w||^2 / 2")
    # a notebook's kernel has arguments of its own
    args = parser.parse_args([] if argv is None and hasattr(sys, "ps1") else argv)
    device, eta, dimensions = args.device, args.eta, sorted(set(args.d))
    if len(dimensions) > len(RINGS) or not 1 <= dimensions[0] <= dimensions[-1] <= 10**8:
        parser.error(f"argument --d: must be up to 4 whole numbers from 1 to 10^8, got {args.d}")
    if not 0 < eta <= torch.finfo(torch.float32).max:
        parser.error(f"argument --eta: must be positive and finite in float32, got {eta}")

    print(f"||w||^2 / 2 from ||w_0|| = {RADIUS:g}, eta = {eta:g}")
    print("        d  iters  stop              L(w)     ||grad||  theory |1 - eta|^k ||w_0||")
    runs, nowhere = {}, ""
    for d in dimensions:
        w0 = quadratic_start(d, device)
        _, hist = gd_nd_torch(quadratic, w0, eta, max_iters=80, eps_grad=1e-10, L_star=0.0)
        k, loss, norm = hist["k"][-1], hist["L(w)"][-1], hist["||grad||"][-1]
        theory = abs(1 - eta) ** k * RADIUS
        print(f"{d:9}  {k + 1:5}  {hist['stop']:<9} {loss:12.6e} {norm:12.6e}  {theory:.6e}")
        runs[d] = hist
        nowhere = nowhere if loss < hist["L(w)"][0] else hist["message"]
    if nowhere:  # eta = 1 reaches the minimum in a step; one of 1e-9 is lost in rounding
        cure = "Try a smaller eta." if eta > 1 else "Try a larger eta."
        print(f"  {nowhere}, no lower than at the start. {cure}")
    print("\n(in float32 the last digits for many dimensions are the rounding of inner products)")

    L_fn, W_star = least_squares(device)
    L_star, W0 = L_fn(W_star).item(), torch.zeros_like(W_star)
    W, fit = gd_nd_torch(L_fn, W0, eta=FIT_ETA, eps_grad=1e-5, L_star=L_star)
    resolved = abs(fit["gap"][-1]) < 10 * torch.finfo(torch.float32).eps * L_star
    print(f"\nleast squares, a matrix W of shape {tuple(W.shape)}, eta = {FIT_ETA}")
    print(f"  {fit['message']}")
    print(f"  by torch.linalg.lstsq: L* = {L_star:g}; ", end="")
    print("|gap| below 10 eps L*, the rounding of L?", resolved)
    print("  ||W - W*|| below 2e-5?", (W.detach() - W_star).norm().item() < 2e-5)

    params, hist = gd_nd_torch(*network(device), eta=0.5)
    numbers, losses = sum(w.numel() for w in params), hist["L(w)"]
    print(f"\nnetwork, {numbers} parameters in {len(params)} tensors, eta = 0.5")
    print(f"  L(w_0) = {losses[0]:.4f}, then {hist['message']}")
    print("  lower at every step?", all(after < before for before, after in pairwise(losses)))

    print("\none step: to first order it takes eta ||grad||^2 off the loss")
    print("loss            eta  predicted     actual    ratio  theory")
    for name, step, theory in [
        ("||w||^2 / 2", 0.01, "1 - eta/2 = 0.995"),
        ("||w||^2 / 2", 1.5, "1 - eta/2 = 0.25"),
        ("network", 0.01, "1 + O(eta)"),
        ("network", 20.0, "eta too large for it"),
    ]:
        start = network(device) if name == "network" else (quadratic, quadratic_start(d, device))
        predicted, actual = decrease(*start, step)
        print(f"{name:<13} {step:5} {predicted:10.5f} {actual:10.5f} ", end="")
        print(f"{actual / predicted:8.4f}  {theory}")

    save(draw_diagnostics(runs, fit, L_star, eta), "gd_nd_diagnostics.png")


if __name__ == "__main__":
    main()
