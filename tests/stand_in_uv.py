"""A stand-in for uv, for the tests of install.sh: makes a real environment of hollow packages.

It appends each call, with the settings it was given, to the file that STAND_IN_LOG names. What
STAND_IN says goes wrong: "no pytorch index", "packages fail", "packages hang", "broken torch".
"""

import json
import os
import sys
import time
from pathlib import Path

SETTINGS = "UV_FIND_LINKS UV_DEFAULT_INDEX UV_INDEX UV_INDEX_STRATEGY UV_TORCH_BACKEND VIRTUAL_ENV"
MODULES = {
    "torch": """
__version__ = "2.13.0+hollow"
class cuda: is_available = staticmethod(lambda: False)
class backends:
    class mps: is_available = staticmethod(lambda: False)
""",
    "matplotlib/__init__": "",
    "matplotlib/pyplot": "",
    "numpy": "",
    "pytest": "",
    "jupyter": "",
}


def make_venv(venv: Path) -> None:
    (venv / "bin").mkdir(parents=True, exist_ok=True)
    python = Path(sys.executable).resolve()
    (venv / "bin" / "python").symlink_to(python)
    (venv / "pyvenv.cfg").write_text(f"home = {python.parent}\n")


def install(venv: Path) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for name, code in MODULES.items():
        module = venv / "lib" / version / "site-packages" / f"{name}.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        if name == "torch" and os.environ.get("STAND_IN") == "broken torch":
            code = "raise ImportError('libtorch is missing')"
        module.write_text(code)


def main() -> None:
    arguments = sys.argv[1:]
    call = {"arguments": arguments, **{name: os.environ.get(name) for name in SETTINGS.split()}}
    with open(os.environ["STAND_IN_LOG"], "a") as log:
        log.write(json.dumps(call) + "\n")
    trouble = os.environ.get("STAND_IN", "")
    if arguments[0] == "venv":
        make_venv(Path(arguments[-1]))
        return
    venv = Path(arguments[arguments.index("--python") + 1]).parent.parent
    if "--offline" in arguments:
        there = list(venv.glob("lib/*/site-packages/torch.py"))
        print("Would make no changes" if there else "Would install 5 packages")
    elif "--torch-backend" in arguments:
        if trouble == "no pytorch index":
            sys.exit("error: Failed to fetch: https://download.pytorch.org/whl/cpu/torch/")
    elif trouble == "packages fail":
        sys.exit("error: No space left on device")
    elif trouble == "packages hang":
        Path(os.environ["STAND_IN_LOG"]).with_name("hanging").touch()
        time.sleep(60)
    else:
        install(venv)


main()
