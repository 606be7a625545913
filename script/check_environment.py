"""Say whether the environment is as it should be, and what helps where it is not.

    python script/check_environment.py

Both installers end with this program. It starts on any Python from 3.6 on, because it runs on
whichever `python` is on PATH. It prints a line for each thing that is wrong, and one at the end. If
nothing is wrong, this one is all that it prints:

    check: all is well: Python 3.12.4, torch 2.13.0+cpu, devices: cpu

The exit status is 1 if a package does not work or a file has the name of a module, else 0.
"""

import os
import sys

AT_START = set(sys.modules)  # what Python has loaded already: no file can take its place any more

HERE = os.getcwd()
if "__file__" in globals():  # not in a notebook
    HERE = os.path.dirname(os.path.realpath(__file__))


def pythonpath_folders() -> list:
    """Return the folders that the variable PYTHONPATH names."""
    folders = os.environ.get("PYTHONPATH")
    if not folders:
        return []
    return [os.path.realpath(folder) for folder in folders.split(os.pathsep)]


def searched_first() -> list:
    """Return the folders in which Python looks for a module before all others.

    For a script it is the script's own, and with `python -m` the current one.
    """
    first = os.path.realpath(sys.path[0])
    if first in pythonpath_folders():  # which `python -P` searches first
        return [HERE]
    return [HERE, first]


def without(folders: list) -> list:
    """Return sys.path without these folders."""
    return [entry for entry in sys.path if os.path.realpath(entry) not in folders]


# A file random.py in such a folder would be imported in place of the module random, by this
# program, too. So while it imports what it needs, these folders are searched last.
PATH = list(sys.path)
PYTHONPATH = pythonpath_folders()
FIRST = searched_first()
sys.path[:] = without(FIRST + PYTHONPATH) + FIRST + PYTHONPATH

import argparse
import importlib
import pkgutil
import platform
import traceback
import warnings
from importlib.machinery import FrozenImporter, PathFinder

sys.path[:] = PATH

IN_LESSONS = ("matplotlib.pyplot", "numpy", "torch")
BESIDE_LESSONS = ("jupyter", "pytest")
# what else the lessons import, or torch's Timer for them
TOO = ("configparser", "getopt", "hmac", "resource", "secrets", "setuptools", "statistics")

WINDOWS = os.name == "nt"
INSTALL = "bash script/install.sh"
BUILD = "run UV_TORCH_BACKEND=cu126 bash script/install.sh"
if WINDOWS:
    INSTALL = r"powershell -ExecutionPolicy Bypass -File script/install.ps1"
    BUILD = f"run $env:UV_TORCH_BACKEND='cu126'; {INSTALL}"

# Signs in the text of an error, what they likely mean, and what helps. The first that fits counts.
RUNTIME = "install Microsoft's Visual C++ runtime, https://aka.ms/vs/17/release/vc_redist.x64.exe"
NO_MAP = (
    "clone elsewhere if its file system forbids programs (noexec),"
    " or run ulimit -v unlimited if memory is limited"
)
IMPORT_CAUSES = (
    (("No module named",), f"it is not installed for this Python, run {INSTALL}"),
    (("WinError 126", "DLL load failed"), RUNTIME),
    (("failed to map segment",), NO_MAP),
)
LIBRARIES = ("GLIBCXX_", "CXXABI_", "undefined symbol", ".so")
OTHERWISE = f"delete .venv and run {INSTALL}; if this line comes again, show it in class"

NO_KERNEL = "torch's build does not serve it; if it is an older GPU"
OLD_DRIVER = ("driver on your system is too old", "driver version is insufficient")
CUDA_CAUSES = (
    (("no kernel image", "not compatible"), f"{NO_KERNEL}, {BUILD}, or "),
    (OLD_DRIVER, f"its driver is older than torch's build, update it or {BUILD}, or "),
    (("out of memory", "busy"), "others are using it (nvidia-smi), wait, or "),
    (("",), f"torch's build may not fit it, {BUILD}, or "),
)
ON_CPU = "use --device cpu, for a timed lesson DEVICE=cpu"


def cause(text: str, table: tuple) -> str:
    """Return what the table says of the first sign that is in the text, or "" without one."""
    for signs, meaning in table:
        for sign in signs:
            if sign in text:
                return meaning
    return ""


def last_line(error: Exception) -> str:
    """Return the last line that Python would print for an error."""
    text = "".join(traceback.format_exception_only(type(error), error))
    return text.strip().splitlines()[-1].rstrip(".")


def wrong_python() -> list:
    """Return a line if a .venv lies beside the folder of this file and another Python runs."""
    root = os.path.dirname(HERE)
    venv = os.path.realpath(os.path.join(root, ".venv"))
    if "__file__" not in globals() or not os.path.isdir(venv):
        return []
    if os.path.realpath(sys.prefix) == venv:
        return []
    return [f"this is not .venv's Python but {sys.executable}: in {root}, run: {how_to_run()}"]


def how_to_run() -> str:
    """Return what runs a script with .venv's Python, in the user's shell."""
    if WINDOWS:
        if "MSYSTEM" in os.environ:  # Git Bash, and PowerShell inside it
            return ".venv/Scripts/python script/NAME.py"
        return r".venv\Scripts\python script\NAME.py"  # PowerShell and cmd
    endings = {"fish": ".fish", "csh": ".csh", "tcsh": ".csh"}
    shell = os.path.basename(os.environ.get("SHELL", ""))
    activate = f".venv/bin/activate{endings.get(shell, '')}"
    return f"source {activate}, or: .venv/bin/python script/NAME.py"


def reaching_in() -> list:
    """Return a line for each variable that brings modules from outside into every Python."""
    lines = []
    for name in ("PYTHONPATH", "PYTHONHOME"):
        undo = f"unset {name}"
        if WINDOWS:
            undo = f"$env:{name}=$null"
        if os.environ.get(name):
            lines.append(f"{name} brings in modules from {os.environ[name]}: {undo}")
    return lines


def modules_in(folder: str) -> dict:
    """Return the modules that Python finds in a folder: the file or the folder of each, by name."""
    files = {}
    for _, name, is_package in pkgutil.iter_modules([folder]):
        files[name] = os.path.join(folder, name)
        if not is_package:
            files[name] = PathFinder.find_spec(name, [folder]).origin
    return files


def comes_from_a_file(name: str) -> bool:
    """Whether Python looks for a module of this name in folders, and does not hold it itself."""
    return name not in sys.builtin_module_names and FrozenImporter.find_spec(name) is None


def imported_by_lessons() -> set:
    """Return the names of the modules that a lesson imports, or a package for it.

    It is called when the packages that lessons need have been imported, and no other.
    """
    loaded = set(sys.modules) - AT_START
    wanted = {name.split(".")[0] for name in IN_LESSONS + TOO}
    return loaded | wanted


def in_the_way(names: set) -> list:
    """Return a line for each file that Python would import in place of a module of these names."""
    lines = []
    for folder in sorted(set(FIRST)):
        for name, file in modules_in(folder).items():
            if name in names and comes_from_a_file(name):
                line = f"{file}: it stops the scripts in its folder, because they import it"
                lines.append(f"{line} in place of the module {name}: rename it")
    return lines


def replaced_by_pythonpath() -> list:
    """Return the files in the folders of PYTHONPATH that have the names of other modules."""
    files = []
    for folder in PYTHONPATH:
        if folder in FIRST:  # it is not searched while the packages are imported
            continue
        for name, file in modules_in(folder).items():
            elsewhere = PathFinder.find_spec(name, without(PYTHONPATH))
            if elsewhere is not None and comes_from_a_file(name):
                files.append(file)
    return files


def why_import_fails(text: str) -> str:
    """Return what an error of an import likely means, and what helps."""
    files = replaced_by_pythonpath()
    if files:
        return f"PYTHONPATH brings in {', '.join(files[:3])}, unset it"
    libraries = os.environ.get("LD_LIBRARY_PATH")
    otherwise = OTHERWISE
    if libraries and cause(text, ((LIBRARIES, "other libraries"),)):
        otherwise = f"LD_LIBRARY_PATH brings in other libraries ({libraries}), unset it"
    return cause(text, IMPORT_CAUSES) or otherwise


def failed_imports(packages: tuple) -> list:
    """Import these packages. Return a line for each one that fails."""
    lines = []
    for name in packages:
        try:
            importlib.import_module(name)
        except Exception as error:  # a broken package raises anything
            text = last_line(error)
            lines.append(f"import {name}: {text}: {why_import_fails(text)}")
    return lines


def product_error(torch, device: str) -> str:
    """Multiply two matrices on a device. Return what goes wrong, "" if nothing does."""
    try:
        matrix = torch.ones(8, 8, device=device)
        total = (matrix @ matrix).sum().item()
    except Exception as error:
        return last_line(error)
    if total != 512:
        return f"its product of two matrices is wrong: the sum is {total}, not 512"
    return ""


def mps_devices(torch) -> tuple:
    """Compute on a Mac's GPU. Return the names of devices that can, and a line for each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not torch.backends.mps.is_available():
            return [], []
        text = product_error(torch, "mps")
    if text:
        return [], [f"device mps: {text}: {ON_CPU}"]
    return ["mps"], []


def cuda_title(torch, device: str) -> str:
    """Return the name of an NVIDIA GPU for a line, like "cuda:0 (NVIDIA H100)"."""
    try:
        return f"{device} ({torch.cuda.get_device_name(device)})"
    except Exception:  # what is wrong with it, the product will say
        return device


def cuda_devices(torch) -> tuple:
    """Compute on each NVIDIA GPU. Return the names of those that can, and a line for each other."""
    names = []
    errors = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
        if available:
            for index in range(torch.cuda.device_count()):
                title = cuda_title(torch, f"cuda:{index}")
                text = product_error(torch, f"cuda:{index}")
                if text:
                    errors[title] = text
                else:
                    names.append(title)
    if caught and not available:  # a driver that is there, and does not serve this build
        errors["cuda"] = str(caught[0].message).strip().splitlines()[0]
    lines = []
    for title, text in errors.items():
        lines.append(f"device {title}: {text}: {cause(text, CUDA_CAUSES)}{ON_CPU}")
    return names, lines


def torch_summary(torch) -> tuple:
    """Return torch's version and devices as one text, and a line for each device that fails."""
    mps, mps_lines = mps_devices(torch)
    cuda, cuda_lines = cuda_devices(torch)
    names = ", ".join(["cpu"] + mps + cuda)
    return f", torch {torch.__version__}, devices: {names}", mps_lines + cuda_lines


def main(argv=None) -> int:
    """Print what is wrong and, last, whether all is well. Return the exit status."""
    description = "Say whether the environment is as it should be, and what helps where it is not."
    argparse.ArgumentParser(description=description).parse_args(argv)
    another_python = wrong_python()
    failed = failed_imports(IN_LESSONS)
    files = in_the_way(imported_by_lessons())
    failed += failed_imports(BESIDE_LESSONS)
    summary = f"Python {platform.python_version()}"
    devices = []
    if "torch" in sys.modules:
        try:
            of_torch, devices = torch_summary(sys.modules["torch"])
            summary += of_torch
        except Exception as error:  # half of torch, or something else of its name
            text = last_line(error)
            failed.append(f"import torch: {text}: {why_import_fails(text)}")

    lines = another_python + files
    for line in failed:
        # that another Python lacks the packages is no second thing to mend
        if not another_python or "No module named" not in line:
            lines.append(line)
    lines += reaching_in() + devices
    verdict = "all is well"
    if lines:
        verdict = "not all is well"
    lines.append(f"check: {verdict}: {summary}")
    for line in lines:
        print(line.encode("ascii", "backslashreplace").decode())
    if failed or files:
        return 1
    return 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if "__file__" not in globals():  # a notebook's arguments are not ours
        arguments = []
    sys.path[:] = without(FIRST)  # so that the packages are found, and no file in their place
    try:
        status = main(arguments)
    finally:
        sys.path[:] = PATH
    if status != 0:
        sys.exit(status)
