"""gradient_geometry.py: each statement about the gradient, held to a formula."""

import math

import numpy as np
import pytest
import torch
from conftest import drawing, load_script
from figure_checks import complaints
from matplotlib.text import Annotation
from mpl_toolkits.mplot3d import proj3d

geometry = load_script("gradient_geometry")

PLANE, CIRCLE = "tangent_plane.png", "steepest_descent_unit_circle.png"
POINT = torch.tensor([0.8, 0.4], dtype=torch.float64)
EPS = torch.finfo(torch.float64).eps


@pytest.mark.parametrize("point", [(0.8, 0.4), (-1.2, 0.1), (0.0, -1.5)])
def test_gradient_of_the_paraboloid_is_the_point(point):
    x = torch.tensor(point, dtype=torch.float64)
    assert torch.equal(geometry.gradient(geometry.paraboloid, x), x)


def test_gradient_leaves_the_point_as_it_was():
    x = POINT.clone()
    geometry.gradient(geometry.paraboloid, x)
    assert not x.requires_grad
    assert x.grad is None


def test_plane_touches_at_the_point_and_lies_below_elsewhere():
    torch.manual_seed(0)
    x = POINT + torch.randn(1000, 2, dtype=torch.float64)
    gap = geometry.paraboloid(x) - geometry.tangent_plane(POINT, x)
    assert torch.allclose(gap, (x - POINT).square().sum(dim=1) / 2)
    assert geometry.tangent_plane(POINT, POINT) == geometry.paraboloid(POINT)


def test_normal_is_orthogonal_to_every_direction_of_the_plane():
    normal = geometry.normal(POINT)
    assert normal.tolist() == [0.8, 0.4, -1.0]
    for delta in geometry.unit_circle(12):
        rise = geometry.tangent_plane(POINT, POINT + delta) - geometry.paraboloid(POINT)
        assert abs(normal @ torch.cat([delta, rise[None]])) < 8 * EPS


@pytest.mark.parametrize("g", [(0.8, 0.4), (-3.0, 1.0), (0.0, -2.0)])
def test_scan_finds_the_opposite_of_the_gradient(g):
    g, n = torch.tensor(g, dtype=torch.float64), 10_000
    best, least = geometry.scan_directions(g, n)
    opposite = -g / g.norm()
    angle = 2 * torch.asin((best - opposite).norm() / 2).item()
    assert angle <= math.pi / n + 1e-12  # half the step of the scan
    assert -g.norm() - 8 * EPS <= least <= -g.norm() * math.cos(math.pi / n) + 8 * EPS


def test_no_random_direction_beats_cauchy_schwarz():
    torch.manual_seed(0)
    for d in (2, 10, 1000):
        g = torch.randn(d, dtype=torch.float64)
        least = geometry.least_random_product(g, 1000)
        assert -g.norm() <= least < 0
    line = torch.tensor([2.0], dtype=torch.float64)  # in d = 1 a random direction attains it
    assert geometry.least_random_product(line, 100) == -2.0


def test_level_set_is_orthogonal_and_a_wrong_tangent_is_not(monkeypatch):
    assert geometry.level_set_cosine(360) < 4 * EPS
    monkeypatch.setattr(geometry, "ellipse", geometry.paraboloid)
    assert geometry.level_set_cosine(360) > 0.1


def test_prints_what_it_found(run_of):
    printed = run_of("gradient_geometry").stdout
    assert "touches at x? True" in printed
    assert "lies below f by 0.500000 to 0.500000 at distance 1" in printed
    assert "orthogonal to the normal? True" in printed
    assert "argmin of grad.delta = (-0.8944, -0.4472)" in printed
    assert "-grad/||grad||       = (-0.8944, -0.4472)" in printed
    assert "least grad.delta = -0.894427, -||grad|| = -0.894427" in printed
    assert "gradient and tangent below 1e-15? True" in printed


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    with drawing() as figures, pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry, "FIGURES", tmp_path_factory.mktemp("figures"))
        geometry.main([])
    return figures


def test_tangent_plane_is_drawn_with_a_right_angle(figures):
    figures[PLANE].draw_without_rendering()  # lays it out
    (ax,) = figures[PLANE].axes
    spans = np.ptp([ax.get_xlim(), ax.get_ylim(), ax.get_zlim()], axis=1)
    np.testing.assert_allclose(spans / ax.get_box_aspect(), spans[0] / ax.get_box_aspect()[0])

    def on_screen(points):
        x, y, _ = proj3d.proj_transform(*np.transpose(points), ax.get_proj())
        return np.diff(ax.transData.transform(np.c_[x, y]), axis=0)[0]

    lines = [np.transpose(line.get_data_3d()) for line in ax.lines]
    (steepest,) = (line for line in lines if len(line) == 2)
    point = np.array([0.8, 0.4, 0.4])
    np.testing.assert_allclose(steepest.mean(axis=0), point)
    (arrow,) = (text for text in ax.texts if isinstance(text, Annotation))
    a, b = on_screen(steepest), np.diff(ax.transData.transform([arrow.xyann, arrow.xy]), axis=0)[0]
    np.testing.assert_allclose(b, on_screen([point, point + [0.8, 0.4, -1.0]]))
    # seen from 12 degrees above, the vertical shrinks to cos 12 degrees of its length
    angle = math.degrees(math.acos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
    assert angle == pytest.approx(90, abs=1.5)


def test_directions_are_drawn_with_their_dot_products(figures):
    (ax,) = figures[CIRCLE].axes
    assert ax.get_aspect() == 1
    texts = [text.get_text() for text in ax.texts if text.get_text()]
    arrows = [np.array(line.get_xydata()) for line in ax.get_lines() if len(line.get_xydata()) == 2]
    assert len(texts) == len(arrows) == 4
    for text, (start, end) in zip(texts, arrows):
        product = 0.8 * end[0] / 0.95 + 0.4 * end[1] / 0.95
        assert start.tolist() == [0, 0]
        assert np.linalg.norm(end) == pytest.approx(0.95)
        assert f"= {product + 0.0:.2f}$" in text.replace("= -0.00", "= 0.00")


@pytest.mark.parametrize("point", [(1.3, 0.0), (-0.05, -0.6)])
def test_nothing_overlaps_at_another_point(point, drawn, monkeypatch, tmp_path):
    monkeypatch.setattr(geometry, "FIGURES", tmp_path)
    geometry.main(["--point", *map(str, point)])
    assert {name: complaints(figure) for name, figure in drawn.items()} == {PLANE: [], CIRCLE: []}


@pytest.mark.parametrize("point", [("0", "0"), ("nan", "0"), ("inf", "1"), ("2", "2")])
def test_bad_point_ends_in_one_line(point, capsys):
    with pytest.raises(SystemExit) as exit_:
        geometry.main(["--point", *point])
    assert exit_.value.code == 2
    assert (
        "error: argument --point: must be 0.6 to 1.3 away from 0"
        in capsys.readouterr().err.splitlines()[-1]
    )
