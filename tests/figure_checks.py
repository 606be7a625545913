"""Checks of a figure as it is drawn. Each returns its complaints: an empty list is a pass."""

from itertools import combinations
from pathlib import Path
from unittest.mock import patch

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

MIN_WIDTH = 1200  # pixels: sharp on a slide


def drawn_texts(fig: Figure) -> list[tuple[str, object]]:
    """Each text that a drawing of fig really shows, with its box in pixels."""
    shown = {}
    draw = Text.draw

    def recording(text, renderer):
        draw(text, renderer)
        if text.get_visible() and text.get_text().strip():
            # now: a text in 3D has its place on the canvas only while it is drawn
            shown[id(text)] = (text.get_text(), Text.get_window_extent(text, renderer))

    with patch.object(Text, "draw", recording):
        fig.canvas.draw()
    return list(shown.values())


def overlapping_texts(fig: Figure) -> list[str]:
    """Pairs of visible texts whose boxes share area."""
    pairs = combinations(drawn_texts(fig), 2)
    return [f"{a!r} overlaps {b!r}" for (a, box_a), (b, box_b) in pairs if box_a.overlaps(box_b)]


def texts_off_canvas(fig: Figure) -> list[str]:
    """Visible texts that the edge of the figure cuts."""
    return [
        f"{text!r} leaves the canvas"
        for text, box in drawn_texts(fig)
        if box.x0 < 0 or box.y0 < 0 or box.x1 > fig.bbox.width or box.y1 > fig.bbox.height
    ]


def hidden_data(fig: Figure) -> list[str]:
    """Legends that lie on a data point."""
    complaints = []
    fig.canvas.draw()
    for ax in fig.axes:
        if ax.get_legend() is None:
            continue
        box = ax.get_legend().get_window_extent()
        for line in ax.get_lines():
            points = line.get_transform().transform(line.get_xydata())
            if any(box.contains(x, y) for x, y in points):
                complaints.append(f"the legend of {ax.get_title()!r} hides {line.get_label()!r}")
    return complaints


def missing_labels(fig: Figure) -> list[str]:
    """Data axes without a label, and a figure without any title."""
    complaints = []
    if not (fig.get_suptitle() or any(ax.get_title() for ax in fig.axes)):
        complaints.append("no title")
    for number, ax in enumerate(fig.axes):
        if not ax.axison:
            continue
        for axis in (ax.xaxis, ax.yaxis):
            shows_numbers = any(label.get_text() for label in axis.get_ticklabels())
            if shows_numbers and not axis.get_label_text().strip():
                complaints.append(f"axes {number}: the {axis.axis_name} axis has no label")
    return complaints


def bad_image(path: Path) -> list[str]:
    """A PNG that does not decode, is blank, or is too small to project."""
    pixels = imread(path)
    complaints = []
    if pixels.shape[1] < MIN_WIDTH:
        complaints.append(f"{path.name} is {pixels.shape[1]} pixels wide")
    if np.ptp(pixels[..., :3]) == 0:
        complaints.append(f"{path.name} is blank")
    return complaints


def complaints(fig: Figure) -> list[str]:
    """All that is wrong with how fig is drawn."""
    checks = (overlapping_texts, texts_off_canvas, hidden_data, missing_labels)
    return [complaint for check in checks for complaint in check(fig)]
