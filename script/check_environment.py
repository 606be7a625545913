"""Say whether the environment is as it should be, and what helps where it is not.

Both installers end with it. It starts on any Python from 3.6 on: whichever `python` is on PATH.
"""

import argparse
import importlib
import os
import platform
import sys
import traceback
import warnings

NAMES = ("jupyter", "matplotlib.pyplot", "numpy", "pytest", "torch")
WINDOWS = os.name == "nt"
INSTALL, BUILD = "bash script/install.sh", "run UV_TORCH_BACKEND=cu126 bash script/install.sh"
if WINDOWS:
    INSTALL = r"powershell -ExecutionPolicy Bypass -File script/install.ps1"
    BUILD = "run $env:UV_TORCH_BACKEND='cu126'; " + INSTALL

# What an error says, what that likely means, and what helps. The first that fits is taken.
RUNTIME = "install Microsoft's Visual C++ runtime, https://aka.ms/vs/17/release/vc_redist.x64.exe"
IMPORT_CAUSES = (
    (("partially initialized",), "a file of yours has the name of a package, rename it"),
    (("No module named",), "it is not installed for this Python, run " + INSTALL),
    (("WinError 126", "DLL load failed"), RUNTIME),
    (("failed to map segment",), "its file system forbids programs (noexec), clone elsewhere"),
)
LIBRARIES = ("GLIBCXX_", "CXXABI_", "undefined symbol", ".so")
OTHERWISE = "delete .venv and run %s; does the line come again, show it in class" % INSTALL
DEVICE_CAUSES = (
    (("no kernel image", "not compatible"), "torch's build is too new for it, " + BUILD),
    (("driver",), "its driver is older than torch's build, update it or " + BUILD),
    (("out of memory", "busy"), "others are using it (nvidia-smi), wait"),
    (("",), "torch's build may not fit it, " + BUILD),
)


def cause(text, table):
    """Return the first entry of the table with a sign that is in the text; None without one."""
    return next((entry for signs, entry in table if any(sign in text for sign in signs)), None)


def last_line(error):
    """Return the last line that Python would print for an error."""
    text = traceback.format_exception_only(type(error), error)[-1].strip().splitlines()[-1]
    return text.rstrip(".")


def wrong_python(file):
    """Return a line if a .venv lies beside the folder of file and another Python runs."""
    root = os.path.dirname(os.path.dirname(os.path.realpath(file)))
    venv = os.path.realpath(os.path.join(root, ".venv"))
    if not os.path.isdir(venv) or os.path.realpath(sys.prefix) == venv:
        return []
    if WINDOWS:  # backslashes serve cmd, too; Git Bash, and PowerShell inside it, need the others
        slash = "/" if "MSYSTEM" in os.environ else "\\"
        use = slash.join((".venv", "Scripts", "python script", "NAME.py"))
    else:
        shell = os.path.basename(os.environ.get("SHELL", ""))
        ending = {"fish": ".fish", "csh": ".csh", "tcsh": ".csh"}.get(shell, "")
        use = "source .venv/bin/activate%s, or: .venv/bin/python script/NAME.py" % ending
    return ["this is not .venv's Python but %s: in %s, run: %s" % (sys.executable, root, use)]


def reaching_in():
    """Return a line for each variable that brings modules from outside into every Python."""
    undo = "$env:%s=$null" if WINDOWS else "unset %s"
    line, names = "%s brings in modules from %s: " + undo, ("PYTHONPATH", "PYTHONHOME")
    return [line % (name, os.environ[name], name) for name in names if os.environ.get(name)]


def failed_imports():
    """Import the packages. Return a line for each one that fails."""
    lines, libraries = [], os.environ.get("LD_LIBRARY_PATH")
    for name in NAMES:
        try:
            importlib.import_module(name)
        except Exception as error:  # a broken package raises anything
            text, why = last_line(error), OTHERWISE
            if libraries and cause(text, [(LIBRARIES, True)]):
                why = "LD_LIBRARY_PATH brings in other libraries (%s), unset it" % libraries
            lines.append("import %s: %s: %s" % (name, text, cause(text, IMPORT_CAUSES) or why))
    return lines


def devices(torch):
    """Compute on each device. Return the names of those that can, and a line for each other."""
    names, failed = ["cpu"], {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = ["mps"] if torch.backends.mps.is_available() else []
        if torch.cuda.is_available():
            found += ["cuda:%d" % index for index in range(torch.cuda.device_count())]
        elif caught:  # a driver that is there, and does not serve this build
            failed["cuda"] = str(caught[0].message).strip().splitlines()[0]
        for name in found:
            title = name
            try:
                title += "" if name == "mps" else " (%s)" % torch.cuda.get_device_name(name)
                matrix = torch.ones(8, 8, device=name)
                assert (matrix @ matrix).sum().item() == 512, "its product of two matrices is wrong"
                names.append(title)
            except Exception as error:
                failed[title] = last_line(error)
    advice = "device %s: %s: %s, or use --device cpu"
    return names, [advice % (n, text, cause(text, DEVICE_CAUSES)) for n, text in failed.items()]


def main(argv=None):
    """Print what is wrong and, last, whether all is well. Return 1 if a package fails, else 0."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args(argv)
    lines = wrong_python(__file__) if "__file__" in globals() else []  # not in a notebook
    broken = failed_imports()
    # that another Python lacks the packages is no second thing to mend
    lines += [line for line in broken if not lines or "No module named" not in line]
    lines += reaching_in()
    summary, torch = "Python " + platform.python_version(), sys.modules.get("torch")
    if torch:
        names, failed = devices(torch)
        lines += failed
        summary += ", torch %s, devices: %s" % (torch.__version__, ", ".join(names))
    lines.append("check: %s: %s" % ("not all is well" if lines else "all is well", summary))
    print("\n".join(lines).encode("ascii", "backslashreplace").decode())
    return 1 if broken else 0


if __name__ == "__main__":
    if main([] if hasattr(sys, "ps1") else None):  # a notebook's arguments are not ours
        sys.exit(1)
