"""The main job, as the README has it: what the installer made draws the first figure."""

import os
import shutil
import subprocess

import pytest
from conftest import ROOT

if os.name == "nt":
    PYTHON = ROOT / ".venv" / "Scripts" / "python.exe"
    INSTALL = "powershell -ExecutionPolicy Bypass -File script/install.ps1"
else:
    PYTHON = ROOT / ".venv" / "bin" / "python"
    INSTALL = "bash script/install.sh"


@pytest.mark.skipif(not PYTHON.exists(), reason=f"There is no .venv here yet; run: {INSTALL}")
def test_the_installed_environment_draws_the_first_figure(tmp_path):
    """In a copy: the figures that a student has drawn stay, and the folder may be read-only."""
    (tmp_path / "script").mkdir()
    copy = shutil.copy(ROOT / "script" / "gd_1d_torch.py", tmp_path / "script")
    subprocess.run([PYTHON, copy], check=True, timeout=900)
    figure = tmp_path / "figures" / "gd_torch_quadratic_diagnostics.png"
    assert figure.read_bytes().startswith(b"\x89PNG")
