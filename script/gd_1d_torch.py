"""Gradient descent in one dimension: the complete loop of Lecture 1.

    python script/gd_1d_torch.py
    python script/gd_1d_torch.py --eta 3

Gradient descent looks for a number w at which a loss L(w) is small. It starts somewhere and takes
steps against the derivative, w <- w - eta * dL/dw, with a step size eta. PyTorch computes the
derivative. For the loss w^2 / 2 and the start 5 the loop is this:

    eta = 0.5
    w = torch.tensor(5.0, requires_grad=True)  # asks for derivatives with respect to w
    for k in range(80):
        w.grad = None                          # clear: backward() adds to what is in w.grad
        L = w**2 / 2                           # forward: PyTorch records how L comes from w
        L.backward()                           # backward: puts dL/dw into w.grad, now empty
        with torch.no_grad():                  # update: do not record this step
            w -= eta * w.grad

It takes w through 5, 2.5, 1.25, 0.625 and so on. If w.grad is not cleared, each step uses the sum
of all derivatives so far. Without no_grad() the update ends in an error: PyTorch refuses to change
w in place while it records. The function gd_1d_torch below is the same loop, for any loss. It also
logs every iteration, and stops when the derivative is small. main() runs it on three losses, each
from the start 5, until |dL/dw| <= 1e-10 or the iterations are used up. It prints:

    [quadratic]  final w=7.275958e-11, final L=2.646978e-21, iters=37
    [shifted]    final w=1.000000e+00, final L=0.000000e+00, iters=27
    [doublewell] final w=9.999991e-01, final L=1.818989e-12, iters=200
    figure: ...gd_torch_quadratic_diagnostics.png

- quadratic is w^2 / 2, with eta = 0.5. Its derivative is w, so a step multiplies w by 1 - eta, and
  after k steps w is (1 - eta)^k times the start. This power goes to 0 if |1 - eta| < 1, that is if
  0 < eta < 2. The 37th iteration takes no step: it finds that the derivative is small enough.
- shifted is (w - 1)^2 / 2, with eta = 0.5. A step halves w - 1, so the 26th step would lead to
  1 + 6e-8. But PyTorch's usual numbers, float32, are 1.2e-7 apart just above 1, so w would be
  exactly halfway between two of them. The rule for ties chooses 1. There the derivative is 0.
- doublewell is (w^2 - 1)^2 / 2, minimal at -1 and at 1. At 5 the derivative is 240. With eta = 0.5
  |w| would grow without end. With eta = 0.02 the first step leads to 0.2, past the minimum at 1.
  From there w grows towards 1 until the 200 iterations are used up. Here w is one step newer than
  L, since an iteration logs the loss and then takes its step.

The figure shows the loss and the derivative of the first run over k, and what theory predicts. The
derivative is w, so a step multiplies it by 1 - eta. The loss is w^2 / 2, so a step multiplies it by
(1 - eta)^2, and on the log axis it falls twice as steeply.

Try it. Predict first, then run.

1. Which factor multiplies w in each step of the first run for eta = 1.25, and how many iterations
   does the run take? What happens for eta = 2, and for eta = 3? Use the option --eta.
2. Which minimum of the double well does the start -5 find? Where does the double well's run end if
   it starts at 0? Use the option --w0. (For the start 0 no figure is drawn.)
3. Can a step lower the loss and yet lead away from the nearest minimum? In main(), replace
   `doublewell, args.w0, 0.02, max_iters=200` by `doublewell, 1.3, 0.3623, max_iters=1`, for one
   step from 1.3 with eta = 0.3623. The line [doublewell] then shows the loss at 1.3 and the new w.
   Compute the loss at the new w, and the distance of the new w from 1.
"""

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.ticker import MaxNLocator


def gd_1d_torch(
    L_fn: Callable[[torch.Tensor], torch.Tensor],
    w0: float,
    eta: float,
    max_iters: int = 200,
    eps_grad: float = 1e-8,
    eps_obj: float | None = None,
) -> tuple[float, dict]:
    """Minimise a loss of one number by gradient descent, w <- w - eta * dL/dw.

    L_fn takes w, a float32 tensor of shape (), and returns the loss, a tensor of shape ().

    Returns the final w and the history, a dict. Its lists "k", "w", "L(w)" and "|dL/dw|" have one
    entry per iteration, logged before the step. Its string "stop" says why the run ended:

    - "gradient": |dL/dw| <= eps_grad
    - "objective": L(w) <= eps_obj, if eps_obj is given
    - "diverged": the loss or the derivative is inf or NaN
    - "max_iters": none of these in max_iters iterations

    Raises ValueError if an argument makes no sense. The message names the argument.
    """
    check_arguments(L_fn, w0, eta, max_iters, eps_grad, eps_obj)

    w = torch.tensor(float(w0), requires_grad=True)
    hist = {"k": [], "w": [], "L(w)": [], "|dL/dw|": []}
    hist["stop"] = "max_iters"  # unless the loop finds another reason

    for k in range(max_iters):
        w.grad = None  # clear
        L = L_fn(w)  # forward
        L.backward()  # backward

        # log: item() turns a tensor that holds one number into a Python number
        loss = L.item()
        slope = abs(w.grad.item())
        hist["k"].append(k)
        hist["w"].append(w.item())
        hist["L(w)"].append(loss)
        hist["|dL/dw|"].append(slope)

        # stop?
        if not math.isfinite(loss) or not math.isfinite(slope):
            hist["stop"] = "diverged"
            break
        if slope <= eps_grad:
            hist["stop"] = "gradient"
            break
        if eps_obj is not None and loss <= eps_obj:
            hist["stop"] = "objective"
            break

        # update, in place: w = w - ... would make a new tensor, which does not ask for derivatives
        with torch.no_grad():
            w -= eta * w.grad

    return w.item(), hist


def quadratic(w: torch.Tensor) -> torch.Tensor:
    """w^2 / 2, minimal at 0. Its derivative is w."""
    return 0.5 * w**2


def shifted(w: torch.Tensor) -> torch.Tensor:
    """(w - 1)^2 / 2, minimal at 1."""
    return 0.5 * (w - 1) ** 2


def doublewell(w: torch.Tensor) -> torch.Tensor:
    """(w^2 - 1)^2 / 2, minimal at -1 and at 1, with a local maximum at 0."""
    return 0.5 * (w**2 - 1) ** 2


def main(options: list[str]) -> None:
    """Minimise the three losses, print how each run ended, and draw the first run."""
    parser = argparse.ArgumentParser(
        description="Gradient descent on three losses of one number.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--w0", type=float, default=5.0, help="start of every run")
    parser.add_argument("--eta", type=float, default=0.5, help="step size on both quadratics")
    args = parser.parse_args(options)

    try:
        w, hist = gd_1d_torch(quadratic, args.w0, args.eta, max_iters=80, eps_grad=1e-10)
    except ValueError as error:  # a bad option; the other runs have the same ones
        parser.error(str(error))
    report("quadratic", w, hist, "Try eta = 0.5, or a start closer to the minimum.")

    w, shifted_hist = gd_1d_torch(shifted, args.w0, args.eta, max_iters=80, eps_grad=1e-10)
    report("shifted", w, shifted_hist, "Try eta = 0.5, or a start closer to the minimum.")

    w, doublewell_hist = gd_1d_torch(doublewell, args.w0, 0.02, max_iters=200, eps_grad=1e-10)
    report("doublewell", w, doublewell_hist, "Try a start closer to a minimum.")

    first_loss = hist["L(w)"][0]
    if first_loss == 0 or not math.isfinite(first_loss):
        print(f"no figure: a logarithmic axis cannot show a loss of {first_loss:g}")
        return
    factor = 1 - args.eta
    title = rf"$L(w) = w^2/2$, $\eta = {args.eta:g}$: "
    title += rf"each step multiplies $w$ by ${factor:.10g}$, the loss by ${factor**2:.10g}$"
    outpath = FIGURES / "gd_torch_quadratic_diagnostics.png"
    try:
        save_diagnostics_plot(hist, outpath, title, contraction=abs(factor))
    except OSError as error:
        sys.exit(f"no figure: {outpath.as_uri()} {ascii(error)}")
    print("figure:", outpath.as_uri())


def report(name: str, w: float, hist: dict, advice: str) -> None:
    """Print how a run ended, and the advice if it diverged or did not lower the loss."""
    label = f"[{name}]"
    loss = hist["L(w)"][-1]
    iters = len(hist["k"])
    print(f"{label:<12} final w={w:.6e}, final L={loss:.6e}, iters={iters}")
    if hist["stop"] == "diverged":
        print(f"  diverged at iteration {iters - 1}: L(w) = {loss}. {advice}")
    elif hist["stop"] == "max_iters" and iters > 1 and loss >= hist["L(w)"][0]:
        print(f"  after {iters} iterations no lower than at the start. {advice}")


# The rest draws the figure, checks arguments and starts main().


def save_diagnostics_plot(
    hist: dict, outpath: Path, title: str, contraction: float | None = None
) -> None:
    """Draw L(w_k) and |dL/dw| over k on the same log axis and save the figure as outpath.

    contraction is |1 - eta|, by which a step multiplies |w| on the loss w^2 / 2. If it is given,
    the theory is drawn, too: |dL/dw| changes as contraction^k, and L as contraction^(2k).
    """
    plt.rcdefaults()
    fig, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(8, 3.6), layout="constrained")
    left.semilogy(hist["k"], hist["L(w)"], "o", color="#0072B2", markersize=4, label="run")
    left.set_ylabel("loss  $L(w_k)$")
    right.semilogy(hist["k"], hist["|dL/dw|"], "o", color="#0072B2", markersize=4, label="run")
    right.set_ylabel("derivative  $|dL/dw|$")
    if contraction is not None:
        line = {"color": "#F5D08A", "linewidth": 8, "zorder": 1}  # zorder: behind the run
        loss = [hist["L(w)"][0] * contraction ** (2 * k) for k in hist["k"]]
        left.semilogy(hist["k"], loss, label=rf"theory: $\propto {contraction:g}^{{2k}}$", **line)
        slope = [hist["|dL/dw|"][0] * contraction**k for k in hist["k"]]
        right.semilogy(hist["k"], slope, label=rf"theory: $\propto {contraction:g}^k$", **line)
    for ax in (left, right):
        ax.set_xlabel("iteration $k$")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(alpha=0.3)
        ax.legend(frameon=False)
    fig.suptitle(title)
    outpath.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(outpath, dpi=200)


def check_arguments(
    L_fn: Callable, w0: float, eta: float, max_iters: int, eps_grad: float, eps_obj: float | None
) -> None:
    """Raise ValueError, naming the argument, if one makes no sense. Calls L_fn once."""
    w = torch.tensor(float(w0), requires_grad=True)
    if not w.isfinite():
        raise ValueError(f"w0 must be finite in float32, got {w0}")
    step_size = torch.tensor(float(eta))  # a float32: 1e-50 becomes 0, and 1e50 becomes inf
    if not (step_size > 0 and step_size.isfinite()):
        raise ValueError(f"eta must be positive and finite in float32, got {eta}")
    if not isinstance(max_iters, int) or max_iters < 1:
        raise ValueError(f"max_iters must be a whole number, at least 1, got {max_iters}")
    if math.isnan(eps_grad) or eps_grad < 0:
        raise ValueError(f"eps_grad must not be negative, got {eps_grad}")
    if eps_obj is not None and math.isnan(eps_obj):
        raise ValueError(f"eps_obj must be a number or None, got {eps_obj}")
    L = L_fn(w)
    if not torch.is_tensor(L) or L.shape != ():
        raise ValueError(f"L_fn must return a tensor of shape (), got {L}")
    if L.requires_grad:
        L.backward()
    if w.grad is None:
        raise ValueError(f"L_fn must compute its loss from w, got {L}")


# Figures go into figures/ beside the folder script/, or beside this file if it lies elsewhere.
# Code pasted into a notebook has no __file__, and the options on its command line are not ours.
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"

if __name__ == "__main__":
    if "__file__" in globals():
        main(sys.argv[1:])
    else:
        main([])
