"""The main job, as the README has it: what the installer made draws the first figure."""

import os
import subprocess

import pytest
from conftest import ROOT

FIGURE = ROOT / "figures" / "gd_torch_quadratic_diagnostics.png"

if os.name == "nt":
    PYTHON = ROOT / ".venv" / "Scripts" / "python.exe"
    INSTALL = "powershell -ExecutionPolicy Bypass -File script/install.ps1"
else:
    PYTHON = ROOT / ".venv" / "bin" / "python"
    INSTALL = "bash script/install.sh"


@pytest.mark.skipif(not PYTHON.exists(), reason=f"There is no .venv here yet; run: {INSTALL}")
def test_the_installed_environment_draws_the_first_figure():
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
