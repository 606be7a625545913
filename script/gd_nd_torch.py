"""Gradient descent in d dimensions: the loop of Lecture 1, for a vector, a matrix, many tensors.

    python script/gd_nd_torch.py
    python script/gd_nd_torch.py --d 2 3 4 --eta 1.5

gd_1d_torch.py minimises a loss of one number. The same loop minimises a loss of d numbers. The
derivative becomes the gradient, the vector of all partial derivatives, and |dL/dw| becomes the
Euclidean norm ||grad||, the root of the sum of the squares of its entries. The d numbers may be
one tensor of any shape, or a list of tensors. For a list, the loop is this:

    for w in params:
        w.requires_grad_()        # ask for gradients with respect to w
    for k in range(200):
        for w in params:
            w.grad = None         # clear
        L = L_fn(params)          # forward
        L.backward()              # backward: one call for all tensors
        with torch.no_grad():
            for w in params:
                w -= eta * w.grad # update

The function gd_nd_torch below is this loop with a log and rules for stopping. Then come three
losses: of a vector, of a matrix, of a list of tensors. Each function show_... prints a table, and
says why it looks so. What to look for: d alone does not change the number of iterations. What
matters is how strongly the loss is curved, and how differently in different directions.

Try it. Predict first, then run.

1. How many iterations do the runs of show_vectors take for eta = 0.9? Use the option --eta.
2. Why does a run of show_vectors stop for eta = 2? Use --d 2 --eta 2 and look at "stop".
3. Does the run of show_matrix reach the minimum for eta = 1.4? And for eta = 2? Change FIT_ETA.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

Params = torch.Tensor | Iterable[torch.Tensor]
Loss = Callable[[Params], torch.Tensor]


def gd_nd_torch(
    L_fn: Loss,
    params: Params,
    eta: float,
    max_iters: int = 200,
    eps_grad: float = 1e-8,
    L_star: float | None = None,
) -> tuple[Params, dict]:
    """Minimise a loss of one tensor, or of several tensors, by w <- w - eta * grad.

    The tensors have any shapes and the dtype float32 or float64. The loop changes them in place.
    L_fn takes params, a tensor or a list, and returns the loss, a tensor of shape (). L_star is the
    least value of the loss, if it is known.

    Returns params and the history, lists with one entry per iteration:

    - "k", "L(w)", "||grad||": logged before the step
    - "|dL|": the plateau metric |L(w_{k+1}) - L(w_k)|, one entry fewer
    - "gap": L(w_k) - L_star, if L_star is given

    and "stop", the reason why the run ended: "gradient" (||grad|| <= eps_grad), "diverged" (the
    loss or the norm is inf or NaN) or "max_iters". The history keeps no w: that would need
    max_iters times the memory of params.

    Raises ValueError if an argument makes no sense. The message names the argument.
    """
    if torch.is_tensor(params):
        tensors = [params]  # for the loops below; L_fn gets the tensor itself
    else:
        params = list(params)
        tensors = params
    check_arguments(L_fn, params, tensors, eta, max_iters, eps_grad, L_star)

    for w in tensors:
        w.requires_grad_()
    hist = {"k": [], "L(w)": [], "||grad||": [], "|dL|": [], "stop": "max_iters"}

    for k in range(max_iters):
        for w in tensors:
            w.grad = None  # clear
        L = L_fn(params)  # forward
        L.backward()  # backward

        # log
        loss = L.item()
        norm = gradient_norm(tensors)
        if k > 0:
            hist["|dL|"].append(abs(loss - hist["L(w)"][-1]))
        hist["k"].append(k)
        hist["L(w)"].append(loss)
        hist["||grad||"].append(norm)

        # stop?
        if not math.isfinite(loss) or not math.isfinite(norm):
            hist["stop"] = "diverged"
            break
        if norm <= eps_grad:
            hist["stop"] = "gradient"
            break

        # update: momentum and Adam, in later lectures, use the gradient differently here
        with torch.no_grad():
            for w in tensors:
                w -= eta * w.grad

    if L_star is not None:
        hist["gap"] = [loss - L_star for loss in hist["L(w)"]]
    return params, hist


def gradient_norm(tensors: list[torch.Tensor]) -> float:
    """||grad|| over the entries of all tensors together."""
    sum_of_squares = 0.0
    for w in tensors:
        sum_of_squares += (w.grad * w.grad).sum().item()
    return math.sqrt(sum_of_squares)


def quadratic(w: torch.Tensor) -> torch.Tensor:
    """||w||^2 / 2, minimal at 0. Its gradient is w."""
    return 0.5 * (w * w).sum()


def quadratic_start(d: int, device: str) -> torch.Tensor:
    """A random w_0 of shape (d,) with ||w_0|| = 5."""
    torch.manual_seed(0)
    w = torch.randn(d, dtype=torch.float64)
    w = 5 * w / w.norm()
    return w.float().to(device)


def show_vectors(dimensions: list[int], eta: float, device: str) -> dict[int, dict]:
    """Minimise ||w||^2 / 2 of a vector w in each dimension, and return the histories. It prints:

        a vector w: ||w||^2 / 2 from ||w_0|| = 5, eta = 0.5, until ||grad|| <= 1e-10
                d  iters  stop             L(w)    ||grad||  theory for ||grad||
                1     37  gradient   2.6470e-21  7.2760e-11           7.2760e-11
               10     37  gradient   2.6470e-21  7.2760e-11           7.2760e-11
             1000     37  gradient   2.6470e-21  7.2760e-11           7.2760e-11
          1000000     37  gradient   2.6470e-21  7.2760e-11           7.2760e-11

    The gradient is w, so a step multiplies w by 1 - eta, whatever d is. All runs start at the same
    norm, 5, and take 36 steps: the last of the 37 iterations finds that it can stop. So all end at
    ||grad|| = |1 - eta|^36 * 5. Only the time per iteration grows with d (see gd_nd_cost.py).
    """
    print(f"a vector w: ||w||^2 / 2 from ||w_0|| = 5, eta = {eta:g}, until ||grad|| <= 1e-10")
    print("        d  iters  stop             L(w)    ||grad||  theory for ||grad||")
    runs = {}
    for d in dimensions:
        w0 = quadratic_start(d, device)
        _, hist = gd_nd_torch(quadratic, w0, eta, max_iters=80, eps_grad=1e-10, L_star=0.0)
        iters = len(hist["k"])
        loss = hist["L(w)"][-1]
        norm = hist["||grad||"][-1]
        theory = abs(1 - eta) ** (iters - 1) * 5
        row = f"{d:9}  {iters:5}  {hist['stop']:<9}  {loss:10.4e}  {norm:10.4e}  {theory:19.4e}"
        print(row)
        if loss >= hist["L(w)"][0]:
            print("  no lower than at the start. Try eta = 0.5.")
        runs[d] = hist
    return runs


FIT_ETA = 1.0  # the step size of the matrix run


def least_squares(device: str) -> tuple[Loss, torch.Tensor, torch.Tensor]:
    """The loss ||XW - Y||^2 / (2n) of a matrix W, for data X and Y with n = 200 rows.

    Returns the loss, its minimiser W*, shape (5, 3), and the eigenvalues of X^T X / n, shape (5,).
    """
    torch.manual_seed(0)
    n = 200
    X = torch.randn(n, 5) * torch.tensor([1.0, 1.0, 1.0, 1.0, 0.5])  # the eigenvalues shall differ
    Y = X @ torch.randn(5, 3) + torch.randn(n, 3)
    W_star = torch.linalg.lstsq(X, Y).solution.to(device)
    eigenvalues = torch.linalg.eigvalsh(X.T @ X / n)
    X = X.to(device)
    Y = Y.to(device)

    def L_fn(W: torch.Tensor) -> torch.Tensor:
        return ((X @ W - Y) ** 2).sum() / (2 * n)

    return L_fn, W_star, eigenvalues


def show_matrix(device: str) -> tuple[dict, float]:
    """Minimise the least-squares loss of a matrix W, return the history and L*. It prints:

        a matrix W of shape (5, 3): ||XW - Y||^2 / (2n), eta = 1, until ||grad|| <= 1e-5
          eigenvalues of X^T X / n: 0.28 to 1.16
          36 iterations, stop: gradient, L(W) = 1.369
          ||W - W*|| = ... (at most 1e-5 / 0.28? True), with W* by torch.linalg.lstsq

    X has n rows of 5 numbers, and Y has n rows of 3 numbers, which XW is to come close to. ||.|| is
    again the root of the sum of the squares of all entries.

    The gradient is X^T (XW - Y) / n. It is 0 at the minimiser W*, so it equals X^T X (W - W*) / n.
    A step therefore multiplies W - W* by the matrix I - eta X^T X / n. Take a column of W - W* that
    is an eigenvector of X^T X / n: the step multiplies it by 1 - eta * eigenvalue, as it multiplies
    w by 1 - eta above, where all eigenvalues are 1. Every column is a sum of eigenvectors. A step
    multiplies the slowest part by 1 - 0.28 = 0.72, and for eta > 2 / 1.16 = 1.72 one part grows.

    The function torch.linalg.lstsq finds W* without a loop. How close to it is W at the end? By the
    formula above, the gradient is W - W* with each part multiplied by its eigenvalue, which is at
    least 0.28. So ||grad|| >= 0.28 ||W - W*||, and ||W - W*|| is at most ||grad|| / 0.28.
    """
    L_fn, W_star, eigenvalues = least_squares(device)
    smallest = eigenvalues[0].item()
    largest = eigenvalues[-1].item()
    L_star = L_fn(W_star).item()
    W0 = torch.zeros(5, 3, device=device)
    W, hist = gd_nd_torch(L_fn, W0, FIT_ETA, eps_grad=1e-5, L_star=L_star)
    distance = (W.detach() - W_star).norm().item()
    near = distance <= 1e-5 / smallest

    print(f"\na matrix W of shape (5, 3): ||XW - Y||^2 / (2n), eta = {FIT_ETA:g}, ", end="")
    print("until ||grad|| <= 1e-5")
    print(f"  eigenvalues of X^T X / n: {smallest:.2f} to {largest:.2f}")
    print(f"  {len(hist['k'])} iterations, stop: {hist['stop']}, L(W) = {hist['L(w)'][-1]:.4g}")
    print(f"  ||W - W*|| = {distance:.1e} (at most 1e-5 / {smallest:.2f}? {near}), ", end="")
    print("with W* by torch.linalg.lstsq")
    return hist, L_star


def network(device: str) -> tuple[Loss, list[torch.Tensor]]:
    """The loss of a network with two layers on 8 labelled points, and its four parameters.

    For this script any loss of several tensors will do. A later one, losses_and_models.py, explains
    the network, its loss and its data.
    """
    torch.manual_seed(0)
    X = torch.randn(8, 5).to(device)
    y = torch.randint(0, 2, (8,)).float().to(device)
    first = nn.Linear(5, 16).to(device)  # draws a random matrix and a random vector
    second = nn.Linear(16, 1).to(device)

    def L_fn(params: list[torch.Tensor]) -> torch.Tensor:
        W_1, b_1, W_2, b_2 = params
        hidden = torch.relu(X @ W_1.T + b_1)  # relu(z) is the larger of z and 0
        logits = hidden @ W_2.T + b_2
        return binary_cross_entropy_with_logits(logits[:, 0], y)

    return L_fn, [first.weight, first.bias, second.weight, second.bias]


def show_network(device: str) -> None:
    """Minimise the loss of a network, whose parameters are four tensors. It prints:

        a list of 4 tensors, 113 numbers: the loss of a network, eta = 0.5
          200 iterations, stop: max_iters, L = 0.6901 at first, 0.0037 at last
          the loss falls in 199 of 199 steps

    The parameters are two matrices and two vectors. Every tensor is updated by its own gradient.
    ||grad|| is taken over all 113 numbers together. The last iteration takes a step, too, but no
    loss is computed after it.
    """
    L_fn, params = network(device)
    numbers = sum(w.numel() for w in params)
    params, hist = gd_nd_torch(L_fn, params, eta=0.5)
    losses = hist["L(w)"]
    falls = 0
    for k in range(len(losses) - 1):
        if losses[k + 1] < losses[k]:
            falls = falls + 1
    print(f"\na list of {len(params)} tensors, {numbers} numbers: the loss of a network, eta = 0.5")
    print(f"  {len(losses)} iterations, stop: {hist['stop']}, ", end="")
    print(f"L = {losses[0]:.4f} at first, {losses[-1]:.4f} at last")
    print(f"  the loss falls in {falls} of {len(losses) - 1} steps")


def decrease(L_fn: Loss, params: Params, eta: float) -> tuple[float, float]:
    """What one step takes off the loss: eta ||grad||^2, and the actual amount."""
    _, hist = gd_nd_torch(L_fn, params, eta, max_iters=2, eps_grad=0)
    first_order = eta * hist["||grad||"][0] ** 2
    actual = hist["L(w)"][0] - hist["L(w)"][1]
    return first_order, actual


def show_steps(device: str) -> None:
    """Compare what single steps take off a loss with what first-order Taylor predicts. It prints:

        what one step takes off the loss
        loss         eta  predicted   actual  actual / predicted
        vector       0.2     5.0000   4.5000                0.90
        vector       1.5    37.5000   9.3750                0.25
        network        1     0.0453   0.0425                0.94
        network      100     4.5349  -1.6258               -0.36

    By Taylor L(w + delta) is about L(w) + grad @ delta. The step is delta = -eta * grad, so it
    should take eta ||grad||^2 off the loss. For small eta the prediction is nearly right. Here the
    steps take off less, the more so the larger eta is, and the last one raises the loss. The 37.5
    cannot be right: the loss is 12.5 and never negative. For ||w||^2 / 2 the ratio in the last
    column is 1 - eta/2, which is 1/2 for eta = 1, the step to the minimum. This helps to choose eta
    when the eigenvalues are not known: if the ratio is below 1/2, halve eta and try again.
    """
    print("\nwhat one step takes off the loss")
    print("loss         eta  predicted   actual  actual / predicted")
    for eta in (0.2, 1.5):
        predicted, actual = decrease(quadratic, quadratic_start(1000, device), eta)
        print(f"vector    {eta:6g}  {predicted:9.4f} {actual:8.4f}  {actual / predicted:18.2f}")
    for eta in (1, 100):
        L_fn, params = network(device)  # made anew, since a step changes the parameters
        predicted, actual = decrease(L_fn, params, eta)
        print(f"network   {eta:6g}  {predicted:9.4f} {actual:8.4f}  {actual / predicted:18.2f}")


def show_plateau() -> None:
    """Show the plateau metric, the difference of successive losses, for two etas. It prints:

        is the loss still improving? ||w||^2 / 2 from w = 5
          eta  |L(w_1) - L(w_0)|  L(w_0) - L*
          0.5              9.375         12.5
        1e-06            2.5e-05         12.5

    The metric is a crude answer to the question. It is small near a minimum, but also for a tiny
    eta: in the second row the loss hardly changes, although it is 12.5 above its minimum L*.
    """
    print("\nis the loss still improving? ||w||^2 / 2 from w = 5")
    print("  eta  |L(w_1) - L(w_0)|  L(w_0) - L*")
    for eta in (0.5, 1e-6):
        w0 = torch.tensor([5.0], dtype=torch.float64)
        _, hist = gd_nd_torch(quadratic, w0, eta, max_iters=2, L_star=0.0)
        print(f"{eta:5g}  {hist['|dL|'][0]:17.4g}  {hist['gap'][0]:11.4g}")


def main(options: list[str]) -> None:
    """Print the tables above with the given options, and draw the runs. At the end it prints:

        figure: ...gd_nd_diagnostics.png

    The figure has a panel for each diagnostic of the history, over k. The vector runs lie on top of
    each other and of the theory, so their markers take turns: each d has one at every fourth k. The
    matrix run, the crosses, is slower, and its loss falls to L* = 1.369, not to 0. In two panels
    its crosses end early: gap and plateau are differences of losses near L*. float32 has some 7
    digits, so a difference below 1e-5 L* is too inexact to be drawn.
    """
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices.append("cuda")
    if torch.mps.is_available():
        devices.append("mps")
    parser = argparse.ArgumentParser(
        description="The loop of gd_1d_torch.py, for a vector, a matrix and a list of tensors.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--device", choices=devices, default="cpu", help="where tensors live")
    sizes = [1, 10, 1000, 1_000_000]
    parser.add_argument("--d", type=int, nargs="+", default=sizes, help="one to four dimensions")
    parser.add_argument("--eta", type=float, default=0.5, help="step size on the vector's loss")
    args = parser.parse_args(options)
    dimensions = sorted(set(args.d))
    if len(dimensions) > 4 or dimensions[0] < 1 or dimensions[-1] > 10**8:
        parser.error(f"argument --d: must be up to 4 whole numbers from 1 to 10^8, got {args.d}")
    if not 0 < torch.tensor(args.eta).item() < math.inf:  # 1e-50 is 0 in float32
        parser.error(f"argument --eta: must be positive and finite in float32, got {args.eta}")

    runs = show_vectors(dimensions, args.eta, args.device)
    fit, L_star = show_matrix(args.device)
    show_network(args.device)
    show_steps(args.device)
    show_plateau()

    fig = draw_diagnostics(runs, fit, L_star, args.eta)
    path = FIGURES / "gd_nd_diagnostics.png"
    try:
        FIGURES.mkdir(parents=True, exist_ok=True)
        fig.savefig(path, dpi=200)
    except OSError as error:
        sys.exit(f"no figure: {path.as_uri()} {ascii(error)}")
    print("\nfigure:", path.as_uri())


# The rest draws the figure, checks arguments and starts main().


def draw_diagnostics(runs: dict[int, dict], fit: dict, L_star: float, eta: float) -> plt.Figure:
    """Draw four diagnostics over k: of the vector runs by dimension, and of the matrix run fit."""
    k_max = max(len(hist["k"]) for hist in runs.values())
    norm = 5 * abs(1 - eta) ** np.arange(k_max)
    loss = norm**2 / 2
    panels = [
        ("L(w)", r"loss  $L(w_k)$", loss),
        ("gap", r"gap  $L(w_k) - L^\ast$", loss),
        ("||grad||", r"gradient  $\|\nabla L(w_k)\|$", norm),
        ("|dL|", r"plateau  $|L(w_{k+1}) - L(w_k)|$", abs(np.diff(loss))),
    ]
    markers = [("o", "#0072B2"), ("s", "#009E73"), ("D", "#CC79A7"), ("^", "black")]

    plt.rcdefaults()
    fig, axes = plt.subplots(2, 2, figsize=(7.2, 5.6), sharex=True, layout="constrained")
    for ax, (key, label, theory) in zip(axes.flat, panels, strict=True):
        ax.semilogy(theory, color="#E69F00", linewidth=2, zorder=1, label="theory")
        for i, d in enumerate(runs):
            marker, color = markers[i]
            values = runs[d][key]
            first = min(i, len(values) - 1)  # the first k with a marker, then every fourth
            style = {"color": color, "fillstyle": "none", "markevery": (first, 4)}
            ax.semilogy(values, marker, label=f"d = {d:,}", **style)
        values = np.array(fit[key])
        if key in ("gap", "|dL|"):
            values[values < 1e-5 * L_star] = np.nan  # NaN is not drawn
        label_of_fit = rf"least squares, $\eta = {FIT_ETA:g}$"
        ax.semilogy(values, "x", color="#D55E00", markersize=4, label=label_of_fit)
        ax.set_ylabel(label)
        ax.grid(alpha=0.3)
    for ax in axes[1]:
        ax.set_xlabel("iteration $k$")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    fig.suptitle(
        rf"$\|w\|^2/2$, $\eta = {eta:g}$: each step multiplies $w$ by ${1 - eta:g}$, "
        rf"the loss by ${(1 - eta) ** 2:g}$, whatever $d$ is"
    )
    return fig


def check_arguments(
    L_fn: Loss,
    params: Params,
    tensors: list[torch.Tensor],
    eta: float,
    max_iters: int,
    eps_grad: float,
    L_star: float | None,
) -> None:
    """Raise ValueError, naming the argument, if one makes no sense. Calls L_fn once."""
    if len(tensors) == 0:
        raise ValueError("params must hold at least one tensor, got none")
    for w in tensors:
        if not torch.is_tensor(w) or w.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"params must be tensors of float32 or float64, got {w}")
        if not w.is_leaf:  # backward() puts no gradient there
            raise ValueError("params must not be the results of operations")
        if w.numel() == 0 or not w.isfinite().all():
            raise ValueError(f"params must hold finite numbers, got {w}")
        if not 0 < torch.tensor(float(eta), dtype=w.dtype) < math.inf:  # 1e-50 is 0 in float32
            raise ValueError(f"eta must be positive and finite in {w.dtype}, got {eta}")
        w.requires_grad_()
    if len({id(w) for w in tensors}) < len(tensors):
        raise ValueError("params must not hold the same tensor twice")
    if not isinstance(max_iters, int) or max_iters < 1:
        raise ValueError(f"max_iters must be a whole number, at least 1, got {max_iters}")
    if math.isnan(eps_grad) or eps_grad < 0:
        raise ValueError(f"eps_grad must not be negative, got {eps_grad}")
    if L_star is not None and not math.isfinite(L_star):
        raise ValueError(f"L_star must be finite or None, got {L_star}")

    L = L_fn(params)
    if not torch.is_tensor(L) or L.shape != () or not L.requires_grad:
        raise ValueError(f"L_fn must return a tensor of shape () computed from params, got {L}")
    if None in torch.autograd.grad(L, tensors, allow_unused=True):  # None: L does not depend on it
        raise ValueError("L_fn must use every tensor of params, got a loss that leaves one out")


# Figures go into figures/ beside the folder script/, or beside this file if it lies elsewhere.
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"

if __name__ == "__main__":
    if "__file__" in globals():
        main(sys.argv[1:])
    else:  # pasted into a notebook, whose command line holds no options of ours
        main([])
