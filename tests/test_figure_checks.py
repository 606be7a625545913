"""The checks of figures, each seen to fail on a figure that is spoiled here."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figure_checks import bad_image, complaints, misdrawn_lines, table_in, tables_in


@pytest.fixture
def figure():
    """A figure without fault."""
    fig, ax = plt.subplots(layout="constrained")
    ax.plot([1, 2, 3], [1, 2, 3], label="data")
    ax.set(xlabel="time (ms)", ylabel="rate (GB/s)", title="A finding")
    ax.legend(loc="upper left")
    yield fig
    plt.close(fig)


def test_good_figure_passes(figure):
    assert complaints(figure) == []


def test_overlapping_texts_are_found(figure):
    figure.axes[0].text(2, 2, "one label")
    figure.axes[0].text(2.02, 2, "on another")
    assert complaints(figure) == ["'one label' overlaps 'on another'"]


def test_overlapping_texts_in_3d_are_found():
    fig = plt.figure()
    ax = fig.add_subplot(projection="3d", title="A finding")
    ax.set_axis_off()
    ax.text(0, 0, 0, "near")
    ax.text(0, 0, 0.01, "far")
    assert complaints(fig) == ["'near' overlaps 'far'"]
    plt.close(fig)


def test_text_off_the_canvas_is_found(figure):
    figure.text(0.97, 0.5, "cut off")
    assert complaints(figure) == ["'cut off' leaves the canvas"]


def test_invisible_and_empty_texts_do_not_count(figure):
    figure.text(0.97, 0.5, "hidden", visible=False)
    figure.text(0.97, 0.5, " ")
    assert complaints(figure) == []


def test_legend_on_data_is_found(figure):
    figure.axes[0].legend(loc="upper right")
    assert complaints(figure) == ["the legend of 'A finding' hides 'data'"]


@pytest.mark.parametrize("axis", ["x", "y"])
def test_axis_without_label_is_found(figure, axis):
    figure.axes[0].set(**{f"{axis}label": ""})
    assert complaints(figure) == [f"axes 0: the {axis} axis has no label"]


@pytest.mark.parametrize("label", ["time", "time per number", "rate (fast)", "$x$", "(ms)"])
def test_label_without_unit_is_found(figure, label):
    figure.axes[0].set_xlabel(label)
    (complaint,) = complaints(figure)
    assert complaint.startswith(f"axes 0: no unit in {label!r}")


@pytest.mark.parametrize("label", ["time (ms)", "numbers in $x$, $n$", "loss  $L(w_k)$"])
def test_label_with_unit_or_of_a_pure_number_passes(figure, label):
    figure.axes[0].set_xlabel(label)
    assert complaints(figure) == []


def test_missing_title_is_found(figure):
    figure.axes[0].set_title("")
    assert complaints(figure) == ["no title"]


@pytest.mark.parametrize(("dpi", "ok"), [(200, True), (100, False)])
def test_small_image_is_found(figure, tmp_path, dpi, ok):
    figure.savefig(tmp_path / "figure.png", dpi=dpi)
    assert (bad_image(tmp_path / "figure.png") == []) == ok


def test_blank_image_is_found(tmp_path):
    fig = plt.figure(figsize=(8, 4))
    fig.savefig(tmp_path / "blank.png", dpi=200)
    plt.close(fig)
    assert bad_image(tmp_path / "blank.png") == ["blank.png is blank"]


def test_file_that_is_no_image_is_found(figure, tmp_path):
    whole = tmp_path / "whole.png"
    figure.savefig(whole, dpi=200)
    torn = tmp_path / "torn.png"
    torn.write_bytes(whole.read_bytes()[:5000])
    text = tmp_path / "text.png"
    text.write_text("no picture at all")
    for path in (torn, text):
        (complaint,) = bad_image(path)
        assert complaint.startswith(f"{path.name} is no picture")


# A timing figure and the table printed with it.

TABLE = """\
nanoseconds per number
  numbers in x  one way  the other way  pages
         1,000     0.15           1.30      0
        10,000     0.25           2.40     12
figure: x.png
"""


@pytest.fixture
def curves():
    """The axes of a figure that shows TABLE, with a mark at 2000."""
    fig, ax = plt.subplots()
    ax.plot([1000, 10_000], [0.1501, 0.2499], label="one way")
    ax.plot([1000, 10_000], [1.2996, 2.4], label="the other way")
    ax.axvline(2000)
    yield ax
    plt.close(fig)


def test_table_is_found_by_its_columns():
    assert list(table_in(TABLE)) == ["numbers in x", "one way", "the other way", "pages"]
    assert [float(number) for number in table_in(TABLE)["the other way"]] == [1.3, 2.4]
    assert len(tables_in(TABLE + TABLE)) == 2
    assert table_in("no table\n1 2\n") == {}


def test_figure_that_shows_its_table_passes(curves):
    assert misdrawn_lines(curves.figure, TABLE) == []


def test_exchanged_curves_are_found(curves):
    one, other, _ = curves.get_lines()
    one.set_label("the other way")
    other.set_label("one way")
    assert len(misdrawn_lines(curves.figure, TABLE)) == 2


def test_line_that_is_drawn_from_float32_passes(curves):
    line = curves.get_lines()[0]
    line.set_ydata(np.float32([944.675, 0.25]))
    assert misdrawn_lines(curves.figure, TABLE.replace("  0.15 ", "944.68 ")) == []


@pytest.mark.parametrize("factor", [0.9, 1.1, 9])
def test_line_that_is_drawn_wrong_is_found(curves, factor):
    line = curves.get_lines()[1]
    line.set_ydata(factor * line.get_ydata())
    (complaint,) = misdrawn_lines(curves.figure, TABLE)
    assert complaint.startswith("'the other way' is drawn as")


def test_line_over_other_sizes_is_found(curves):
    curves.get_lines()[0].set_xdata([1000, 9000])
    (complaint,) = misdrawn_lines(curves.figure, TABLE)
    assert complaint.startswith("'one way' is drawn over")


def test_line_that_no_column_holds_is_found(curves):
    curves.axhline(0.5, label="as fast as a copy")
    (complaint,) = misdrawn_lines(curves.figure, TABLE)
    assert complaint.startswith("no column is named 'as fast as a copy': the headings are ['num")


def test_line_named_like_the_sizes_is_found(curves):
    curves.plot([1000, 10_000], [1000, 10_000], label="numbers in x")
    (complaint,) = misdrawn_lines(curves.figure, TABLE)
    assert complaint.startswith("no column is named 'numbers in x': the headings are ['numbers in")


def test_line_without_a_label_is_found_unless_it_stands_upright(curves):
    curves.axhline(0.5)
    assert misdrawn_lines(curves.figure, TABLE) == ["a line without a label"]


def test_figure_without_a_table_or_without_curves_is_found(curves):
    (complaint,) = misdrawn_lines(curves.figure, "figure: x.png\n")
    assert complaint == "no table is printed with the figure"
    curves.get_lines()[0].remove()
    assert misdrawn_lines(curves.figure, TABLE) == ["only ['the other way'] are drawn"]
