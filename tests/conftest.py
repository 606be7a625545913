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

import matplotlib
import pytest
from matplotlib.figure import Figure
from scripts import SCRIPTS
from tour import alone, read, shrunk

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


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "error")
    matplotlib.rcdefaults()  # whatever the user's matplotlibrc says


def git(*arguments: str | Path, cwd: Path) -> str:
    """What git prints in the folder cwd. An error fails the test with git's own words.

    The user's GIT_ variables are left out: in a hook they lead to the user's own repository. Where
    there is no git the test is skipped; macOS has one that does no more than offer developer tools.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ |= FRESH_GIT

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
    return set(git("-c", "safe.directory=*", "ls-files", "-z", cwd=ROOT).split("\0")) - {""}


@cache
def load_script(name: str) -> ModuleType:
    """Import script/<name>.py without running its main()."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "script" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def defined(name: str) -> SimpleNamespace:
    """What the definition cells of a tour define."""
    return SimpleNamespace(**read(ROOT / "script" / f"{name}.py").definitions(Path("nowhere")))


def python(*arguments: str | Path, cwd: Path, **environ: str) -> SimpleNamespace:
    """Run Python from the directory cwd: its returncode, stdout and stderr."""
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd,
        env={**os.environ, **NO_COMFORT, **environ},
        capture_output=True,
        encoding="utf-8",
    )


def run_alone(name: str, folder: Path, small: dict[str, str]) -> SimpleNamespace:
    """Copy script/<name>.py alone into folder/script, run it there from another directory.

    The CONSTANTS in small are changed in the copy. Returns stdout and figures: the path of each
    file that the run left in the folder, by its name below figures/.
    """
    copy, elsewhere = folder / "script" / f"{name}.py", folder / "elsewhere"
    copy.parent.mkdir()
    elsewhere.mkdir()
    code = (ROOT / "script" / copy.name).read_text(encoding="utf-8")
    copy.write_text(shrunk(code, small), encoding="utf-8")
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
    whole = read(ROOT / "script" / f"{name}.py")
    (cell,) = [cell for cell in whole.showing if f'"{figure}"' in cell.code]
    with tempfile.TemporaryDirectory() as folder, drawing() as figures:
        (Path(folder) / "figures").mkdir()
        assert alone(whole, cell, Path(folder)) == []
    figures[figure].draw_without_rendering()
    return figures[figure]


@pytest.fixture
def drawn() -> Iterator[dict[str, Figure]]:
    with drawing() as figures:
        yield figures
