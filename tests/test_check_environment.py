"""check_environment.py: what it says of each thing that is wrong, with hollow packages."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT, load_script, python

SCRIPT = ROOT / "script" / "check_environment.py"
PACKAGES = ("jupyter", "matplotlib/__init__", "matplotlib/pyplot", "numpy", "pytest", "torch")

# A torch that holds what the script asks of it. The tests set the CONSTANTS.
TORCH = """
import random, runpy
__version__ = "2.13.0+hollow"
WARNING = ""
GPUS = 0
MPS = False
TOTAL = 512.0
ERRORS = {}
class Product:
    def __init__(self, device): self.device = device
    def __matmul__(self, other):
        if self.device in ERRORS: raise RuntimeError(ERRORS[self.device])
        return self
    def sum(self): return self
    def item(self): return TOTAL
def ones(*shape, device): return Product(device)
class cuda:
    def is_available():
        import warnings
        if WARNING: warnings.warn(WARNING)
        return GPUS > 0
    def device_count(): return GPUS
    def get_device_name(device): return "GeForce"
class backends:
    class mps:
        def is_available(): return MPS
"""


class Hollow:
    """A folder with a copy of the script, and a Python whose packages hold next to nothing."""

    def __init__(self, folder: Path):
        self.root = folder / "un dépôt"
        self.script = self.root / "script"
        self.script.mkdir(parents=True)
        shutil.copy(SCRIPT, self.script)
        home = folder / "home"
        venv.create(home, symlinks=os.name == "posix")
        places = {"base": str(home), "platbase": str(home)}
        scripts = Path(sysconfig.get_path("scripts", "venv", places))
        self.python = scripts / f"python{sysconfig.get_config_var('EXE')}"
        self.packages = Path(sysconfig.get_path("purelib", "venv", places))
        (self.packages / "matplotlib").mkdir()
        for name in PACKAGES:
            (self.packages / f"{name}.py").touch()
        self.torch()

    def torch(self, **constants):
        """Set CONSTANTS of the hollow torch."""
        settings = [f"{name} = {value!r}\n" for name, value in constants.items()]
        (self.packages / "torch.py").write_text(TORCH + "".join(settings))

    def broken_torch(self, error: str):
        (self.packages / "torch.py").write_text(f"raise {error}")

    def run(self, **environ: str) -> SimpleNamespace:
        """Run the script as a user does."""
        return self.run_python(self.script / SCRIPT.name, **environ)

    def run_python(self, *words: str | Path, cwd: Path | None = None, **environ: str):
        """Run this Python: its status, stdout, stderr and the lines of stdout."""
        environ["PYTHONIOENCODING"] = "ascii:strict"
        for name in ("PATH", "SYSTEMROOT"):
            if name in os.environ:
                environ[name] = os.environ[name]
        run = subprocess.run(
            [self.python, *words], cwd=cwd, env=environ, capture_output=True, encoding="utf-8"
        )
        return SimpleNamespace(
            status=run.returncode,
            stdout=run.stdout,
            stderr=run.stderr,
            lines=run.stdout.splitlines(),
        )


@pytest.fixture
def hollow(tmp_path) -> Hollow:
    return Hollow(tmp_path)


def printable(path: Path | str) -> str:
    """A path as the script prints it."""
    return str(path).encode("ascii", "backslashreplace").decode()


def is_well(run: SimpleNamespace) -> bool:
    """Whether the run says that all is well, and nothing else."""
    return run.status == 0 and run.stderr == "" and run.stdout.startswith("check: all is well: ")


def test_all_is_well(hollow):
    version = ".".join(str(number) for number in sys.version_info[:3])
    run = hollow.run()
    line = f"check: all is well: Python {version}, torch 2.13.0+hollow, devices: cpu"
    assert (run.status, run.lines, run.stderr) == (0, [line], "")


@pytest.mark.parametrize("options", [["-O"], ["-OO"], ["-P"], ["-I"]])
def test_all_is_well_with_an_option_of_pythons(hollow, options):
    assert is_well(hollow.run_python(*options, hollow.script / SCRIPT.name))


def test_pythonoptimize_needs_no_line(hollow):
    assert is_well(hollow.run(PYTHONOPTIMIZE="2"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("OSError('[WinError 126] Error loading c10.dll')", "Visual C++ runtime"),
        ("ImportError('DLL load failed while importing _C')", "Visual C++ runtime"),
        ("ImportError('c.so: failed to map segment from shared object')", "(noexec)"),
        ("ImportError('c.so: failed to map segment from shared object')", "ulimit -v"),
        ("ModuleNotFoundError('No module named sympy')", "not installed for this Python, run "),
        ("ValueError('of\\nits own')", "its own: delete .venv and run "),
    ],
)
def test_an_import_that_fails_has_its_own_last_line_and_a_likely_cause(hollow, error, words):
    hollow.broken_torch(error)
    run = hollow.run()
    line, last = run.lines
    assert run.status == 1
    assert line.startswith("import torch: ")
    assert words in line
    assert last.startswith("check: not all is well: Python ")


def test_libraries_from_ld_library_path_are_named(hollow):
    hollow.broken_torch("ImportError('/usr/libstdc++.so.6: version `GLIBCXX_3.4.30 not found')")
    run = hollow.run(LD_LIBRARY_PATH="/opt")
    assert run.status == 1
    assert "LD_LIBRARY_PATH brings in other libraries (/opt), unset it" in run.lines[0]


def test_half_of_torch_is_no_torch(hollow):
    (hollow.packages / "torch.py").write_text("")
    run = hollow.run()
    assert run.status == 1
    assert run.lines[0].startswith("import torch: AttributeError: module 'torch' has no attribute")
    assert "delete .venv and run " in run.lines[0]


# A file with the name of a module


@pytest.mark.parametrize(
    "name",
    ["argparse", "matplotlib", "numpy", "platform", "random", "torch", "traceback", "warnings"],
)
@pytest.mark.parametrize("code", ["x = 1", "raise SystemError", "not Python"])
def test_a_file_with_the_name_of_a_module_is_named(hollow, name, code):
    file = hollow.script / f"{name}.py"
    file.write_text(code)
    run = hollow.run()
    line, last = run.lines
    assert (run.status, run.stderr) == (1, "")
    assert line.startswith(f"{printable(file)}: it stops the scripts in its folder, ")
    assert line.endswith(f" in place of the module {name}: rename it")
    assert last.startswith("check: not all is well: ")
    assert last.endswith("devices: cpu")


def test_a_folder_with_the_name_of_a_module_is_named(hollow):
    folder = hollow.script / "numpy"
    folder.mkdir()
    assert is_well(hollow.run())  # Python takes it only if nothing else has this name
    (folder / "__init__.py").touch()
    run = hollow.run()
    assert run.status == 1
    assert run.lines[0].startswith(f"{printable(folder)}: it stops the scripts in its folder, ")


def test_a_file_in_place_of_a_package_that_is_missing_is_named(hollow):
    (hollow.packages / "torch.py").unlink()
    (hollow.script / "torch.py").touch()
    run = hollow.run()
    assert run.status == 1
    assert run.lines[0].endswith(" in place of the module torch: rename it")
    assert run.lines[1].startswith("import torch: ModuleNotFoundError: ")


def test_files_that_are_in_nobodys_way_are_not_named(hollow):
    """Copies of lessons, and files with the name of a module that no lesson imports.

    Some modules Python holds itself, or it has loaded them before it looks into script/.
    """
    of_python = ("encodings", "itertools", "os", "runpy", "sys", "time")
    for name in ("my_dtypes", "__init__", "jupyter", "pytest", "test", "turtle", *of_python):
        (hollow.script / f"{name}.py").write_text("raise SystemError")
    for path in (ROOT / "script").glob("*.py"):
        shutil.copy(path, hollow.script)
    assert is_well(hollow.run())


def modules_that_lessons_import() -> set[str]:
    """Also in the code that some lessons hand to another Python as a text.

    install.py is no lesson, and imports no file beside it (-I).
    """
    names = set()
    for path in (ROOT / "script").glob("*.py"):
        if path.name not in (SCRIPT.name, "install.py"):
            text = path.read_text(encoding="utf-8")
            names.update(re.findall(r"^ *import (\w+)", text, re.MULTILINE))
            names.update(re.findall(r"^ *from (\w+)[\w.]* import", text, re.MULTILINE))
    return names


def test_every_module_that_a_lesson_imports_is_known(tmp_path):
    """With the real packages, and a file for each such module that Python takes from a file."""
    loaded = python("-c", "import sys; print('\\n'.join(sys.modules))", cwd=tmp_path)
    names = modules_that_lessons_import()
    names -= set(loaded.stdout.splitlines())
    names -= set(sys.builtin_module_names)
    assert {"matplotlib", "statistics", "torch"} <= names
    for name in names:
        (tmp_path / f"{name}.py").touch()
    run = python(shutil.copy(SCRIPT, tmp_path), cwd=tmp_path)
    assert run.stderr == ""
    for name in names:
        assert f" in place of the module {name}: rename it\n" in run.stdout


@pytest.mark.parametrize("name", ["argparse", "numpy", "random", "torch", "traceback"])
def test_a_file_in_the_current_folder_is_named_with_m(hollow, name):
    file = hollow.root / f"{name}.py"
    file.touch()
    run = hollow.run_python("-m", "script.check_environment", cwd=hollow.root)
    assert (run.status, run.stderr) == (1, "")
    assert run.lines[0].startswith(f"{printable(file)}: it stops the scripts in its folder, ")
    assert is_well(hollow.run())


def test_a_file_beside_the_script_is_named_with_m(hollow):
    file = hollow.script / "random.py"
    file.touch()
    run = hollow.run_python("-m", "script.check_environment", cwd=hollow.root)
    assert run.status == 1
    assert run.lines[0].startswith(f"{printable(file)}: it stops the scripts in its folder, ")


def test_a_file_in_the_current_folder_of_a_notebook_is_named(hollow):
    file = hollow.root / "random.py"
    file.touch()
    paste = "exec(open('script/check_environment.py').read())"
    run = hollow.run_python("-c", paste, cwd=hollow.root)
    assert (run.status, run.stderr) == (1, "")
    assert run.lines[0].startswith(f"{printable(file)}: it stops the scripts in its folder, ")


def test_a_notebook_keeps_its_path(hollow):
    paste = "exec(open('check_environment.py').read()); import sys; print(sys.path[0] == '')"
    run = hollow.run_python("-c", paste, "--an-option-of-the-notebooks", cwd=hollow.script)
    assert run.stderr == ""
    assert run.lines[-1] == "True"


# Variables that reach in


def test_pythonpath_is_named(hollow):
    run = hollow.run(PYTHONPATH="/usr/ros/é")
    assert run.status == 0
    assert r"PYTHONPATH brings in modules from /usr/ros/\xe9: " in run.lines[0]
    assert run.lines[-1].startswith("check: not all is well: ")


def test_pythonhome_is_named(hollow):
    run = hollow.run(PYTHONHOME=sys.base_prefix)
    home = printable(sys.base_prefix)
    assert f"PYTHONHOME brings in modules from {home}: " in run.stdout


@pytest.mark.parametrize("name", ["argparse", "platform", "random", "torch", "traceback"])
def test_a_file_of_pythonpath_named_like_a_module_is_named(hollow, tmp_path, name):
    (hollow.packages / "numpy.py").write_text("from random import random")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a_module_of_my_own.py").touch()
    file = folder / f"{name}.py"
    file.write_text("x = 1")
    run = hollow.run(PYTHONPATH=str(folder))
    assert run.stderr == ""
    assert f"PYTHONPATH brings in modules from {printable(folder)}: " in run.stdout
    if name in ("random", "torch"):
        assert run.status == 1
        assert f": PYTHONPATH brings in {printable(file)}, unset it" in run.lines[0]
    else:  # no package needs it here, and the script imports its own first
        assert run.status == 0


def test_a_file_in_the_way_is_to_be_renamed_even_if_pythonpath_names_its_folder(hollow):
    (hollow.script / "numpy.py").touch()
    hollow.broken_torch("ValueError('odd')")
    run = hollow.run(PYTHONPATH=str(hollow.script))
    assert run.status == 1
    assert run.lines[0].endswith(" in place of the module numpy: rename it")
    assert run.lines[1].startswith("import torch: ValueError: odd: delete .venv ")


# Devices


@pytest.mark.parametrize(
    ("torch", "devices"),
    [({"GPUS": 2}, "cpu, cuda:0 (GeForce), cuda:1 (GeForce)"), ({"MPS": True}, "cpu, mps")],
)
def test_devices_that_can_compute_are_named(hollow, torch, devices):
    hollow.torch(**torch)
    run = hollow.run()
    assert is_well(run)
    assert run.stdout.endswith(f", devices: {devices}\n")


TOO_OLD = "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040)."
INSUFFICIENT = "CUDA driver version is insufficient for CUDA runtime version"
UNKNOWN = "CUDA driver initialization failed, you might not have a CUDA gpu."


@pytest.mark.parametrize(
    ("torch", "words"),
    [
        ({"GPUS": 1, "ERRORS": {"cuda:0": "no kernel image"}}, "if it is an older GPU, run "),
        ({"GPUS": 1, "ERRORS": {"cuda:0": "odd"}}, "torch's build may not fit it, run "),
        ({"GPUS": 1, "ERRORS": {"cuda:0": INSUFFICIENT}}, "its driver is older than torch's"),
        ({"WARNING": TOO_OLD}, "its driver is older than torch's build, update it or run "),
        ({"WARNING": UNKNOWN}, "torch's build may not fit it, run "),
    ],
)
def test_a_gpu_that_another_build_may_serve(hollow, torch, words):
    hollow.torch(**torch)
    run = hollow.run()
    assert run.status == 0  # the install has not failed, and the CPU computes
    line, last = run.lines
    assert line.startswith("device cuda")
    assert words in line
    assert "UV_TORCH_BACKEND" in line
    assert line.endswith(", or use --device cpu, for a timed lesson DEVICE=cpu")
    assert last.startswith("check: not all is well: ")
    assert last.endswith(", devices: cpu")


def test_a_gpu_that_others_use(hollow):
    hollow.torch(GPUS=2, ERRORS={"cuda:1": "CUDA out of memory"})
    run = hollow.run()
    assert run.status == 0
    line, last = run.lines
    assert line.startswith("device cuda:1 (GeForce): RuntimeError: CUDA out of memory: others are ")
    assert "UV_TORCH_BACKEND" not in line
    assert last.endswith(", devices: cpu, cuda:0 (GeForce)")


@pytest.mark.parametrize("error", ["odd", "MPS backend out of memory", "no kernel image"])
def test_what_helps_an_nvidia_gpu_is_no_advice_for_a_mac(hollow, error):
    hollow.torch(MPS=True, ERRORS={"mps": error})
    run = hollow.run()
    assert run.status == 0
    advice = "use --device cpu, for a timed lesson DEVICE=cpu"
    assert run.lines[0] == f"device mps: RuntimeError: {error}: {advice}"
    assert run.lines[1].endswith(", devices: cpu")


@pytest.mark.parametrize("options", [[], ["-O"]])
def test_a_product_that_is_wrong_is_named(hollow, options):
    hollow.torch(GPUS=1, TOTAL=511.0)
    run = hollow.run_python(*options, hollow.script / SCRIPT.name)
    words = "its product of two matrices is wrong: the sum is 511.0, not 512: "
    assert run.lines[0].startswith(f"device cuda:0 (GeForce): {words}")
    assert run.lines[1].endswith(", devices: cpu")


# Another Python


@pytest.mark.parametrize(
    ("shell", "activate"),
    [
        ("/bin/bash", "activate"),
        ("/usr/bin/fish", "activate.fish"),
        ("/bin/tcsh", "activate.csh"),
    ],
)
def test_another_python_than_that_of_venv_is_named(hollow, shell, activate):
    (hollow.root / ".venv").mkdir()
    hollow.broken_torch("ModuleNotFoundError('No module named torch')")
    run = hollow.run(SHELL=shell)
    line, last = run.lines  # that torch is missing there is no second thing to mend
    assert run.status == 1
    root = printable(hollow.root)
    if os.name == "posix":
        use = f"source .venv/bin/{activate}, or: .venv/bin/python script/NAME.py"
    else:
        use = r".venv\Scripts\python script\NAME.py"
    python_here = printable(hollow.python)
    assert line == f"this is not .venv's Python but {python_here}: in {root}, run: {use}"


@pytest.mark.skipif(os.name != "nt", reason="needs Windows")
def test_git_bash_gets_slashes(hollow):
    (hollow.root / ".venv").mkdir()
    line = hollow.run(MSYSTEM="MINGW64").lines[0]
    assert line.endswith(", run: .venv/Scripts/python script/NAME.py")


def older_pythons() -> dict[str, str]:
    """Those on this machine, by version. Some that are on PATH are no more than a message."""
    found = {}
    for version in ("3.6", "3.7", "3.8", "3.9", "3.10"):
        path = shutil.which(f"python{version}")
        if path and subprocess.run([path, "--version"], capture_output=True).returncode == 0:
            found[version] = path
    return found


def test_it_runs_on_older_pythons(hollow):
    """As it is, and with a file in the way of its own imports."""
    file = hollow.script / "argparse.py"
    older = older_pythons()
    if not older:
        pytest.skip("needs a Python from 3.6 to 3.10, which is not installed here")
    for version, path in older.items():
        hollow.python = path
        run = hollow.run()
        assert run.stderr == ""
        assert run.lines[-1].startswith("check: ")
        assert f" all is well: Python {version}." in run.lines[-1]
        file.touch()
        run = hollow.run()
        assert (run.status, run.stderr) == (1, "")
        assert "argparse.py: it stops the scripts in its folder, " in run.lines[0]
        file.unlink()


def test_it_is_written_for_python_3_6():
    ast.parse(SCRIPT.read_text(encoding="ascii"), feature_version=(3, 6))


def test_importing_it_runs_nothing_and_keeps_the_path(capsys):
    path = list(sys.path)
    load_script("check_environment")
    assert capsys.readouterr() == ("", "")
    assert sys.path == path


# Options


def test_a_bad_option_ends_with_one_line_that_says_so(hollow):
    run = hollow.run_python(hollow.script / SCRIPT.name, "--bad")
    assert (run.status, run.stdout) == (2, "")
    assert run.stderr.splitlines()[-1].endswith("error: unrecognized arguments: --bad")


def test_help(hollow):
    run = hollow.run_python(hollow.script / SCRIPT.name, "--help")
    assert (run.status, run.stderr) == (0, "")
    assert "Say whether the environment is as it should be" in run.stdout
