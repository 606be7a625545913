# %% [markdown]
# # Memory layout
#
# A matrix has rows and columns, but memory is one long sequence of numbers. By default PyTorch
# stores a matrix row after row. Its transpose reads the same memory, so it is stored column after
# column: the numbers of a row lie far apart. Adding up such a row takes many times as long as
# adding up the same numbers where they are neighbours. This script shows two causes of that, and
# then two remedies: one call for all rows, and a copy.
#
# Example outputs: the lecture's machine, Linux, Intel Xeon (x86_64), torch 2.15.0.

# %%
import os
import platform
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch.utils.benchmark import Timer

plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"

# %% [markdown]
# ## Strides
#
# A *stride* says how many numbers to step in memory for one step along a dimension. A matrix has
# two: the first is the step from row to row, the second is the step along a row.
# tensor_manipulation.py says more about strides.
#
# Below, `small_R` is *row-major*: it is stored row after row. `small_C` is an equal matrix, but
# *column-major*: it is stored column after column. To make it, we transpose `small_R`, copy the
# transpose row after row into new memory (`contiguous`), and transpose the copy back.
# `as_strided(size=(6,), stride=(1,))` reads six numbers in the order in which they lie in memory.

# %%
small_R = torch.tensor([[1, 2, 3], [4, 5, 6]])
small_C = small_R.t().contiguous().t()
memory_of_R = small_R.as_strided(size=(6,), stride=(1,))
memory_of_C = small_C.as_strided(size=(6,), stride=(1,))
print("equal?", torch.equal(small_R, small_C))
print("small_R.stride():", small_R.stride(), " in memory:", memory_of_R.tolist())
print("small_C.stride():", small_C.stride(), " in memory:", memory_of_C.tolist())
# Output:
# equal? True
# small_R.stride(): (3, 1)  in memory: [1, 2, 3, 4, 5, 6]
# small_C.stride(): (1, 2)  in memory: [1, 4, 2, 5, 3, 6]

# %% [markdown]
# ## One row at a time
#
# From now on, `R` is a row-major matrix with 512 rows, and `C` is an equal column-major one. The
# step along a row is 1 in `R`, but 512 in `C`, the number of rows. We add up the rows in turn, with
# one call of `sum` for each row. How much longer does it take for `C`?
#
# The matrices hold whole numbers from 0 to 9. Up to 2^24, float32 adds whole numbers exactly, and
# the sums stay below that. So `R` and `C` must give the same sums.
#
# `milliseconds` measures a function on one thread: PyTorch's `Timer` calls it again and again, and
# we take the median time. Compare the times of one cell, as ratios: from one cell to another the
# same time can double, because other programs use the machine, too. Even within a cell, a
# difference of less than 20 percent says nothing, and a larger one that another run does not show
# is chance.
#
# The last line measures the same 512 calls for a matrix that has only one column.

# %%
# for a GPU: DEVICE=cuda python script/memory_layout.py, or edit the next line
DEVICE = os.environ.get("DEVICE", "cpu")
ROWS = 512
COLUMNS = 8192
SHORT = 512  # for the experiments: the numbers in a short row
LONG = 2**24  # and in a long one

def milliseconds(function):
    """The median time of a call of function, in ms."""
    timer = Timer("function()", globals={"function": function})
    return 1000 * timer.blocked_autorange(min_run_time=0.05).median

def ns_per_number(function, matrix: torch.Tensor) -> float:
    """The median time of function(matrix), in nanoseconds for each number of the matrix."""
    return 1_000_000 * milliseconds(lambda: function(matrix)) / matrix.numel()

def row_major(columns: int) -> torch.Tensor:
    """A matrix of random whole numbers from 0 to 9 that is stored row after row."""
    torch.manual_seed(0)
    return torch.randint(10, (ROWS, columns), dtype=torch.float32, device=DEVICE)

def column_major(matrix: torch.Tensor) -> torch.Tensor:
    """A copy of matrix that is stored column after column."""
    return matrix.t().contiguous().t()

def sum_rows_in_turn(matrix: torch.Tensor) -> torch.Tensor:
    """The sum of each row, by one call for each."""
    sums = []
    for row in matrix:
        sums.append(row.sum())
    return torch.stack(sums)

# %%
R = row_major(COLUMNS)
C = column_major(R)
print("same sums?", torch.equal(sum_rows_in_turn(R), sum_rows_in_turn(C)))

R_ns = ns_per_number(sum_rows_in_turn, R)
C_ns = ns_per_number(sum_rows_in_turn, C)
print(f"rows of R, step {R.stride(1)}: {R_ns:.2f} ns per number")
print(f"rows of C, step {C.stride(1)}: {C_ns:.2f} ns per number, {C_ns / R_ns:.0f} times as long")

one_column = R[:, :1].contiguous()
calls_ns = ns_per_number(sum_rows_in_turn, one_column) / COLUMNS  # a row of R shares a call
print(f"the {ROWS} calls, almost without additions: {calls_ns:.2f} ns per number of R")
# Example output:
# same sums? True
# rows of R, step 1: 0.97 ns per number
# rows of C, step 512: 8.71 ns per number, 9 times as long
# the 512 calls, almost without additions: 0.63 ns per number of R

# %% [markdown]
# ## The price of the calls
#
# The sums are the same, and so is the number of calls and of additions. Only the places in memory
# differ, and yet the rows of `C` take several times as long.
#
# Each of the two times also contains the price of the 512 calls: Python and PyTorch prepare a sum
# before they add anything. The last line shows this price. On the lecture's machine it is a large
# part of the time for the rows of `R`. So without the calls, `R` and `C` would differ even more.
#
# ## First cause: memory comes in lines
#
# A *cache* is a small, fast memory close to the processor. It keeps what was used lately. Whatever
# is not in the cache has to come from main memory, which is large and slow.
#
# A number never comes alone. The processor fetches a whole *cache line*: 64 neighbouring bytes on
# most processors, 128 on a Mac with Apple silicon. A float32 number has 4 bytes, so a line of 64
# bytes holds 16 numbers. A sum with a step of 1 uses all of them. A sum with a larger step uses
# only some, and has to fetch more lines. Let us count the lines for 1024 numbers.

# %%
numbers_per_line = 64 // 4
for step in [1, 2, 4, 8, 16, 512]:
    lines = set()
    for i in range(1024):
        place = i * step
        lines.add(place // numbers_per_line)
    print(f"step {step}: 1024 numbers lie in {len(lines)} lines")
# Output:
# step 1: 1024 numbers lie in 64 lines
# step 2: 1024 numbers lie in 128 lines
# step 4: 1024 numbers lie in 256 lines
# step 8: 1024 numbers lie in 512 lines
# step 16: 1024 numbers lie in 1024 lines
# step 512: 1024 numbers lie in 1024 lines

# %% [markdown]
# ## Cache lines to scale
#
# The figure shows 32 neighbouring numbers, in two lines of 64 bytes. With each of the three steps,
# both lines are fetched. The filled squares are the numbers that the sum uses.

# %%
def draw_lines() -> plt.Figure:
    """Two cache lines for each of three steps, with the numbers that a sum uses."""
    fig, ax = plt.subplots(figsize=(8.5, 2), layout="constrained")
    for i, step in enumerate([1, 2, 16]):
        y = -2 * i
        for place in range(32):
            used = place % step == 0
            ax.add_patch(plt.Rectangle((place, y), 1, 1, fc="#0072B2", ec="0.7", lw=0.5, fill=used))
        for start in [0, 16]:
            ax.add_patch(plt.Rectangle((start, y), 16, 1, ec="black", lw=2, fill=False))
        ax.text(-1, y + 0.5, f"step {step}", ha="right", va="center")
        ax.text(33, y + 0.5, f"{32 // step} numbers used", va="center")
    ax.set(xlim=(-4, 40), ylim=(-4.2, 1.2), aspect="equal")
    ax.axis("off")
    fig.suptitle("With step 16, the sum uses one number of each cache line of 64 bytes")
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
save(draw_lines(), "cache_lines.png")
# Output:
# figure: ...cache_lines.png

# %% [markdown]
# ## Why the next row fetches the lines again
#
# From step 16 on, every number needs a line of its own. So a row of `C` needs 16 times as many
# lines as a row of `R`.
#
# The other 15 numbers of such a line belong to neighbouring rows of `C`. So the next row could use
# the same lines, if they were still in the cache. But one row has 8192 lines, which are 512 KiB. A
# processor has several caches, and its fastest one is also its smallest, with less than 256 KiB on
# common machines. When the row is at its end, the lines of its beginning have made room for later
# ones. The next row has to fetch them again, from a slower cache or from main memory.
#
# ## Second cause: one addition at a time
#
# A processor has *vector instructions*: one such instruction makes several additions at once, 4, 8
# or 16 of them. It reads its numbers from neighbouring places in memory. So PyTorch can use vector
# instructions for a row with a step of 1. In a row with a larger step no two numbers are
# neighbours, and PyTorch adds them one by one.
#
# ## Each cause without the other
#
# We measure the time per number for steps from 1 to 16, in two experiments.
#
# - *From the cache*: a short row of 512 numbers is added up 1000 times. It stays in the cache, so
#   the number of its lines hardly matters. Only the second cause remains. It begins at step 2,
#   where PyTorch begins to add one by one. So compare step 1 with step 2.
# - *From memory*: `x` has 16 million numbers, which are 64 MiB. From step 2 on, they are all added
#   one by one. Only the first cause still grows: step 16 needs 8 times as many lines per number as
#   step 2. So compare step 2 with step 16.
#
# To add up the short row 1000 times in one call, we make it the 1000 rows of a matrix. `expand`
# does this without a copy: the stride from row to row is 0, so every row lies in the same memory.
# The `dim` of `sum` is NumPy's `axis`: `sum(dim=1)` gives one sum for each row, `sum(dim=0)` one
# for each column.
#
# The last line has the whole times from memory: that of `x.sum()`, and that of `x[::16].sum()`,
# which adds only a sixteenth of the numbers, but needs the same cache lines, all those of `x`.

# %%
x = torch.ones(LONG, device=DEVICE)
whole_ms = {}
print("step  from the cache (ns per number)  from memory (ns per number)")
for step in [1, 2, 4, 8, 16]:
    short_row = torch.ones(SHORT * step, device=DEVICE)[::step]  # SHORT numbers
    same_rows = short_row.expand(1000, SHORT)  # 1000 times the same row
    from_cache = ns_per_number(lambda rows: rows.sum(dim=1), same_rows)
    long_row = x[::step]
    from_memory = ns_per_number(torch.sum, long_row)
    print(f"{step:4} {from_cache:31.2f} {from_memory:28.2f}")
    whole_ms[step] = from_memory * long_row.numel() / 1e6

print(f"x.sum(): {whole_ms[1]:.2f} ms, x[::16].sum(): {whole_ms[16]:.2f} ms")
# Example output:
# step  from the cache (ns per number)  from memory (ns per number)
#    1                            0.06                         0.34
#    2                            0.37                         1.33
#    4                            0.41                         1.88
#    8                            0.43                         3.54
#   16                            0.39                         5.55
# x.sum(): 5.73 ms, x[::16].sum(): 5.82 ms

# %% [markdown]
# ## The price of each cause
#
# *Adding one by one*: from the cache, a number takes several times as long with step 2 as with step
# 1, on the lecture's machine more than five times. From step 2 to step 16 the time changes little,
# because the additions are the same.
#
# *Lines*: from memory, a number takes longer and longer from step 2 to step 16, on the lecture's
# machine more than three times. The factor is less than 8, that of the lines. One reason is that
# the time also contains the addition, which does not grow. Compare the two columns: at step 2 the
# addition is a good part of the time, at step 16 a small one. The last line says the same: on the
# lecture's machine, a sixteenth of the additions takes about as long as all of them, because all
# the lines are fetched.
#
# A row of `C` pays for both causes. From step 1 to step 16, they cost a factor of more than ten
# from memory on the lecture's machine.
#
# ## First remedy: all rows in one call
#
# `C.sum(dim=1)` makes the 512 sums of the rows in one call. Then PyTorch need not finish one row
# before it begins the next. It keeps a total for each of many neighbouring rows, and adds column
# after column to these totals. The numbers of a column of `C` are neighbours in memory, so each
# line is used as a whole, and vector instructions add many numbers at once. Both causes are gone.
#
# `sum_rows_together` below adds in the same order, but in Python, with one call for each of the
# 8192 columns. Compare it with the 512 calls for the rows in turn, and with the one call
# `C.sum(dim=1)`. The last line measures the 8192 calls for a matrix that has only one row.

# %%
def sum_rows_together(matrix: torch.Tensor) -> torch.Tensor:
    """The sum of each row: all rows grow together, column by column."""
    totals = torch.zeros(len(matrix), device=DEVICE)
    for column in matrix.t():
        totals += column
    return totals

# %%
C = column_major(row_major(COLUMNS))
sums = C.sum(dim=1)
print("rows in turn, same sums?", torch.equal(sum_rows_in_turn(C), sums))
print("rows together, same sums?", torch.equal(sum_rows_together(C), sums))

in_turn = ns_per_number(sum_rows_in_turn, C)
together = ns_per_number(sum_rows_together, C)
one_call = ns_per_number(lambda matrix: matrix.sum(dim=1), C)
print(f"sum_rows_in_turn(C):  {in_turn:.2f} ns per number")
print(f"sum_rows_together(C): {together:.2f} ns per number")
print(f"C.sum(dim=1):         {one_call:.2f} ns per number")

one_row = C[:1].contiguous()
calls = ns_per_number(sum_rows_together, one_row) / ROWS  # a column of C shares a call
print(f"the {COLUMNS} calls, almost without additions: {calls:.2f} ns per number of C")
# Example output:
# rows in turn, same sums? True
# rows together, same sums? True
# sum_rows_in_turn(C):  7.73 ns per number
# sum_rows_together(C): 5.76 ns per number
# C.sum(dim=1):         0.28 ns per number
# the 8192 calls, almost without additions: 4.03 ns per number of C

# %% [markdown]
# ## The order of adding, and one call
#
# All three give the same sums. The one call is by far the fastest, on the lecture's machine more
# than twenty times as fast as the rows in turn. It has both advantages: neighbours, and only one
# call.
#
# `sum_rows_together` has only the first. It reads neighbours, but each of its 8192 calls adds no
# more than 512 numbers. On the lecture's machine most of its time is the price of the calls. This
# price uses up a large part of what the better order saves.
#
# ## Second remedy: a copy
#
# Not every loop over rows can become one call. For example, gradient descent may use one row of the
# data in each step, and every step needs the result of the step before. Then `contiguous()` can
# copy the matrix row after row, once, before the loop. The price is the time of the copy, and
# memory for a second matrix. With n passes over the rows, the copy pays if
#
#     n * (time of a pass over C - time of a pass over the copy) > time of the copy
#
# Below, compare the time of the copy with the difference of the two passes.

# %%
C = column_major(row_major(COLUMNS))
R = C.contiguous()
C_ns = ns_per_number(sum_rows_in_turn, C)
R_ns = ns_per_number(sum_rows_in_turn, R)
copy_ns = ns_per_number(lambda matrix: matrix.contiguous(), C)
print(f"a pass over the rows of C: {C_ns:.2f} ns per number")
print(f"a pass over the rows of R: {R_ns:.2f} ns per number")
print(f"the copy R = C.contiguous(): {copy_ns:.2f} ns per number")
# Example output:
# a pass over the rows of C: 7.55 ns per number
# a pass over the rows of R: 0.71 ns per number
# the copy R = C.contiguous(): 3.01 ns per number

# %% [markdown]
# ## When the copy pays
#
# On the lecture's machine, the copy takes less time than the difference of the two passes. So one
# pass is enough for the copy to pay, and each further pass over `R` saves the whole difference. A
# copy for a single sum of all rows would be a waste: `C.sum(dim=1)` needs none.
#
# ## Figure 3.7: sums of rows and of columns
#
# The lecture compares row sums, `dim=1`, with column sums, `dim=0`, for matrices with m columns.
# `R.sum(dim=1)` adds the numbers of a row, which are neighbours, to each other. `R.sum(dim=0)` adds
# row after row to one total for each column. For `C`, rows and columns change places. So all four
# calls use whole lines and vector instructions, and should take similar times.
#
# The last two columns of the table have the rows of `R` and of `C` in turn, with 512 calls.

# %%
SIZES = [512, 1024, 2048, 4096, 8192, 16384, 32768]

def draw_sums(table: torch.Tensor) -> plt.Figure:
    """Draw each column of the table over m."""
    fig, ax = plt.subplots(figsize=(9, 5), layout="constrained")
    ax.plot(SIZES, table[:, 5], "^-", color="#D55E00", label="C in turn")
    ax.plot(SIZES, table[:, 4], "v--", color="#0072B2", label="R in turn")
    ax.plot(SIZES, table[:, 0], "o-", color="#009E73", label="R.sum(dim=1)")
    ax.plot(SIZES, table[:, 1], "s--", color="#E69F00", label="R.sum(dim=0)")
    ax.plot(SIZES, table[:, 2], "D:", color="#CC79A7", label="C.sum(dim=1)")
    ax.plot(SIZES, table[:, 3], "x-.", color="#56B4E9", label="C.sum(dim=0)")
    ax.set(xscale="log", yscale="log", xlabel="numbers in a row, m", ylabel="time per number (ns)")
    ax.set_xticks(SIZES, SIZES)
    ax.minorticks_off()
    ax.yaxis.set_major_formatter("{x:g}")
    ratio = table[-1, 5] / table[-1, 4]
    ax.set_title(f"m = {SIZES[-1]}: rows in turn take {ratio:.0f} times as long in C as in R")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False)
    fig.supxlabel(f"{platform.system()} {platform.machine()}, torch {torch.__version__}", size=7)
    return fig

# %%
print("nanoseconds per number")
print("    m  R.sum(dim=1)  R.sum(dim=0)  C.sum(dim=1)  C.sum(dim=0)  R in turn  C in turn")
rows = []
for m in SIZES:
    R = row_major(m)
    C = column_major(R)
    R_dim1 = ns_per_number(lambda matrix: matrix.sum(dim=1), R)
    R_dim0 = ns_per_number(lambda matrix: matrix.sum(dim=0), R)
    C_dim1 = ns_per_number(lambda matrix: matrix.sum(dim=1), C)
    C_dim0 = ns_per_number(lambda matrix: matrix.sum(dim=0), C)
    R_turn = ns_per_number(sum_rows_in_turn, R)
    C_turn = ns_per_number(sum_rows_in_turn, C)
    rows.append([R_dim1, R_dim0, C_dim1, C_dim0, R_turn, C_turn])
    print(
        f"{m:5} {R_dim1:13.2f} {R_dim0:13.2f} {C_dim1:13.2f} {C_dim0:13.2f}"
        f" {R_turn:10.2f} {C_turn:10.2f}"
    )

save(draw_sums(torch.tensor(rows)), "memory_layout_efficiency.png")
# Example output:
# nanoseconds per number
#     m  R.sum(dim=1)  R.sum(dim=0)  C.sum(dim=1)  C.sum(dim=0)  R in turn  C in turn
#   512          0.09          0.10          0.08          0.09      10.80      12.29
#  1024          0.15          0.15          0.15          0.15       5.86       9.33
#  2048          0.21          0.21          0.21          0.22       1.83       7.00
#  4096          0.21          0.20          0.20          0.23       1.22       7.11
#  8192          0.19          0.22          0.28          0.23       0.93       9.58
# 16384          0.21          0.22          0.28          0.23       0.76       8.23
# 32768          0.42          0.48          0.58          0.41       0.62       7.65
# figure: ...memory_layout_efficiency.png

# %% [markdown]
# ## What the figure shows
#
# The four calls are close to each other: on the machines that we tried, `dim=0` and `dim=1` differ
# by less than a factor of three. Which one is faster depends on the processor. They use every line
# as a whole, and yet a number takes longer where m is large: at m = 512 the matrix has 1 MiB, and
# can still be in a fast cache from the call before. At m = 32768 it has 64 MiB.
#
# The rows of `C` in turn take many times as long as the one call for every m, but not for the same
# reason. The rows of `R` in turn show the price of the calls: it falls with m, as more numbers
# share it. At m = 512 this price is most of the time for `C`, too. What remains between the two
# curves at m = 32768 are the two causes: `C` fetches more lines, and adds one by one.
#
# ## The timer of the notes
#
# The timer in the lecture's notes gives the total time of 50 calls, so divide its times by 50 to
# compare them with the table. Below, it measures a call that sleeps for 1 ms.

# %%
start = time.perf_counter()
for _ in range(50):
    time.sleep(0.001)
measured = 1000 * (time.perf_counter() - start)
print(f"notes' timer: {measured:.0f} ms for 1 ms (50 or more? {measured >= 50})")
# Output:
# notes' timer: ... ms for 1 ms (50 or more? True)

# %% [markdown]
# ## What to take away
#
# - Memory comes in lines, and vector instructions add neighbours. Each call should use numbers that
#   are neighbours in memory: the rows of a row-major matrix, the columns of a column-major one.
# - Better than a loop is one call for all rows, or for all columns. Then PyTorch can go through the
#   memory in the way that suits the layout.
# - If you need the loop, and the numbers of a row are not neighbours, call `contiguous()` once,
#   before the loop. The price is the time of the copy, and its memory.
#
# ## Try it
#
# Predict first, then change the line and run its cell.
#
# 1. In "Strides", replace the numbers of `small_R` by `[[1, 2], [3, 4], [5, 6]]`. What are the
#    strides of `small_C`, and in which order do its numbers lie in memory?
# 2. In "First cause: memory comes in lines", let each number have 8 bytes, as float64 has: replace
#    `64 // 4` by `64 // 8`. In how many lines do 1024 numbers lie with a step of 4?
