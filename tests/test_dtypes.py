"""dtypes.py: its sums round as they say, and its figures show bits and errors as they are."""

import math
import struct
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from conftest import defined, draw
from matplotlib.colors import same_color
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text

dtypes = defined("dtypes")
NUMBER = 0.0100001


def bits_of_bfloat16(x: float) -> int:
    """The 16 bits of the bfloat16 nearest to x, a float32: its first 16 bits, rounded.

    A tie goes to the number whose last bit is 0.
    """
    bits = int.from_bytes(struct.pack(">f", x), "big")
    kept = bits // 2**16
    dropped = bits % 2**16
    half = 2**15
    if dropped > half or (dropped == half and kept % 2 == 1):
        kept = kept + 1
    return kept


def rounded_to_bfloat16(x: float) -> float:
    """The bfloat16 nearest to x, a float32."""
    four_bytes = struct.pack(">HH", bits_of_bfloat16(x), 0)
    [rounded] = struct.unpack(">f", four_bytes)
    return rounded


# The sums of 1, 2, ... 10,000 copies of NUMBER, added one by one. NumPy's accumulate rounds each
# sum to its dtype. NumPy has no bfloat16, so these sums are rounded above, first to float32: for a
# sum of two bfloat16 numbers that is as good as one rounding, because 24 bits >= 2 * 8 + 2. A
# float32 accumulator adds the 16-bit values exactly, as dtypes.py shows.

TERMS = np.arange(1, 10_001)
VALUE = {
    "bfloat16": rounded_to_bfloat16(NUMBER),
    "float16": float(np.float16(NUMBER)),
    "float32": float(np.float32(NUMBER)),
}


def sums_in_bfloat16() -> np.ndarray:
    sums = []
    total = 0.0
    for _ in TERMS:
        total = rounded_to_bfloat16(total + VALUE["bfloat16"])
        sums.append(total)
    return np.array(sums)


def sums_in_numpy(dtype: type) -> np.ndarray:
    values = np.full(len(TERMS), NUMBER, dtype)
    return np.add.accumulate(values, dtype=dtype).astype(float)


SUMS = {  # by the dtype of the values and that of the accumulator
    ("bfloat16", "bfloat16"): sums_in_bfloat16(),
    ("bfloat16", "float32"): TERMS * VALUE["bfloat16"],
    ("float16", "float16"): sums_in_numpy(np.float16),
    ("float16", "float32"): TERMS * VALUE["float16"],
    ("float32", "float32"): sums_in_numpy(np.float32),
}
every_pair = pytest.mark.parametrize(("values", "accumulator"), SUMS)


@every_pair
def test_one_by_one_rounds_each_sum_to_the_accumulator(values, accumulator):
    x = torch.full((1000,), NUMBER, dtype=getattr(torch, values))
    total = dtypes.add_one_by_one(x, getattr(torch, accumulator))
    assert total.dtype == getattr(torch, accumulator)
    assert total.item() == SUMS[values, accumulator][999]


def test_accumulator_may_be_narrower_than_the_values():
    """From 256 on bfloat16 numbers are 2 apart, so each 1 is lost: a tie goes to 256."""
    total = dtypes.add_one_by_one(torch.tensor([256.0, 1.0, 1.0]), torch.bfloat16)
    assert total.dtype == torch.bfloat16
    assert total.item() == 256


# The bounds are those of Higham, Accuracy and Stability of Numerical Algorithms, chapter 4. One
# rounding has a relative error of at most u = eps / 2.

every_dtype = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])


def relative_error(total: torch.Tensor, values: torch.Tensor) -> float:
    exact = math.fsum(values.tolist())
    return abs(total.item() - exact) / exact


@every_dtype
def test_pairwise_sum_has_the_error_of_ten_roundings(dtype):
    """Each of 1000 values goes through at most 10 sums, since 2^10 >= 1000."""
    x = torch.full((1000,), NUMBER, dtype=dtype)
    total = dtypes.add_pairwise(x)
    u = torch.finfo(dtype).eps / 2
    assert total.dtype == dtype
    assert relative_error(total, x) <= (1 + u) ** 10 - 1


@every_dtype
def test_kahan_sum_has_the_error_of_two_roundings_and_little_more(dtype):
    x = torch.full((1000,), NUMBER, dtype=dtype)
    total = dtypes.add_by_kahan(x)
    u = torch.finfo(dtype).eps / 2
    assert total.dtype == dtype
    assert relative_error(total, x) <= 2 * u + 4 * 1000 * u**2


# Figure 3.8. Python's own struct packs NUMBER into the IEEE types.


@dataclass(frozen=True)
class Layout:
    """How a dtype holds NUMBER: its memory, the sign first, and the widths of its fields."""

    name: str
    memory: bytes
    exponent: int
    fraction: int

    @property
    def bits(self) -> str:
        return "".join(f"{byte:08b}" for byte in self.memory)


LAYOUTS = [  # from the top of the figure
    Layout("float16", struct.pack(">e", NUMBER), exponent=5, fraction=10),
    Layout("bfloat16", bits_of_bfloat16(NUMBER).to_bytes(2, "big"), exponent=8, fraction=7),
    Layout("float32", struct.pack(">f", NUMBER), exponent=8, fraction=23),
    Layout("float64", struct.pack(">d", NUMBER), exponent=11, fraction=52),
]
every_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)


@pytest.fixture(scope="module")
def bits_ax() -> plt.Axes:
    [ax] = draw("dtypes", "float_bit_layout.png").axes
    return ax


def lines_of_squares(ax: plt.Axes) -> list[list[Rectangle]]:
    """The squares, line by line from the top, each line from the left."""
    lines = {}
    for square in ax.patches:
        lines.setdefault(square.get_y(), []).append(square)
    from_the_top = sorted(lines, reverse=True)
    return [sorted(lines[y], key=Rectangle.get_x) for y in from_the_top]


def squares_of(layout: Layout, ax: plt.Axes) -> list[Rectangle]:
    """The squares of a dtype, as they are read."""
    squares = [square for line in lines_of_squares(ax) for square in line]
    before = LAYOUTS[: LAYOUTS.index(layout)]
    start = sum(len(other.bits) for other in before)
    return squares[start : start + len(layout.bits)]


def digit_in(square: Rectangle, ax: plt.Axes) -> str:
    """The text that stands in a square."""
    inside = []
    for text in ax.texts:
        x, y = text.get_position()
        if square.get_bbox().contains(x, y):
            inside.append(text.get_text())
    [digit] = inside
    return digit


def text_at_height(ax: plt.Axes, words: str, low: float, high: float) -> Text:
    """The text with these words whose y lies between low and high."""
    found = []
    for text in ax.texts:
        _, y = text.get_position()
        if text.get_text() == words and low < y < high:
            found.append(text)
    assert len(found) == 1, f"{words!r} stands {len(found)} times there"
    return found[0]


def test_each_dtype_begins_a_line_and_a_line_has_32_bits_at_most(bits_ax):
    lengths = [len(line) for line in lines_of_squares(bits_ax)]
    assert lengths == [16, 16, 32, 32, 32]  # float64 has two lines


def test_bits_are_squares_of_one_size_and_all_lines_begin_at_the_left(bits_ax):
    assert bits_ax.get_aspect() == 1
    for line in lines_of_squares(bits_ax):
        assert [square.get_x() for square in line] == list(range(len(line)))
        for square in line:
            assert square.get_width() == 1
            assert square.get_height() == 1


@every_layout
def test_digits_are_the_bits_in_memory(layout, bits_ax):
    squares = squares_of(layout, bits_ax)
    digits = [digit_in(square, bits_ax) for square in squares]
    assert "".join(digits) == layout.bits


@every_layout
def test_a_square_is_filled_if_its_bit_is_1(layout, bits_ax):
    squares = squares_of(layout, bits_ax)
    for square, bit in zip(squares, layout.bits, strict=True):
        is_white = same_color(square.get_facecolor(), "white")
        assert is_white == (bit == "0")


@every_layout
def test_sign_exponent_and_fraction_have_a_colour_each(layout, bits_ax):
    colours = [square.get_edgecolor() for square in squares_of(layout, bits_ax)]
    sign = [colours[0]]
    exponent = [colours[1]] * layout.exponent
    fraction = [colours[-1]] * layout.fraction
    assert colours == sign + exponent + fraction
    assert len(set(colours)) == 3


@every_layout
def test_names_of_the_fields_stand_under_them_in_their_colour(layout, bits_ax):
    squares = squares_of(layout, bits_ax)
    bottom = squares[0].get_y()

    exponent = text_at_height(bits_ax, f"exponent: {layout.exponent}", bottom - 1, bottom)
    x, _ = exponent.get_position()
    assert x == 1 + layout.exponent / 2  # the middle; the sign is 1 wide
    assert same_color(exponent.get_color(), squares[1].get_edgecolor())

    fraction = text_at_height(bits_ax, f"fraction: {layout.fraction}", bottom - 1, bottom)
    x, _ = fraction.get_position()
    end_of_line = min(len(layout.bits), 32)
    assert x == (1 + layout.exponent + end_of_line) / 2
    assert same_color(fraction.get_color(), squares[-1].get_edgecolor())


@every_layout
def test_number_held_eps_and_largest_number_stand_above_their_squares(layout, bits_ax):
    """By the definition of the format, 2^(exponent - bias) * (1 + fraction / 2^width)."""
    bias = 2 ** (layout.exponent - 1) - 1
    exponent = int(layout.bits[1 : 1 + layout.exponent], 2)
    fraction = int(layout.bits[1 + layout.exponent :], 2)
    held = 2.0 ** (exponent - bias) * (1 + fraction / 2**layout.fraction)
    largest = 2.0**bias * (2 - 2.0**-layout.fraction)

    top = squares_of(layout, bits_ax)[0].get_y() + 1
    text_at_height(bits_ax, f"{layout.name} holds {held:.12g}", top, top + 1)
    limits = rf"eps $2^{{-{layout.fraction}}}$,  largest {largest:.5g}"
    text_at_height(bits_ax, limits, top, top + 1)


# The figure of the errors.


@pytest.fixture(scope="module")
def errors_ax() -> plt.Axes:
    [ax] = draw("dtypes", "accumulation_error.png").axes
    return ax


def height_at_the_end(line: Line2D) -> float:
    return line.get_ydata()[-1]


def height_of(text: Text) -> float:
    _, y = text.get_position()
    return y


def labels_and_curves(ax: plt.Axes) -> list[tuple[Text, Line2D]]:
    """As they are read at the right edge: the highest label names the highest line, and so on."""
    labels = [text for text in ax.texts if text.get_text().endswith("accumulator")]
    curves = [line for line in ax.get_lines() if len(line.get_xdata()) > 1]
    labels.sort(key=height_of)
    curves.sort(key=height_at_the_end)
    return list(zip(labels, curves, strict=True))


def curve_of(ax: plt.Axes, values: str, accumulator: str) -> Line2D:
    for label, curve in labels_and_curves(ax):
        if label.get_text() == f"{values} values,\n{accumulator} accumulator":
            return curve
    raise AssertionError(f"no line for {values} values and a {accumulator} accumulator")


def test_each_pair_of_dtypes_has_one_line_on_log_axes(errors_ax):
    assert len(labels_and_curves(errors_ax)) == len(SUMS)
    assert errors_ax.get_xscale() == "log"
    assert errors_ax.get_yscale() == "log"


def test_labels_have_the_colours_of_their_lines(errors_ax):
    for label, curve in labels_and_curves(errors_ax):
        assert label.get_color() == curve.get_color()


@every_pair
def test_errors_are_those_of_adding_one_by_one(values, accumulator, errors_ax):
    curve = curve_of(errors_ax, values, accumulator)
    exact = TERMS * NUMBER
    error = abs(SUMS[values, accumulator] - exact) / exact
    # the script and this test each round a quotient and a difference, to numbers below 2: four
    # roundings of at most eps / 2
    atol = 4 * np.finfo(float).eps / 2
    np.testing.assert_array_equal(curve.get_xdata(), TERMS)
    np.testing.assert_allclose(curve.get_ydata(), error, rtol=0, atol=atol)


@every_pair
def test_a_line_is_dashed_where_only_the_values_were_rounded(values, accumulator, errors_ax):
    """That is where the accumulator is wider than the values."""
    style = curve_of(errors_ax, values, accumulator).get_linestyle()
    if values == accumulator:
        assert style == "-"
    else:
        assert style == "--"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_dips_beyond_100_terms_are_changes_of_sign(dtype, errors_ax):
    """A dip is the lowest of 41 points, and less than half as high as the highest of them."""
    drawn = curve_of(errors_ax, dtype, dtype).get_ydata()
    signed_error = SUMS[dtype, dtype] - TERMS * NUMBER
    dips = 0
    for k in range(120, len(TERMS) - 20):
        near = drawn[k - 20 : k + 21]
        if drawn[k] == near.min() and drawn[k] < near.max() / 2:
            dips = dips + 1
            signed_near = signed_error[k - 20 : k + 21]
            assert signed_near.min() < 0 < signed_near.max()
    assert dips >= 3  # the text speaks of several


STALLING = [("bfloat16", 2**-7), ("float16", 2**-10)]  # with its eps


@pytest.mark.parametrize(("dtype", "eps"), STALLING)
def test_stall_is_marked_where_half_the_spacing_exceeds_the_value(dtype, eps, errors_ax):
    stall = 1
    while stall * eps / 2 < VALUE[dtype]:  # at a power of two the spacing doubles
        stall = 2 * stall
    last_that_counts = np.flatnonzero(SUMS[dtype, dtype] == stall)[0]

    curve = curve_of(errors_ax, dtype, dtype)
    points = [line for line in errors_ax.get_lines() if len(line.get_xdata()) == 1]
    [point] = [point for point in points if point.get_color() == curve.get_color()]
    assert point.get_xdata() == [TERMS[last_that_counts]]
    assert point.get_ydata() == [curve.get_ydata()[last_that_counts]]
    assert f"stalls at {stall}" in [text.get_text() for text in errors_ax.texts]
    assert f"in {dtype} at {stall}" in errors_ax.figure.get_suptitle()


def test_no_other_sum_is_said_to_stall(errors_ax):
    said = [text for text in errors_ax.texts if "stalls" in text.get_text()]
    points = [line for line in errors_ax.get_lines() if len(line.get_xdata()) == 1]
    assert len(said) == len(points) == len(STALLING)
