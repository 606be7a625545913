"""What holds for every script: it works alone, wherever it lies, however it is treated."""

import re
import runpy
import sys
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest
import torch
from conftest import ROOT, files, git, load_script, run_alone, wanted
from figure_checks import bad_image, complaints
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from scripts import SCRIPTS
from tour import is_tour

FIGURES = [(name, figure) for name, script in SCRIPTS.items() for figure in script.figures]
PROGRAMS = [name for name in SCRIPTS if not is_tour(ROOT / "script" / f"{name}.py")]


def test_scripts_are_those_listed():
    assert {path.stem for path in (ROOT / "script").glob("*.py")} == SCRIPTS.keys()
    committed = {name for name in files() if name.startswith("figures/")}
    assert committed == {f"figures/{figure}" for _, figure in FIGURES}


@pytest.mark.parametrize("name", SCRIPTS)
def test_alone_in_a_folder_it_draws_exactly_its_figures(run_of, name):
    assert run_of(name).figures.keys() == set(SCRIPTS[name].figures)


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_stands_alone(name):
    """It imports the standard library, torch, numpy and matplotlib, and shadows no module."""
    code = (ROOT / "script" / f"{name}.py").read_text(encoding="utf-8")
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", code, re.MULTILINE))
    with_matplotlib = {"matplotlib", "mpl_toolkits"}
    assert imported <= sys.stdlib_module_names | {"torch", "numpy"} | with_matplotlib
    assert name not in sys.stdlib_module_names


@pytest.mark.parametrize(("name", "figure"), FIGURES)
def test_figure_is_fit_to_project(run_of, committed, name, figure):
    assert bad_image(run_of(name).figures[figure]) == []
    assert bad_image(committed(figure)) == []


@pytest.mark.parametrize(
    ("name", "figure"), [pair for pair in FIGURES if pair[1] not in SCRIPTS[pair[0]].varying]
)
def test_committed_figure_is_what_the_script_draws(run_of, committed, name, figure):
    fresh = run_of(name).figures[figure]
    assert compare_images(committed(figure), fresh, tol=1) is None


@pytest.fixture(scope="module")
def blocked_run(tmp_path_factory) -> Callable[[str], SimpleNamespace]:
    """A run of a script in this process that cannot write its last figure, if it has any.

    A program runs with its small options, and without measuring a ceiling. Returns folder, the
    figures as live objects, by name, and the error.
    """

    @cache
    def run(name: str) -> SimpleNamespace:
        folder, figures, error = tmp_path_factory.mktemp(name), {}, None
        for last in SCRIPTS[name].figures[-1:]:
            (folder / "figures" / last / "old").mkdir(parents=True)  # a folder stands in its place

        def savefig(figure: Figure, path: Path, **options) -> None:
            figures[Path(path).name] = figure
            really_save(figure, path, **options)

        really_save = Figure.savefig
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Figure, "savefig", savefig)
            patch.setattr(Figure, "draw", lambda figure, renderer: None)  # pixels do not matter
            patch.setattr(torch, "set_num_threads", lambda _: None)  # other tests run after this
            try:
                if name in PROGRAMS:
                    run_small(name, folder / "figures", patch)
                else:
                    copy = folder / "script" / f"{name}.py"
                    copy.parent.mkdir()
                    copy.write_bytes((ROOT / "script" / copy.name).read_bytes())
                    runpy.run_path(str(copy), run_name="__main__")
            except OSError as caught:
                error = caught
        plt.close("all")
        return SimpleNamespace(folder=folder, figures=figures, error=error)

    return run


def run_small(name: str, figures: Path, patch: pytest.MonkeyPatch) -> None:
    """Run main() of a program with its small options, without measuring a ceiling."""
    script = load_script(name)
    patch.setattr(script, "FIGURES", figures)
    if hasattr(script, "copy_bandwidth"):
        patch.setattr(script, "copy_bandwidth", lambda *_: 1e10)
    if hasattr(script, "LARGE"):
        patch.setitem(script.LARGE, "cpu", 16)
    script.main(list(SCRIPTS[name].small))


@pytest.mark.parametrize("name", PROGRAMS)
def test_figures_of_a_program_are_fit_to_read(name, blocked_run):
    """Those of the tours are checked cell by cell."""
    found = {figure: complaints(artists) for figure, artists in blocked_run(name).figures.items()}
    assert found == {figure: [] for figure in SCRIPTS[name].figures}


@pytest.mark.parametrize("name", [name for name, script in SCRIPTS.items() if script.figures])
def test_figure_that_cannot_be_written_is_named(name, blocked_run):
    run, figure = blocked_run(name), SCRIPTS[name].figures[-1]
    assert figure in str(run.error)
    assert (run.folder / "figures" / figure / "old").exists()


@pytest.fixture(scope="session")
def without_folder(pool, tmp_path_factory) -> tuple[Path, Future]:
    """A run of the first script where a file stands in the place of its figures' folder."""
    folder = tmp_path_factory.mktemp("blocked")
    (folder / "figures").touch()
    return folder, pool.submit(run_alone, "gd_1d_torch", folder)


@pytest.fixture(scope="session", autouse=True)
def start_early(request):
    if wanted(request, "rough_run"):
        request.getfixturevalue("without_folder")


@pytest.fixture
def rough_run(without_folder) -> tuple[Path, SimpleNamespace]:
    """The folder and the result of that run."""
    folder, future = without_folder
    return folder, future.result()


def test_failing_run_says_so_in_its_last_line(rough_run):
    folder, run = rough_run
    assert run.returncode != 0
    assert str(folder / "figures") in run.stderr.splitlines()[-1]


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
    if git("ls-files") is None:
        pytest.skip("not a git checkout")
    top = {path.split("/")[0] for path in files()}
    promised = {"script", "figures", "tests", "requirements.txt", "README.md", ".gitignore"}
    assert {name for name in top if not name.startswith(".")} <= promised
    assert promised <= top
