"""Fixtures and helpers that several test files share."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace

# before matplotlib and torch are imported: tests need no screen, and torch's idle threads leave
# the cores to the scripts that run beside
os.environ.update(MPLBACKEND="Agg", OMP_WAIT_POLICY="passive")

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
ALL_BUT_TIMED = "import runpy, sys\nfor sys.argv in [[p] for p in sys.argv[1:]]: "
ALL_BUT_TIMED += "runpy.run_path(*sys.argv, run_name='__main__')"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "error")
    matplotlib.rcdefaults()  # whatever the user's matplotlibrc says


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that wait for other processes come last, those that start the longest one first.

    That saves ten seconds and more.
    """
    waiting = {"run_of", "default_of", "notebook", "whole_way"}

    def turn(item: pytest.Item) -> tuple[bool, bool]:
        return bool(waiting & {*item.fixturenames}), item.path.stem != "test_tours"

    items.sort(key=turn)


def git(*arguments: str, cwd: Path = ROOT) -> str | None:
    """What git prints of a checkout; None where there is no git, or no checkout, or it fails."""
    if shutil.which("git") is None:
        return None
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    run = subprocess.run(["git", *who, *arguments], cwd=cwd, capture_output=True, text=True)
    return None if run.returncode else run.stdout


@cache
def files() -> set[str]:
    """The files of the repository, as git knows them, whatever runs have drawn or deleted since."""
    tracked = git("ls-files")
    if tracked is not None:
        return set(tracked.splitlines())
    return {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file()}


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


def run_alone(name: str, folder: Path) -> SimpleNamespace:
    """Copy script/<name>.py alone into folder/script, run it there from another directory.

    A timed tour runs with small CONSTANTS. Returns stdout and figures: the path of each file that
    the run left beside script/, by its name.
    """
    copy, elsewhere = folder / "script" / f"{name}.py", folder / "elsewhere"
    copy.parent.mkdir(parents=True)
    elsewhere.mkdir()
    code = (ROOT / "script" / copy.name).read_text(encoding="utf-8")
    copy.write_text(shrunk(code, SCRIPTS[name].small), encoding="utf-8")
    (folder / "matplotlibrc").write_text(TASTE)
    run = python(copy, cwd=elsewhere, MATPLOTLIBRC=str(folder / "matplotlibrc"))
    assert run.returncode == 0, run.stderr
    figures = {path.name: path for path in (folder / "figures").glob("*")}
    return SimpleNamespace(stdout=run.stdout, figures=figures)


@pytest.fixture(scope="session")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Runs processes beside the tests, two at a time."""
    with ThreadPoolExecutor(max_workers=2) as executor:
        yield executor
        executor.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def run_of(pool, tmp_path_factory) -> Callable[[str], SimpleNamespace]:
    """The run of a script that all tests share: alone in a folder, as run_alone does it."""
    folder = tmp_path_factory.mktemp("alone in a folder ")
    runs = {name: pool.submit(run_alone, name, folder / name) for name in SCRIPTS}
    return lambda name: runs[name].result()


@pytest.fixture(scope="session")
def clone(tmp_path_factory) -> Path:
    """A fresh checkout of this tree, as it is now, in a folder whose name has a space."""
    folder = tmp_path_factory.mktemp("a clone ") / "lecture"
    if git("ls-files") is None:
        pytest.skip("not a git checkout")
    for name in files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for command in ("init -q -b main", "add -A", "commit -q -m all"):
        assert git(*command.split(), cwd=folder) is not None
    return folder


@pytest.fixture(scope="session")
def default_of(pool, clone) -> Callable[[str], SimpleNamespace]:
    """The run of a timed tour's defaults in the clone; of all others that draw, by the name ""."""
    paths = {name: clone / "script" / f"{name}.py" for name in SCRIPTS}
    jobs = {name: (path,) for name, path in paths.items() if SCRIPTS[name].timing}
    others = [name for name in SCRIPTS if SCRIPTS[name].figures and name not in jobs]
    jobs[""] = ("-c", ALL_BUT_TIMED, *map(paths.get, others))
    runs = {name: pool.submit(python, *job, cwd=clone.parent) for name, job in jobs.items()}
    return lambda name: runs[name].result()


def start_if_used(request: pytest.FixtureRequest, *fixtures: str) -> None:
    """Start what tests of this session wait for, before the tests that run in this process."""
    for name in fixtures:
        if any(name in item.fixturenames for item in request.session.items):
            request.getfixturevalue(name)


@pytest.fixture(scope="session", autouse=True)
def start_scripts(request: pytest.FixtureRequest) -> None:
    start_if_used(request, "default_of", "run_of")


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
    (cell,) = [cell for cell in whole.showing if f'save(fig, "{figure}"' in cell.code]
    with tempfile.TemporaryDirectory() as folder, drawing() as figures:
        (Path(folder) / "figures").mkdir()
        assert alone(whole, cell, Path(folder)) == []
    figures[figure].draw_without_rendering()
    return figures[figure]


@pytest.fixture
def drawn() -> Iterator[dict[str, Figure]]:
    with drawing() as figures:
        yield figures
