"""What holds for every script: it works alone, wherever it lies, however it is treated."""

import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import tour
from conftest import LECTURE, ROOT, drawing, git, load_script, python, tracked
from figure_checks import bad_image, complaints
from matplotlib.testing.compare import compare_images
from PIL import Image
from scripts import SCRIPTS
from tour import is_tour

FIGURES = [(name, figure) for name, script in SCRIPTS.items() for figure in script.figures]
TIMING = [(name, figure) for name, script in SCRIPTS.items() for figure in script.timing]
PROGRAMS = [name for name in SCRIPTS if not is_tour(ROOT / "script" / f"{name}.py")]
DRAWING_PROGRAMS = [name for name in PROGRAMS if SCRIPTS[name].figures]
DRAWING = [name for name, script in SCRIPTS.items() if script.figures]
FIRST = "gd_torch_quadratic_diagnostics.png"


def code_of(name: str) -> str:
    return (ROOT / "script" / f"{name}.py").read_text(encoding="utf-8")


def test_scripts_and_figures_that_git_tracks_are_those_listed():
    """What else lies in script/, a student's copy for example, is no concern of the tests."""
    scripts = {name for name in tracked() if re.fullmatch(r"script/.*\.py", name)}
    assert scripts == {f"script/{name}.py" for name in SCRIPTS}
    figures = {name for name in tracked() if name.startswith("figures/")}
    assert figures == {f"figures/lecture/{figure}" for _, figure in FIGURES}


@pytest.mark.parametrize("name", SCRIPTS)
def test_alone_in_a_folder_it_draws_exactly_its_figures(run_of, name):
    """And leaves no other file there."""
    assert run_of(name).figures.keys() == set(SCRIPTS[name].figures)


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_stands_alone(name):
    """It imports the standard library, torch, numpy and matplotlib, and shadows no module.

    Nor does it keep a path, or text that a Windows console cannot print.
    """
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", code_of(name), re.MULTILINE))
    with_matplotlib = {"matplotlib", "mpl_toolkits"} if name != "check_environment" else set()
    assert imported <= sys.stdlib_module_names | {"torch", "numpy"} | with_matplotlib
    assert name not in sys.stdlib_module_names
    assert code_of(name).isascii()


@pytest.mark.parametrize(("name", "figure"), FIGURES)
def test_figure_is_fit_to_project(run_of, name, figure):
    assert bad_image(run_of(name).figures[figure]) == []
    assert bad_image(LECTURE / figure) == []


@pytest.mark.parametrize(
    ("name", "figure"), [pair for pair in FIGURES if pair not in TIMING]
)
def test_lecture_figure_is_what_the_script_draws(run_of, name, figure):
    """Whatever the user's matplotlibrc says: the run has one with TASTE."""
    assert compare_images(LECTURE / figure, run_of(name).figures[figure], tol=1) is None


def table_of(figure: Path) -> list[str]:
    """The table that a timing figure was drawn from, in its own metadata."""
    with Image.open(figure) as image:
        return image.text["Description"].splitlines()


@pytest.mark.parametrize(("name", "figure"), TIMING)
def test_lecture_figure_comes_from_the_run_that_the_example_shows(name, figure):
    """So a figure of other sizes or variants is found out."""
    whole = tour.read(ROOT / "script" / f"{name}.py")
    shown = {line for cell in whole.showing for line in cell.expected}
    assert len(table_of(LECTURE / figure)) > 3
    assert set(table_of(LECTURE / figure)) <= shown


@pytest.mark.parametrize(("name", "figure"), TIMING)
def test_example_has_the_sizes_and_variants_of_the_script(name, figure, default_of):
    def rows(path: Path) -> list[list[str]]:
        return [re.split(r"\s{2,}", line.strip())[:2] for line in table_of(path)]

    assert rows(LECTURE / figure) == rows(default_of(name).figures[figure])


def test_runs_leave_a_clone_clean_and_it_can_be_pulled(run_of, tmp_path):
    """One script is run there; what the others leave beside themselves is brought there."""
    clone, instructor = tmp_path / "a clone", tmp_path / "the instructor's"
    for name in tracked():
        if (ROOT / name).exists():  # this tree as it is now
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    git("init", "-q", "-b", "main", cwd=clone)
    git("add", "-A", cwd=clone)
    git("commit", "-q", "-m", "all", cwd=clone)

    run = python("script/gd_1d_torch.py", cwd=clone)
    assert run.returncode == 0, run.stderr
    assert (clone / "figures" / FIRST).exists()
    for name, figure in FIGURES:
        shutil.copy(run_of(name).figures[figure], clone / "figures")
    assert git("status", "--porcelain", cwd=clone) == ""

    git("clone", "-q", clone, instructor, cwd=tmp_path)
    for _, figure in FIGURES:
        (instructor / "figures" / "lecture" / figure).write_bytes(b"drawn anew")
    git("commit", "-q", "-a", "-m", "drawn anew", cwd=instructor)
    git("pull", "-q", instructor, "main", cwd=clone)
    assert (clone / "figures" / "lecture" / FIRST).read_bytes() == b"drawn anew"


@pytest.mark.parametrize("name", [name for name in DRAWING if name != "gd_1d_torch"])
def test_figure_that_cannot_be_written_is_named_in_one_line(name, tmp_path, monkeypatch):
    (tmp_path / "figures").touch()
    if name in PROGRAMS:
        module = load_script(name)
        monkeypatch.setattr(module, "FIGURES", tmp_path / "figures")
        save = module.save
    else:
        save = tour.read(ROOT / "script" / f"{name}.py").definitions(tmp_path)["save"]
    with pytest.raises(SystemExit) as exit_:
        save(None, "x.png")
    (line,) = str(exit_.value.code).splitlines()  # a text: to stderr, with status 1
    assert str(tmp_path / "figures") in line


def test_copied_into_a_home_it_draws_there_and_prints_a_path_below(tmp_path, monkeypatch, capsys):
    copy = shutil.copy(ROOT / "script" / "gd_1d_torch.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [copy])
    runpy.run_path(copy, run_name="__main__")
    assert capsys.readouterr().out.splitlines()[-1] == f"figure: figures/{FIRST}"
    assert (tmp_path / "figures" / FIRST).exists()


@pytest.mark.parametrize("name", DRAWING)
def test_run_from_elsewhere_it_prints_where_its_figures_lie(name, run_of):
    printed = re.findall(r"^figure: (.*)$", run_of(name).stdout, re.MULTILINE)
    figures = run_of(name).figures
    assert printed == [figures[figure.rpartition("/")[2]].as_posix() for figure in printed]
    assert len(printed) == len(figures)


@pytest.mark.parametrize("name", DRAWING_PROGRAMS)
def test_figures_of_a_program_are_fit_to_read(name, tmp_path, monkeypatch):
    """Those of the tours are checked cell by cell."""
    monkeypatch.setattr(load_script(name), "FIGURES", tmp_path)
    with drawing() as figures:
        load_script(name).main([])
    found = {figure: complaints(artists) for figure, artists in figures.items()}
    assert found == {figure: [] for figure in SCRIPTS[name].figures}


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_names_every_option_with_its_default(name, capsys):
    with pytest.raises(SystemExit):
        load_script(name).main(["--help"])
    text = capsys.readouterr().out
    options = re.split(r"\n  (?=--)", text)[1:]
    assert len(options) == code_of(name).count(".add_argument(")
    for option in options:
        assert "(default:" in " ".join(option.split()), option


def test_repository_has_the_layout_promised():
    top = {path.split("/")[0] for path in tracked()}
    promised = {"script", "figures", "tests", "requirements.txt", "README.md", ".gitignore"}
    assert {name for name in top if not name.startswith(".")} <= promised
    assert promised <= top
