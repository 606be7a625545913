"""Checks of a figure as it is drawn. Each returns its complaints: an empty list is a pass."""

import re
from decimal import Decimal, InvalidOperation
from itertools import combinations
from pathlib import Path
from unittest.mock import patch

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from matplotlib.transforms import Bbox

MIN_WIDTH = 1200  # pixels: sharp on a slide
UNIT = r".+ \((ns|us|ms|s|bytes|MB|GB/s|GFLOP/s|rad|degrees|ratio)\)"
COUNT = r"iteration|dimension|numbers? (of|in) |elements of |(inner )?size "
NO_UNIT = r"loss|gap|gradient|derivative|plateau|relative error|\$\\delta"


def drawn_texts(fig: Figure) -> list[tuple[str, Bbox]]:
    """Lay fig out, and take each text that a drawing of it really shows, with its box in pixels."""
    shown = {}
    draw = Text.draw

    def recording(text, renderer):
        draw(text, renderer)
        if text.get_visible() and text.get_text().strip():
            # now: a text in 3D has its place on the canvas only while it is drawn
            shown[id(text)] = (text.get_text(), Text.get_window_extent(text, renderer))

    with patch.object(Text, "draw", recording):
        fig.draw_without_rendering()
    return list(shown.values())


def overlapping_texts(texts: list[tuple[str, Bbox]]) -> list[str]:
    """Pairs of texts whose boxes share area."""
    pairs = combinations(texts, 2)
    return [f"{a!r} overlaps {b!r}" for (a, box_a), (b, box_b) in pairs if box_a.overlaps(box_b)]


def texts_off_canvas(texts: list[tuple[str, Bbox]], fig: Figure) -> list[str]:
    """Texts that the edge of the figure cuts."""
    return [
        f"{text!r} leaves the canvas"
        for text, box in texts
        if box.x0 < 0 or box.y0 < 0 or box.x1 > fig.bbox.width or box.y1 > fig.bbox.height
    ]


def hidden_data(fig: Figure) -> list[str]:
    """Legends that lie on a data point, in a figure that is laid out."""
    complaints = []
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
    """Data axes without a label, labels that need a unit, and a figure without any title."""
    complaints = []
    if not (fig.get_suptitle() or any(ax.get_title() for ax in fig.axes)):
        complaints.append("no title")
    for number, ax in enumerate(fig.axes):
        if not ax.axison:
            continue
        for axis in (ax.xaxis, ax.yaxis):
            label = axis.get_label_text().strip()
            shows_numbers = any(tick.get_text() for tick in axis.get_ticklabels())
            if shows_numbers and not label:
                complaints.append(f"axes {number}: the {axis.axis_name} axis has no label")
            elif label and not re.fullmatch(f"{UNIT}|({COUNT}|{NO_UNIT}).*", label):
                complaints.append(f"axes {number}: no unit in {label!r}")
    return complaints


def numbers_in(line: str) -> list[Decimal]:
    """The numbers of a line that holds nothing else; [] for any other line."""
    try:
        return [Decimal(word.replace(",", "")) for word in line.split()]
    except InvalidOperation:
        return []


def tables_in(printed: str) -> list[dict[str, list[Decimal]]]:
    """The tables in a text, each by column: a line of headings, then rows of as many numbers.

    Two or more spaces separate headings, one or more the numbers.
    """
    tables = []
    for line in printed.splitlines():
        numbers = numbers_in(line)
        if not numbers:
            tables.append({heading: [] for heading in re.split(r"\s{2,}", line.strip())})
        elif tables and len(tables[-1]) == len(numbers) > 1:
            for column, number in zip(tables[-1].values(), numbers):
                column.append(number)
    return [table for table in tables if len(next(iter(table.values()))) > 1]


def table_in(printed: str) -> dict[str, list[Decimal]]:
    """The longest table in a text; {} if there is none."""
    by_length = sorted(tables_in(printed), key=lambda table: len(next(iter(table.values()))))
    return by_length[-1] if by_length else {}


def misdrawn_lines(fig: Figure, printed: str) -> list[str]:
    """Lines of a timing figure that are not the columns of the table printed with it.

    A line's label is the heading of its column, its x is the first column. A number counts as
    drawn if it rounds to the one printed. A line without a label may stand upright as a mark, and
    is otherwise a complaint: nobody could say what it shows.
    """
    table = table_in(printed)
    if not table:
        return ["no table is printed with the figure"]
    sizes = [float(number) for number in next(iter(table.values()))]
    complaints, drawn = [], []
    for line in [line for ax in fig.axes for line in ax.get_lines()]:
        label = line.get_label()
        x, y = np.asarray(line.get_data(), dtype=float)
        if label.startswith("_"):
            if len(set(x)) > 1:
                complaints.append("a line without a label")
        elif label not in list(table)[1:]:
            complaints.append(f"no column is named {label!r}")
        else:
            drawn.append(label)
            units = [10.0 ** number.as_tuple().exponent for number in table[label]]
            column = [float(number) for number in table[label]]
            if list(x) != sizes:
                complaints.append(f"{label!r} is drawn over {list(x)}, not over {sizes}")
            elif not all(abs(y - column) <= np.multiply(0.5001, units)):
                complaints.append(f"{label!r} is drawn as {list(y)}, not as {column}")
    if len(drawn) < 2:
        complaints.append(f"only {drawn} are drawn")
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
    texts = drawn_texts(fig)
    return [
        *overlapping_texts(texts),
        *texts_off_canvas(texts, fig),
        *hidden_data(fig),
        *missing_labels(fig),
    ]
