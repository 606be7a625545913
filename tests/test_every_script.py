"""What holds for every script: it works alone, wherever it lies, however it is treated."""

import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest
from conftest import ROOT, load_script, run_alone, wanted
from figure_checks import bad_image
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from scripts import SCRIPTS
from tour import is_tour

FIGURES = [(name, figure) for name, script in SCRIPTS.items() for figure in script.figures]
PROGRAMS = [name for name in SCRIPTS if not is_tour(ROOT / "script" / f"{name}.py")]


def test_scripts_are_those_listed():
    assert {path.stem for path in (ROOT / "script").glob("*.py")} == SCRIPTS.keys()
    committed = {path.name for path in (ROOT / "figures").iterdir()}
    assert committed == {figure for _, figure in FIGURES}


@pytest.mark.parametrize("name", SCRIPTS)
def test_alone_in_a_folder_it_draws_exactly_its_figures(run_of, name):
    assert run_of(name).figures.keys() == set(SCRIPTS[name].figures)


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_stands_alone(name):
    """It imports the standard library, torch, numpy and matplotlib, and shadows no module."""
    code = (ROOT / "script" / f"{name}.py").read_text(encoding="utf-8")
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", code, re.MULTILINE))
    assert imported <= sys.stdlib_module_names | {"torch", "numpy", "matplotlib"}
    assert name not in sys.stdlib_module_names


@pytest.mark.parametrize(("name", "figure"), FIGURES)
def test_figure_is_fit_to_project(run_of, name, figure):
    assert bad_image(run_of(name).figures[figure]) == []
    assert bad_image(ROOT / "figures" / figure) == []


@pytest.mark.parametrize(
    ("name", "figure"), [pair for pair in FIGURES if pair[1] not in SCRIPTS[pair[0]].varying]
)
def test_committed_figure_is_what_the_script_draws(run_of, name, figure):
    fresh = run_of(name).figures[figure]
    assert compare_images(ROOT / "figures" / figure, fresh, tol=1) is None


@pytest.mark.parametrize("name", [name for name, script in SCRIPTS.items() if script.figures])
def test_figure_that_cannot_be_written_is_named(tmp_path, monkeypatch, name):
    figure = SCRIPTS[name].figures[0]
    old = tmp_path / "figures" / figure / "old"  # a folder stands where the figure goes
    old.mkdir(parents=True)
    copy = tmp_path / "script" / f"{name}.py"
    copy.parent.mkdir()
    copy.write_bytes((ROOT / "script" / copy.name).read_bytes())
    monkeypatch.setattr(sys, "argv", [str(copy), *SCRIPTS[name].small])
    monkeypatch.setattr(Figure, "draw", lambda figure, renderer: None)  # its pixels do not matter
    with pytest.raises(OSError, match=re.escape(figure)):
        runpy.run_path(str(copy), run_name="__main__")
    plt.close("all")
    assert old.exists()


@pytest.fixture(scope="session")
def started(pool, tmp_path_factory) -> dict[str, tuple[Path, Future]]:
    """Runs of the first script: without a home, and with a file where its figures' folder goes."""
    homeless, blocked = (tmp_path_factory.mktemp(name) for name in ("homeless", "blocked"))
    (blocked / "figures").touch()
    run = partial(pool.submit, run_alone, "gd_1d_torch")
    return {
        "homeless": (homeless, run(homeless, MPLCONFIGDIR="", HOME="/nonexistent")),
        "blocked": (blocked, run(blocked)),
    }


@pytest.fixture(scope="session", autouse=True)
def start_early(request):
    if wanted(request, "rough_run"):
        request.getfixturevalue("started")


@pytest.fixture
def rough_run(started) -> Callable[[str], tuple[Path, SimpleNamespace]]:
    """The folder and the result of a run, by name."""
    return lambda name: (started[name][0], started[name][1].result())


def test_failing_run_says_so_in_its_last_line(rough_run):
    folder, run = rough_run("blocked")
    assert run.returncode != 0
    assert str(folder / "figures") in run.stderr.splitlines()[-1]


def test_home_that_cannot_be_written_does_not_matter(rough_run):
    _, run = rough_run("homeless")
    assert run.returncode == 0, run.stderr
    assert run.figures.keys() == set(SCRIPTS["gd_1d_torch"].figures)


@pytest.mark.parametrize("name", PROGRAMS)
def test_importing_runs_nothing(name, capsys):
    load_script(name)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_names_every_option_with_its_default(name, capsys):
    with pytest.raises(SystemExit):
        load_script(name).main(["--help"])
    text = capsys.readouterr().out
    options = re.split(r"\n  (?=--)", text)[1:]
    code = (ROOT / "script" / f"{name}.py").read_text(encoding="utf-8")
    assert len(options) == code.count(".add_argument(") > 0
    for option in options:
        assert "(default:" in " ".join(option.split()), option


def test_no_script_needs_another():
    """Nor does any keep a path, or text that a Windows console cannot print."""
    for name in SCRIPTS:
        code = (ROOT / "script" / f"{name}.py").read_text(encoding="utf-8")
        assert code.isascii(), name
        assert not re.search(rf"^\s*(from|import) ({'|'.join(SCRIPTS)})\b", code, re.MULTILINE)


def test_repository_has_the_layout_promised():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    top = {path.split("/")[0] for path in tracked.stdout.splitlines()}
    promised = {"script", "figures", "tests", "requirements.txt", "README.md", ".gitignore"}
    assert {name for name in top if not name.startswith(".")} <= promised
    assert promised <= top
