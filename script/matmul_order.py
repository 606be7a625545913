# %% [markdown]
# # Matrix multiplication order
#
# (AB)C and A(BC) are the same matrix, but they are not the same work. With the matrices of the
# lecture, A(BC) takes 32.5 times as many multiplications as (AB)C. Python does not look for the
# better order: it evaluates `A @ B @ C` from left to right, whatever the shapes are. This script
# counts the work of both orders, shows where the difference comes from, and measures how much of it
# shows in the time.
#
# Example outputs: the lecture's machine, Linux, Intel Xeon (x86_64), torch 2.15.0+cu132, one thread.

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
# sum of n products. To multiply two numbers and to add the result to a sum is called a
# *multiply-add*. So X @ Y takes m * n * p multiply-adds.
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
# In the small example the results are equal, but A(BC) takes twice as much work. AB is a column, as
# B is. BC is a whole matrix, although B and C are thin, and A has to be multiplied by that matrix.
#
# The order matters more when the square is large. In the lecture, A has shape (512, 512), B has
# shape (512, 8), and C has shape (8, 512). How many times as much work is A(BC) now?

# %%
A = torch.ones(512, 512)
B = torch.ones(512, 8)
C = torch.ones(8, 512)
AB_first = multiply_adds(A, B) + multiply_adds(A @ B, C)
BC_first = multiply_adds(B, C) + multiply_adds(A, B @ C)
print(f"(AB)C: {AB_first:,} multiply-adds")
print(f"A(BC): {BC_first:,} multiply-adds")
print("A(BC) to (AB)C:", BC_first / AB_first)
# Output:
# (AB)C: 4,194,304 multiply-adds
# A(BC): 136,314,880 multiply-adds
# A(BC) to (AB)C: 32.5

# %% [markdown]
# ## Figure 3.6: the two orders
#
# Let A have shape (m, n), B shape (n, p), and C shape (p, q). Then (AB)C takes mnp + mpq
# multiply-adds, and A(BC) takes npq + mnq. Only the term mnq has no p, so it stays large however
# thin B and C are. The figure draws all matrices to scale, and the intermediates in orange.

# %%
def draw_matrix(ax: plt.Axes, x: float, y: float, matrix: tuple) -> None:
    """Draw a matrix around (x, y), to scale: a side of 512 is 1 long."""
    name, rows, columns, color = matrix
    corner = (x - columns / 1024, y - rows / 1024)
    ax.add_patch(plt.Rectangle(corner, columns / 512, rows / 512, color=color, lw=0, snap=False))
    ax.text(x, y + 0.62, f"${name}$", ha="center", va="center", size=13)
    ax.text(x, y - 0.62, f"{rows} x {columns}", ha="center", va="center")

def draw_product(ax: plt.Axes, x: float, y: float, X: tuple, Y: tuple, Z: tuple) -> None:
    """Draw X @ Y = Z from x on, and the multiply-adds below."""
    draw_matrix(ax, x, y, X)
    ax.text(x + 0.75, y, "@", ha="center", va="center", size=13)
    draw_matrix(ax, x + 1.5, y, Y)
    ax.text(x + 2.25, y, "=", ha="center", va="center", size=16)
    draw_matrix(ax, x + 3, y, Z)
    count = X[1] * X[2] * Y[2]
    ax.text(x + 1.5, y - 0.9, f"{count:,} multiply-adds", ha="center", va="center")

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
# `milliseconds` measures both orders. PyTorch's `Timer` calls a function several times, on one
# thread. We take the median, because a few slow calls hardly change it. If the time followed the
# count, A(BC) would take 32.5 times as long.

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
AB_first = milliseconds(lambda: (A @ B) @ C)
BC_first = milliseconds(lambda: A @ (B @ C))
print(f"(A @ B) @ C: {AB_first:.3f} ms")
print(f"A @ (B @ C): {BC_first:.3f} ms, {BC_first / AB_first:.1f} times as long")
# Example output:
# (A @ B) @ C: 0.257 ms
# A @ (B @ C): 3.830 ms, 14.9 times as long

# %% [markdown]
# ## Why not 32.5 times
#
# On the machines that we tried, A(BC) took 7 to 25 times as long. The time depends on the count and
# on the rate, the multiply-adds per millisecond. To compute A @ (BC), the processor fetches each
# number of A from memory and uses it in 512 multiply-adds, one for each column of BC. To compute
# A @ B, it also fetches all of A, but B has only p = 8 columns, so it uses each number in only 8.
# We expect that thin products run at a lower rate, and that this price disappears as p grows.
#
# ## The inner size p
#
# The two "predicted" columns say how long the multiply-adds of each order would take at the rate of
# a square product, A @ A. Look for the p from which (A @ B) @ C comes close to its prediction.
#
# The column "multi_dot" is `torch.linalg.multi_dot([A, B, C])`. It does what Python does not do: it
# counts first, and then multiplies in the cheaper order. Up to p = 512 this is (AB)C, and from
# there on A(BC).

# %%
N = 512
INNER = [8, 16, 32, 64, 128, 256, 512, 1024]

def draw_times(table: torch.Tensor) -> plt.Figure:
    """Draw each column of the table over p."""
    fig, ax = plt.subplots(figsize=(9, 5), layout="constrained")
    ax.plot(INNER, table[:, 0], "o-", color="#0072B2", label="(A @ B) @ C")
    ax.plot(INNER, table[:, 1], "s-", color="#D55E00", label="A @ (B @ C)")
    ax.plot(INNER, table[:, 2], "D", color="#009E73", label="multi_dot", ms=11, fillstyle="none")
    ax.plot(INNER, table[:, 3], ":", color="#0072B2", label="predicted (A @ B) @ C")
    ax.plot(INNER, table[:, 4], "--", color="#D55E00", label="predicted A @ (B @ C)", lw=1)
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
    machine = f"{platform.system()} {platform.machine()}, torch {torch.__version__}, {DEVICE}"
    fig.legend(loc="outside lower center", ncols=5, frameon=False, title=machine, title_fontsize=7)
    return fig

# %%
A = torch.ones(N, N, device=DEVICE)
rate = multiply_adds(A, A) / milliseconds(lambda: A @ A)
rows = []
print("milliseconds")
print("   p  (A @ B) @ C  A @ (B @ C)  multi_dot  predicted (A @ B) @ C  predicted A @ (B @ C)")
for p in INNER:
    B = torch.ones(N, p, device=DEVICE)
    C = torch.ones(p, N, device=DEVICE)
    AB_first = milliseconds(lambda: (A @ B) @ C)
    BC_first = milliseconds(lambda: A @ (B @ C))
    multi_dot = milliseconds(lambda: torch.linalg.multi_dot([A, B, C]))
    AB_predicted = (multiply_adds(A, B) + multiply_adds(A @ B, C)) / rate
    BC_predicted = (multiply_adds(B, C) + multiply_adds(A, B @ C)) / rate
    rows.append([AB_first, BC_first, multi_dot, AB_predicted, BC_predicted])
    print(
        f"{p:4} {AB_first:12.3f} {BC_first:12.3f} {multi_dot:10.3f}"
        f" {AB_predicted:22.3f} {BC_predicted:22.3f}"
    )
save(draw_times(torch.tensor(rows)), "matmul_order_timing.png")
# Example output:
# milliseconds
#    p  (A @ B) @ C  A @ (B @ C)  multi_dot  predicted (A @ B) @ C  predicted A @ (B @ C)
#    8        0.227        3.716      0.233                  0.079                  2.576
#   16        0.245        3.871      0.351                  0.159                  2.616
#   32        0.538        5.330      0.533                  0.317                  2.695
#   64        1.109        5.719      1.137                  0.634                  2.854
#  128        1.529        4.813      1.211                  1.268                  3.171
#  256        2.736        5.378      3.076                  2.537                  3.805
#  512        6.661        6.554      6.467                  5.073                  5.073
# 1024       10.761        8.127      8.008                 10.147                  7.610
# figure: ...matmul_order_timing.png

# %% [markdown]
# ## What the figure shows
#
# On the lecture's machine, (A @ B) @ C takes two to three times as long as predicted for p = 8, and
# comes close to its prediction at p = 32. A @ (B @ C) is close for each p, because its second
# product has the square matrices A and BC whatever p is. So the count finds the faster order, but
# it promises too much for a very thin B. multi_dot is about as fast as the better order.
#
# ## Eight columns
#
# PyTorch leaves products to a library that has different routines for different shapes. On one
# machine that we tried, A @ B with 8 columns took 2.5 times as long as with the same B stored
# column after column (memory_layout.py explains this), and even longer than with 16 columns, which
# is twice the work. So the routine for this shape is slow there. We do not know why, and another
# machine did not show it. On yours, it is slow if the two ratios lie far below 1.

# %%
A = torch.ones(512, 512, device=DEVICE)
B = torch.ones(512, 8, device=DEVICE)
B_by_columns = B.t().contiguous().t()
B_wide = torch.ones(512, 16, device=DEVICE)
time_B = milliseconds(lambda: A @ B)
time_by_columns = milliseconds(lambda: A @ B_by_columns)
time_wide = milliseconds(lambda: A @ B_wide)
print(f"B stored row after row: {time_B:.3f} ms")
print(f"B stored column after column: {time_by_columns / time_B:.2f} times as long")
print(f"16 columns instead of 8: {time_wide / time_B:.2f} times as long")
# Example output:
# B stored row after row: 0.110 ms
# B stored column after column: 0.92 times as long
# 16 columns instead of 8: 1.07 times as long

# %% [markdown]
# ## The results differ by rounding
#
# The small matrices above held whole numbers, and both orders gave exactly the same result. Other
# numbers are rounded after each operation, and the two orders round different sums. Float32 keeps
# about seven digits, and the largest number of ABC is about 395, so we expect that the results
# differ in the fourth decimal or so. Neither of them is wrong.
#
# The last digits also show which order Python takes for `A @ B @ C`: only one order gives the same
# digits.

# %%
torch.manual_seed(0)
dtype = torch.float32
A = torch.randn(512, 512, dtype=dtype)
B = torch.randn(512, 8, dtype=dtype)
C = torch.randn(8, 512, dtype=dtype)
AB_first = (A @ B) @ C
BC_first = A @ (B @ C)
difference = (AB_first - BC_first).abs().max().item()
print(f"largest number: {AB_first.abs().max().item():.0f}")
print(f"largest difference: {difference:.0e}", end=" ")
print(f"(zero? {difference == 0}, at most 0.001? {difference <= 0.001})")
print("A @ B @ C equals (A @ B) @ C?", torch.equal(A @ B @ C, AB_first))
print("A @ B @ C equals A @ (B @ C)?", torch.equal(A @ B @ C, BC_first))
# Output:
# largest number: 395
# largest difference: ... (zero? False, at most 0.001? True)
# A @ B @ C equals (A @ B) @ C? True
# A @ B @ C equals A @ (B @ C)? False

# %% [markdown]
# ## What to take away
#
# - Write the parentheses yourself, so that the intermediate is small. The common case is
#   `A @ B @ x` with a vector x. From left to right, this multiplies two matrices. `A @ (B @ x)`
#   multiplies a matrix by a vector, twice, which is far less work.
# - `torch.linalg.multi_dot` finds the cheapest order of a longer product. It takes matrices only;
#   the first and the last may be vectors.
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
