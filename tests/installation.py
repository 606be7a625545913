"""A copy of the repository for the tests of the installers, with a stand-in for uv."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT

WINDOWS = os.name == "nt"
EXE = ".exe" if WINDOWS else ""
FILES = ("requirements.txt", "script/install.py", "script/install.sh", "script/install.ps1")
CHECK = """import os
exec(os.environ.get("ON_CHECK", ""))
print("check: PYTHONPATH=" + os.environ.get("PYTHONPATH", ""))
"""


# Lines that sh reads as a command, and Python as a text: a shebang ends at the first space.
HEAD = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
"""
# On Windows pip's own maker of programs makes uv.exe. It is no part of pip that others may import:
# another process does.
MAKE = """
import sys
from pip._vendor.distlib.scripts import ScriptMaker
maker = ScriptMaker(sys.argv[1], sys.argv[2])
maker.executable = sys.executable
maker.make("uv")
"""


def make_uv(folder: Path) -> Path:
    """Make a program uv of stand_in_uv.py: a script, or uv.exe on Windows."""
    folder.mkdir()
    code = (ROOT / "tests" / "stand_in_uv.py").read_text(encoding="utf-8")
    uv = folder / f"uv{EXE}"
    if WINDOWS:
        (folder / "source").mkdir()
        (folder / "source" / "uv").write_text(f"#!python\n{code}", encoding="utf-8")
        command = [sys.executable, "-c", MAKE, str(folder / "source"), str(folder)]
        subprocess.run(command, check=True)
    else:
        uv.write_text(HEAD.format(python=sys.executable) + code, encoding="utf-8")
        uv.chmod(0o755)
    return uv


def load_install(root: Path = ROOT) -> ModuleType:
    """A repository's install.py, as a module."""
    spec = importlib.util.spec_from_file_location("install", root / "script" / "install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Course:
    """A copy of the repository in a folder of its own, and the variables of its user."""

    def __init__(self, folder: Path):
        self.home = folder / "home"
        self.home.mkdir()
        self.log = folder / "log"
        self.uv = make_uv(folder / "programs")
        if not os.access(self.uv, os.X_OK):
            pytest.skip(f"{folder} forbids programs (noexec): set TMPDIR to another folder")
        self.variables = {
            **{name: os.environ[name] for name in ("SYSTEMROOT", "TEMP") if name in os.environ},
            "PATH": os.defpath,
            "HOME": str(self.home),
            "USERPROFILE": str(self.home),
            "APPDATA": str(self.home),
            "PIP_CONFIG_FILE": os.devnull,
            "PYTHONUTF8": "1",  # on Windows, pipes speak cp1252
            "STAND_IN_LOG": str(self.log),
        }
        self.move_to(folder / "un d\u00e9p\u00f4t")
        (self.root / "script").mkdir(parents=True)
        for name in FILES:
            shutil.copy(ROOT / name, self.root / name)
        (self.root / "script" / "check_environment.py").write_text(CHECK)

    def move_to(self, root: Path) -> None:
        """Say where the copy is from now on."""
        self.root = root
        self.venv = root / ".venv"
        self.python = self.venv / ("Scripts/python.exe" if WINDOWS else "bin/python")

    def site_packages(self) -> Path:
        pattern = "Lib/site-packages" if WINDOWS else "lib/python3*/site-packages"
        (folder,) = self.venv.glob(pattern)
        return folder

    def start(self, command: list, folder: Path | None = None, **variables: str):
        return subprocess.Popen(
            command,
            cwd=folder or self.root,
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )

    def run(self, command: list, folder: Path | None = None, **variables: str):
        """Run a command. Returns (exit status, standard output, standard error)."""
        process = self.start(command, folder, **variables)
        try:
            stdout, stderr = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return process.returncode, stdout, stderr

    def install_command(self, shell: str = "bash") -> list:
        program = self.root / "script" / "install.py"
        return [sys.executable, "-I", "-X", "utf8", program, shell]  # -I hides PYTHONUTF8

    def install(self, shell: str = "bash", folder: Path | None = None, **variables: str):
        """Run install.py as a door does. Returns (exit status, standard output, standard error)."""
        variables = {"UV": str(self.uv), **variables}
        return self.run(self.install_command(shell), folder, **variables)

    def calls(self) -> list[dict]:
        """The calls of uv: "words", "variables" and "folder"."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def install_call(self) -> dict:
        """The one call of uv that installs."""
        calls = [call for call in self.calls() if "--requirement" in call["words"]]
        (call,) = [call for call in calls if "--no-index" not in call["words"]]
        return call
