# %% [markdown]
# # Losses and models
#
# A *model* makes predictions with numbers that can be adjusted, its *parameters*. A *loss* is one
# number that says how wrong the predictions are, and training changes the parameters so that the
# loss falls. This script computes the usual losses by hand and with PyTorch, and then trains two
# models. On the way it shows three mistakes after which the loss is wrong, or cannot be computed.

# %%
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import nn

# %% [markdown]
# ## Mean squared error
#
# A model that predicts real numbers, such as prices, usually has this loss: the mean of the squared
# differences between its predictions and the true numbers, the *targets*.

# %%
predicted = torch.tensor([2.5, 0.0, 2.0])
target = torch.tensor([3.0, -0.5, 2.0])
squares = (predicted - target) ** 2
print("squares:   ", squares)
print("their mean:", squares.mean())
print("mse_loss:  ", F.mse_loss(predicted, target))
# Output:
# squares:    tensor([0.2500, 0.2500, 0.0000])
# their mean: tensor(0.1667)
# mse_loss:   tensor(0.1667)

# %% [markdown]
# ## From logits to probabilities
#
# A model that chooses among classes, say cat, dog and bird, gives one real number per class, its
# *logit*: the score of `tensor_operations.py`. As there, the *softmax* turns these numbers into
# probabilities: it divides the exp of each logit by the sum of these exps.

# %%
logits = torch.tensor([2.0, 0.0, -1.0])
positive = torch.exp(logits)
print("by hand:", positive / positive.sum())
print("softmax:", torch.softmax(logits, dim=0))
# Output:
# by hand: tensor([0.8438, 0.1142, 0.0420])
# softmax: tensor([0.8438, 0.1142, 0.0420])

# %% [markdown]
# ## Cross-entropy
#
# The loss of one example is -log(p), where p is the probability that the model gave to the true
# class. The loss is 0 if p is 1, and it grows without bound as p goes to 0. `cross_entropy` takes
# the logits, one row per example, and the index of each example's true class, its *label*. It
# returns the mean over the examples. (`dim` is NumPy's `axis`: `dim=1` is along each row.)

# %%
logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # 2 examples, 3 classes
label = torch.tensor([0, 2])  # the first example is of class 0, the second of class 2
p = torch.softmax(logits, dim=1)
first = -torch.log(p[0, 0])
second = -torch.log(p[1, 2])
print("loss of each example:", first, second)
print("their mean:   ", (first + second) / 2)
print("cross_entropy:", F.cross_entropy(logits, label))
# Output:
# loss of each example: tensor(0.1698) tensor(1.5514)
# their mean:    tensor(0.8606)
# cross_entropy: tensor(0.8606)

# %% [markdown]
# ## First mistake: probabilities instead of logits
#
# `cross_entropy` applies the softmax itself. If it is given probabilities, it takes them for logits
# and applies a second softmax. Probabilities differ by 1 at most, so the second softmax brings them
# close together. Even if the model is sure and right, with probabilities 1, 0 and 0, the second
# softmax leaves e / (e + 2) for the true class: with three classes this loss never falls below
# -log(e / (e + 2)) = 0.55.

# %%
logits = torch.tensor([[5.0, 0.0, 0.0]])  # sure of class 0
label = torch.tensor([0])  # and right
p = torch.softmax(logits, dim=1)
print("softmax:      ", p)
print("softmax again:", torch.softmax(p, dim=1))
print("loss, given logits:       ", F.cross_entropy(logits, label))
print("loss, given probabilities:", F.cross_entropy(p, label))
# Output:
# softmax:       tensor([[0.9867, 0.0066, 0.0066]])
# softmax again: tensor([[0.5712, 0.2144, 0.2144]])
# loss, given logits:        tensor(0.0134)
# loss, given probabilities: tensor(0.5599)

# %% [markdown]
# ## Why a loss takes logits: logsumexp
#
# A probability can be so small that it is rounded to 0, and log(0) is -inf. From the logits x of an
# example, and its true class k, the loss can be computed without p = exp(x[k]) / sum(exp(x)):
#
#     -log(p) = log(sum(exp(x))) - x[k]
#
# But now exp can be too large: exp(1000) is inf in float32. `logsumexp` avoids this by subtracting
# the largest logit m first. Each x - m is at most 0, so each exp is at most 1:
#
#     log(sum(exp(x))) = m + log(sum(exp(x - m)))

# %%
x = torch.tensor([2.0, 0.0, -1.0])  # of class 0
print("logsumexp(x) - x[0]:", torch.logsumexp(x, dim=0) - x[0])
print("cross_entropy:      ", F.cross_entropy(x, torch.tensor(0)))

x = torch.tensor([1000.0, 1000.0])
m = x.max()
print("log(sum(exp(x))):         ", torch.log(torch.sum(torch.exp(x))))
print("m + log(sum(exp(x - m))): ", m + torch.log(torch.sum(torch.exp(x - m))))
print("logsumexp(x):             ", torch.logsumexp(x, dim=0))
# Output:
# logsumexp(x) - x[0]: tensor(0.1698)
# cross_entropy:       tensor(0.1698)
# log(sum(exp(x))):          tensor(inf)
# m + log(sum(exp(x - m))):  tensor(1000.6932)
# logsumexp(x):              tensor(1000.6932)

# %% [markdown]
# ## Two classes: binary cross-entropy
#
# Softmax depends only on differences of logits. So for two classes, labelled 0 and 1, we fix the
# logit of class 0 at 0, and the model gives only the logit z of class 1. Softmax then gives class 1
# the probability p, the *sigmoid* of z, and class 0 gets 1 - p:
#
#     p = exp(z) / (exp(0) + exp(z)) = 1 / (1 + exp(-z))
#
# The loss of an example with label y is -log(p) if y is 1, and -log(1 - p) if y is 0. In a formula:
#
#     loss = -(y log(p) + (1 - y) log(1 - p))
#
# This formula computes with y, so these labels must be floats. The labels of `cross_entropy` are
# indices here, which are integers. (It also takes a probability per class, in floats.) Of n
# examples,
#
# - `cross_entropy` takes logits of shape (n, classes), and integer labels of shape (n,);
# - `binary_cross_entropy_with_logits` takes logits of shape (n,), and float labels of shape (n,).

# %%
z = torch.tensor([2.0, -1.0, 0.5])
y = torch.tensor([1.0, 0.0, 0.0])
p = torch.sigmoid(z)
losses = -(y * torch.log(p) + (1 - y) * torch.log(1 - p))
print("p:          ", p)
print("by hand:    ", losses.mean())
print("with_logits:", F.binary_cross_entropy_with_logits(z, y))
# Output:
# p:           tensor([0.8808, 0.2689, 0.6225])
# by hand:     tensor(0.4714)
# with_logits: tensor(0.4714)

# %% [markdown]
# ## Second mistake: a sigmoid before the loss
#
# There is also `binary_cross_entropy`, without "with_logits", which takes probabilities. Suppose
# that an example has the logit -200 and the label 1. Its loss is -log(p) = log(1 + exp(200)), which
# is rounded to 200. The derivative of log(1 + exp(-z)) with respect to z is p - 1, so nearly -1: z
# should grow. But p itself, about exp(-200), is rounded to 0 in float32. What do the losses make of
# it? (The table shows |dL/dz|, so that -0.0 is printed as 0.0.)
#
# `requires_grad=True` makes PyTorch record what is computed from z. `backward()` then stores dL/dz
# in `z.grad` (see autograd_tour.py). `item()` takes the number out of a tensor with one number.

# %%
z = torch.tensor(-200.0, requires_grad=True)
y = torch.tensor(1.0)
losses = {
    "plain formula": -torch.log(torch.sigmoid(z)),
    "sigmoid, then BCE": F.binary_cross_entropy(torch.sigmoid(z), y),
    "BCE with logits": F.binary_cross_entropy_with_logits(z, y),
}
for name, loss in losses.items():
    z.grad = None
    loss.backward()
    print(f"{name:17}  loss {loss.item():5}  |dL/dz| {abs(z.grad.item())}")
# Output:
# plain formula      loss   inf  |dL/dz| nan
# sigmoid, then BCE  loss 100.0  |dL/dz| 0.0
# BCE with logits    loss 200.0  |dL/dz| 1.0

# %% [markdown]
# ## Only the loss that is given the logit is right
#
# By the chain rule, dL/dz is dL/dp times dp/dz, and the slope of the sigmoid, dp/dz = p (1 - p), is
# 0 at p = 0. In the plain formula dL/dp = -1/p is -inf, and -inf times 0 is nan, "not a number". We
# would notice that. `binary_cross_entropy` avoids inf: it replaces a log below -100 by -100, which
# is half of the true loss here, and in dL/dp it divides by a tiny number instead of 0. But a finite
# number times 0 is 0: gradient descent would never correct this example, and nothing tells us.

# %% [markdown]
# ## Logistic regression: spam or not
#
# Each of n emails is described by 5 numbers, a row of X. Logistic regression has one weight per
# column of X and computes the logits z = X @ w, all n in one product. With p = sigmoid(z), the loss
# of one email is log(1 + exp(-z)) if y is 1, with the derivative p - 1, and log(1 + exp(z)) if y is
# 0, with the derivative p. So dL/dz is p - y in both cases. By the chain rule, the gradient of the
# mean loss with respect to w is
#
#     X^T (sigmoid(z) - y) / n
#
# Does PyTorch find the same? The emails here are random numbers, and their labels are random too.
# This is on purpose: "A small loss is not the goal", below, says what we learn from it.

# %%
def random_emails(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """n random emails, shape (n, 5), and their random labels, shape (n,): 1 is spam."""
    X = torch.randn(n, 5)
    y = torch.randint(0, 2, (n,)).float()
    return X, y

# %%
torch.manual_seed(0)
X, y = random_emails(8)
w = torch.randn(5, requires_grad=True)

z = X @ w
loss = F.binary_cross_entropy_with_logits(z, y)
loss.backward()
with torch.no_grad():  # this computation needs no record
    formula = X.T @ (torch.sigmoid(z) - y) / len(y)
print("logits.shape:", z.shape)
print(f"loss: {loss.item():.4f}")
print("by PyTorch: ", w.grad)
print("by formula: ", formula)
print("gradient equals X^T (sigmoid(z) - y) / n?", torch.allclose(w.grad, formula, atol=1e-5))
# Output:
# logits.shape: torch.Size([8])
# loss: 1.3335
# by PyTorch:  tensor([ 0.0507,  0.1487, -0.2982, -0.0018, -0.1068])
# by formula:  tensor([ 0.0507,  0.1487, -0.2982, -0.0018, -0.1068])
# gradient equals X^T (sigmoid(z) - y) / n? True

# %% [markdown]
# ## Train it
#
# A training loop repeats a few lines. `zero_grad` clears the gradient of the step before, as
# `w.grad = None` does, because `backward` adds to it. Then come the loss and `backward`. The
# optimizer knows the parameters, and its `step` changes them: SGD subtracts lr * w.grad from w,
# where the learning rate `lr` is the step size eta of the lecture. (SGD means stochastic gradient
# descent. Here each step uses all emails, so nothing is stochastic: it is gradient descent.)
#
# An email counts as spam if its logit is above 0, that is, if its probability is above 1/2. What
# share of the 8 predictions is right before and after 100 steps?

# %%
def fit(model: Callable, parameters: Iterable, X: torch.Tensor, y: torch.Tensor) -> None:
    """Take 100 steps of gradient descent on the parameters of model; model(X) is the logits."""
    optimizer = torch.optim.SGD(parameters, lr=0.5)
    for step in range(100):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model(X), y)
        loss.backward()
        optimizer.step()

def report(name: str, z: torch.Tensor, y: torch.Tensor) -> None:
    """Print the loss of the logits z, and the share of predictions that are right."""
    loss = F.binary_cross_entropy_with_logits(z, y)
    predicted = (z > 0).float()  # 1 is spam
    share = (predicted == y).float().mean()
    print(f"{name}: loss {loss.item():.2f}, share right {share.item():.1f}")

# %%
torch.manual_seed(0)
X, y = random_emails(8)
w = torch.randn(5, requires_grad=True)

def logistic(X: torch.Tensor) -> torch.Tensor:
    """The logits, shape (n,)."""
    return X @ w

report("before", logistic(X), y)
fit(logistic, [w], X, y)
report("after", logistic(X), y)
# Output:
# before: loss 1.33, share right 0.5
# after: loss 0.19, share right 1.0

# %% [markdown]
# ## A network with two layers
#
# In logistic regression each column of X pushes the logit in one direction only: a larger number
# always means more spam, or always less. A *network* computes more: here 16 *hidden* numbers per
# email, and from these its logit. `nn.Sequential` applies its layers in order. The layer
# `nn.Linear(5, 16)` computes X @ W.T + b. Its weight W has shape (outputs, inputs) = (16, 5), and
# its *bias* b is a vector of 16 numbers, added to each row. `nn.ReLU()` replaces each negative
# number by 0.
#
# The logits come as a column of shape (8, 1). `squeeze(1)` makes a vector of it. Before the
# training the logits are near 0, so each p is near 1/2, and the loss is near log(2) = 0.69.

# %%
torch.manual_seed(0)
X, y = random_emails(8)
model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))

logits = model(X).squeeze(1)
loss = F.binary_cross_entropy_with_logits(logits, y)
print("model(X).shape:", model(X).shape)
print("logits.shape:", logits.shape)
print(f"loss: {loss.item():.4f}")
# Output:
# model(X).shape: torch.Size([8, 1])
# logits.shape: torch.Size([8])
# loss: 0.6901

# %% [markdown]
# ## Why there is a ReLU between the layers
#
# Three lines compute by hand what the network does. Without the ReLU, the second layer would
# multiply what the first one has multiplied. That is a single linear layer, with the weight
# `W2 @ W1`: no more than logistic regression with a bias. The ReLU is not linear and prevents this.

# %%
torch.manual_seed(0)
X, y = random_emails(8)
model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
model.requires_grad_(False)  # no gradient is asked for here
W1, b1, W2, b2 = model.parameters()

before_relu = X @ W1.T + b1
hidden = torch.clamp(before_relu, min=0)
by_hand = hidden @ W2.T + b2
without_relu = before_relu @ W2.T + b2
one_layer = X @ (W2 @ W1).T + (W2 @ b1 + b2)
print("hidden.shape:", hidden.shape)
print("by_hand.shape:", by_hand.shape)
print("The logits of the first 3 emails")
print("the model:     ", model(X)[:3, 0])
print("by hand:       ", by_hand[:3, 0])
print("without ReLU:  ", without_relu[:3, 0])
print("as one layer:  ", one_layer[:3, 0])
# Output:
# hidden.shape: torch.Size([8, 16])
# by_hand.shape: torch.Size([8, 1])
# The logits of the first 3 emails
# the model:      tensor([0.1322, 0.1481, 0.0551])
# by hand:        tensor([0.1322, 0.1481, 0.0551])
# without ReLU:   tensor([0.1005, 0.1238, 0.1937])
# as one layer:   tensor([0.1005, 0.1238, 0.1937])

# %% [markdown]
# ## The parameters of the network
#
# The weights and biases of both layers, 113 numbers, are together the w of gradient descent. The
# ReLU has none. Each name begins with the position of its layer in the model. (`gd_nd_torch.py`
# trains this network by its own loop, on the same emails, beginning with the same loss.)

# %%
h = 16
model = nn.Sequential(nn.Linear(5, h), nn.ReLU(), nn.Linear(h, 1))
total = 0
for name, parameter in model.named_parameters():
    print(f"{name:8}  {str(tuple(parameter.shape)):7}  {parameter.numel():3}")
    total += parameter.numel()
print("parameters:", total)
# Output:
# 0.weight  (16, 5)   80
# 0.bias    (16,)     16
# 2.weight  (1, 16)   16
# 2.bias    (1,)       1
# parameters: 113

# %% [markdown]
# ## Third mistake: a column against a vector
#
# What if we forget `squeeze(1)`? The predictions are then a column of shape (3, 1), the labels a
# vector of shape (3,), and their difference is broadcast to all 3 x 3 pairs (see broadcasting.py).
# Below, all predictions are right, and still the mean of the squares is 0.44 instead of 0.
# `F.mse_loss` would compute the same wrong number, but with a warning.
# `binary_cross_entropy_with_logits` refuses two different shapes.

# %%
column = torch.tensor([[0.0], [1.0], [1.0]])
y = torch.tensor([0.0, 1.0, 1.0])
print("column:  ", (column - y).shape, ((column - y) ** 2).mean())

v = column.squeeze(1)
print("squeezed:", (v - y).shape, ((v - y) ** 2).mean())

try:
    F.binary_cross_entropy_with_logits(column, y)
except ValueError as error:
    print("with_logits failed:", str(error).splitlines()[0])
# Output:
# column:   torch.Size([3, 3]) tensor(0.4444)
# squeezed: torch.Size([3]) tensor(0.)
# with_logits failed: Target size (torch.Size([3])) must be the same as input size ...

# %% [markdown]
# ## The same network as a class of your own
#
# Most models are written as a class. Its `__init__` must first call the `__init__` of `nn.Module`,
# which prepares the list of parameters: without this, storing a layer in `self` fails.
# `model.parameters()` finds the parameters of all layers that are stored in `self`. `forward` says
# how the logits follow from the inputs; it runs when we call `model(X)`. We train the model on the
# same 8 emails, by the same loop.

# %%
class Network(nn.Module):
    """Two linear layers with a ReLU between them."""

    def __init__(self, d: int, h: int) -> None:
        super().__init__()
        self.first = nn.Linear(d, h)
        self.second = nn.Linear(h, 1)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Logits, shape (n,), of the rows of X, shape (n, d)."""
        hidden = torch.relu(self.first(X))
        return self.second(hidden).squeeze(1)

# %%
torch.manual_seed(0)
X, y = random_emails(8)
model = Network(d=5, h=16)
report("before", model(X), y)
fit(model, model.parameters(), X, y)
report("after", model(X), y)
# Output:
# before: loss 0.69, share right 0.5
# after: loss 0.01, share right 1.0

# %% [markdown]
# ## A small loss is not the goal
#
# Both models get all 8 labels right, although the labels were drawn at random: they have learned
# these emails by heart. To see whether a model knows what spam is, test it on emails that it was
# not trained on. Here nothing can be known: half of the predictions are right, as if we tossed a
# coin.

# %%
torch.manual_seed(0)
X, y = random_emails(8)
model = Network(d=5, h=16)
fit(model, model.parameters(), X, y)
report("8 emails of the training", model(X), y)

new_X, new_y = random_emails(1000)
with torch.no_grad():  # a test needs no gradient, and less memory without the record
    report("1000 new emails", model(new_X), new_y)
# Output:
# 8 emails of the training: loss 0.01, share right 1.0
# 1000 new emails: loss ..., share right 0.5

# %% [markdown]
# ## train() and eval()
#
# Some layers do one thing in training and another in use. The best known is `nn.Dropout(p)`. In
# training it replaces each number by 0 with probability p, so that a network learns not to depend
# on single numbers. It divides the others by 1 - p, so that the mean stays about the same. In use
# it should change nothing. A model starts in training mode: call `model.eval()` before you test or
# use it, and `model.train()` before you go on training. Both only switch layers like this one; the
# recording is stopped by `no_grad`. So a test calls both. (The network above has no such layer.)

# %%
x = torch.ones(1000)
model = nn.Sequential(nn.Dropout(0.5))
print("at the start: ", model(x).unique())  # the different values in model(x)
model.eval()
print("after eval(): ", model(x).unique())
model.train()
print("after train():", model(x).unique())
# Output:
# at the start:  tensor([0., 2.])
# after eval():  tensor([1.])
# after train(): tensor([0., 2.])

# %% [markdown]
# ## The network as a picture, one cell per number
#
# This is Figure 3.3 of the lecture. Blue cells are data, one row per email; the arrows show how the
# data go through the layers. Orange cells are parameters: they stay in their layers, and their
# number does not depend on the number of emails. The next cell only defines how to draw this.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

plt.rcdefaults()
HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
FIGURES = (HERE.parent if HERE.name == "script" else HERE) / "figures"
SKY = "#56B4E9"
ORANGE = "#E69F00"

def draw_cells(ax: plt.Axes, x: float, rows: int, columns: int, color: str) -> float:
    """Draw a grid with one cell per number, from x to the right. Return where it ends."""
    x_edges = x + np.arange(columns + 1)
    y_edges = np.arange(rows + 1) - rows / 2
    look = {"cmap": ListedColormap([color]), "edgecolor": "white", "linewidth": 0.7}
    ax.pcolormesh(x_edges, y_edges, np.zeros((rows, columns)), **look)
    return x + columns

def draw_data(ax: plt.Axes, x: float, data: torch.Tensor, name: str) -> float:
    """Draw data, shape (rows, columns), under its name. Return where it ends."""
    rows, columns = data.shape
    end = draw_cells(ax, x, rows, columns, SKY)
    ax.text((x + end) / 2, 5, f"{name}\n{(rows, columns)}", ha="center")
    return end

def count(module: nn.Module) -> int:
    """How many numbers the parameters of module have together."""
    return sum(parameter.numel() for parameter in module.parameters())

def draw_layer(ax: plt.Axes, x: float, layer: nn.Module) -> float:
    """Draw a box with the parameters of layer. Return where it ends."""
    lines = []
    inside = x + 5.5
    for name, parameter in layer.named_parameters():
        rows = len(parameter)
        columns = parameter.numel() // rows  # a bias has shape (rows,) and is drawn as a column
        inside = draw_cells(ax, inside, rows, columns, ORANGE) + 5.5
        lines.append(f"{name} {tuple(parameter.shape)}")
    lines.append(f"{count(layer)} parameters")
    end = max(inside, x + 22)
    middle = (x + end) / 2
    ax.add_patch(plt.Rectangle((x, -20), end - x, 30, fill=False))
    ax.text(middle, 11, type(layer).__name__, ha="center", weight="bold")
    ax.text(middle, -9, "\n".join(lines), ha="center", va="top")
    if isinstance(layer, nn.ReLU):
        ax.text(middle, 0, "max(x, 0)", ha="center", va="center")
    return end

def draw_network(model: nn.Sequential, data: torch.Tensor) -> plt.Figure:
    """Draw data, each layer of model, and what the layer makes of the data, from left to right."""
    names = ["before ReLU", "hidden", "logits"]  # what leaves each layer
    arrow = {"arrowstyle": "->"}
    fig, ax = plt.subplots(figsize=(7.5, 2.3), layout="constrained")
    ax.set_aspect("equal")
    ax.axis("off")
    end = draw_data(ax, 0, data, "inputs")
    for layer, name in zip(model, names):
        ax.annotate("", (end + 4, 0), (end + 0.5, 0), arrowprops=arrow)
        end = draw_layer(ax, end + 4, layer)
        ax.annotate("", (end + 4, 0), (end, 0), arrowprops=arrow)
        data = layer(data)
        end = draw_data(ax, end + 4.5, data, name)
    fig.suptitle(f"{count(model)} parameters (orange), for any number of emails (rows of blue)")
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
model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
fig = draw_network(model, torch.zeros(8, 5))
save(fig, "two_layer_network.png")
# Output:
# figure: ...two_layer_network.png

# %% [markdown]
# ## What to take away
#
# - Let the model return logits, and use the losses that take logits.
# - Before you trust a loss, print the shapes. `cross_entropy` takes logits (n, classes) and integer
#   labels (n,), `binary_cross_entropy_with_logits` logits and float labels of the same shape (n,).
# - A training loop is `zero_grad`, loss, `backward`, `step`.
# - Test on new examples, under `eval()` and `no_grad()`.
#
# ## Try it
#
# 1. In "First mistake: probabilities instead of logits", leave out one class: change
#    `[[5.0, 0.0, 0.0]]` to `[[5.0, 0.0]]`. Predict first: is the loss, given probabilities, larger
#    or smaller than with three classes?
# 2. In "The parameters of the network", change `h = 16` to `h = 32`. Predict first: how many
#    parameters are there?
# 3. In "train() and eval()", change `nn.Dropout(0.5)` to `nn.Dropout(0.75)`. Predict first: which
#    values does it print at the start?
