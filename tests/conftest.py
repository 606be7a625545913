"""Fixtures and helpers that several test files share."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace

os.environ["MPLBACKEND"] = "Agg"  # before matplotlib is imported: tests need no screen
sys.path.insert(0, str(Path(__file__).parent))  # pytest --import-mode=importlib leaves that to us

import matplotlib
import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure
from scripts import SCRIPTS
from tour import is_tour, read, run_cell, shrunk

for variable in list(os.environ):
    if variable == "DEVICE" or variable.startswith("MALLOC_"):
        del os.environ[variable]  # a lesson tells a student to set it, and it may be set still

ROOT = Path(__file__).resolve().parent.parent
LECTURE = ROOT / "figures" / "lecture"


# Somebody's taste, and more than a machine may have: no script may follow it.
TASTE = """\
text.usetex: True
font.size: 18
axes.facecolor: black
figure.facecolor: black
text.color: white
axes.labelcolor: white
lines.linewidth: 7
"""
# A console that knows only ASCII, which cp1252 contains, no display, and a home that cannot be
# written. Kept are the fonts that matplotlib has found, and what Python has compiled: to do either
# again takes seconds.
NO_COMFORT = {
    "PYTHONDONTWRITEBYTECODE": "",
    "PYTHONIOENCODING": "ascii:strict",
    "MPLBACKEND": "",
    "DISPLAY": "",
    "WAYLAND_DISPLAY": "",
    "HOME": "/nonexistent",
    "USERPROFILE": "/nonexistent",  # Windows' HOME
    "MPLCONFIGDIR": matplotlib.get_cachedir(),
}
# git as if just installed: without settings, attributes, ignored files or hooks of the user's or of
# the machine's.
FRESH_GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TEMPLATE_DIR": "",
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
}


def path_of(name: str) -> Path:
    return ROOT / "script" / f"{name}.py"


# The names in scripts.py. One without its script is test_every_script.py's to report: the other
# tests go on without it.
NAMES = [name for name in SCRIPTS if path_of(name).exists()]
TOURS = [name for name in NAMES if is_tour(path_of(name))]
PROGRAMS = [name for name in NAMES if name not in TOURS]
DRAWING_PROGRAMS = [name for name in PROGRAMS if SCRIPTS[name].figures]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "error")
    # of a checkout that cannot be written
    config.addinivalue_line("filterwarnings", "ignore::pytest.PytestCacheWarning")
    matplotlib.rcdefaults()  # whatever the user's matplotlibrc says


def hold(complaints: list[str]) -> None:
    """Fail with the complaints, if there are any, and with nothing else."""
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


def git(*arguments: str | Path, cwd: Path) -> str:
    """What git prints in the folder cwd. An error fails the test with git's own words.

    The user's GIT_ variables are left out: in a hook they lead to the user's own repository. Where
    there is no git the test is skipped; macOS has one that does no more than offer developer tools.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ.update(FRESH_GIT)

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=cwd, env=environ, capture_output=True, encoding="utf-8")

    if shutil.which("git") is None or run("git", "--version").returncode != 0:
        pytest.skip("needs git, which is not installed here")
    done = run("git", "-c", "user.name=A", "-c", "user.email=a@example.com", *arguments)
    assert done.returncode == 0, f"git {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}"
    return done.stdout


@cache
def tracked() -> set[str]:
    """The files that git tracks in this repository, whatever runs have drawn or deleted since.

    A download has no list of them: the test is skipped, even if another repository lies around it.
    """
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git clone, which this folder is not")
    # it is read only, so it may belong to another user
    listed = git("-c", "safe.directory=*", "ls-files", "-z", cwd=ROOT)
    return {name for name in listed.split("\0") if name}


@cache
def load_script(name: str) -> ModuleType:
    """Import script/<name>.py without running its main()."""
    spec = importlib.util.spec_from_file_location(name, path_of(name))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def defined(name: str) -> SimpleNamespace:
    """What the definition cells of a tour define."""
    return SimpleNamespace(**read(path_of(name)).definitions(Path("nowhere")))


def python(*arguments: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess:
    """Run Python from the directory cwd: its returncode, stdout and stderr."""
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd,
        env={**os.environ, **NO_COMFORT, **environ},
        capture_output=True,
        encoding="utf-8",
        timeout=900,  # on the slowest machine, with others at work, a lesson takes a minute or two
    )


def run_alone(name: str, folder: Path, small: dict[str, str]) -> SimpleNamespace:
    """Copy script/<name>.py alone into folder/script, run it there from another directory.

    The CONSTANTS in small are changed in the copy. Returns stdout and figures: the path of each
    file that the run left in the folder, by its name below figures/.
    """
    copy = folder / "script" / f"{name}.py"
    copy.parent.mkdir()
    code = path_of(name).read_text(encoding="utf-8")
    if small:
        code = shrunk(code, small)
    copy.write_text(code, encoding="utf-8")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    taste = folder / "matplotlibrc"
    taste.write_text(TASTE)
    run = python(copy, cwd=elsewhere, MATPLOTLIBRC=str(taste))
    assert run.returncode == 0, run.stderr
    figures = {}
    for path in folder.rglob("*"):
        if path.is_file() and path not in (copy, taste):
            figures[path.relative_to(folder).as_posix().removeprefix("figures/")] = path
    return SimpleNamespace(stdout=run.stdout, figures=figures)


@pytest.fixture(scope="session")
def run_of(tmp_path_factory) -> Callable[[str], SimpleNamespace]:
    """The run of a script that all tests share: alone in a folder; a timed tour is made small."""

    @cache
    def run(name: str) -> SimpleNamespace:
        return run_alone(name, tmp_path_factory.mktemp("alone in a folder "), SCRIPTS[name].small)

    return run


@pytest.fixture(scope="session")
def default_of(tmp_path_factory) -> Callable[[str], SimpleNamespace]:
    """The run of a timed tour with its defaults that all tests share: alone in a folder."""

    @cache
    def run(name: str) -> SimpleNamespace:
        return run_alone(name, tmp_path_factory.mktemp("with its defaults "), small={})

    return run


@contextmanager
def drawing() -> Iterator[dict[str, Figure]]:
    """Collects the figures that are saved inside, by file name, as live matplotlib objects.

    They are neither laid out, which complaints() does, nor painted: run_of has the pictures.
    """
    figures = {}

    def savefig(figure, path, **options):
        Path(path).touch()
        figures[Path(path).name] = figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        yield figures


@cache
def draw(name: str, figure: str) -> Figure:
    """A figure of a tour as its cell draws it, live and laid out."""
    lesson = read(path_of(name))
    with tempfile.TemporaryDirectory() as folder, drawing() as figures:
        (Path(folder) / "figures").mkdir()
        run_cell(lesson, lesson.cell_that_draws(figure), Path(folder))
    plt.close("all")
    figures[figure].draw_without_rendering()
    return figures[figure]


@pytest.fixture
def drawn() -> Iterator[dict[str, Figure]]:
    with drawing() as figures:
        yield figures
