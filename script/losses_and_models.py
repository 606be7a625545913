# %% [markdown]
# # Losses and models
# A model maps inputs to logits, any real numbers. A loss maps logits and labels to one number. Give
# it logits, not probabilities: here is why.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.colors import ListedColormap
from torch import nn

plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"
SKY, ORANGE = "#56B4E9", "#E69F00"  # Okabe-Ito

def save(fig: plt.Figure, name: str) -> None:
    """Save fig as FIGURES/name and print where it lies."""
    try:
        FIGURES.mkdir(parents=True, exist_ok=True)
        fig.savefig(FIGURES / name, dpi=200)
    except OSError as error:
        sys.exit(f"no figure: {error}")
    print("figure:", (FIGURES / name).as_posix().removeprefix(f"{Path.cwd().as_posix()}/"))

# %% [markdown]
# ## Mean squared error
# For targets that are real numbers: the mean of the squared differences.

# %%
predicted = torch.tensor([2.5, 0.0, 2.0])
target = torch.tensor([3.0, -0.5, 2.0])
print("mse_loss:", F.mse_loss(predicted, target))
print("by hand: ", ((predicted - target) ** 2).mean())
# Output:
# mse_loss: tensor(0.1667)
# by hand:  tensor(0.1667)

# %% [markdown]
# ## logsumexp does not overflow
# exp(1000) is too large for a float32. logsumexp takes the largest entry m out first:
# log(sum(exp(x))) = m + log(sum(exp(x - m))), and no exponent is above 0.

# %%
x = torch.tensor([1000.0, 1000.0])
print("log(sum(exp(x))):", torch.log(torch.sum(torch.exp(x))))
print("logsumexp(x):    ", torch.logsumexp(x, dim=0))
print("m + log(...):    ", x.max() + torch.log(torch.sum(torch.exp(x - x.max()))))
# Output:
# log(sum(exp(x))): tensor(inf)
# logsumexp(x):     tensor(1000.6932)
# m + log(...):     tensor(1000.6932)

# %% [markdown]
# ## Cross-entropy, by hand
# One of several classes is true. The softmax of the logits is a probability for each class; the
# loss is -log of the one that the true class got, and its mean over the rows.

# %%
logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # 2 examples, 3 classes
label = torch.tensor([0, 2])
log_softmax = logits - logits.logsumexp(dim=1, keepdim=True)
each = -log_softmax[torch.arange(2), label]
print("of each example:", each)
print("by hand:        ", each.mean())
print("cross_entropy:  ", F.cross_entropy(logits, label))
# Output:
# of each example: tensor([0.1698, 1.5514])
# by hand:         tensor(0.8606)
# cross_entropy:   tensor(0.8606)

# %% [markdown]
# ## cross_entropy takes logits
# Given probabilities, `cross_entropy` takes them for logits and applies a softmax again. Nothing
# fails, but the loss is wrong: even a sure and right answer costs 0.55.

# %%
logits = torch.tensor([[10.0, 0.0, 0.0]])  # sure of class 0, and right
label = torch.tensor([0])
print(f"given logits:        {F.cross_entropy(logits, label).item():.4f}")
print(f"given probabilities: {F.cross_entropy(logits.softmax(dim=1), label).item():.4f}")
# Output:
# given logits:        0.0001
# given probabilities: 0.5515

# %% [markdown]
# ## Binary cross-entropy, by hand
# Two classes need one logit z: sigmoid(z) = 1 / (1 + exp(-z)) is the probability of label 1. The
# loss is -log of the probability that the true label got, and its mean over the examples.

# %%
z = torch.tensor([2.0, -1.0, 0.5])
y = torch.tensor([1.0, 0.0, 0.0])
p = torch.sigmoid(z)
print("by hand:    ", -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean())
print("with_logits:", F.binary_cross_entropy_with_logits(z, y))
# Output:
# by hand:     tensor(0.4714)
# with_logits: tensor(0.4714)

# %% [markdown]
# ## Why not sigmoid, then BCE
# At logit -200 and label 1 the loss is log(1 + exp(200)) = 200. But exp(-200) is 0 in float32, so
# the sigmoid is 0: the plain formula gives inf, and `binary_cross_entropy`, which clamps the log
# at -100, silently gives 100. Its gradient is 0: gradient descent never corrects this mistake.

# %%
z, y = torch.tensor(-200.0, requires_grad=True), torch.tensor(1.0)
losses = {
    "plain formula": -torch.log(torch.sigmoid(z)),
    "sigmoid, then BCE": F.binary_cross_entropy(torch.sigmoid(z), y),
    "BCE with logits": F.binary_cross_entropy_with_logits(z, y),
}
for name, loss in losses.items():
    (slope,) = torch.autograd.grad(loss, z)
    print(f"{name:17}  loss {loss.item():5}  |dL/dz| {abs(slope.item())}")
# Output:
# plain formula      loss   inf  |dL/dz| nan
# sigmoid, then BCE  loss 100.0  |dL/dz| 0.0
# BCE with logits    loss 200.0  |dL/dz| 1.0

# %% [markdown]
# ## Logistic regression: spam or not
# Each of n emails is a row of d features. One product gives all n logits: no loop over emails.
# The gradient has a closed form, X^T (sigmoid(z) - y) / n, and autograd finds the same.

# %%
torch.manual_seed(0)
n, d = 8, 5
X = torch.randn(n, d)
y = torch.randint(0, 2, (n,)).float()  # 1 is spam
w = torch.randn(d, requires_grad=True)

z = X @ w
loss = F.binary_cross_entropy_with_logits(z, y)
loss.backward()
formula = X.T @ (torch.sigmoid(z) - y) / n
print("logits.shape:", z.shape)
print(f"loss: {loss.item():.4f}")
print("gradient equals X^T (sigmoid(z) - y) / n?", torch.allclose(w.grad, formula))
# Output:
# logits.shape: torch.Size([8])
# loss: 1.3335
# gradient equals X^T (sigmoid(z) - y) / n? True

# %% [markdown]
# ## A two-layer network
# `nn.Sequential` applies its layers in order. The last one gives a column, one logit per row;
# `squeeze(1)` makes it a vector like y.

# %%
torch.manual_seed(0)
n, d, h = 8, 5, 16
X = torch.randn(n, d)
y = torch.randint(0, 2, (n,)).float()
model = nn.Sequential(nn.Linear(d, h), nn.ReLU(), nn.Linear(h, 1))

logits = model(X).squeeze(1)
loss = F.binary_cross_entropy_with_logits(logits, y)
print("logits.shape:", logits.shape)
print(f"loss: {loss.item():.4f}")
# Output:
# logits.shape: torch.Size([8])
# loss: 0.6901

# %% [markdown]
# ## What is in the network
# The parameters are leaves that the layers made: a weight, (outputs, inputs), and a bias each.
# A ReLU has none. All in all they are the w of gradient descent, 113 numbers.

# %%
model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
for name, p in model.named_parameters():
    print(f"{name:8}  {str(tuple(p.shape)):7}  {p.numel():3}  leaf? {p.is_leaf}")
print("parameters:", sum(p.numel() for p in model.parameters()))
# Output:
# 0.weight  (16, 5)   80  leaf? True
# 0.bias    (16,)     16  leaf? True
# 2.weight  (1, 16)   16  leaf? True
# 2.bias    (1,)       1  leaf? True
# parameters: 113

# %% [markdown]
# ## What the network computes
# A linear layer multiplies by its weight transposed and adds its bias to each row. A ReLU sets
# what is negative to 0.

# %%
torch.manual_seed(0)
X = torch.randn(8, 5)
model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
W1, b1, W2, b2 = model.parameters()

hidden = torch.clamp(X @ W1.T + b1, min=0)
by_hand = hidden @ W2.T + b2
print("hidden:", tuple(hidden.shape), " output:", tuple(by_hand.shape))
print("as the model does?", torch.allclose(by_hand, model(X), atol=1e-6))
# Output:
# hidden: (8, 16)  output: (8, 1)
# as the model does? True

# %% [markdown]
# ## Why squeeze the column
# With labels of shape (n,), a column would broadcast to all n x n differences. This loss refuses;
# a difference written by hand does not, and its mean square is another number.

# %%
column, y = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([1.0, 2.0, 3.0])
try:
    F.binary_cross_entropy_with_logits(column, y)
except ValueError as error:
    print("failed:", error)
print("column - y:", tuple((column - y).shape), " mean square:", ((column - y) ** 2).mean())
v = column.squeeze(1)
print("v - y:     ", tuple((v - y).shape), "   mean square:", ((v - y) ** 2).mean())
# Output:
# failed: Target size (torch.Size([3])) must be the same as input size (torch.Size([3, 1]))
# column - y: (3, 3)  mean square: tensor(1.3333)
# v - y:      (3,)    mean square: tensor(0.)

# %% [markdown]
# ## Figure 3.3: the network, one cell per number
# On the arrows flows the data, an example a row; in the boxes stay the parameters. No parameter's
# shape knows how many examples pass.

# %%
model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
data = torch.randn(8, 5)
total = sum(p.numel() for p in model.parameters())
fig, ax = plt.subplots(figsize=(10, 2.9), layout="constrained")
fig.suptitle(f"A two-layer network keeps {total} numbers, however many examples flow through it")
ax.set_aspect("equal")
ax.axis("off")

def cells(x: float, rows: int, columns: int, color: str) -> float:
    """Draw rows by columns of cells from x rightwards, centred on the arrow; return their end."""
    edges = x + np.arange(columns + 1), np.arange(rows + 1) - rows / 2
    ax.pcolormesh(
        *edges, np.zeros((rows, columns)), cmap=ListedColormap([color]), edgecolor="white"
    )
    return x + columns

end = cells(0, *data.shape, SKY)
ax.text(end / 2, 5, f"inputs\n{tuple(data.shape)}", ha="center")
for layer, name in zip(model, ["pre-activations", "hidden", "logits"]):
    box = end + 4  # the layer: its parameters in a box
    ax.annotate("", (box, 0), (end + 0.5, 0), arrowprops={"arrowstyle": "->"})
    lines, inside = [], box + 3
    for kind, p in layer.named_parameters():
        inside = cells(inside, len(p), p.numel() // len(p), ORANGE) + 3
        lines.append(f"{kind} {tuple(p.shape)}")
    right = max(inside, box + 15)
    lines.append(f"{sum(p.numel() for p in layer.parameters())} parameters")
    ax.add_patch(plt.Rectangle((box, -17), right - box, 27, fill=False))
    ax.text((box + right) / 2, 11, type(layer).__name__, ha="center", weight="bold")
    ax.text((box + right) / 2, -9.5, "\n".join(lines), ha="center", va="top")
    data = layer(data)  # what leaves the layer
    ax.annotate("", (right + 4, 0), (right, 0), arrowprops={"arrowstyle": "->"})
    end = cells(right + 4.5, *data.shape, SKY)
    ax.text((right + 4.5 + end) / 2, 5, f"{name}\n{tuple(data.shape)}", ha="center")

ax.text(end + 0.7, -5, f"squeeze(1)\n{tuple(data.squeeze(1).shape)}", ha="center", va="top")
save(fig, "two_layer_network.png")
# Output:
# figure: ...two_layer_network.png
