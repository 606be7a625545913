"""Checks of a figure as it is drawn. Each returns its complaints: an empty list is a pass."""

import re
from decimal import Decimal, InvalidOperation
from itertools import combinations
from pathlib import Path
from unittest.mock import patch

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from scripts import PURE_NUMBERS, UNITS

MIN_WIDTH = 1200  # pixels: sharp on a slide

Table = dict[str, list[Decimal]]  # the numbers of each column, by its heading


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
    complaints = []
    for (one, one_box), (other, other_box) in combinations(texts, 2):
        if one_box.overlaps(other_box):
            complaints.append(f"{one!r} overlaps {other!r}")
    return complaints


def texts_off_canvas(texts: list[tuple[str, Bbox]], fig: Figure) -> list[str]:
    """Texts that the edge of the figure cuts."""
    complaints = []
    for text, box in texts:
        if box.x0 < 0 or box.y0 < 0 or box.x1 > fig.bbox.width or box.y1 > fig.bbox.height:
            complaints.append(f"{text!r} leaves the canvas")
    return complaints


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
    if not fig.get_suptitle() and not any(ax.get_title() for ax in fig.axes):
        complaints.append("no title")
    for number, ax in enumerate(fig.axes):
        if ax.axison:
            for axis in (ax.xaxis, ax.yaxis):
                complaints += [f"axes {number}: {fault}" for fault in faults_of_label(axis)]
    return complaints


def faults_of_label(axis: Axis) -> list[str]:
    """What is wrong with an axis label: see UNITS and PURE_NUMBERS in scripts.py."""
    label = axis.get_label_text().strip()
    if not label:
        shows_numbers = any(tick.get_text() for tick in axis.get_ticklabels())
        return [f"the {axis.axis_name} axis has no label"] if shows_numbers else []
    has_unit = any(re.fullmatch(rf".+ \({unit}\)", label) for unit in UNITS)
    if not has_unit and not label.startswith(PURE_NUMBERS):
        return [f"no unit in {label!r}, and no row for it in PURE_NUMBERS in tests/scripts.py"]
    return []


def numbers_in(line: str) -> list[Decimal]:
    """The numbers of a line that holds nothing else; [] for any other line."""
    try:
        return [Decimal(word.replace(",", "")) for word in line.split()]
    except InvalidOperation:
        return []


def first_column(table: Table) -> list[Decimal]:
    return next(iter(table.values()))


def tables_in(printed: str) -> list[Table]:
    """The tables in a text: a line of headings, then two or more rows of as many numbers.

    Two or more spaces separate headings, one or more the numbers.
    """
    tables = []
    columns = []  # of the last table
    for line in printed.splitlines():
        numbers = numbers_in(line)
        if not numbers:
            headings = re.split(r"\s{2,}", line.strip())
            table = {heading: [] for heading in headings}
            columns = list(table.values())
            tables.append(table)
        elif len(columns) == len(numbers) > 1:
            for column, number in zip(columns, numbers):
                column.append(number)
    return [table for table in tables if len(first_column(table)) > 1]


def table_in(printed: str) -> Table:
    """The longest table in a text; {} if there is none."""
    longest = {}
    for table in tables_in(printed):
        if not longest or len(first_column(table)) >= len(first_column(longest)):
            longest = table
    return longest


def misdrawn_lines(fig: Figure, printed: str) -> list[str]:
    """Lines of a timing figure that are not the columns of the table printed with it.

    A line's label is the heading of its column, its x is the first column. A line without a label
    may stand upright as a mark, and is otherwise a complaint: nobody could say what it shows.
    """
    table = table_in(printed)
    if not table:
        return ["no table is printed with the figure"]
    complaints = []
    drawn = []
    for ax in fig.axes:
        for line in ax.get_lines():
            label = line.get_label()
            if not label.startswith("_"):
                complaints += faults_of_line(line, table)
                drawn.append(label)
            elif len(set(line.get_xdata())) > 1:
                complaints.append("a line without a label")
    if len(drawn) < 2:
        complaints.append(f"only {drawn} are drawn")
    return complaints


def faults_of_line(line: Line2D, table: Table) -> list[str]:
    """What is wrong with a line of a timing figure.

    A number counts as drawn if it rounds to the one printed. The line may be drawn from float32,
    which errs by at most 6e-8 of the number: 944.675 is printed as 944.68, and drawn as 944.67499.
    """
    label = line.get_label()
    sizes = first_column(table)
    column = table.get(label)
    if column is None or column is sizes:
        return [f"no column is named {label!r}: the headings are {list(table)}"]
    x = [float(number) for number in line.get_xdata()]
    y = [float(number) for number in line.get_ydata()]
    if x != [float(size) for size in sizes]:
        return [f"{label!r} is drawn over {x}, not over {[float(size) for size in sizes]}"]
    for number, drawn in zip(column, y, strict=True):
        last_digit = 10.0 ** number.as_tuple().exponent
        if not abs(drawn - float(number)) <= 0.5001 * last_digit + 1e-7 * abs(drawn):
            return [f"{label!r} is drawn as {y}, not as {[float(number) for number in column]}"]
    return []


def bad_image(path: Path) -> list[str]:
    """A PNG that does not decode, is blank, or is too small to project."""
    try:
        pixels = imread(path)
    except (OSError, SyntaxError) as error:
        return [f"{path.name} is no picture: {error}"]
    complaints = []
    if pixels.shape[1] < MIN_WIDTH:
        complaints.append(
            f"{path.name} is {pixels.shape[1]} pixels wide, not {MIN_WIDTH} or more: make it at "
            "least 6 inches wide"
        )
    if np.ptp(pixels[..., :3]) == 0:
        complaints.append(f"{path.name} is blank")
    return complaints


def complaints(fig: Figure) -> list[str]:
    """All that is wrong with how fig is drawn."""
    texts = drawn_texts(fig)
    return (
        overlapping_texts(texts)
        + texts_off_canvas(texts, fig)
        + hidden_data(fig)
        + missing_labels(fig)
    )
