"""What all tests share: pytest's settings, and ways to run a script as its users do."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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

ROOT = Path(__file__).resolve().parent.parent


def git(*arguments: str) -> bytes | None:
    """What git prints of this checkout; None where there is no git, or no checkout."""
    if shutil.which("git") is None:
        return None
    run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True)
    return None if run.returncode else run.stdout


@cache
def files() -> set[str]:
    """The files of the repository, as git knows them, whatever runs have drawn or deleted since."""
    tracked = git("ls-files")
    if tracked is not None:
        return set(tracked.decode().splitlines())
    return {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def committed(tmp_path_factory) -> Callable[[str], Path]:
    """A figure as it was committed, or staged: a student's runs draw over the one in figures/."""
    folder = tmp_path_factory.mktemp("committed")

    def picture(name: str) -> Path:
        content = git("show", f":figures/{name}")
        if content is None:
            return ROOT / "figures" / name
        (folder / name).write_bytes(content)
        return folder / name

    return picture


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "error")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a module that starts processes come first, those that wait for one last."""

    def turn(item: pytest.Item) -> int:
        fixtures = set(item.fixturenames)
        if fixtures & {"run_of", "rough_run", "notebook", "installed_for_real"}:
            return 2
        return 0 if "start_early" in fixtures else 1

    items.sort(key=turn)


def wanted(request: pytest.FixtureRequest, name: str) -> bool:
    """Whether some test of this session uses the fixture of that name."""
    return any(name in item.fixturenames for item in request.session.items)


@cache
def load_script(name: str) -> ModuleType:
    """Import script/<name>.py without running its main()."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "script" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_alone(name: str, folder: Path, *args: str, **environ: str) -> SimpleNamespace:
    """Copy script/<name>.py alone into folder/script, run it there from another directory.

    Returns returncode, stdout, stderr, and figures: the path of each file that the run left
    beside script/, by its name.
    """
    copy = folder / "script" / f"{name}.py"
    copy.parent.mkdir(parents=True)
    shutil.copy(ROOT / "script" / copy.name, copy)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    run = subprocess.run(
        [sys.executable, "-W", "error", copy, *args],
        cwd=elsewhere,
        env={**os.environ, **NO_COMFORT, **environ},
        capture_output=True,
        encoding="utf-8",
    )
    figures = {path.name: path for path in (folder / "figures").glob("*")}
    return SimpleNamespace(
        returncode=run.returncode, stdout=run.stdout, stderr=run.stderr, figures=figures
    )


def step_back() -> None:
    """Let the tests go first: on Linux for this thread and the processes that it starts."""
    if hasattr(os, "setpriority"):  # not on Windows
        os.setpriority(os.PRIO_PROCESS, 0, 10)


@pytest.fixture(scope="session")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Runs processes beside the tests, two at a time."""
    with ThreadPoolExecutor(max_workers=2, initializer=step_back) as executor:
        yield executor
        executor.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def run_of(request, pool, tmp_path_factory) -> Callable[[str], SimpleNamespace]:
    """The one run of a script that all tests share: alone, with its small options.

    The scripts that this session tests run side by side. The first one has no home at all: it
    cannot keep what matplotlib finds out about fonts.
    """
    folder = tmp_path_factory.mktemp("alone in a folder ")
    tested = {item.path.stem.removeprefix("test_") for item in request.session.items}

    @cache
    def start(name: str) -> Future:
        homeless = {"MPLCONFIGDIR": ""} if name == "gd_1d_torch" else {}
        return pool.submit(run_alone, name, folder / name, *SCRIPTS[name].small, **homeless)

    for name in sorted(SCRIPTS, key=lambda name: not SCRIPTS[name].small):  # the longest first
        if name in tested or "every_script" in tested:
            start(name)

    def run(name: str) -> SimpleNamespace:
        result = start(name).result()
        assert result.returncode == 0, result.stderr
        return result

    return run


@pytest.fixture(scope="session", autouse=True)
def start_scripts(request):
    """Starts the scripts before the tests that run in this process."""
    if wanted(request, "run_of"):
        request.getfixturevalue("run_of")


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


@pytest.fixture
def drawn() -> Iterator[dict[str, Figure]]:
    with drawing() as figures:
        yield figures
