# %% [markdown]
# # Dtypes and rounding errors
#
# The *dtype* of a tensor says how many bits each of its numbers has, and what these bits mean. With
# fewer bits, numbers need less memory, but there are fewer of them, and each result must be rounded
# to one of them. One rounding changes little. But a sum of a thousand numbers is rounded a thousand
# times. This script shows a sum that goes wrong, why it does, and what helps.

# %%
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

# %% [markdown]
# ## One sum, three answers
#
# We add 1000 numbers, each 0.0100001, one by one. (float32 can tell this number from 0.01, the
# 16-bit dtypes cannot.) The exact sum is 10.0001. The variable in which the sum grows is called the
# *accumulator*. We do this three times: with values and accumulator in float32, PyTorch's usual
# dtype, and in float16 and bfloat16, which have 16 bits per number instead of 32. How far off is
# each sum?

# %%
NUMBER = 0.0100001

def add_one_by_one(values: torch.Tensor, accumulator: torch.dtype) -> torch.Tensor:
    """Add up values, shape (n,). Each total is rounded to the dtype accumulator."""
    total = torch.tensor(0.0, dtype=accumulator)
    for value in values:
        total = (total + value).to(accumulator)
    return total

# %%
x = torch.full((1000,), NUMBER)  # float32, unless told otherwise
total = add_one_by_one(x, torch.float32)
print("float32 accumulator + float32 values:", total)
print(f"the same to six decimals: {total.item():.6f}, exact: {1000 * NUMBER:.6f}")

x_f16 = x.to(torch.float16)
x_bf16 = x.to(torch.bfloat16)
print("float16 accumulator + float16 values:", add_one_by_one(x_f16, torch.float16))
print("bfloat16 accumulator + bfloat16 values:", add_one_by_one(x_bf16, torch.bfloat16))
# Output:
# float32 accumulator + float32 values: tensor(10.0002)
# the same to six decimals: 10.000156, exact: 10.000100
# float16 accumulator + float16 values: tensor(9.9531, dtype=torch.float16)
# bfloat16 accumulator + bfloat16 values: tensor(4., dtype=torch.bfloat16)

# %% [markdown]
# ## 0.01 in base 2
#
# The bfloat16 sum is 4 instead of 10. To see why, we look at how bfloat16 stores one value. In base
# 10, 0.0100001 is 1.00001 x 10^-2. In base 2 it is, to seven digits behind the point,
# 1.0100100 x 2^-7: the digits stand for 1 + 1/4 + 1/32 = 1.28125, and 1.28125 / 2^7 = 0.01000977.
# This is the bfloat16 number nearest to 0.0100001. Its 16 bits are
#
# - the sign, 0 for +,
# - the exponent, 8 bits: 127 is added, so that it is not negative, and -7 is stored as 120,
# - the *fraction*, 7 bits: the digits behind the point. The 1 before the point is not stored.
#
# `view` with a dtype, here `view(torch.int16)`, keeps the bits in memory and reads them as another
# kind of number. (With sizes, `view` changes the shape.) The format `016b` writes them in base 2.

# %%
x = torch.tensor(NUMBER, dtype=torch.bfloat16)
bits = f"{x.view(torch.int16).item():016b}"
exponent = int(bits[1:9], 2)
fraction = int(bits[9:], 2)
print("sign:", bits[0])
print("exponent:", bits[1:9], "is", exponent)
print("fraction:", bits[9:], "is", fraction)
print("2^(exponent - 127) * (1 + fraction / 2^7):", 2.0 ** (exponent - 127) * (1 + fraction / 2**7))
print("as PyTorch reads it:", x.item())
# Output:
# sign: 0
# exponent: 01111000 is 120
# fraction: 0100100 is 36
# 2^(exponent - 127) * (1 + fraction / 2^7): 0.010009765625
# as PyTorch reads it: 0.010009765625

# %% [markdown]
# ## The spacing grows with the number
#
# In base 2, 1 is 1.0000000 x 2^0, and the next bfloat16 number is 1.0000001 x 2^0 = 1 + 1/128. This
# distance is called *eps*. 4 is 1.0000000 x 2^2, so its last digit counts four times as much: the
# next number is 4 eps = 1/32 away, and so it goes on up to 8, where the spacing doubles again.
#
# A sum is rounded to the nearest number of the dtype (halfway between two, to the one whose last
# digit is 0). If we add 0.01 at 1, at 2 and at 4, how much is really added?

# %%
small = torch.tensor(NUMBER, dtype=torch.bfloat16)
infinity = torch.tensor(math.inf, dtype=torch.bfloat16)
for number in [1.0, 2.0, 4.0]:
    x = torch.tensor(number, dtype=torch.bfloat16)
    spacing = torch.nextafter(x, infinity) - x  # nextafter: the next number towards infinity
    added = (x + small) - x
    print(f"at {number}: spacing {spacing.item()}, really added {added.item()}")
# Output:
# at 1.0: spacing 0.0078125, really added 0.0078125
# at 2.0: spacing 0.015625, really added 0.015625
# at 4.0: spacing 0.03125, really added 0.0

# %% [markdown]
# ## Why the bfloat16 sum stalls at 4
#
# Once the sum has reached 4, the value is less than half the spacing, and each further sum is
# rounded back to 4. Before that, the rounding went both ways. From 1 to 2, each 0.01 was rounded
# down to 1/128: it took 128 terms instead of 100. From 2 to 4, it was rounded up to 1/64: again 128
# terms, instead of 200. With the 94 terms up to 1, these are the 350 terms below. In float16 the
# sum stalls later, at 32, because the fraction has 10 bits.

# %%
value = torch.tensor(NUMBER, dtype=torch.bfloat16)
half_spacing = 4 * torch.finfo(torch.bfloat16).eps / 2
print(f"half the spacing at 4: {half_spacing}, the value: {value.item():.6f}")

total = torch.tensor(0.0, dtype=torch.bfloat16)
terms = 0
while total + value != total:
    total = total + value
    terms += 1
print(f"the sum stalls at {total.item()} after {terms} terms")
print(f"exactly, {terms} terms add up to {terms * value.item():.4f}")
# Output:
# half the spacing at 4: 0.015625, the value: 0.010010
# the sum stalls at 4.0 after 350 terms
# exactly, 350 terms add up to 3.5034

# %% [markdown]
# ## Two errors, and where each comes from
#
# The values were rounded when they were stored, each by the same amount, before any addition. The
# accumulator then rounds each sum. To tell the two errors apart, we also give 16-bit values to a
# float32 accumulator. The table shows how far each sum is from 10.0001, as a sum of two parts:
# 1000 times the error of one value, and what the accumulator made of it.

# %%
def name_of(dtype: torch.dtype) -> str:
    """For instance "float16" for torch.float16."""
    return str(dtype).removeprefix("torch.")

PAIRS = [  # dtype of the values, dtype of the accumulator
    (torch.float32, torch.float32),
    (torch.float16, torch.float16),
    (torch.float16, torch.float32),
    (torch.bfloat16, torch.bfloat16),
    (torch.bfloat16, torch.float32),
]

# %%
print("values    accumulator  one value        whole error = by values + by accumulator")
for values, accumulator in PAIRS:
    x = torch.full((1000,), NUMBER, dtype=values)
    value = x[0].item()
    total = add_one_by_one(x, accumulator).item()
    by_values = 1000 * value - 1000 * NUMBER
    by_accumulator = total - 1000 * value
    error = total - 1000 * NUMBER
    pair = f"{name_of(values):8}  {name_of(accumulator):11}"
    parts = f"{by_values:9.5f} {by_accumulator:+16.5f}"
    print(f"{pair}  {value:.12f}  {error:12.5f} = {parts}")
# Output:
# values    accumulator  one value        whole error = by values + by accumulator
# float32   float32      0.010000100359       0.00006 =   0.00000         +0.00006
# float16   float16      0.010002136230      -0.04697 =   0.00204         -0.04901
# float16   float32      0.010002136230       0.00204 =   0.00204         +0.00000
# bfloat16  bfloat16     0.010009765625      -6.00010 =   0.00967         -6.00977
# bfloat16  float32      0.010009765625       0.00967 =   0.00967         +0.00000

# %% [markdown]
# ## First remedy: a wider accumulator
#
# The second error was the large one, and float32 removes it. Here it even adds exactly: the float16
# value is 1311 x 2^-17, a thousand of them are 1,311,000 x 2^-17, and the 24 binary digits of
# float32 hold every whole number up to 2^24 = 16,777,216. No accumulator can remove the first
# error: the digits were lost before.
#
# In `total + value` PyTorch converts the float16 value to float32, which is called *type
# promotion*. The sum is the same if we convert the values ourselves, by `x_f16.float()`.

# %%
x_f16 = torch.full((1000,), NUMBER, dtype=torch.float16)
x_bf16 = torch.full((1000,), NUMBER, dtype=torch.bfloat16)
implicit = add_one_by_one(x_f16, torch.float32)
explicit = add_one_by_one(x_f16.float(), torch.float32)
print("float32 accumulator + float16 values (implicit upcast):", implicit)
print("float32 accumulator + float16 values (explicit upcast):", explicit)
print("float32 accumulator + bfloat16 values:", add_one_by_one(x_bf16, torch.float32))
# Output:
# float32 accumulator + float16 values (implicit upcast): tensor(10.0021)
# float32 accumulator + float16 values (explicit upcast): tensor(10.0021)
# float32 accumulator + bfloat16 values: tensor(10.0098)

# %% [markdown]
# ## Second remedy: pairs
#
# What if there is no wider dtype? *Pairwise* summation calls itself on the first and on the second
# half of the values, and adds the two results. They are about equally large if the values are, so
# neither is lost beside the other. And 1000 values can be halved 10 times, since 2^10 is 1024: each
# value goes through at most 10 roundings, instead of up to 1000.

# %%
def add_pairwise(values: torch.Tensor) -> torch.Tensor:
    """Add up values, shape (n,): the sum of the first half plus the sum of the second half."""
    if len(values) == 1:
        return values[0]
    middle = len(values) // 2
    return add_pairwise(values[:middle]) + add_pairwise(values[middle:])

# %%
x = torch.full((1000,), NUMBER, dtype=torch.bfloat16)
print("pairwise:", add_pairwise(x))
print("exact sum of these values:", 1000 * x[0].item())
# Output:
# pairwise: tensor(10., dtype=torch.bfloat16)
# exact sum of these values: 10.009765625

# %% [markdown]
# ## Third remedy: Kahan's sum
#
# From 8 to 16 bfloat16 numbers are 1/16 apart, so 10 is the best possible answer. But pairs need
# all values at once. *Kahan's* summation takes them one by one. It keeps in a second variable,
# `lost`, what the last rounding took away, and adds that to the next value.
#
# With exact arithmetic `added` would be `wanted`, and `lost` always 0. Look at what happens when
# the total is 4: the first 0.01 is not added, so the second step wants 0.02. This is more than half
# the spacing, and 1/32 is added. That was too much: `lost` is negative, and the third step wants
# less.

# %%
def kahan_step(total: torch.Tensor, lost: torch.Tensor, value: torch.Tensor) -> tuple:
    """Add value, and what was lost before. Returns the new total and what is lost now."""
    wanted = value + lost
    new_total = total + wanted  # rounded
    added = new_total - total
    return new_total, wanted - added

def add_by_kahan(values: torch.Tensor) -> torch.Tensor:
    """Add up values, shape (n,), one by one, and make up for each rounding in the next step."""
    total = torch.tensor(0.0, dtype=values.dtype)
    lost = torch.tensor(0.0, dtype=values.dtype)
    for value in values:
        total, lost = kahan_step(total, lost, value)
    return total

# %%
x = torch.full((1000,), NUMBER, dtype=torch.bfloat16)
total = torch.tensor(4.0, dtype=torch.bfloat16)
lost = torch.tensor(0.0, dtype=torch.bfloat16)
for step in [1, 2, 3]:
    wanted = (x[0] + lost).item()
    total, lost = kahan_step(total, lost, x[0])
    print(f"step {step} wants {wanted:9.6f}, total {total.item():.5f}, lost {lost.item():9.6f}")
print("Kahan:", add_by_kahan(x))
# Output:
# step 1 wants  0.010010, total 4.00000, lost  0.010010
# step 2 wants  0.020020, total 4.03125, lost -0.011230
# step 3 wants -0.001221, total 4.03125, lost -0.001221
# Kahan: tensor(10., dtype=torch.bfloat16)

# %% [markdown]
# ## torch.sum takes care
#
# Kahan's sum is for numbers that come one at a time, such as the many small updates of a weight. To
# add up a tensor, call `x.sum()`: it adds 16-bit numbers in a wider accumulator, and rounds once,
# at the end. The result still has the dtype of x, and may be too large for it. `dtype=` asks for a
# wider one.

# %%
x = torch.full((1000,), NUMBER, dtype=torch.bfloat16)
print("0.0100001 a thousand times, x.sum():", x.sum())
x = torch.ones(100_000, dtype=torch.float16)
print("1 a hundred thousand times, x.sum():", x.sum())
print("x.sum(dtype=torch.float32):", x.sum(dtype=torch.float32))
# Output:
# 0.0100001 a thousand times, x.sum(): tensor(10., dtype=torch.bfloat16)
# 1 a hundred thousand times, x.sum(): tensor(inf, dtype=torch.float16)
# x.sum(dtype=torch.float32): tensor(100000.)

# %% [markdown]
# ## float32 needs care too, after millions of terms
#
# `np.cumsum` gives all sums on the way, so it has to add one by one. Above 32,768 float32 numbers
# are 1/256 apart. There each 0.01, which is 2.56/256, is rounded up to 3/256, and after five
# million terms the sum is far off. `torch.sum` does what our pairs did, with short runs of numbers
# instead of single ones: it adds up each run, and then the sums of the runs. So it seldom adds a
# small number to a large one. (It does not keep what is lost, as Kahan's sum does.)

# %%
x = torch.full((5_000_000,), NUMBER)
exact = 5_000_000 * NUMBER
one_by_one = np.cumsum(x.numpy())[-1].item()
error = abs(one_by_one / exact - 1)
print(f"one by one: {one_by_one:.1f} instead of {exact:.1f}, off by {100 * error:.3f} percent")
error = abs(x.sum().item() / exact - 1)
print(f"torch.sum is off by {100 * error:.3f} percent")
# Output:
# one by one: 52159.7 instead of 50000.5, off by 4.318 percent
# torch.sum is off by 0.000 percent

# %% [markdown]
# ## The dtypes of this course
#
# The bits of the fraction decide the spacing: with p of them, eps is 2^-p. The bits of the exponent
# decide the range, which ends with the largest number and the smallest *normal* number: below that
# one, the numbers have fewer and fewer digits, until there is only 0.

# %%
print("dtype     bits  sign+exponent+fraction     largest  smallest normal  eps")
for dtype in [torch.float16, torch.bfloat16, torch.float32, torch.float64]:
    info = torch.finfo(dtype)
    fraction = round(-math.log2(info.eps))
    exponent = info.bits - 1 - fraction
    fields = f"1+{exponent}+{fraction}"
    limits = f"{info.max:11.5g}  {info.smallest_normal:15.5g}"
    print(f"{name_of(dtype):8}  {info.bits:4}  {fields:22}  {limits}  2^-{fraction}")
for dtype in [torch.int32, torch.int64, torch.bool]:
    print(dtype, dtype.itemsize, "bytes")
# Output:
# dtype     bits  sign+exponent+fraction     largest  smallest normal  eps
# float16     16  1+5+10                        65504       6.1035e-05  2^-10
# bfloat16    16  1+8+7                    3.3895e+38       1.1755e-38  2^-7
# float32     32  1+8+23                   3.4028e+38       1.1755e-38  2^-23
# float64     64  1+11+52                 1.7977e+308      2.2251e-308  2^-52
# torch.int32 4 bytes
# torch.int64 8 bytes
# torch.bool 1 bytes

# %% [markdown]
# ## Too large, too small
#
# A number that is too large for its dtype becomes inf, and one that is too small becomes 0. With
# only 5 bits for the exponent, the range of float16 is small. bfloat16 has nearly the range of
# float32, but large spacings: from 65,536 = 2^16 to 2^17 its numbers are 2^16 eps = 512 apart.

# %%
large = 70_000.0
for dtype in [torch.float16, torch.bfloat16]:
    print(f"{large:g}:", torch.tensor(large, dtype=dtype))
    print("1e-8: ", torch.tensor(1e-8, dtype=dtype))
# Output:
# 70000: tensor(inf, dtype=torch.float16)
# 1e-8:  tensor(0., dtype=torch.float16)
# 70000: tensor(70144., dtype=torch.bfloat16)
# 1e-8:  tensor(1.0012e-08, dtype=torch.bfloat16)

# %% [markdown]
# ## How inf and 0 are stored
#
# Two exponents are reserved. All ones mean inf, or nan ("not a number", such as inf - inf) if the
# fraction is not 0. All zeros mean that there is no 1 before the point: the number is 0, or one of
# the *subnormal* numbers, which lie below the smallest normal number at equal distances. In
# float16 that distance is 2^-24, and 1e-8 is less than half of it.

# %%
for number in [math.inf, math.nan, 65504.0, 2.0**-14, 2.0**-24, 0.0]:
    x = torch.tensor(number, dtype=torch.float16)
    bits = f"{x.view(torch.int16).item():016b}"
    print(bits[0], bits[1:6], bits[6:], "is", number)
# Output:
# 0 11111 0000000000 is inf
# 0 11111 1000000000 is nan
# 0 11110 1111111111 is 65504.0
# 0 00001 0000000000 is 6.103515625e-05
# 0 00000 0000000001 is 5.960464477539063e-08
# 0 00000 0000000000 is 0.0

# %% [markdown]
# ## Type promotion
#
# What is the dtype of x + y, if x and y have different dtypes? Two floats give the smallest dtype
# that holds both, and a float and an int give the float.
#
# There is one exception. A single number (a Python number, or a tensor of shape ()) does not change
# the dtype of a tensor with one or more dimensions, if both are floats or both are ints. A Python
# float beside ints makes them float32, the default dtype. In `add_one_by_one` total and value both
# have shape (), so the rule holds, not the exception.

# %%
x = torch.ones(2, dtype=torch.float16)
single = torch.tensor(1.0, dtype=torch.float32)
ints = torch.tensor([1, 2])
print("float16 + float32: ", (x + torch.ones(2)).dtype)
print("float16 + bfloat16:", (x + torch.ones(2, dtype=torch.bfloat16)).dtype)
print("float16 + int64:   ", (x + ints).dtype)
print("float16 + single float32:", (x + single).dtype)
print("single float16 + single float32:", (x[0] + single).dtype)
print("int64 + 1.5:", (ints + 1.5).dtype)
# Output:
# float16 + float32:  torch.float32
# float16 + bfloat16: torch.float32
# float16 + int64:    torch.float16
# float16 + single float32: torch.float16
# single float16 + single float32: torch.float32
# int64 + 1.5: torch.float32

# %% [markdown]
# ## Two dtypes in one model
#
# Large models keep groups of their parameters in different dtypes, to save memory in those groups
# where coarse rounding does no harm. Which groups these are must be tried out. Here a large layer
# is in bfloat16, and the last layer in float32.
#
# Type promotion holds for entrywise operations, such as +. A layer `nn.Linear` is a matrix
# product, and a matrix product refuses two dtypes: at the boundary we have to convert.

# %%
body = nn.Linear(1000, 1000).to(torch.bfloat16)
head = nn.Linear(1000, 10)
for name, layer in [("body", body), ("head", head)]:
    numbers = layer.weight.numel() + layer.bias.numel()
    total_bytes = numbers * layer.weight.itemsize
    print(f"{name}: {layer.weight.dtype}, {numbers} numbers, {total_bytes} bytes")

hidden = body(torch.ones(1, 1000, dtype=body.weight.dtype))
try:
    head(hidden)
except RuntimeError as error:
    print("head failed:", str(error).splitlines()[0])
print("head(hidden.float()):", head(hidden.float()).dtype)
# Output:
# body: torch.bfloat16, 1001000 numbers, 2002000 bytes
# head: torch.float32, 10010 numbers, 40040 bytes
# head failed: ...mat1 and mat2 must have the same dtype...
# head(hidden.float()): torch.float32

# %% [markdown]
# ## Autocast: let PyTorch choose per operation
#
# Under `torch.autocast` the parameters stay in float32. For a matrix product, where fewer bits save
# most, PyTorch makes bfloat16 copies of the input and of the parameters. The loss here is a mean,
# so it needs a sum, and PyTorch computes it in float32. `backward` uses the dtypes that the
# operations had, and needs no autocast.
#
# The gradient of a float32 parameter is in float32 again. Since the parameters stay in float32,
# the many small updates add up there: in bfloat16 a parameter could stall, as our sum did.

# %%
model = nn.Linear(4, 1)
x = torch.ones(2, 4)
y = torch.ones(2, 1)
with torch.autocast("cpu", dtype=torch.bfloat16):
    predicted = model(x)
    loss = nn.functional.mse_loss(predicted, y)
loss.backward()
print("parameters:", model.weight.dtype)
print("predicted: ", predicted.dtype)
print("loss:      ", loss.dtype)
print("gradient:  ", model.weight.grad.dtype)
# Output:
# parameters: torch.float32
# predicted:  torch.bfloat16
# loss:       torch.float32
# gradient:   torch.float32

# %% [markdown]
# ## Which dtype to use
#
# What to take away:
#
# - Use float32 unless you have a reason not to, and float64 to check a result, where its digits
#   matter more than time and memory.
# - Use bfloat16 with autocast to train large models faster, on hardware that supports it, and keep
#   parameters and sums in float32. `devices.py` compares the times of a product in four dtypes.
# - In float16 gradients below 3e-8 become 0, so take it only where bfloat16 is missing or has too
#   few digits, and multiply the loss by a large number, as `torch.amp.GradScaler` does.
# - To add up a tensor, call `sum`. If you must add one by one, use a wide accumulator.

# %% [markdown]
# ## Two pictures
#
# The rest of the script draws two pictures. The next cell only defines how: you may skip it.

# %%
plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"

BLUE = "#0072B2"
GREEN = "#009E73"
VERMILION = "#D55E00"
SAME_SIZE = {16: torch.int16, 32: torch.int32, 64: torch.int64}

def draw_number(ax: plt.Axes, y: float, dtype: torch.dtype) -> None:
    """Draw the bits of NUMBER in dtype as squares, 32 in a line, the first line at height y."""
    info = torch.finfo(dtype)
    x = torch.tensor(NUMBER, dtype=dtype)
    bits = f"{x.view(SAME_SIZE[info.bits]).item():0{info.bits}b}"
    fraction = round(-math.log2(info.eps))
    exponent = info.bits - 1 - fraction
    colors = [VERMILION] + [BLUE] * exponent + [GREEN] * fraction
    for k in range(info.bits):
        left = k % 32
        bottom = y - 2.6 * (k // 32)
        face = "white"
        ink = colors[k]
        if bits[k] == "1":
            face = colors[k]
            ink = "white"
        ax.add_patch(plt.Rectangle((left, bottom), 1, 1, facecolor=face, edgecolor=colors[k]))
        ax.text(left + 0.5, bottom + 0.45, bits[k], color=ink, ha="center", va="center")
    ax.text(0, y + 1.4, f"{name_of(dtype)} holds {x.item():.12g}", weight="bold")
    ax.text(17, y + 1.4, rf"eps $2^{{-{fraction}}}$,  largest {info.max:.5g}")
    ax.text(-0.4, y + 0.45, "sign", color=VERMILION, ha="right", va="center")
    of_exponent = 1 + exponent / 2  # its middle
    of_fraction = (1 + exponent + min(info.bits, 32)) / 2  # the middle of what is in the first line
    ax.text(of_exponent, y - 0.3, f"exponent: {exponent}", color=BLUE, ha="center", va="top")
    ax.text(of_fraction, y - 0.3, f"fraction: {fraction}", color=GREEN, ha="center", va="top")

def draw_bits() -> plt.Figure:
    """Draw the bits of NUMBER in four dtypes, one below the other."""
    fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    draw_number(ax, 0, torch.float16)
    draw_number(ax, -4.2, torch.bfloat16)
    draw_number(ax, -8.4, torch.float32)
    draw_number(ax, -12.6, torch.float64)
    ax.set_aspect("equal")
    ax.axis("off")
    ax.set_xlim(-2.5, 32.2)
    ax.set_ylim(-15.4, 2.4)
    title = "0.0100001: bfloat16 has the exponent of float32, float16 has more fraction bits"
    fig.suptitle(title, fontsize=11)
    return fig

def draw_errors() -> plt.Figure:
    """Draw the relative error of a sum of copies of NUMBER against the number of terms."""
    curves = [  # dtype of the values, of the accumulator, style, color, height of the label
        (torch.bfloat16, torch.bfloat16, "-", VERMILION, 1.2),
        (torch.bfloat16, torch.float32, "--", VERMILION, 1.4e-3),
        (torch.float16, torch.float16, "-", BLUE, 0.15),
        (torch.float16, torch.float32, "--", BLUE, 1.5e-4),
        (torch.float32, torch.float32, "-", GREEN, 1.5e-5),
    ]
    terms = np.arange(1, 10_001)
    stalls = []
    fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for values, accumulator, style, color, height in curves:
        value = torch.tensor(NUMBER, dtype=values)
        total = torch.tensor(0.0, dtype=accumulator)
        sums = []
        for _ in terms:
            total = total + value
            sums.append(total.item())
        error = abs(np.array(sums) / (terms * NUMBER) - 1)
        ax.loglog(terms, error, style, color=color)
        label = f"{name_of(values)} values,\n{name_of(accumulator)} accumulator"
        ax.text(1.2e4, height, label, color=color, va="center")
        if sums[-1] == sums[-2]:
            last = sums.index(sums[-1])  # the last term that counted
            ax.plot(terms[last], error[last], "o", color=color)
            stall = f"stalls at {sums[-1]:g}"
            ax.text(terms[last] / 1.1, error[last], stall, ha="right", va="bottom")
            stalls.append(f"in {name_of(accumulator)} at {sums[-1]:g}")
    ax.text(1.3, 1.3e-6, "dashed: the values' rounding alone\nsolid: the accumulator's as well")
    ax.set_xlim(1, 1e4)
    ax.set_xlabel("number of terms")
    ax.set_ylabel("relative error of the sum")
    ax.minorticks_off()
    ax.grid(alpha=0.3)
    fig.suptitle(f"Adding 0.0100001 again and again stalls {', '.join(stalls)}")
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

# %% [markdown]
# ## Figure 3.8: the bits of 0.0100001 in four dtypes
#
# Each square is one bit of memory. It is filled if the bit is 1. (The bits of float64 take two
# lines.) The 16 bits of bfloat16 are the first 16 bits of float32, rounded: the exponent is the
# same, the fraction is shorter. float16 has fewer bits for the exponent and more for the fraction.

# %%
fig = draw_bits()
save(fig, "float_bit_layout.png")
# Output:
# figure: ...float_bit_layout.png

# %% [markdown]
# ## The error as the sum grows
#
# The figure shows the relative error of the sum of 1, 2, ... 10,000 terms, for the five pairs of
# dtypes in the table of the two errors. A dashed line has the error of the values alone, which
# stays the same. A solid line has that of the accumulator as well. Where a solid line dips, beyond
# 100 terms, the sum changes from too large to too small, or back.
#
# So the dip after a stall is no gain. Where the bfloat16 sum stalls at 4, it is 14 percent too
# large, because 350 terms are 3.5. At 400 terms the exact sum has caught up, and from then on the
# sum that stays at 4 is more and more too small.

# %%
fig = draw_errors()
save(fig, "accumulation_error.png")
# Output:
# figure: ...accumulation_error.png

# %% [markdown]
# ## Try it
#
# 1. In "The spacing grows with the number", change `[1.0, 2.0, 4.0]` to `[1.0, 2.0, 256.0]`.
#    Predict first: which bfloat16 number comes after 256?
# 2. In "Why the bfloat16 sum stalls at 4", change `value = torch.tensor(NUMBER` to
#    `value = torch.tensor(0.1`. Predict first: where does the sum stall?
# 3. In "Too large, too small", change `large = 70_000.0` to `large = 66_000.0`. Predict first: what
#    is it in bfloat16?
