# %% [markdown]
# # Dtypes and accumulation
# A tensor's dtype says how many bits each number has and what they mean. Fewer bits: less range,
# more rounding, or both. Sums show it.

# %%
import math
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch

plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"
BLUE, GREEN, VERMILION = "#0072B2", "#009E73", "#D55E00"  # Okabe-Ito

def save(fig: plt.Figure, name: str) -> None:
    """Save fig as FIGURES/name and print where it lies."""
    try:
        FIGURES.mkdir(parents=True, exist_ok=True)
        fig.savefig(FIGURES / name, dpi=200)
    except OSError as error:
        sys.exit(f"no figure: {error}")
    print("figure:", (FIGURES / name).as_posix().removeprefix(f"{Path.cwd().as_posix()}/"))

# %% [markdown]
# ## The types of this course
# Four kinds of floating-point numbers, two of integers, and booleans, a byte each.

# %%
floats = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
for dtype in [*floats, torch.int32, torch.int64, torch.bool]:
    print(f"{str(dtype):15} {dtype.itemsize} bytes  floating point? {dtype.is_floating_point}")
# Output:
# torch.float16   2 bytes  floating point? True
# torch.bfloat16  2 bytes  floating point? True
# torch.float32   4 bytes  floating point? True
# torch.float64   8 bytes  floating point? True
# torch.int32     4 bytes  floating point? False
# torch.int64     8 bytes  floating point? False
# torch.bool      1 bytes  floating point? False

# %% [markdown]
# ## What PyTorch picks
# Python floats become float32, ints int64, comparisons bool; a sum of bools counts. `to`
# converts.

# %%
x = torch.tensor([1.0, 2.0, 3.0])
print("floats:", x.dtype)
print("ints:", torch.tensor([1, 2, 3]).dtype)
print("x > 1:", (x > 1).dtype)
print("count of x > 1:", (x > 1).sum())
print("x.to(torch.float16):", x.to(torch.float16))
# Output:
# floats: torch.float32
# ints: torch.int64
# x > 1: torch.bool
# count of x > 1: tensor(2)
# x.to(torch.float16): tensor([1., 2., 3.], dtype=torch.float16)

# %% [markdown]
# ## Range and precision
# A number is sign, exponent, fraction. Exponent bits buy range (largest, smallest normal),
# fraction bits buy precision: eps, the step from 1 to the next number, is 2^-(fraction bits).

# %%
print("type      bits  sign+exponent+fraction     largest  smallest normal  eps")
for dtype in [torch.float16, torch.bfloat16, torch.float32, torch.float64]:
    info = torch.finfo(dtype)
    fraction = round(-math.log2(info.eps))
    fields = f"1+{info.bits - 1 - fraction}+{fraction}"
    limits = f"{info.max:11.5g}  {info.smallest_normal:15.5g}"
    print(f"{str(dtype)[6:]:8}  {info.bits:4}  {fields:22}  {limits}  2^-{fraction}")
# Output:
# type      bits  sign+exponent+fraction     largest  smallest normal  eps
# float16     16  1+5+10                        65504       6.1035e-05  2^-10
# bfloat16    16  1+8+7                    3.3895e+38       1.1755e-38  2^-7
# float32     32  1+8+23                   3.4028e+38       1.1755e-38  2^-23
# float64     64  1+11+52                 1.7977e+308      2.2251e-308  2^-52

# %% [markdown]
# ## eps is a relative step
# The step to the next number doubles at each power of 2: from 2048 to 4096 float16 counts by twos.
# To add less than half a step changes nothing.

# %%
for x in [1.0, 4.0, 2048.0]:
    here = torch.tensor(x, dtype=torch.float16)
    step = x * torch.finfo(torch.float16).eps  # x is a power of 2
    added = [bool(here + part * step > here) for part in (1, 0.4)]
    print(f"at {x:6}: step {step:.2g}, x + step > x? {added[0]}, x + 0.4 step > x? {added[1]}")
# Output:
# at    1.0: step 0.00098, x + step > x? True, x + 0.4 step > x? False
# at    4.0: step 0.0039, x + step > x? True, x + 0.4 step > x? False
# at 2048.0: step 2, x + step > x? True, x + 0.4 step > x? False

# %% [markdown]
# ## The bits of one number, read from memory
# The same bytes viewed as an integer show the bits. With e bits of exponent, exponent field E and
# p bits of fraction F, a normal positive number is 2^(E - (2^(e-1) - 1)) (1 + F / 2^p).

# %%
for dtype in [torch.float16, torch.bfloat16]:
    x = torch.tensor(0.0100001, dtype=dtype)
    bits = f"{x.view(torch.int16).item():016b}"
    p = round(-math.log2(torch.finfo(dtype).eps))
    e = 15 - p
    E, F = int(bits[1 : 1 + e], 2), int(bits[1 + e :], 2)
    value = 2.0 ** (E - (2 ** (e - 1) - 1)) * (1 + F / 2**p)
    print(f"{str(dtype)[6:]:8}  {bits[0]} {bits[1 : 1 + e]} {bits[1 + e :]}  E={E} F={F}")
    print(f"          {value}, as stored? {value == x.item()}")
# Output:
# float16   0 01000 0100011111  E=8 F=287
#           0.01000213623046875, as stored? True
# bfloat16  0 01111000 0100100  E=120 F=36
#           0.010009765625, as stored? True

# %% [markdown]
# ## Two exponents are reserved
# All zeros: zero, and the subnormal numbers, which go on below the smallest normal one, in float16
# down to 2^-24. All ones: inf, and with a fraction NaN.

# %%
for x in [0.0, 2.0**-24, 2.0**-14, 65504.0, math.inf, math.nan]:
    bits = f"{torch.tensor(x, dtype=torch.float16).view(torch.int16).item():016b}"
    print(f"{x:<14.8g} {bits[0]} {bits[1:6]} {bits[6:]}")
# Output:
# 0              0 00000 0000000000
# 5.9604645e-08  0 00000 0000000001
# 6.1035156e-05  0 00001 0000000000
# 65504          0 11110 1111111111
# inf            0 11111 0000000000
# nan            0 11111 1000000000

# %% [markdown]
# ## Figure 3.8: the bits of 0.0100001, to scale
# Each square is a bit of memory, filled where it is 1. bfloat16 is float32 rounded: as many bits of
# exponent, so nearly the same range, and fewer of fraction. float16 shares the bits out otherwise.

# %%
fig, ax = plt.subplots(figsize=(10, 3.5), layout="constrained")
fig.suptitle("0.0100001 in four types: bfloat16 keeps the range of float32, float16 more digits")
ax.set_aspect("equal")
ax.axis("off")
same_size = {16: torch.int16, 32: torch.int32, 64: torch.int64}
for row, dtype in enumerate([torch.float16, torch.bfloat16, torch.float32, torch.float64]):
    info = torch.finfo(dtype)
    x = torch.tensor(0.0100001, dtype=dtype)
    bits = f"{x.view(same_size[info.bits]).item():0{info.bits}b}"
    fraction = round(-math.log2(info.eps))
    exponent = info.bits - 1 - fraction
    colors = [VERMILION] + [BLUE] * exponent + [GREEN] * fraction
    y = -5 * row
    for k, (bit, color) in enumerate(zip(bits, colors)):
        face, ink = (color, "white") if bit == "1" else ("white", color)
        ax.add_patch(plt.Rectangle((k, y), 1, 1, facecolor=face, edgecolor=color))
        ax.text(k + 0.5, y + 0.45, bit, color=ink, fontsize=8, ha="center", va="center")
    ax.text(0, y + 1.4, f"{str(dtype)[6:]} holds {x.item():.12g}", weight="bold")
    ax.text(20, y + 1.4, rf"eps $2^{{-{fraction}}}$,  largest {info.max:.5g}")
    ax.text(-0.4, y + 0.45, "sign", color=VERMILION, ha="right", va="center")
    for name, start, width in [("exponent", 1, exponent), ("fraction", 1 + exponent, fraction)]:
        label = f"{name}: {width}"
        ax.text(start + width / 2, y - 0.3, label, color=colors[start], ha="center", va="top")
ax.set_xlim(-3, 65)
ax.set_ylim(-17, 3)
save(fig, "float_bit_layout.png")
# Output:
# figure: ...float_bit_layout.png

# %% [markdown]
# ## Overflow and underflow
# Well beyond its largest number a type has only inf; far below its smallest normal, only 0.
# bfloat16, with the exponent of float32, keeps both, roughly.

# %%
for dtype in [torch.float16, torch.bfloat16]:
    print("70000:", torch.tensor(70000.0, dtype=dtype))
    print("1e-8: ", torch.tensor(1e-8, dtype=dtype))
# Output:
# 70000: tensor(inf, dtype=torch.float16)
# 1e-8:  tensor(0., dtype=torch.float16)
# 70000: tensor(70144., dtype=torch.bfloat16)
# 1e-8:  tensor(1.0012e-08, dtype=torch.bfloat16)

# %% [markdown]
# ## Type promotion
# Two float types meet in the smallest that holds both, a float and an int in the float. A single
# number, Python's or a tensor of shape (), changes the dtype of a tensor with dimensions only if
# it is of a higher kind, in the order bool, int, float.

# %%
half = torch.ones(2, dtype=torch.float16)
print("float16 + float32: ", (half + torch.ones(2)).dtype)
print("float16 + bfloat16:", (half + torch.ones(2, dtype=torch.bfloat16)).dtype)
print("float16 + int64:   ", (half + torch.ones(2, dtype=torch.int64)).dtype)
print("float16 + 1.5:     ", (half + 1.5).dtype)
print("float16 + float32 of shape ():", (half + torch.tensor(1.5)).dtype)
print("int64 + 1.5:       ", (torch.tensor([1, 2]) + 1.5).dtype)
print("bool + 1:          ", (torch.tensor([True, False]) + 1).dtype)
# Output:
# float16 + float32:  torch.float32
# float16 + bfloat16: torch.float32
# float16 + int64:    torch.float16
# float16 + 1.5:      torch.float16
# float16 + float32 of shape (): torch.float16
# int64 + 1.5:        torch.float32
# bool + 1:           torch.int64

# %% [markdown]
# ## The accumulation exercise
# 1000 copies of 0.0100001, added one by one. The notes print 10.0001 for the first: that is the
# exact sum, and float32 gives 10.000156. A bfloat16 accumulator is wrong in the first digit.

# %%
def add_up(values: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """Add values, shape (n,), one by one to total, shape (), each sum rounded to its type."""
    for value in values:
        total = total + value
    return total

x = torch.full((1000,), 0.0100001)
x_f16, x_bf16 = x.to(torch.float16), x.to(torch.bfloat16)
zero = torch.tensor(0.0)
print("float32 accumulator + float32 values:", add_up(x, zero))
print(f"the same to six decimals: {add_up(x, zero).item():.6f}, exact: {1000 * 0.0100001:.6f}")
print("float16 accumulator + float16 values:", add_up(x_f16, zero.to(torch.float16)))
print("float32 accumulator + float16 values (implicit upcast):", add_up(x_f16, zero))
print("float32 accumulator + float16 values (explicit upcast):", add_up(x_f16.float(), zero))
print("bfloat16 accumulator + bfloat16 values:", add_up(x_bf16, zero.to(torch.bfloat16)))
print("float32 accumulator + bfloat16 values:", add_up(x_bf16, zero))
# Output:
# float32 accumulator + float32 values: tensor(10.0002)
# the same to six decimals: 10.000156, exact: 10.000100
# float16 accumulator + float16 values: tensor(9.9531, dtype=torch.float16)
# float32 accumulator + float16 values (implicit upcast): tensor(10.0021)
# float32 accumulator + float16 values (explicit upcast): tensor(10.0021)
# bfloat16 accumulator + bfloat16 values: tensor(4., dtype=torch.bfloat16)
# float32 accumulator + bfloat16 values: tensor(10.0098)

# %% [markdown]
# ## Two errors, and where each comes from
# The values are rounded when they are stored: 1000 times the same error. The accumulator rounds
# each sum. A wider accumulator cures the second error, never the first.

# %%
print("values    accumulator  one value          error = values' + accumulator's")
for values, accumulator in [
    (torch.float32, torch.float32),
    (torch.float16, torch.float16),
    (torch.float16, torch.float32),
    (torch.bfloat16, torch.bfloat16),
    (torch.bfloat16, torch.float32),
]:
    value = torch.tensor(0.0100001, dtype=values)
    total = torch.tensor(0.0, dtype=accumulator)
    for _ in range(1000):
        total = total + value
    of_values = 1000 * value.item() - 1000 * 0.0100001
    of_accumulator = total.item() - 1000 * value.item()
    types = f"{str(values)[6:]:8}  {str(accumulator)[6:]:11}"
    parts = f"{of_values + of_accumulator:8.5f} = {of_values:7.5f} {of_accumulator:+.5f}"
    print(f"{types}  {value.item():.12f}  {parts}")
# Output:
# values    accumulator  one value          error = values' + accumulator's
# float32   float32      0.010000100359   0.00006 = 0.00000 +0.00006
# float16   float16      0.010002136230  -0.04697 = 0.00204 -0.04901
# float16   float32      0.010002136230   0.00204 = 0.00204 +0.00000
# bfloat16  bfloat16     0.010009765625  -6.00010 = 0.00967 -6.00977
# bfloat16  float32      0.010009765625   0.00967 = 0.00967 +0.00000

# %% [markdown]
# ## Why bfloat16 stalls at 4
# From 4 to 8 the bfloat16 numbers are 4 eps = 1/32 apart. A further 0.01 is less than half of
# that: each sum is rounded back to 4, for ever.

# %%
four = torch.tensor(4.0, dtype=torch.bfloat16)
value = torch.tensor(0.0100001, dtype=torch.bfloat16)
half_step = 4 * torch.finfo(torch.bfloat16).eps / 2
print(f"half a step at 4: {half_step}, the value: {value.item():.6f}")
print("4 + value:", four + value)

total, terms = torch.tensor(0.0, dtype=torch.bfloat16), 0
while total + value != total:
    total, terms = total + value, terms + 1
print(f"stalls at {total.item()} after {terms} terms; the exact sum is {terms * 0.0100001:.4f}")
# Output:
# half a step at 4: 0.015625, the value: 0.010010
# 4 + value: tensor(4., dtype=torch.bfloat16)
# stalls at 4.0 after 350 terms; the exact sum is 3.5000

# %% [markdown]
# ## torch.sum accumulates wider than float16
# On float16 its accumulator is wider, and only the result is a float16: here the one nearest to
# the exact sum, in every row. Where each sum on the way is a float16, one by one mostly misses it;
# pairs, though better, often.

# %%
torch.manual_seed(0)
x = torch.rand(100, 256).to(torch.float16)
nearest = x.double().sum(dim=1).to(torch.float16)

one_by_one = torch.zeros(100, dtype=torch.float16)
for column in x.T:
    one_by_one = one_by_one + column
pairs = x
while pairs.shape[1] > 1:
    pairs = pairs[:, ::2] + pairs[:, 1::2]

for name, sums in [("one by one", one_by_one), ("pairwise", pairs[:, 0]), ("sum", x.sum(dim=1))]:
    print(f"{name:10}  nearest in {int((sums == nearest).sum()):3} of 100 rows")
# Output:
# one by one  nearest in  18 of 100 rows
# pairwise    nearest in  72 of 100 rows
# sum         nearest in 100 of 100 rows

# %% [markdown]
# ## Fewer roundings for each value
# One by one, the first value goes through n sums, each rounded. `torch.sum` adds short runs, then
# sums of sums: a value goes through few. So it gains on float32, too.

# %%
x = torch.full((1000,), 0.0100001)
exact = 1000 * x[0].item()
total = torch.tensor(0.0)
for value in x:
    total = total + value
print(f"one by one is off by {abs(total.item() - exact):.1e}")
print("torch.sum is off by less than 1e-6?", abs(x.sum().item() - exact) < 1e-6)
# Output:
# one by one is off by 5.6e-05
# torch.sum is off by less than 1e-6? True

# %% [markdown]
# ## Keep accumulators in high precision
# A sum can leave the range of its terms' type. `dtype=` asks for a wider one.

# %%
x = torch.ones(100_000, dtype=torch.float16)
print("x.sum():", x.sum())
print("x.sum(dtype=torch.float32):", x.sum(dtype=torch.float32))
# Output:
# x.sum(): tensor(inf, dtype=torch.float16)
# x.sum(dtype=torch.float32): tensor(100000.)

# %% [markdown]
# ## The error as the sum grows
# A float32 accumulator adds these 16-bit values exactly: what is left, a flat line, is the values'
# rounding. What departs from it is the accumulator's. A dip beyond 100 terms is where the error
# changes sign.

# %%
fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
n = torch.arange(1, 10_001, dtype=torch.float64)
stalls = []
for values, accumulator, style, color, label_height in [
    (torch.bfloat16, torch.bfloat16, "-", VERMILION, 1.2),
    (torch.bfloat16, torch.float32, "--", VERMILION, 1.4e-3),
    (torch.float16, torch.float16, "-", BLUE, 0.15),
    (torch.float16, torch.float32, "--", BLUE, 1.5e-4),
    (torch.float32, torch.float32, "-", GREEN, 1.5e-5),
]:
    value = torch.tensor(0.0100001, dtype=values)
    total, sums = torch.tensor(0.0, dtype=accumulator), []
    for _ in range(len(n)):
        total += value
        sums.append(total.item())
    error = abs(torch.tensor(sums, dtype=torch.float64) / (n * 0.0100001) - 1)
    ax.loglog(n, error, style, color=color)
    names = f"{str(values)[6:]} values,\n{str(accumulator)[6:]} accumulator"
    ax.text(1.2e4, label_height, names, color=color, va="center")
    if sums[-1] == sums[-2]:
        k = sums.index(sums[-1])  # the last term that counted
        stalls.append(f"in {str(accumulator)[6:]} at {total.item():g}")
        ax.plot(n[k], error[k], "o", color=color)
        ax.text(n[k] / 1.1, error[k], f"stalls at {total.item():g}", ha="right", va="bottom")
fig.suptitle(f"Adding 0.0100001 again and again stalls {', '.join(stalls)}")
ax.text(1.3, 1.3e-6, "dashed: the values' rounding alone\nsolid: the accumulator's as well")
ax.set_xlim(1, 1e4)
ax.set_xlabel("number of terms")
ax.set_ylabel("relative error of the sum")
ax.minorticks_off()
ax.grid(alpha=0.3)
save(fig, "accumulation_error.png")
# Output:
# figure: ...accumulation_error.png
