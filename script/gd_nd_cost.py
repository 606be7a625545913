# %% [markdown]
# # What a step of gradient descent costs
# A step on ||w||^2 / 2 moves 12 vectors of d numbers through memory, whatever is computed. What it
# takes beyond that has two causes: calls from Python, and new memory for each gradient.
# Example outputs: Linux x86_64 cpu, 1 thread, torch 2.13.0+cpu.

# %%
import argparse
import ctypes
import sys
import time
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from platform import machine, system

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.utils.benchmark import Timer

present = ["cpu", *(name for name in ("cuda", "mps") if getattr(torch, name).is_available())]
parser = argparse.ArgumentParser(description="What a step of gradient descent costs")
parser.add_argument("--device", choices=present, default="cpu")
DEVICE = parser.parse_args([] if hasattr(sys, "ps1") else None).device  # in a notebook: edit here
LARGE = 2**25  # numbers in the copy that is the ceiling
SIZES = [1, 1000, 1_000_000, 10_000_000]  # d
THREADS, ROUNDS, SECONDS = 1, 5, 0.05  # seconds for each variant at each size
MACHINE = f"{system()} {machine()} {DEVICE}, {THREADS} thread, torch {torch.__version__}"
plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"

def save(fig, name, table=""):
    """Save fig, with the table that it was drawn from inside, and print where it lies."""
    try:
        FIGURES.mkdir(parents=True, exist_ok=True)
        fig.savefig(FIGURES / name, dpi=200, metadata={"Description": table})
    except OSError as error:
        sys.exit(f"no figure: {error}")
    print("figure:", (FIGURES / name).as_posix().removeprefix(f"{Path.cwd().as_posix()}/"))

# %% [markdown]
# ## A step, and the vectors it moves
# The loss w.dot(w) / 2 reads w (1). Backward multiplies each of the two factors by a number, which
# reads and writes (4), and adds the products (3). The norm reads the gradient (1). The update
# reads w and the gradient and writes w (3).

# %%
VECTORS = 1 + 4 + 3 + 1 + 3
OURS = "w.sub_(grad, alpha=eta)"

def step(w, update):
    """A step of gradient descent on ||w||^2 / 2, shape (d,), with the norm that a loop logs."""
    L = 0.5 * w.dot(w)
    L.backward()
    norm = w.grad.dot(w.grad).item() ** 0.5
    with torch.no_grad():
        update()
    w.grad = None
    return norm

def updates(w, eta):
    """Three ways to write w <- w - eta grad."""
    return {"w.sub_(grad, alpha=eta)": lambda: w.sub_(w.grad, alpha=eta),
            "torch.optim.SGD": torch.optim.SGD([w], lr=eta).step,
            "w -= eta * grad": lambda: w.sub_(eta * w.grad)}

# %%
for name in updates(torch.zeros(1, requires_grad=True), 0.5):
    w = torch.tensor([4.0, -2.0], device=DEVICE, requires_grad=True)
    norm = step(w, updates(w, 0.5)[name])
    print(f"{name:<24} ||grad|| = {norm:.4f}, w = {w.tolist()}")
print("vectors moved by a step:", VECTORS)
# Output:
# w.sub_(grad, alpha=eta)  ||grad|| = 4.4721, w = [2.0, -1.0]
# torch.optim.SGD          ||grad|| = 4.4721, w = [2.0, -1.0]
# w -= eta * grad          ||grad|| = 4.4721, w = [2.0, -1.0]
# vectors moved by a step: 12

# %% [markdown]
# ## How to time
# Warm up, and take turns, so that a slow phase of the machine hits all variants alike. A median
# with quartiles shows a spread that a mean hides. On a GPU, `Timer` waits until the work is done.

# %%
def take_turns(variants):
    """Seconds a call of each function of a dict: first quartile, median, third, by name."""
    options = {"num_threads": THREADS} | ({"timer": time.perf_counter} if DEVICE == "cpu" else {})
    timers = {name: Timer("f()", globals={"f": f}, **options) for name, f in variants.items()}
    times = {name: [] for name in timers}
    for _ in range(ROUNDS):
        for name, timer in timers.items():  # each turn begins with calls that do not count
            times[name] += timer.blocked_autorange(min_run_time=SECONDS / ROUNDS).times
    return {name: np.percentile(found, [25, 50, 75]) for name, found in times.items()}

def verdict(slow, fast):
    """Did slow take longer than fast? How many times as long, from and to by the quartiles?"""
    low, ratio, high = slow / fast[::-1]
    held = "held here" if low > 1 else "did not hold here" if high < 1 else "not decided here"
    return f"{held}, {ratio:,.2f} times ({low:,.2f} to {high:,.2f})"

# %% [markdown]
# ## Keep what is freed
# glibc's malloc gives a freed block above 32 MiB back to the system. The next gradient is new to
# the process, and comes page by page, each cleared when first touched. This tells malloc to keep
# what is freed.

# %%
@contextmanager
def freed_memory_kept():
    """Inside, malloc keeps what is freed (man mallopt). Yields whether it does: glibc's can."""
    TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
    libc = ctypes.CDLL(None) if system() == "Linux" else None
    can = hasattr(libc, "mallopt") and libc.mallopt(MMAP_MAX, 0) == 1
    if kept := can and libc.mallopt(TRIM_THRESHOLD, 2**31 - 1) == 1:
        torch.ones(2**27)  # half a GiB, freed at once: a stock to take from
    try:
        yield kept
    finally:
        if can:  # as in any process that has freed a large block
            for option, size in (MMAP_MAX, 2**16), (MMAP_THRESHOLD, 2**25), (TRIM_THRESHOLD, 2**26):
                libc.mallopt(option, size)
            libc.malloc_trim(0)
            [libc.malloc(2**25) for _ in range(16)]  # fill gaps: untouched, they take no memory

# %% [markdown]
# ## The cost of a step, and its causes taken away
# Predicted is what 12 vectors take at the speed of a large copy. At d = 1 there is nothing to move:
# what is left are calls. Where malloc keeps freed memory, no gradient waits for new memory.

# %%
large, copy = torch.ones(2, LARGE, device=DEVICE)
speed = 2 * large.nbytes / take_turns({"copy": lambda: copy.copy_(large)})["copy"][0]
del large, copy
table = ["         d  memory   update                median (ms)      quartiles   predicted     ratio"]
results = {}
print(table[0])
for memory, setting in ("new", nullcontext), ("kept", freed_memory_kept):
    with setting() as kept:
        for d in SIZES:
            w = torch.full((d,), 1e-3, device=DEVICE, requires_grad=True)
            ways = {name: partial(step, w, update) for name, update in updates(w, 1e-5).items()}
            times = take_turns(ways if d == SIZES[-1] else {OURS: ways[OURS]})
            for name, seconds in times.items():
                (low, ms, high), predicted = 1e3 * seconds, 1e3 * 4 * VECTORS * d / speed
                row = f"{d:10,}  {memory:<7}  {name:<23} {ms:11.4f}  {low:8.4f} {high:8.4f}"
                table.append(f"{row}  {predicted:9.4f} {ms / predicted:9.2f}")
                print(table[-1], flush=True)
                results.setdefault((memory, name), []).append(seconds)
print("malloc keeps freed memory?", kept)
new, sgd, temporary = (results["new", name][-1] for name in ways)
print("claim: keeping freed memory beats torch.optim.SGD:", verdict(sgd, times[OURS]))
print("claim: sub_ beats w -= eta * grad:", verdict(temporary, new))
fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
for memory, color, marker in ("new", "#0072B2", "o"), ("kept", "#009E73", "s"):
    low, ms, high = 1e3 * np.transpose(results[memory, OURS])
    look = {"marker": marker, "color": color, "label": f"a step, {memory} memory"}
    ax.errorbar(SIZES, ms, [ms - low, high - ms], **look)
traffic = [1e3 * 4 * VECTORS * d / speed for d in SIZES]
ax.plot(SIZES, traffic, color="0.6", zorder=0, label="12 vectors, as fast as a large copy")
ax.set(xscale="log", yscale="log", xlabel="dimension $d$", ylabel="time of a step (ms)")
ax.set_ylim(bottom=1e3 * new[1] / 1e4)
ax.set_title(f"d = {d:,}: new memory makes a step {new[1] / times[OURS][1]:.1f} times as long")
fig.legend(loc="outside lower center", ncols=3, title=MACHINE, title_fontsize=7, frameon=False)
save(fig, "gd_nd_cost.png", "\n".join(table))
# Example output:
#          d  memory   update                median (ms)      quartiles   predicted     ratio
#          1  new      w.sub_(grad, alpha=eta)      0.0442    0.0438   0.0455     0.0000  22566.74
#      1,000  new      w.sub_(grad, alpha=eta)      0.0466    0.0459   0.0869     0.0020     23.77
#  1,000,000  new      w.sub_(grad, alpha=eta)      2.3535    1.5103   3.6171     1.9580      1.20
# 10,000,000  new      w.sub_(grad, alpha=eta)     50.1043   49.6317  50.9692    19.5801      2.56
# 10,000,000  new      torch.optim.SGD             50.3343   50.2523  50.4513    19.5801      2.57
# 10,000,000  new      w -= eta * grad             71.9541   71.8005  75.6522    19.5801      3.67
#          1  kept     w.sub_(grad, alpha=eta)      0.0444    0.0435   0.0463     0.0000  22650.85
#      1,000  kept     w.sub_(grad, alpha=eta)      0.0461    0.0451   0.0480     0.0020     23.55
#  1,000,000  kept     w.sub_(grad, alpha=eta)      0.9369    0.8312   0.9879     1.9580      0.48
# 10,000,000  kept     w.sub_(grad, alpha=eta)     16.6216   16.3602  16.9918    19.5801      0.85
# 10,000,000  kept     torch.optim.SGD             16.6042   16.3013  17.4544    19.5801      0.85
# 10,000,000  kept     w -= eta * grad             19.9230   19.8428  20.0762    19.5801      1.02
# malloc keeps freed memory? True
# claim: keeping freed memory beats torch.optim.SGD: held here, 3.03 times (2.96 to 3.08)
# claim: sub_ beats w -= eta * grad: held here, 1.44 times (1.41 to 1.52)
# figure: ...gd_nd_cost.png
