"""dtypes.py: the errors of its sums are bounded, its figures show bits and errors as they are."""

import math
import struct

import numpy as np
import pytest
import torch
from conftest import defined, draw
from matplotlib.colors import same_color
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle


@pytest.fixture(scope="module")
def bits():
    return draw("dtypes", "float_bit_layout.png")


@pytest.fixture(scope="module")
def errors():
    return draw("dtypes", "accumulation_error.png")


# Sums. With u = eps / 2 for one rounding, the textbook bounds (Higham, Accuracy and Stability of
# Numerical Algorithms, chapter 4), relative to the sum of the positive terms.


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_errors_of_sums_are_within_their_bounds(dtype):
    tour = defined("dtypes")
    n = 1000
    x = torch.full((n,), NUMBER, dtype=dtype)
    exact = math.fsum(x.tolist())
    u = torch.finfo(dtype).eps / 2
    depth = math.ceil(math.log2(n))

    def error(total: torch.Tensor) -> float:
        assert total.dtype == dtype
        return abs(total.item() - exact) / exact

    # (1 + u)^k - 1 is the growth of k roundings
    assert error(tour.add_one_by_one(x, dtype)) <= (1 + u) ** (n - 1) - 1
    assert error(tour.add_pairwise(x)) <= (1 + u) ** depth - 1
    assert error(tour.add_by_kahan(x)) <= 2 * u + 4 * n * u**2


# Figure 3.8. Python's own struct packs 0.0100001 into the IEEE types; bfloat16 is the float32
# rounded to its first 16 bits, to nearest, ties to even.

NUMBER = 0.0100001
(SINGLE,) = struct.unpack(">I", struct.pack(">f", NUMBER))
MEMORY = {
    "float16": (struct.pack(">e", NUMBER), 1, 5, 10),
    "bfloat16": (((SINGLE + 0x7FFF + (SINGLE >> 16 & 1)) >> 16).to_bytes(2, "big"), 1, 8, 7),
    "float32": (struct.pack(">f", NUMBER), 1, 8, 23),
    "float64": (struct.pack(">d", NUMBER), 1, 11, 52),
}


def rows_of_bits(ax) -> list[list[Rectangle]]:
    """The squares of each row, from the top and from the left."""
    heights = sorted({patch.get_y() for patch in ax.patches}, reverse=True)
    return [sorted((p for p in ax.patches if p.get_y() == y), key=Rectangle.get_x) for y in heights]


def test_bits_are_squares_of_one_size_that_begin_at_the_left(bits):
    (ax,) = bits.axes
    assert ax.get_aspect() == 1
    assert {(patch.get_width(), patch.get_height()) for patch in ax.patches} == {(1, 1)}
    for row in rows_of_bits(ax):
        assert [square.get_x() for square in row] == list(range(len(row)))


def test_bits_are_those_in_memory(bits):
    (ax,) = bits.axes
    written = {text.get_position(): text.get_text() for text in ax.texts}
    for row, (packed, *_) in zip(rows_of_bits(ax), MEMORY.values(), strict=True):
        memory = "".join(f"{byte:08b}" for byte in packed)
        digits = [written[square.get_x() + 0.5, square.get_y() + 0.45] for square in row]
        filled = [not same_color(square.get_facecolor(), "white") for square in row]
        assert "".join(digits) == memory
        assert filled == [bit == "1" for bit in memory]


def test_fields_of_bits_have_their_widths_names_and_colours(bits):
    (ax,) = bits.axes
    for row, (_, sign, exponent, fraction) in zip(rows_of_bits(ax), MEMORY.values(), strict=True):
        colours = [square.get_edgecolor() for square in row]
        fields = [
            (colours[0], sign),
            (colours[1], exponent),
            (colours[-1], fraction),
        ]
        assert len({colour for colour, _ in fields}) == 3
        assert colours == [colour for colour, width in fields for _ in range(width)]

        y = row[0].get_y() - 0.3
        below = {text.get_text(): text for text in ax.texts if text.get_position()[1] == y}
        for label, start, width in [
            (f"exponent: {exponent}", 1, exponent),
            (f"fraction: {fraction}", 1 + exponent, fraction),
        ]:
            assert below[label].get_position()[0] == start + width / 2
            assert same_color(below[label].get_color(), colours[start])


def test_bits_stand_beside_the_number_that_they_hold(bits):
    (ax,) = bits.axes
    texts = [text.get_text() for text in ax.texts]
    for name, (packed, _, exponent, fraction) in MEMORY.items():
        bits = int.from_bytes(packed, "big")
        E, F = bits >> fraction, bits % 2**fraction
        bias = 2 ** (exponent - 1) - 1
        held = 2.0 ** (E - bias) * (1 + F / 2**fraction)
        largest = 2.0**bias * (2 - 2.0**-fraction)
        assert f"{name} holds {held:.12g}" in texts
        assert rf"eps $2^{{-{fraction}}}$,  largest {largest:.5g}" in texts


# The accumulation figure. NumPy's accumulate adds one by one, each sum rounded to the type.

TERMS = np.arange(1, 10_001)


def rounded_to_bfloat16(x: float) -> float:
    """The float32 nearest to x, rounded to 8 significant bits, to nearest, ties to even.

    For the sum of two bfloat16 numbers that is one rounding: 24 bits >= 2 * 8 + 2.
    """
    (bits,) = struct.unpack(">I", struct.pack(">f", x))
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
    return struct.unpack(">f", struct.pack(">I", bits))[0]


BFLOAT16 = rounded_to_bfloat16(NUMBER)


def bfloat16_sums() -> np.ndarray:
    sums, total = [], 0.0
    for _ in TERMS:
        total = rounded_to_bfloat16(total + BFLOAT16)
        sums.append(total)
    return np.array(sums)


def accumulated(dtype: type) -> np.ndarray:
    values = np.full(len(TERMS), NUMBER, dtype)
    return np.add.accumulate(values, dtype=dtype).astype(float)


SUMS = {  # a float32 accumulator adds the 16-bit values exactly
    ("bfloat16", "bfloat16"): bfloat16_sums,
    ("bfloat16", "float32"): lambda: TERMS * BFLOAT16,
    ("float16", "float16"): lambda: accumulated(np.float16),
    ("float16", "float32"): lambda: TERMS * float(np.float16(NUMBER)),
    ("float32", "float32"): lambda: accumulated(np.float32),
}
STALLS = {("bfloat16", "bfloat16"): 4, ("float16", "float16"): 32}


def curves(ax) -> dict[tuple[str, str], Line2D]:
    """The line of each pair of types, found by its label: of its colour, in the order drawn."""
    labels = [text for text in ax.texts if "values,\n" in text.get_text()]
    lines = [line for line in ax.get_lines() if len(line.get_xdata()) > 1]
    assert [text.get_color() for text in labels] == [line.get_color() for line in lines]
    types = [text.get_text().split()[::2] for text in labels]
    return {tuple(pair): line for pair, line in zip(types, lines, strict=True)}


def test_errors_are_those_of_adding_one_by_one(errors):
    (ax,) = errors.axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    found = curves(ax)
    assert set(found) == set(SUMS)
    for pair, line in found.items():
        exact = TERMS * NUMBER
        np.testing.assert_array_equal(line.get_xdata(), TERMS)
        # exact, quotient and difference are rounded in float64, near 1: eps each
        np.testing.assert_allclose(
            line.get_ydata(),
            abs(SUMS[pair]() - exact) / exact,
            rtol=0,
            atol=3 * np.finfo(float).eps,
            err_msg=str(pair),
        )


def test_dashed_lines_are_flat_at_the_rounding_of_the_values(errors):
    (ax,) = errors.axes
    dashed = {pair for pair, line in curves(ax).items() if line.get_linestyle() == "--"}
    assert dashed == {("bfloat16", "float32"), ("float16", "float32")}
    for values, value in [("bfloat16", BFLOAT16), ("float16", float(np.float16(NUMBER)))]:
        flat = curves(ax)[values, "float32"].get_ydata()
        assert flat == pytest.approx(abs(value / NUMBER - 1), abs=3 * np.finfo(float).eps)


def test_dips_beyond_100_terms_are_changes_of_sign(errors):
    (ax,) = errors.axes
    for pair in [("bfloat16", "bfloat16"), ("float16", "float16"), ("float32", "float32")]:
        drawn = curves(ax)[pair].get_ydata()
        error = SUMS[pair]() - TERMS * NUMBER
        dips = 0
        for k in range(120, len(TERMS) - 20):
            near = slice(k - 20, k + 21)
            is_lowest = drawn[k] == drawn[near].min()
            if is_lowest and drawn[k] < drawn[near].max() / 2:
                dips += 1
                assert error[near].min() < 0 < error[near].max()
        assert dips >= 3


def test_stalls_are_where_half_a_step_exceeds_the_value(errors):
    (ax,) = errors.axes
    markers = [line for line in ax.get_lines() if len(line.get_xdata()) == 1]
    for (pair, stall), marker in zip(STALLS.items(), markers, strict=True):
        sums = SUMS[pair]()
        eps = {"bfloat16": 2**-7, "float16": 2**-10}[pair[0]]
        assert stall / 2 * eps / 2 < sums[0] < stall * eps / 2  # powers of 2: at half, it grows
        last_to_count = np.flatnonzero(np.diff(sums))[-1] + 1
        assert sums[last_to_count] == stall
        assert marker.get_xdata()[0] == TERMS[last_to_count]
        assert marker.get_ydata()[0] == curves(ax)[pair].get_ydata()[last_to_count]
        assert marker.get_color() == curves(ax)[pair].get_color()
        assert f"stalls at {stall}" in [text.get_text() for text in ax.texts]
        assert f"in {pair[0]} at {stall}" in errors.get_suptitle()


def test_labels_stand_in_the_order_of_their_lines(errors):
    (ax,) = errors.axes
    heights = [text.get_position()[1] for text in ax.texts if "values,\n" in text.get_text()]
    ends = [line.get_ydata()[-1] for line in curves(ax).values()]
    assert np.argsort(heights).tolist() == np.argsort(ends).tolist()
