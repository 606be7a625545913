# %% [markdown]
# # Devices
# Where tensors live, and from which size on an accelerator wins. If mps fails: `--device cpu`.
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
from torch.utils.benchmark import Timer


def works(name: str, dtype: torch.dtype = torch.float32) -> bool:
    """Whether it can fill a tensor: a GPU may be there that this build has no code for."""
    try:
        return torch.ones(1, dtype=dtype, device=name).item() == 1
    except (RuntimeError, AssertionError, TypeError):
        return False

def multiply_adds(n: int) -> int:
    """Of a product of two n x n matrices: n for each of its n^2 entries."""
    return n**3

present = ["cpu", *(name for name in ("cuda", "mps") if works(name))]
parser = argparse.ArgumentParser(description="Devices")
parser.add_argument("--device", choices=present, help="this one beside the cpu (default: all)")
CHOSEN = parser.parse_args([] if hasattr(sys, "ps1") else None).device  # in a notebook: edit here
DEVICES = present if CHOSEN is None else list(dict.fromkeys(["cpu", CHOSEN]))
DEVICE = DEVICES[-1]  # an accelerator, where there is one
SIZES = [64, 256, 1024] if DEVICE == "cpu" else [64, 256, 1024, 2048]  # of square matrices
LARGE = {"cpu": 1024, "cuda": 8192, "mps": 4096}  # size of the product that is the ceiling
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
# ## Tensors live on the CPU, unless you say otherwise
# Pick a device at the top of a program. `to` copies, or returns a tensor that lies there already.

# %%
device = "cuda" if works("cuda") else "mps" if works("mps") else "cpu"
x = torch.ones(2, 3)
print("x.device:", x.device, " picked:", device, " moved:", x.to(DEVICE).device)
print("back?", torch.equal(x, x.to(DEVICE).cpu()), ' x.to("cpu") is x?', x.to("cpu") is x)
# Example output:
# x.device: cpu  picked: cpu  moved: cpu
# back? True  x.to("cpu") is x? True

# %% [markdown]
# ## Two devices do not mix
# Where there is the CPU alone, the device `meta` stands in.

# %%
other = "meta" if DEVICE == "cpu" else DEVICE
try:
    torch.lerp(torch.ones(3), torch.ones(3, device=other), 0.5)
except RuntimeError as error:
    print("mixing failed, both named?", "cpu" in str(error) and other in str(error))
# Output:
# mixing failed, both named? True

# %% [markdown]
# ## Each device has its dtypes
# mps has no float64.

# %%
for name in DEVICES:
    types = ("float16", "bfloat16", "float32", "float64", "int64", "bool")
    print(f"{name} takes:", *(dtype for dtype in types if works(name, getattr(torch, dtype))))
# Example output:
# cpu takes: float16 bfloat16 float32 float64 int64 bool

# %% [markdown]
# ## Wait before you read the clock
# On a GPU a call returns when its work is queued, on the CPU when it is done (here on all cores).

# %%
for name in DEVICES:
    wait = torch.accelerator.synchronize if name != "cpu" else lambda: None
    A = torch.ones(LARGE[name] // 2, LARGE[name] // 2, device=name)
    for _ in range(2):  # the first one sets up what is needed
        wait()
        start = time.perf_counter()
        A @ A
        queued = time.perf_counter()
        wait()
        done = time.perf_counter()
    print(f"{name}: call {1e3 * (queued - start):.2f} ms, then wait {1e3 * (done - queued):.2f} ms")
# Example output:
# cpu: call 1.43 ms, then wait 0.00 ms

# %% [markdown]
# ## Each device computes the same product
# Up to rounding: n terms allow n eps/2 times |A||B|, entry by entry.

# %%
torch.manual_seed(0)
A, B = torch.randn(256, 256), torch.randn(256, 256)
exact, allowed = A.double() @ B.double(), 256 * torch.finfo(A.dtype).eps / 2 * (A.abs() @ B.abs())
for name in DEVICES:
    C = (A.to(name) @ B.to(name)).cpu()
    print(f"{name}: every error allowed?", ((C - exact).abs() <= allowed).all().item())
# Example output:
# cpu: every error allowed? True

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
# ## Square products, and the way there and back
# Predicted is what n^3 multiply-adds take at the rate of a large product on that device: from 64 to
# 1024 that is 4,096 times as long. The way there and back, 3 n^2 numbers, is timed apart.

# %%
rates = {}  # multiply-adds a second of a large product
for name in DEVICES:
    A, out = torch.ones(2, LARGE[name], LARGE[name], device=name)
    fast, *_ = take_turns({"": partial(torch.mm, A, A, out=out)})[""]
    rates[name] = multiply_adds(LARGE[name]) / fast
table, results = ["     n  variant        median (ms)       quartiles      predicted  ratio"], []
print(table[0])
for n in SIZES:
    A = torch.ones(n, n)
    runs = {name: partial(torch.mm, A.to(name), A.to(name)) for name in DEVICES}
    for name in DEVICES[1:]:
        back = runs[name]()
        runs[f"{name}, moving"] = lambda to=name, back=back: (A.to(to), A.to(to), back.cpu())
    times = take_turns(runs)
    for name, seconds in times.items():
        low, ms, high = 1e3 * seconds
        predicted = 1e3 * multiply_adds(n) / rates.get(name, np.nan)  # of a product alone
        row = f"{n:6}  {name:<13}{ms:13.4f} {low:9.4f} {high:9.4f}  {predicted:9.4f}"
        table.append(f"{row} {ms / predicted:6.2f}")
        print(table[-1], flush=True)
    results.append(times)
for name in DEVICES[1:]:
    print(f"claim: {name} beats a cpu thread:", verdict(times["cpu"], times[name]))
if DEVICE == "cpu":
    print("claim: an accelerator beats a cpu thread: not tried here, there is the cpu alone")
fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
for i, name in enumerate(times):
    low, ms, high = 1e3 * np.transpose([found[name] for found in results])
    color = ["#0072B2", "#E69F00", "#CC79A7", "#009E73", "#D55E00"][i]
    ax.errorbar(SIZES, ms, [ms - low, high - ms], marker="os^Dv"[i], label=name, color=color)
for rate in rates.values():
    ax.plot(SIZES, [1e3 * multiply_adds(n) / rate for n in SIZES], ":", color="0.6", zorder=0)
ax.set(xscale="log", yscale="log", ylabel="time (ms)")
ax.set_xlabel("size $n$ of the matrices (dotted: $n^3$ multiply-adds at the ceiling's rate)")
ax.set_xticks(SIZES, SIZES)
ax.minorticks_off()
wins = [n for n, found in zip(SIZES, results) if found[DEVICE][1] < found["cpu"][1]]
growth, work = times["cpu"][1] / results[0]["cpu"][1], (n // SIZES[0]) ** 3
ax.set_title(f"{DEVICE} beats a cpu thread at n in {wins}" if wins else
             f"The cpu takes {growth:,.0f} times as long for {work:,} times the work")
fig.legend(loc="outside lower center", ncols=5, title=MACHINE, title_fontsize=7, frameon=False)
save(fig, "devices_matmul.png", "\n".join(table))
# Example output:
#      n  variant        median (ms)       quartiles      predicted  ratio
#     64  cpu                 0.0070    0.0070    0.0072     0.0051   1.36
#    256  cpu                 0.3279    0.3264    0.3286     0.3284   1.00
#   1024  cpu                22.6931   21.6958   23.1089    21.0156   1.08
# claim: an accelerator beats a cpu thread: not tried here, there is the cpu alone
# figure: ...devices_matmul.png
