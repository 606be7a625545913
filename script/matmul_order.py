# %% [markdown]
# # Matrix multiplication order
#
# (AB)C and A(BC) are the same matrix, but they are not the same work. With the matrices of the
# lecture, A(BC) takes 32.5 times as much work as (AB)C. Python does not look for the better order:
# it evaluates `A @ B @ C` from left to right, whatever the shapes are. This script counts the work
# of both orders, shows where the difference comes from, and measures how much of it shows in the
# time.
#
# Example outputs: the lecture's machine, Linux, Intel Xeon (x86_64), torch 2.15.0.

# %%
import os
import platform
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch.utils.benchmark import Timer

plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"

# %% [markdown]
# ## Counting
#
# Let X have shape (m, n), and Y shape (n, p). Then X @ Y has m * p numbers, and each of them is a
# sum of n products. A multiplication, together with the addition of its result to a sum, is called
# a *multiply-add*. So X @ Y takes m * n * p multiply-adds.
#
# We multiply a square A, a column B and a row C in both orders. The product that is computed first,
# AB or BC, is called the *intermediate*. Compare the sizes of the two intermediates.

# %%
def multiply_adds(X: torch.Tensor, Y: torch.Tensor) -> int:
    """The number of multiply-adds in X @ Y."""
    m, n = X.shape
    p = Y.shape[1]
    return m * n * p

# %%
A = torch.tensor([[1, 0, 2], [0, 1, 0], [3, 0, 1]])
B = torch.tensor([[1], [2], [3]])
C = torch.tensor([[1, 10, 100]])

AB = A @ B
print("AB:", AB.tolist())
print("(AB)C:", (AB @ C).tolist())
print("multiply-adds:", multiply_adds(A, B), "+", multiply_adds(AB, C))

BC = B @ C
print("BC:", BC.tolist())
print("A(BC):", (A @ BC).tolist())
print("multiply-adds:", multiply_adds(B, C), "+", multiply_adds(A, BC))
# Output:
# AB: [[7], [2], [6]]
# (AB)C: [[7, 70, 700], [2, 20, 200], [6, 60, 600]]
# multiply-adds: 9 + 9
# BC: [[1, 10, 100], [2, 20, 200], [3, 30, 300]]
# A(BC): [[7, 70, 700], [2, 20, 200], [6, 60, 600]]
# multiply-adds: 9 + 27

# %% [markdown]
# ## The lecture's matrices
#
# Both orders gave the same matrix, but (AB)C took 18 multiply-adds, and A(BC) took 36. AB is a
# column, as B is. BC is a whole square, although B and C are thin, and A has to be multiplied by
# it.
#
# In general, let A have shape (m, n), B shape (n, p), and C shape (p, q). Then (AB)C takes
# mnp + mpq multiply-adds, and A(BC) takes npq + mnq. Only the term mnq has no p, so it stays large
# however thin B and C are. If m, n and q are all equal to N, then A(BC) takes (N + p) / (2p) times
# as many multiply-adds as (AB)C. Above, N = 3 and p = 1. In the lecture, N = 512 and p = 8.

# %%
A = torch.ones(512, 512)
B = torch.ones(512, 8)
C = torch.ones(8, 512)
AB = A @ B
BC = B @ C
count_left = multiply_adds(A, B) + multiply_adds(AB, C)
count_right = multiply_adds(B, C) + multiply_adds(A, BC)
print(f"(AB)C: {count_left:,} multiply-adds")
print(f"A(BC): {count_right:,} multiply-adds")
print("A(BC) to (AB)C:", count_right / count_left)
# Output:
# (AB)C: 4,194,304 multiply-adds
# A(BC): 136,314,880 multiply-adds
# A(BC) to (AB)C: 32.5

# %% [markdown]
# ## The two orders to scale
#
# The figure (Figure 3.6 of the lecture) draws all matrices to scale. The intermediates are orange.

# %%
def draw_matrix(ax: plt.Axes, x: float, y: float, matrix: tuple) -> None:
    """Draw a matrix (name, rows, columns, color) around (x, y): a side of 512 is 1 long."""
    name, rows, columns, color = matrix
    width = columns / 512
    height = rows / 512
    corner = (x - width / 2, y - height / 2)
    ax.add_patch(plt.Rectangle(corner, width, height, color=color, lw=0, snap=False))
    ax.text(x, y + 0.62, f"${name}$", ha="center", va="center", size=13)
    ax.text(x, y - 0.62, f"{rows} x {columns}", ha="center", va="center")

def draw_product(ax: plt.Axes, x: float, y: float, X: tuple, Y: tuple, Z: tuple) -> None:
    """Draw X @ Y = Z from x on, and the multiply-adds below."""
    draw_matrix(ax, x, y, X)
    ax.text(x + 0.75, y, "@", ha="center", va="center", size=13)
    draw_matrix(ax, x + 1.5, y, Y)
    ax.text(x + 2.25, y, "=", ha="center", va="center", size=16)
    draw_matrix(ax, x + 3, y, Z)
    m = X[1]
    n = X[2]
    p = Y[2]
    ax.text(x + 1.5, y - 0.9, f"{m * n * p:,} multiply-adds", ha="center", va="center")

def draw_orders() -> plt.Figure:
    """Both orders of the lecture's product, one above the other."""
    A = ("A", 512, 512, "#0072B2")
    B = ("B", 512, 8, "#0072B2")
    C = ("C", 8, 512, "#0072B2")
    AB = ("AB", 512, 8, "#E69F00")
    BC = ("BC", 512, 512, "#E69F00")
    ABC = ("ABC", 512, 512, "#009E73")
    fig, ax = plt.subplots(figsize=(10, 4.3), layout="constrained")
    ax.text(-1.2, 2.1, "$(AB)C$", ha="center", va="center", size=16)
    draw_product(ax, 0, 2.1, A, B, AB)
    ax.text(3.9, 2.1, "then", ha="center", va="center")
    draw_product(ax, 4.8, 2.1, AB, C, ABC)
    ax.text(-1.2, 0, "$A(BC)$", ha="center", va="center", size=16)
    draw_product(ax, 0, 0, B, C, BC)
    ax.text(3.9, 0, "then", ha="center", va="center")
    draw_product(ax, 4.8, 0, A, BC, ABC)
    ax.set(xlim=(-1.8, 8.5), ylim=(-1.1, 2.9), aspect="equal")
    ax.axis("off")
    fig.suptitle("$A(BC)$ takes 32.5 times as many multiply-adds as $(AB)C$")
    return fig

def save(fig: plt.Figure, name: str) -> None:
    """Save fig as FIGURES/name and print where it lies, or why it could not be saved."""
    path = FIGURES / name
    try:
        FIGURES.mkdir(parents=True, exist_ok=True)
        fig.savefig(path, dpi=200)
        print("figure:", path.as_uri())
    except OSError as error:
        print("no figure:", path.as_uri(), ascii(error))

# %%
save(draw_orders(), "matmul_associativity_cost.png")
# Output:
# figure: ...matmul_associativity_cost.png

# %% [markdown]
# ## Does the time follow the count?
#
# If it did, A(BC) would take 32.5 times as long as (AB)C. `milliseconds` measures both orders:
# PyTorch's `Timer` calls a function again and again, on one thread (on one core of the processor).
# We take the median of the times, because a few slow calls hardly change it. Compare the times of
# one cell, as ratios: from one cell to another the same time can double, because other programs use
# the machine, too. Even within a cell, a difference of less than 20 percent says nothing, and a
# larger one that another run does not show is chance.

# %%
# for a GPU: DEVICE=cuda python script/matmul_order.py, or edit the next line
DEVICE = os.environ.get("DEVICE", "cpu")

def milliseconds(function):
    """The median time of a call of function, in ms."""
    timer = Timer("function()", globals={"function": function})
    return 1000 * timer.blocked_autorange(min_run_time=0.05).median

# %%
A = torch.ones(512, 512, device=DEVICE)
B = torch.ones(512, 8, device=DEVICE)
C = torch.ones(8, 512, device=DEVICE)
time_left = milliseconds(lambda: (A @ B) @ C)
time_right = milliseconds(lambda: A @ (B @ C))
print(f"(A @ B) @ C: {time_left:.3f} ms")
print(f"A @ (B @ C): {time_right:.3f} ms, {time_right / time_left:.1f} times as long")
# Example output:
# (A @ B) @ C: 0.210 ms
# A @ (B @ C): 3.408 ms, 16.2 times as long

# %% [markdown]
# ## Thin products are slower than their count
#
# The ratio that you see is usually below 32.5. The time is the count divided by the *rate*, the
# multiply-adds per millisecond, and the rate is not the same for all shapes. In A @ BC, each number
# of A is used in 512 multiply-adds, one for each column of BC. In A @ B it is used in only 8. And
# in AB @ C, each of the 512 x 512 results takes only 8 multiply-adds, so more of the time goes into
# writing the results. We therefore expect a lower rate for both thin products than for A @ BC.
#
# Is it the count that decides how long A @ B takes? To check, we also give B 2 and 16 columns. If
# it is, the three times are as 1 to 4 to 8.

# %%
def print_rate(name: str, X: torch.Tensor, Y: torch.Tensor) -> None:
    """Measure X @ Y and print its time and its rate."""
    ms = milliseconds(lambda: X @ Y)
    rate_in_millions = multiply_adds(X, Y) / ms / 1e6
    print(f"{name}: {ms:.3f} ms, {rate_in_millions:.1f} million multiply-adds per ms")

# %%
A = torch.ones(512, 512, device=DEVICE)
B = torch.ones(512, 8, device=DEVICE)
C = torch.ones(8, 512, device=DEVICE)
print_rate("A @ B, 2 columns", A, torch.ones(512, 2, device=DEVICE))
print_rate("A @ B, 8 columns", A, B)
print_rate("A @ B, 16 columns", A, torch.ones(512, 16, device=DEVICE))
print_rate("AB @ C", A @ B, C)
print_rate("A @ BC", A, B @ C)
# Example output:
# A @ B, 2 columns: 0.118 ms, 4.5 million multiply-adds per ms
# A @ B, 8 columns: 0.115 ms, 18.2 million multiply-adds per ms
# A @ B, 16 columns: 0.109 ms, 38.4 million multiply-adds per ms
# AB @ C: 0.055 ms, 38.4 million multiply-adds per ms
# A @ BC: 2.245 ms, 59.8 million multiply-adds per ms

# %% [markdown]
# On the lecture's machine, the three times of A @ B differ far less than 1 to 4 to 8. So the count
# does not decide there. All of A is read, whether for few multiply-adds or for many. And the
# library that PyTorch calls multiplies block by block: a block that is not full can take as long as
# a full one, or even longer.
#
# ## The inner size p
#
# Where do the two orders change places? By the formula, (N + p) / (2p) is 1 at p = N. There both
# orders take equally many multiply-adds. For a smaller p, (AB)C takes fewer. For a larger p, A(BC)
# takes fewer, but never fewer than half as many.
#
# We measure both orders for N = 512 and p = 8 to 1024. The two "predicted" columns say how long the
# multiply-adds would take at the rate of a square product, A @ A. Compare each time with its
# prediction: we expect the largest gap for (A @ B) @ C at a small p, where both products are thin.
#
# The column "multi_dot" is `torch.linalg.multi_dot([A, B, C])`. It does what Python does not do: it
# counts first, and then multiplies in the order with the smaller count. So its time should be that
# of this order. Where it is not, you see what chance adds: other programs on the machine, or page
# faults (see inplace.py), of which A @ (B @ C) can have some 500 in a call, for its two new tensors
# of 1 MiB.

# %%
N = 512
INNER = [8, 16, 32, 64, 128, 256, 512, 1024]

def draw_times(table: torch.Tensor) -> plt.Figure:
    """Draw each column of the table over p."""
    fig, ax = plt.subplots(figsize=(9, 5), layout="constrained")
    ax.plot(INNER, table[:, 0], "o-", color="#0072B2", label="(A @ B) @ C")
    ax.plot(INNER, table[:, 3], ":", color="#0072B2", label="predicted (A @ B) @ C")
    ax.plot(INNER, table[:, 1], "s-", color="#D55E00", label="A @ (B @ C)")
    ax.plot(INNER, table[:, 4], "--", color="#D55E00", label="predicted A @ (B @ C)")
    ax.plot(INNER, table[:, 2], "D", color="#009E73", label="multi_dot", ms=11, fillstyle="none")
    ax.axvline(N, color="0.8", zorder=0)
    ax.set(xscale="log", yscale="log", ylabel="time (ms)")
    ax.set_xlabel("inner size p (gray line: both orders have the same count)")
    ax.set_xticks(INNER, INNER)
    ax.minorticks_off()
    ax.yaxis.set_major_formatter("{x:g}")
    first = table[0, 1] / table[0, 0]
    last = table[-1, 1] / table[-1, 0]
    ax.set_title(
        f"A @ (B @ C) takes {first:.1f} times as long as (A @ B) @ C at p = {INNER[0]}, "
        f"and {last:.1f} times at p = {INNER[-1]}",
        size=11,
    )
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False)
    machine = f"{platform.system()} {platform.machine()}, torch {torch.__version__}, {DEVICE}"
    fig.supxlabel(machine, size=7)
    return fig

# %%
A = torch.ones(N, N, device=DEVICE)
rate = multiply_adds(A, A) / milliseconds(lambda: A @ A)  # multiply-adds per ms
rows = []
print("milliseconds")
print("   p  (A @ B) @ C  A @ (B @ C)  multi_dot  predicted (A @ B) @ C  predicted A @ (B @ C)")
for p in INNER:
    B = torch.ones(N, p, device=DEVICE)
    C = torch.ones(p, N, device=DEVICE)
    left = milliseconds(lambda: (A @ B) @ C)
    right = milliseconds(lambda: A @ (B @ C))
    multi_dot = milliseconds(lambda: torch.linalg.multi_dot([A, B, C]))
    left_predicted = (multiply_adds(A, B) + multiply_adds(A @ B, C)) / rate
    right_predicted = (multiply_adds(B, C) + multiply_adds(A, B @ C)) / rate
    rows.append([left, right, multi_dot, left_predicted, right_predicted])
    print(
        f"{p:4} {left:12.3f} {right:12.3f} {multi_dot:10.3f}"
        f" {left_predicted:22.3f} {right_predicted:22.3f}"
    )
save(draw_times(torch.tensor(rows)), "matmul_order_timing.png")
# Example output:
# milliseconds
#    p  (A @ B) @ C  A @ (B @ C)  multi_dot  predicted (A @ B) @ C  predicted A @ (B @ C)
#    8        0.201        3.394      0.223                  0.071                  2.316
#   16        0.227        2.343      0.236                  0.143                  2.352
#   32        0.345        2.398      0.361                  0.285                  2.423
#   64        0.720        2.744      0.731                  0.570                  2.566
#  128        1.300        2.829      1.281                  1.140                  2.851
#  256        2.372        3.444      2.351                  2.281                  3.421
#  512        4.544        5.743      5.650                  4.562                  4.562
# 1024        9.014        6.779      7.001                  9.123                  6.842
# figure: ...matmul_order_timing.png

# %% [markdown]
# In the figure, the two measured curves cross between p = N, the gray line, and p = 2 N, or nearby.
# By the count, they cross at the line: there, both orders are two square products. Everywhere else
# multi_dot lies on the lower curve, except for chance. On the lecture's machine, (A @ B) @ C takes
# far more than its prediction at p = 8, and the gap closes as p grows.
#
# ## A vector at the end
#
# The case that you will meet most often is `A @ B @ x` with square matrices A and B and a column x.
# By the chain rule, a gradient is such a product: each node multiplies by a matrix J^T
# (autograd_tour.py), and `backward()` begins at the vector. Python begins at the other end: it
# multiplies two square matrices, of which only one column is needed afterwards. With parentheses,
# each matrix is multiplied by a column. Which ratio of the counts do you expect, and does the time
# follow it?

# %%
A = torch.ones(512, 512, device=DEVICE)
B = torch.ones(512, 512, device=DEVICE)
x = torch.ones(512, 1, device=DEVICE)
count_left = multiply_adds(A, B) + multiply_adds(A @ B, x)
count_right = multiply_adds(B, x) + multiply_adds(A, B @ x)
time_left = milliseconds(lambda: A @ B @ x)
time_right = milliseconds(lambda: A @ (B @ x))
print(f"A @ B @ x: {count_left:,} multiply-adds, {time_left:.3f} ms")
print(f"A @ (B @ x): {count_right:,} multiply-adds, {time_right:.3f} ms")
print(f"count {count_left / count_right} times, time {time_left / time_right:.1f} times")
# Example output:
# A @ B @ x: 134,479,872 multiply-adds, 2.258 ms
# A @ (B @ x): 524,288 multiply-adds, 0.084 ms
# count 256.5 times, time 26.9 times

# %% [markdown]
# By the count, the parentheses save a factor of (N + 1) / 2 = 256.5. In time, they save far less,
# on the lecture's machine between 20 and 70, from run to run. In `B @ x`, each number of B is used
# in a single multiply-add, so a large part of the time goes into reading B. The rate is low, as in
# the thin products above.
#
# ## The results differ by rounding
#
# At the top, the matrices held small whole numbers, and both orders gave exactly the same result.
# The numbers of `torch.randn` have fractions. Their products and sums are rounded, and the two
# orders round different sums. Float32 keeps about seven digits, and the largest number of ABC is
# about 395, so we expect that the results differ in the fourth decimal or so. Neither of them is
# wrong. (The lecture's notes say that the difference is zero, so the cell asks for this, too.)
#
# The last digits also show which order Python takes for `A @ B @ C`: only one order gives the same
# digits.

# %%
torch.manual_seed(0)
dtype = torch.float32
A = torch.randn(512, 512, dtype=dtype)
B = torch.randn(512, 8, dtype=dtype)
C = torch.randn(8, 512, dtype=dtype)
left = (A @ B) @ C
right = A @ (B @ C)
difference = (left - right).abs().max().item()
print(f"largest number: {left.abs().max().item():.0f}")
print(f"largest difference: {difference:.0e}", end=" ")
print(f"(zero? {difference == 0}, at most 0.001? {difference <= 0.001})")
print("A @ B @ C equals (A @ B) @ C?", torch.equal(A @ B @ C, left))
print("A @ B @ C equals A @ (B @ C)?", torch.equal(A @ B @ C, right))
# Output:
# largest number: 395
# largest difference: ... (zero? False, at most 0.001? True)
# A @ B @ C equals (A @ B) @ C? True
# A @ B @ C equals A @ (B @ C)? False

# %% [markdown]
# ## What to take away
#
# - Write the parentheses yourself, so that the intermediate is small: `A @ (B @ x)` for a vector x.
# - `torch.linalg.multi_dot` finds the order with the smallest count, for longer products, too.
# - The count finds the better order. How much time it saves, only a clock can say.
# - The two orders do not give the same digits. Ask whether their difference is small, not whether
#   they are equal. dtypes.py says more about rounding.
#
# ## Try it
#
# Predict first, then change the line and run its cell.
#
# 1. In "The lecture's matrices", let A have only 8 rows: replace `torch.ones(512, 512)` by
#    `torch.ones(8, 512)`. How many times as many multiply-adds does A(BC) take now?
# 2. In "The results differ by rounding", replace `torch.float32` by `torch.float64`, which keeps
#    about 16 digits. Is the difference zero now? If not, how small is it?
