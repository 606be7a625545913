"""What holds for every script: it works alone, wherever it lies, however it is treated."""

import ast
import re
import runpy
import shutil
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import tour
from conftest import (
    DRAWING_PROGRAMS,
    LECTURE,
    NAMES,
    ROOT,
    TOURS,
    drawing,
    git,
    hold,
    load_script,
    path_of,
    python,
    tracked,
)
from figure_checks import bad_image, complaints, first_column, table_in, tables_in
from matplotlib.testing.compare import compare_images
from matplotlib.testing.exceptions import ImageComparisonFailure
from PIL import Image
from scripts import SCRIPTS
from tour import Line

FIGURES = [(name, figure) for name in NAMES for figure in SCRIPTS[name].figures]
TIMING = [(name, figure) for name in NAMES for figure in SCRIPTS[name].timing]
NOT_TIMING = [pair for pair in FIGURES if pair not in TIMING]
TIMED = [name for name in NAMES if SCRIPTS[name].timing]
DRAWING = [name for name in NAMES if SCRIPTS[name].figures]
DRAWING_TOURS = [name for name in DRAWING if name in TOURS]
FIRST = "gd_torch_quadratic_diagnostics.png"


def code_of(name: str) -> str:
    return path_of(name).read_text(encoding="utf-8")


def lecture_figure(figure: str) -> Path:
    """A figure of the README; fails without it."""
    path = LECTURE / figure
    if not path.exists():
        pytest.fail(f"There is no figures/lecture/{figure}: see tests/README.md", pytrace=False)
    return path


def test_a_row_has_its_script_and_its_figures():
    missing = []
    for name, script in SCRIPTS.items():
        if not path_of(name).exists():
            missing.append(f"tests/scripts.py has a row for {name}: there is no script/{name}.py")
        for figure in script.figures:
            if not (LECTURE / figure).exists():
                missing.append(
                    f"tests/scripts.py says that {name} draws {figure}: there is no "
                    f"figures/lecture/{figure}, which tests/record.py would draw"
                )
    hold(missing)


def test_script_and_figure_that_git_tracks_have_a_row():
    """What else lies in script/, a student's copy for example, is no concern of the tests."""
    scripts = [f"script/{name}.py" for name in (*NAMES, "install")]
    figures = [f"figures/lecture/{figure}" for _, figure in FIGURES]
    missing = []
    for path in sorted(tracked()):
        if re.fullmatch(r"script/.*\.py", path) and path not in scripts and (ROOT / path).exists():
            missing.append(f"{path} has no row in tests/scripts.py")
        if path.startswith("figures/") and path not in figures and (ROOT / path).exists():
            missing.append(f"{path} is drawn by no script that has a row in tests/scripts.py")
    for path in scripts + figures:
        if path not in tracked() and (ROOT / path).exists():
            missing.append(f"{path} is not tracked by git: git add {path}")
    hold(missing)


@pytest.mark.parametrize("name", NAMES)
def test_alone_in_a_folder_it_draws_exactly_its_figures(run_of, name):
    """And leaves no other file there."""
    assert run_of(name).figures.keys() == set(SCRIPTS[name].figures)


@pytest.mark.parametrize("name", NAMES)
def test_it_stands_alone(name):
    """It imports the standard library, torch, numpy and matplotlib."""
    imported = set()
    for node in ast.walk(ast.parse(code_of(name))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                imported.add(alias.name.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    allowed = set(sys.stdlib_module_names)
    if name != "check_environment":
        allowed.update(["torch", "numpy", "matplotlib", "mpl_toolkits"])
    assert imported <= allowed


@pytest.mark.parametrize("name", NAMES)
def test_it_shadows_no_module(name):
    assert name not in sys.stdlib_module_names


@pytest.mark.parametrize("name", NAMES)
def test_every_console_can_print_it(name):
    """Windows' do not know all of UTF-8."""
    assert code_of(name).isascii()


@pytest.mark.parametrize("name", TIMED)
def test_timed_tour_can_run_on_another_device(name):
    assert 'DEVICE = os.environ.get("DEVICE", ' in code_of(name)


@pytest.mark.parametrize("name", TIMED)
def test_timed_tour_says_whose_times_are_recorded(name):
    assert "\n# Example outputs: the lecture's machine, " in code_of(name)


@pytest.mark.parametrize(("name", "figure"), FIGURES)
def test_figure_is_fit_to_project(run_of, name, figure):
    hold(bad_image(run_of(name).figures[figure]) + bad_image(lecture_figure(figure)))


@pytest.mark.parametrize(("name", "figure"), NOT_TIMING)
def test_lecture_figure_is_what_the_script_draws(run_of, name, figure):
    """Whatever the user's matplotlibrc says: the run has one with TASTE."""
    drawn = run_of(name).figures[figure]
    try:
        differs = compare_images(lecture_figure(figure), drawn, tol=1) is not None
    except ImageComparisonFailure:  # they have different sizes
        differs = True
    if differs:
        hold([f"run tests/record.py {name}, look at {figure}, git add it"])


def example_of(name: str, figure: str) -> list[str]:
    """The lines that the cell of a timing figure printed on the lecture's machine."""
    return [line.text for line in tour.read(path_of(name)).cell_that_draws(figure).expected]


@pytest.mark.parametrize(("name", "figure"), TIMING)
def test_lecture_figure_comes_from_the_run_that_the_example_shows(name, figure):
    """record.py writes what the cell had printed into the picture."""
    with Image.open(lecture_figure(figure)) as image:
        drawn_from = image.text["Description"].splitlines()
    assert len(table_in("\n".join(drawn_from))) > 2
    shown = example_of(name, figure)
    for drawn, printed in zip(drawn_from, shown):
        assert drawn.strip() == printed.strip()
    assert len(drawn_from) <= len(shown)


@pytest.mark.parametrize(("name", "figure"), TIMING)
def test_example_has_the_sizes_and_variants_of_the_script(name, figure, default_of):
    example = table_in("\n".join(example_of(name, figure)))
    heading_of_sizes = next(iter(example))
    printed = [table for table in tables_in(default_of(name).stdout) if heading_of_sizes in table]
    assert len(printed) == 1
    assert list(printed[0]) == list(example)
    assert first_column(printed[0]) == first_column(example)


def test_runs_leave_a_clone_clean_and_it_can_be_pulled(tmp_path):
    """One script is run there. The others leave just their figures, as is tested above."""
    clone = tmp_path / "a clone"
    instructor = tmp_path / "the instructor's"
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
    for _, figure in FIGURES:
        shutil.copy(LECTURE / figure, clone / "figures")
    assert git("status", "--porcelain", cwd=clone) == ""

    git("clone", "-q", clone, instructor, cwd=tmp_path)
    for _, figure in FIGURES:
        (instructor / "figures" / "lecture" / figure).write_bytes(b"drawn anew")
    git("commit", "-q", "-a", "-m", "drawn anew", cwd=instructor)
    git("pull", "-q", instructor, "main", cwd=clone)
    assert (clone / "figures" / "lecture" / FIRST).read_bytes() == b"drawn anew"


@pytest.mark.parametrize("name", DRAWING_TOURS)
def test_tour_goes_on_where_its_figure_cannot_be_written(name, tmp_path, capsys):
    (tmp_path / "figures").touch()
    definitions = tour.read(path_of(name)).definitions(tmp_path)
    definitions["save"](plt.figure(), "x.png")
    plt.close("all")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"no figure: {(tmp_path / 'figures' / 'x.png').as_uri()} ")


@pytest.mark.parametrize("name", DRAWING_PROGRAMS)
def test_program_whose_figure_cannot_be_written_says_so_last(name, tmp_path, monkeypatch, capsys):
    (tmp_path / "figures").touch()
    monkeypatch.setattr(load_script(name), "FIGURES", tmp_path / "figures")
    with pytest.raises(SystemExit) as exit_:
        load_script(name).main([])
    plt.close("all")
    assert capsys.readouterr().out
    (line,) = str(exit_.value.code).splitlines()  # a text: to stderr, with status 1
    assert line.startswith(f"no figure: {(tmp_path / 'figures').as_uri()}/")


def test_copied_into_a_home_it_draws_there(tmp_path, monkeypatch, capsys):
    home = tmp_path / "\u4e2d\u6587"  # a name that a console may not be able to print
    home.mkdir()
    copy = shutil.copy(ROOT / "script" / "gd_1d_torch.py", home)
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "argv", [copy])
    runpy.run_path(copy, run_name="__main__")
    plt.close("all")
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert printed.splitlines()[-1] == f"figure: {(home / 'figures' / FIRST).as_uri()}"
    assert (home / "figures" / FIRST).exists()


@pytest.mark.parametrize("name", DRAWING)
def test_run_from_elsewhere_it_prints_where_its_figures_lie(name, run_of):
    printed = re.findall(r"^figure: (.*)$", run_of(name).stdout, re.MULTILINE)
    assert sorted(printed) == sorted(path.as_uri() for path in run_of(name).figures.values())


@pytest.mark.parametrize("name", DRAWING_PROGRAMS)
def test_docstrings_of_a_program_show_what_it_prints(name, run_of):
    """The indented blocks after "It prints:" or "and prints:", in the order of the file."""
    shown = []
    for node in ast.walk(ast.parse(code_of(name))):
        if isinstance(node, (ast.Module, ast.FunctionDef)):
            docstring = ast.get_docstring(node) or ""
            for block in re.findall(r"prints:\n\n((?: {4}.*\n|\n)+)", docstring + "\n"):
                shown += block.splitlines()
    expected = [Line(line.strip()) for line in shown if line]
    assert expected
    printed = [line for line in run_of(name).stdout.splitlines() if line]
    assert tour.differences(expected, "\n".join(printed)) == []


@pytest.mark.parametrize("name", DRAWING_PROGRAMS)
def test_options_count_in_an_ipython_console(name, tmp_path):
    """%run in a console, where sys.ps1 is set."""
    shutil.copy(path_of(name), tmp_path)
    environ = {
        "HOME": str(tmp_path),
        "USERPROFILE": str(tmp_path),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    run = python("-m", "IPython", "-c", f"%run {name}.py --eta 3", cwd=tmp_path, **environ)
    assert "diverged" in run.stdout, run.stdout + run.stderr


@pytest.mark.parametrize("name", DRAWING_PROGRAMS)
def test_figures_of_a_program_are_fit_to_read(name, tmp_path, monkeypatch):
    """Those of the tours are checked cell by cell."""
    monkeypatch.setattr(load_script(name), "FIGURES", tmp_path)
    with drawing() as figures:
        load_script(name).main([])
    assert tuple(figures) == SCRIPTS[name].figures
    for artists in figures.values():
        assert complaints(artists) == []
    plt.close("all")


@pytest.mark.parametrize("name", DRAWING_PROGRAMS)
def test_help_says_of_every_option_its_default(name, capsys, monkeypatch):
    monkeypatch.setenv("PYTHON_COLORS", "0")
    with pytest.raises(SystemExit):
        load_script(name).main(["--help"])
    usage, *options = re.split(r"\n  (?=--)", capsys.readouterr().out)
    assert len(options) == usage.count("[--") > 0
    for option in options:
        assert "(default:" in " ".join(option.split()), option
