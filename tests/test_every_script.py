"""What holds for every script: it works alone, wherever it lies, however it is treated."""

import ast
import re
import runpy
import shutil
import sys

import matplotlib.pyplot as plt
import pytest
import tour
from conftest import LECTURE, ROOT, drawing, git, load_script, python, tracked
from figure_checks import bad_image, complaints, misdrawn_lines, table_in, tables_in
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
    imported = set()
    for node in ast.walk(ast.parse(code_of(name))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
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


def cell_that_draws(whole: tour.Tour, figure: str) -> tour.Cell:
    (cell,) = [cell for cell in whole.showing if f'"{figure}"' in cell.code]
    return cell


def example_of(name: str, figure: str) -> list[str]:
    """The lines that the cell of a timing figure printed on the lecture's machine."""
    return cell_that_draws(tour.read(ROOT / "script" / f"{name}.py"), figure).expected


@pytest.mark.parametrize(("name", "figure"), TIMING)
def test_lines_of_a_timing_figure_are_the_numbers_printed_with_it(name, figure, tmp_path):
    whole = tour.read(ROOT / "script" / f"{name}.py", SCRIPTS[name].small)
    with drawing() as figures:
        (tmp_path / "figures").mkdir()
        printed = tour.run_cell(whole, cell_that_draws(whole, figure), tmp_path)
    plt.close("all")
    assert misdrawn_lines(figures[figure], printed) == []


@pytest.mark.parametrize(("name", "figure"), TIMING)
def test_lecture_figure_comes_from_the_run_that_the_example_shows(name, figure):
    """record.py writes what the cell had printed into the picture."""
    with Image.open(LECTURE / figure) as image:
        drawn_from = image.text["Description"].splitlines()
    assert len(table_in("\n".join(drawn_from))) > 2
    shown = example_of(name, figure)[: len(drawn_from)]
    assert [line.strip() for line in drawn_from] == [line.strip() for line in shown]


@pytest.mark.parametrize(("name", "figure"), TIMING)
def test_example_has_the_sizes_and_variants_of_the_script(name, figure, default_of):
    example = table_in("\n".join(example_of(name, figure)))
    sizes = next(iter(example))  # the heading of the first column
    printed = [table for table in tables_in(default_of(name).stdout) if sizes in table]
    assert [(list(table), table[sizes]) for table in printed] == [(list(example), example[sizes])]


def test_runs_leave_a_clone_clean_and_it_can_be_pulled(tmp_path):
    """One script is run there. The others leave just their figures, as is tested above."""
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
    for _, figure in FIGURES:
        shutil.copy(LECTURE / figure, clone / "figures")
    assert git("status", "--porcelain", cwd=clone) == ""

    git("clone", "-q", clone, instructor, cwd=tmp_path)
    for _, figure in FIGURES:
        (instructor / "figures" / "lecture" / figure).write_bytes(b"drawn anew")
    git("commit", "-q", "-a", "-m", "drawn anew", cwd=instructor)
    git("pull", "-q", instructor, "main", cwd=clone)
    assert (clone / "figures" / "lecture" / FIRST).read_bytes() == b"drawn anew"


@pytest.mark.parametrize("name", [name for name in DRAWING if name not in PROGRAMS])
def test_tour_goes_on_where_its_figure_cannot_be_written(name, tmp_path, capsys):
    (tmp_path / "figures").touch()
    definitions = tour.read(ROOT / "script" / f"{name}.py").definitions(tmp_path)
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
            text = ast.get_docstring(node) or ""
            for block in re.findall(r"prints:\n\n((?: {4}.*\n|\n)+)", text + "\n"):
                shown += block.strip("\n").splitlines()
    printed = [line for line in run_of(name).stdout.splitlines() if line]
    hold = tour.differences([line.strip() for line in shown if line], "\n".join(printed))
    assert hold == []


@pytest.mark.parametrize("name", DRAWING_PROGRAMS)
def test_options_count_in_an_ipython_console(name, tmp_path):
    """%run in a console, where sys.ps1 is set."""
    shutil.copy(ROOT / "script" / f"{name}.py", tmp_path)
    environ = {"HOME": str(tmp_path), "IPYTHONDIR": str(tmp_path / "ipython")}
    run = python("-m", "IPython", "-c", f"%run {name}.py --eta 3", cwd=tmp_path, **environ)
    assert "diverged" in run.stdout, run.stdout + run.stderr


@pytest.mark.parametrize("name", DRAWING_PROGRAMS)
def test_figures_of_a_program_are_fit_to_read(name, tmp_path, monkeypatch):
    """Those of the tours are checked cell by cell."""
    monkeypatch.setattr(load_script(name), "FIGURES", tmp_path)
    with drawing() as figures:
        load_script(name).main([])
    found = {figure: complaints(artists) for figure, artists in figures.items()}
    plt.close("all")
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
