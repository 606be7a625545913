"""check_environment.py: what it says of each thing that is wrong, with hollow packages."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, load_script

SCRIPT = ROOT / "script" / "check_environment.py"
TORCH = """
__version__ = "2.13.0+hollow"
class Product:
    def __init__(self, device): self.device = device
    def __matmul__(self, other):
        if self.device in WRONG: raise RuntimeError(WRONG[self.device])
        return self
    def sum(self): return self
    def item(self): return 512.0
def ones(*shape, device): return Product(device)
class cuda:
    def is_available():
        import warnings
        if WARNING: warnings.warn(WARNING)
        return bool(CUDA)
    def device_count(): return CUDA
    def get_device_name(device): return "GeForce"
class backends:
    class mps:
        def is_available(): return MPS
"""
HOLLOW = {"WRONG": {}, "WARNING": "", "CUDA": 0, "MPS": False}


def check(folder: Path, *words: str, broken: str = "", torch: dict | None = None, **environ: str):
    """Run a copy of the script beside packages that hold nothing, in an environment of theirs."""
    packages = folder / "packages"
    for name in ("jupyter", "matplotlib/__init__", "matplotlib/pyplot", "numpy", "pytest"):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / f"{name}.py").touch()
    settings = "".join(f"{k} = {v!r}\n" for k, v in {**HOLLOW, **(torch or {})}.items())
    (packages / "torch.py").write_text(broken or settings + TORCH)
    copy = folder / "un dépôt" / "script" / SCRIPT.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    start = (
        f"import sys, runpy; sys.path.insert(0, {str(packages)!r}); sys.argv[0] = {str(copy)!r}; "
    )
    copy.write_text(SCRIPT.read_text())
    base = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    run = subprocess.run(
        [
            sys.executable,
            "-S",
            "-c",
            start + "runpy.run_path(sys.argv[0], run_name='__main__')",
            *words,
        ],
        env={**base, "PYTHONIOENCODING": "ascii:strict", **environ},
        capture_output=True,
        encoding="utf-8",
    )
    return run.returncode, run.stdout, run.stderr


def test_all_is_well(tmp_path):
    version = ".".join(map(str, sys.version_info[:3]))
    line = f"check: all is well: Python {version}, torch 2.13.0+hollow, devices: cpu"
    assert check(tmp_path) == (0, f"{line}\n", "")


@pytest.mark.parametrize(
    ("error", "environ", "words"),
    [
        ("OSError('[WinError 126] Error loading c10.dll')", {}, "Visual C++ runtime"),
        ("ImportError('DLL load failed while importing _C')", {}, "Visual C++ runtime"),
        (
            "ImportError('/usr/libstdc++.so.6: version `GLIBCXX_3.4.30 not found')",
            {"LD_LIBRARY_PATH": "/opt"},
            "LD_LIBRARY_PATH brings in other libraries (/opt), unset it",
        ),
        ("ImportError('c.so: failed to map segment from shared object')", {}, "(noexec)"),
        ("AttributeError('partially initialized module')", {}, "rename it"),
        ("ModuleNotFoundError('No module named sympy')", {}, "not installed for this Python, run "),
        ("ValueError('of\\nits own')", {}, "its own: delete .venv and run "),
    ],
)
def test_an_import_that_fails_has_its_own_last_line_and_a_likely_cause(
    tmp_path, error, environ, words
):
    status, stdout, _ = check(tmp_path, broken=f"raise {error}", **environ)
    line, last = stdout.splitlines()
    assert status == 1
    assert line.startswith("import torch: ")
    assert words in line
    assert last.startswith("check: not all is well: Python ")


@pytest.mark.parametrize(
    ("torch", "words", "devices"),
    [
        ({"CUDA": 2}, "", "cpu, cuda:0 (GeForce), cuda:1 (GeForce)"),
        ({"MPS": True}, "", "cpu, mps"),
        (
            {"CUDA": 2, "WRONG": {"cuda:0": "no kernel image is available"}},
            "device cuda:0 (GeForce): RuntimeError: no kernel image is available: torch's build",
            "cpu, cuda:1 (GeForce)",
        ),
        ({"CUDA": 1, "WRONG": {"cuda:0": "CUDA out of memory"}}, "others are using it", "cpu"),
        ({"MPS": True, "WRONG": {"mps": "odd"}}, "device mps: RuntimeError: odd: ", "cpu"),
        ({"WARNING": "The NVIDIA driver is too old"}, "its driver is older than torch's", "cpu"),
    ],
)
def test_a_device_that_cannot_compute_is_named_and_does_not_fail_the_install(
    tmp_path, torch, words, devices
):
    status, stdout, _ = check(tmp_path, torch=torch)
    assert status == 0
    assert stdout.endswith(f", devices: {devices}\n")
    if words:
        assert words in stdout.splitlines()[0]
        assert "--device cpu" in stdout
    assert ("UV_TORCH_BACKEND" in stdout) == bool(words and "others" not in words)
    assert ("check: all is well" in stdout) == (not words)


def test_pythonpath_is_named(tmp_path):
    status, stdout, _ = check(tmp_path, PYTHONPATH="/usr/ros/é")
    assert status == 0
    assert r"PYTHONPATH brings in modules from /usr/ros/\xe9: " in stdout


@pytest.mark.parametrize("shell", ["/bin/bash", "/usr/bin/fish", "/bin/tcsh"])
def test_another_python_than_that_of_venv_is_named(tmp_path, shell):
    (tmp_path / "un dépôt" / ".venv").mkdir(parents=True)
    gone = "raise ModuleNotFoundError('No module named torch')"
    _, stdout, _ = check(tmp_path, broken=gone, SHELL=shell)
    first, last = stdout.splitlines()  # that torch is missing there is no second thing to mend
    assert first.startswith(f"this is not .venv's Python but {sys.executable}: in ")
    ending = {"fish": ".fish", "tcsh": ".csh"}.get(Path(shell).name, "")
    assert (f"activate{ending}, or: .venv/bin/python" if os.name == "posix" else "Scripts") in first
    assert "python script" in first


def test_bad_option_and_help(tmp_path):
    status, stdout, stderr = check(tmp_path, "--bad")
    assert (status, stdout) == (2, "")
    assert stderr.splitlines()[-1].endswith("error: unrecognized arguments: --bad")
    status, stdout, stderr = check(tmp_path, "--help")
    assert (status, stderr) == (0, "")


def test_it_starts_on_python_3_6_and_importing_it_runs_nothing(capsys):
    source = SCRIPT.read_text(encoding="ascii")
    ast.parse(source, feature_version=(3, 6))
    assert source.count("\n") <= 130
    load_script("check_environment")
    assert capsys.readouterr() == ("", "")
