# %% [markdown]
# # Matrix multiplication order
# (AB)C and A(BC) are the same matrix. They need not take the same work, and PyTorch computes
# `A @ B @ C` from left to right.
# Example outputs: Linux x86_64 cpu, 1 thread, torch 2.15.0+cu132.

# %%
import argparse
import sys
import time
from functools import partial
from pathlib import Path
from platform import machine, system

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Rectangle
from torch.utils.benchmark import Timer

present = ["cpu", *(name for name in ("cuda", "mps") if getattr(torch, name).is_available())]
parser = argparse.ArgumentParser(description="Matrix multiplication order")
parser.add_argument("--device", choices=present, default="cpu")
DEVICE = parser.parse_args([] if hasattr(sys, "ps1") else None).device  # in a notebook: edit here
N, LARGE = (512, 1024) if DEVICE == "cpu" else (4096, 4096)  # outer sizes; the ceiling's product
INNER = [512, 64, 8]  # p: A is N x N, B is N x p, C is p x N
THREADS, ROUNDS, SECONDS = 1, 6, 0.06  # seconds for each variant at each size
MACHINE = f"{system()} {machine()} {DEVICE}, {THREADS} thread, torch {torch.__version__}"
plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"

def save(fig: plt.Figure, name: str, table: str = "") -> None:
    """Save fig, with the table that it was drawn from inside, and print where it lies."""
    try:
        FIGURES.mkdir(parents=True, exist_ok=True)
        fig.savefig(FIGURES / name, dpi=200, metadata={"Description": table})
    except OSError as error:
        sys.exit(f"no figure: {error}")
    print("figure:", (FIGURES / name).as_posix().removeprefix(f"{Path.cwd().as_posix()}/"))

# %% [markdown]
# ## Counting multiply-adds
# An entry of a product is a sum of as many terms as the inner size. So X @ Y with X (m, n) and
# Y (n, p) takes mnp multiply-adds. (AB)C takes mnp + mpq, A(BC) takes npq + mnq.

# %%
def multiply_adds(m: int, n: int, p: int, q: int) -> dict:
    """Multiply-adds of each order for A (m, n), B (n, p), C (p, q). multi_dot takes the cheaper."""
    left, right = m * n * p + m * p * q, n * p * q + m * n * q
    return {"(A @ B) @ C": left, "A @ (B @ C)": right, "multi_dot": min(left, right)}

# %%
work = multiply_adds(512, 512, 8, 512)
for order, count in work.items():
    print(f"{order}: {count:,}")
print("A(BC) to (AB)C:", work["A @ (B @ C)"] / work["(A @ B) @ C"])
# Output:
# (A @ B) @ C: 4,194,304
# A @ (B @ C): 136,314,880
# multi_dot: 4,194,304
# A(BC) to (AB)C: 32.5

# %% [markdown]
# ## Figure 3.6: the intermediates
# AB is as thin as B. BC is as large as A, and has to be multiplied by A.

# %%
def product(ax: plt.Axes, left: float, middle: float, names: str, sizes: list) -> float:
    """Draw the names X, Y, Z as X Y = Z from left on, to scale, and return where they end."""
    start = left
    for name, (rows, columns), sign in zip(names.split(), sizes, [r"$\cdot$", "$=$", ""]):
        height, width, cell = rows / 512, columns / 512, max(columns / 512, 0.6)
        color = ["#0072B2", "#E69F00", "#009E73"][len(name) - 1]  # factor, intermediate, result
        corner = left + (cell - width) / 2, middle - height / 2
        ax.add_patch(Rectangle(corner, width, height, facecolor=color, linewidth=0, snap=False))
        ax.text(left + cell / 2, middle + 0.62, f"${name}$", ha="center", va="center", fontsize=12)
        ax.text(left + cell / 2, middle - 0.62, f"{rows} x {columns}", ha="center", va="center")
        left += cell
        ax.text(left + 0.19, middle, sign, ha="center", va="center", fontsize=16)
        left += 0.38 if sign else 0
    count = f"{sizes[0][0] * sizes[0][1] * sizes[1][1]:,} multiply-adds"
    ax.text((start + left) / 2, middle - 0.88, count, ha="center", va="center")
    return left

# %%
big, tall, flat = (512, 512), (512, 8), (8, 512)
fig, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
for y, order, first, second in [
    (2.1, "$(AB)C$", ("A B AB", [big, tall, tall]), ("AB C ABC", [tall, flat, big])),
    (0.0, "$A(BC)$", ("B C BC", [tall, flat, big]), ("A BC ABC", [big, big, big])),
]:
    ax.text(0, y, order, ha="center", va="center", fontsize=16)
    middle = product(ax, 0.55, y, *first)
    ax.text(middle + 0.3, y, "then", ha="center", va="center")
    end = product(ax, middle + 0.6, y, *second)
ax.set(xlim=(-0.4, end + 0.1), ylim=(-1.05, 2.9), aspect="equal")
ax.axis("off")
fig.suptitle("$(AB)C$ takes 4,194,304 multiply-adds, $A(BC)$ 32.5 times as many:\n"
             "$AB$ has 4,096 entries, $BC$ has 262,144")
save(fig, "matmul_associativity_cost.png")
# Output:
# figure: ...matmul_associativity_cost.png

# %% [markdown]
# ## The orders agree up to rounding
# The notes print a difference of 0. Each order errs by (n + p) eps/2 times |A||B||C| at most, up to
# terms in eps^2, so they differ by twice that at most, and not by nothing.

# %%
torch.manual_seed(0)
A, B, C = torch.randn(512, 512), torch.randn(512, 8), torch.randn(8, 512)
exact = A.double() @ B.double() @ C.double()
allowed = (512 + 8) * torch.finfo(A.dtype).eps / 2 * (A.abs() @ B.abs() @ C.abs()).max().item()
A, B, C = A.to(DEVICE), B.to(DEVICE), C.to(DEVICE)
left, right, multi = (A @ B) @ C, A @ (B @ C), torch.linalg.multi_dot([A, B, C])
errors = [(X.cpu() - exact).abs().max().item() for X in (left, right, multi)]
print("A @ B @ C is (A @ B) @ C?", torch.equal(A @ B @ C, left))
print("every error allowed?", max(errors) <= allowed, " orders equal?", torch.equal(left, right))
print("they differ by less than 0.001?", (left - right).abs().max().item() < 1e-3)
# Output:
# A @ B @ C is (A @ B) @ C? True
# every error allowed? True  orders equal? False
# they differ by less than 0.001? True

# %% [markdown]
# ## How to time
# Warm up, and take turns, so that a slow phase of the machine hits all variants alike. A median
# with quartiles shows a spread that a mean hides. `Timer` waits for a GPU; the CPU needs no wait.

# %%
def take_turns(variants: dict) -> dict:
    """Seconds a call of each function of a dict: first quartile, median, third, by name."""
    options = {"num_threads": THREADS} | ({"timer": time.perf_counter} if DEVICE == "cpu" else {})
    timers = {name: Timer("f()", globals={"f": f}, **options) for name, f in variants.items()}
    times = {name: [] for name in timers}
    for _ in range(ROUNDS):
        for name, timer in timers.items():  # each turn begins with calls that do not count
            times[name] += timer.blocked_autorange(min_run_time=SECONDS / ROUNDS).times
    return {name: np.percentile(found, [25, 50, 75]) for name, found in times.items()}

def verdict(slow: np.ndarray, fast: np.ndarray) -> str:
    """Did slow take longer than fast? How many times as long, from and to by the quartiles?"""
    low, ratio, high = slow / fast[::-1]
    held = "held here" if low > 1 else "did not hold here" if high < 1 else "not decided here"
    return f"{held}, {ratio:,.2f} times ({low:,.2f} to {high:,.2f})"

# %% [markdown]
# ## Two orders, and multi_dot, which picks one
# Predicted is what the multiply-adds take at the rate of a large square product. The smaller p, the
# more there is to win.

# %%
square, out = torch.ones(2, LARGE, LARGE, device=DEVICE)
rate = LARGE**3 / take_turns({"square": lambda: torch.mm(square, square, out=out)})["square"][0]
table, results = ["   p  variant       median (ms)       quartiles      predicted  ratio"], []
print(table[0])
for p in INNER:
    A, B, C = (torch.ones(shape, device=DEVICE) for shape in ((N, N), (N, p), (p, N)))
    times = take_turns({"(A @ B) @ C": partial(lambda A, B, C: (A @ B) @ C, A, B, C),
                        "A @ (B @ C)": partial(lambda A, B, C: A @ (B @ C), A, B, C),
                        "multi_dot": partial(torch.linalg.multi_dot, [A, B, C])})
    for name, seconds in times.items():
        (low, ms, high), predicted = 1e3 * seconds, 1e3 * multiply_adds(N, N, p, N)[name] / rate
        row = f"{p:4}  {name:<13}{ms:11.4f}  {low:8.4f} {high:8.4f}  {predicted:9.4f}"
        table.append(f"{row} {ms / predicted:6.2f}")
        print(table[-1], flush=True)
    results.append(times)
print("claim: (AB)C is faster than A(BC):", verdict(times["A @ (B @ C)"], times["(A @ B) @ C"]))
fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
for name, color, marker in zip(times, ["#0072B2", "#E69F00", "#009E73"], "osD"):
    low, ms, high = 1e3 * np.transpose([found[name] for found in results])
    look = {"color": color, "label": name, "markersize": 11 if marker == "D" else 6}
    look |= {"fillstyle": "none", "fmt": marker if name == "multi_dot" else marker + "-"}
    ax.errorbar(INNER, ms, [ms - low, high - ms], **look)
    floor = [1e3 * multiply_adds(N, N, p, N)[name] / rate for p in INNER]
    ax.plot(INNER, floor, ":", color="0.6", zorder=0)
ax.plot([], [], ":", color="0.6", label="multiply-adds at the ceiling's rate")
ax.set(xscale="log", yscale="log", xlabel="inner size $p$", ylabel="time (ms)")
ax.set_xticks(INNER, INNER)
ax.minorticks_off()
ratio, work = times["A @ (B @ C)"][1] / times["(A @ B) @ C"][1], multiply_adds(N, N, p, N)
ax.set_title(f"$p$ = {p}: $A(BC)$ takes {ratio:.1f} times as long as $(AB)C$, for "
             f"{work['A @ (B @ C)'] / work['(A @ B) @ C']:.1f} times the multiply-adds")
fig.legend(loc="outside lower center", ncols=4, title=MACHINE, title_fontsize=7, frameon=False)
save(fig, "matmul_order_timing.png", "\n".join(table))
# Example output:
#    p  variant       median (ms)       quartiles      predicted  ratio
#  512  (A @ B) @ C       5.3857    5.3136   5.4258     5.3356   1.01
#  512  A @ (B @ C)       5.3800    5.3218   5.4432     5.3356   1.01
#  512  multi_dot         5.3850    5.3417   5.5221     5.3356   1.01
#   64  (A @ B) @ C       0.6915    0.6882   0.7130     0.6670   1.04
#   64  A @ (B @ C)       2.9929    2.9632   3.0636     3.0013   1.00
#   64  multi_dot         0.6923    0.6877   0.7127     0.6670   1.04
#    8  (A @ B) @ C       0.3758    0.3740   0.3781     0.0834   4.51
#    8  A @ (B @ C)       2.8548    2.7595   2.9218     2.7095   1.05
#    8  multi_dot         0.3733    0.3718   0.3758     0.0834   4.48
# claim: (AB)C is faster than A(BC): held here, 7.60 times (7.30 to 7.81)
# figure: ...matmul_order_timing.png

# %% [markdown]
# ## Why 8 columns gain less than predicted
# A @ B is far from the ceiling's rate, and not because its work is small: with twice the columns it
# takes less time. With B column by column it is faster, too.

# %%
A, B = torch.ones(N, N, device=DEVICE), torch.ones(N, 8, device=DEVICE)
times = take_turns({"A @ B": partial(torch.mm, A, B),
                    "B column-major": partial(torch.mm, A, B.t().contiguous().t()),
                    "B of 16 columns": partial(torch.mm, A, torch.cat([B, B], dim=1))})
for name, (_, median, _) in times.items():
    print(f"{name:<16} {1e3 * median:8.4f} ms, {median / times['A @ B'][1]:.2f} times A @ B")
print("claim: a slow path for a row-major B of 8 columns:",
      verdict(times["A @ B"], times["B column-major"]))
# Example output:
# A @ B              0.2983 ms, 1.00 times A @ B
# B column-major     0.1179 ms, 0.40 times A @ B
# B of 16 columns    0.1109 ms, 0.37 times A @ B
# claim: a slow path for a row-major B of 8 columns: held here, 2.53 times (2.47 to 2.55)
