"""The checks of figures, each seen to fail on a figure that is spoiled here."""

import figure_checks
import matplotlib.pyplot as plt
import pytest


@pytest.fixture
def figure():
    """A figure without fault."""
    fig, ax = plt.subplots(layout="constrained")
    ax.plot([1, 2, 3], [1, 2, 3], label="data")
    ax.set(xlabel="x (m)", ylabel="y (s)", title="A finding")
    ax.legend(loc="upper left")
    yield fig
    plt.close(fig)


def test_good_figure_passes(figure):
    assert figure_checks.complaints(figure) == []


def test_overlapping_texts_are_found(figure):
    figure.axes[0].text(2, 2, "one label")
    figure.axes[0].text(2.02, 2, "on another")
    assert figure_checks.overlapping_texts(figure) == ["'one label' overlaps 'on another'"]


def test_overlapping_texts_in_3d_are_found():
    fig = plt.figure()
    ax = fig.add_subplot(projection="3d")
    ax.set_axis_off()
    ax.text(0, 0, 0, "near")
    ax.text(0, 0, 0.01, "far")
    assert len(figure_checks.overlapping_texts(fig)) == 1
    plt.close(fig)


def test_text_off_the_canvas_is_found(figure):
    figure.text(0.97, 0.5, "cut off")
    assert figure_checks.texts_off_canvas(figure) == ["'cut off' leaves the canvas"]


def test_invisible_and_empty_texts_do_not_count(figure):
    figure.text(0.97, 0.5, "hidden", visible=False)
    figure.text(0.97, 0.5, " ")
    assert figure_checks.complaints(figure) == []


def test_legend_on_data_is_found(figure):
    figure.axes[0].legend(loc="upper right")
    assert figure_checks.hidden_data(figure) == ["the legend of 'A finding' hides 'data'"]


@pytest.mark.parametrize("axis", ["x", "y"])
def test_axis_without_label_is_found(figure, axis):
    figure.axes[0].set(**{f"{axis}label": ""})
    assert figure_checks.missing_labels(figure) == [f"axes 0: the {axis} axis has no label"]


def test_missing_title_is_found(figure):
    figure.axes[0].set_title("")
    assert "no title" in figure_checks.missing_labels(figure)


@pytest.mark.parametrize(("dpi", "ok"), [(200, True), (100, False)])
def test_small_image_is_found(figure, tmp_path, dpi, ok):
    figure.savefig(tmp_path / "figure.png", dpi=dpi)
    assert (figure_checks.bad_image(tmp_path / "figure.png") == []) == ok


def test_blank_image_is_found(tmp_path):
    fig = plt.figure(figsize=(8, 4))
    fig.savefig(tmp_path / "blank.png", dpi=200)
    plt.close(fig)
    assert figure_checks.bad_image(tmp_path / "blank.png") == ["blank.png is blank"]


def test_file_that_is_no_image_is_found(tmp_path):
    (tmp_path / "figure.png").write_bytes(b"\x89PNG, and no more")
    with pytest.raises(SyntaxError):
        figure_checks.bad_image(tmp_path / "figure.png")
