"""A stand-in for uv: `run` starts this Python, `venv` makes an environment, `pip install` writes
packages of one file.

It appends each call as a line of JSON to the file that STAND_IN_LOG names: its words, its
variables and its folder. What ON_VENV, ON_DRY_RUN and ON_INSTALL hold is Python, run at that call.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

WINDOWS = os.name == "nt"


def log(words: list[str]) -> None:
    variables = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("UV_", "PIP_", "VIRTUAL", "PYTHON", "CONDA"))
    }
    call = {"words": words, "variables": variables, "folder": os.getcwd()}
    with open(os.environ["STAND_IN_LOG"], "a") as file:
        file.write(json.dumps(call) + "\n")


def do(step: str) -> None:
    exec(os.environ.get(f"ON_{step}", ""))


def run(words: list[str]) -> int:
    """Start the program as uv does: in an environment of its own, which it makes active."""
    import tempfile  # here, since most calls need it not

    with tempfile.TemporaryDirectory() as folder:
        variables = dict(os.environ, UV=sys.argv[0], VIRTUAL_ENV=folder)
        variables["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
        command = [sys.executable, *words[words.index("python") + 1 :]]
        return subprocess.run(command, env=variables).returncode


def make_venv(place: str) -> None:
    """Make an environment and copy it there: Python's venv refuses a link, and a colon."""
    import tempfile
    import venv

    with tempfile.TemporaryDirectory() as folder:
        venv.EnvBuilder(symlinks=not WINDOWS).create(folder)
        shutil.copytree(folder, place, symlinks=True, dirs_exist_ok=True)


def write_package(site: Path, name: str, version: str) -> None:
    """Write a package of one file, and its list of files as an installer does."""
    for old in site.glob(f"{name}-*.dist-info"):
        (old / "RECORD").unlink()
        old.rmdir()
    (site / f"{name}.py").write_text("x = 1\n", newline="\n")
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir()
    (folder / "RECORD").write_text(f"{name}.py,,6\n{folder.name}/RECORD,,\n")


def pip_install(words: list[str]) -> int:
    python = Path(words[words.index("--python") + 1])
    (site,) = python.parent.parent.glob(
        "Lib/site-packages" if WINDOWS else "lib/python3*/site-packages"
    )
    torch_is_there = any(site.glob("torch-*.dist-info"))
    if "--no-index" in words:
        return 0 if torch_is_there else 1
    if "--dry-run" in words:
        do("DRY_RUN")
        if not torch_is_there or "--reinstall-package" in words:
            print(" + torch==2.15.0+cpu", file=sys.stderr)
        return 0
    do("INSTALL")
    write_package(site, "torch", "2.15.0+" + os.environ.get("UV_TORCH_BACKEND", "default"))
    return 0


def main(words: list[str]) -> int:
    if "--help" in words:
        print("--torch-backend <TORCH_BACKEND>")
        return 0
    if words[0] == "run":
        return run(words)
    log(words)
    if words[0] == "cache":
        print(os.environ["STAND_IN_LOG"] + " cache")
    elif words[0] == "venv":
        do("VENV")
        make_venv(next(word for word in words if word.endswith(".venv")))
    else:
        return pip_install(words)
    return 0


sys.exit(main(sys.argv[1:]))
