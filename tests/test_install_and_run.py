"""The main job, as README has it: what the installer made draws the first figure."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIGURE = ROOT / "figures" / "gd_torch_quadratic_diagnostics.png"

if os.name == "nt":
    PYTHON = ROOT / ".venv" / "Scripts" / "python.exe"
    INSTALL = r"powershell -ExecutionPolicy Bypass -File script/install.ps1"
else:
    PYTHON = ROOT / ".venv" / "bin" / "python"
    INSTALL = "bash script/install.sh"


def test_the_installed_environment_draws_the_first_figure():
    assert PYTHON.exists(), f"there is no {PYTHON}; run: {INSTALL}"
    before = FIGURE.read_bytes() if FIGURE.exists() else None
    FIGURE.unlink(missing_ok=True)
    try:
        subprocess.run([PYTHON, ROOT / "script" / "gd_1d_torch.py"], check=True)
        assert FIGURE.read_bytes().startswith(b"\x89PNG"), "this run wrote no figure"
    finally:
        if before is None:
            FIGURE.unlink(missing_ok=True)
        else:
            FIGURE.write_bytes(before)  # another matplotlib may draw other bytes
