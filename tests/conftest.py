"""What all tests share: pytest's settings, and ways to run a script as its users do."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace

os.environ["MPLBACKEND"] = "Agg"  # before matplotlib is imported: tests need no screen

import matplotlib.figure
import pytest
from scripts import SCRIPTS

# A console that knows only ASCII, which cp1252 contains, no display, and a home that cannot be
# written. The fonts that matplotlib has found are kept: to look for them takes it seconds.
NO_COMFORT = {
    "PYTHONIOENCODING": "ascii:strict",
    "MPLBACKEND": "",
    "DISPLAY": "",
    "WAYLAND_DISPLAY": "",
    "HOME": "/nonexistent",
    "MPLCONFIGDIR": matplotlib.get_cachedir(),
}

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "error")


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


@pytest.fixture(scope="session")
def run_of(request, tmp_path_factory) -> Iterator[Callable[[str], SimpleNamespace]]:
    """The one run of a script that all tests share: alone, with its small options.

    The scripts that this session tests run side by side, two at a time, from the first call on.
    """
    folder = tmp_path_factory.mktemp("alone in a folder ")
    tested = {item.path.stem.removeprefix("test_") for item in request.session.items}

    with ThreadPoolExecutor(max_workers=2) as pool:

        @cache
        def start(name: str) -> Future:
            return pool.submit(run_alone, name, folder / name, *SCRIPTS[name].small)

        for name in SCRIPTS:
            if name in tested or "every_script" in tested:
                start(name)

        def run(name: str) -> SimpleNamespace:
            result = start(name).result()
            assert result.returncode == 0, result.stderr
            return result

        yield run
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def drawn(monkeypatch) -> dict[str, matplotlib.figure.Figure]:
    """The figures that this test saves, by file name, as live matplotlib objects."""
    figures = {}
    savefig = matplotlib.figure.Figure.savefig

    def remember(figure, path, **options):
        savefig(figure, path, **options)
        figures[Path(path).name] = figure

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", remember)
    return figures
