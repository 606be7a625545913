"""Set up .venv: a virtual environment with the packages, and the PyTorch build for this machine.

Start it by one of its two doors. They find uv, or get it, and uv brings the Python for this file:

    bash script/install.sh                                         macOS, Linux, Git Bash
    powershell -ExecutionPolicy Bypass -File script/install.ps1    Windows

main() has the steps in their order. To run it again is quick, and mends a .venv that does not
start, was moved or was left half made. A run that fails or is stopped leaves a working .venv as it
was: uv exchanges packages when it has fetched all of them.
"""
# Standard library only. The syntax is Python 3.8's, so that an old Python gets a sentence from
# check_python and no traceback.

from __future__ import annotations

import configparser
import contextlib
import csv
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

WINDOWS = os.name == "nt"
if WINDOWS:
    import msvcrt
else:
    import fcntl

OLDEST, NEWEST = 11, 15  # of Python 3: the packages in requirements.txt exist for these
PYTHONS = f">=3.{OLDEST},<3.{NEWEST + 1}"
INSTALL = "bash script/install.sh"
if WINDOWS:
    INSTALL = "powershell -ExecutionPolicy Bypass -File script/install.ps1"
ELSEWHERE = "Use another computer, or run single scripts in a hosted notebook."

ROOT = Path(os.path.abspath(__file__)).parent.parent
VENV = ROOT / ".venv"
PROGRAMS = VENV / ("Scripts" if WINDOWS else "bin")
PYTHON = PROGRAMS / ("python.exe" if WINDOWS else "python")
SITE_PACKAGES = "Lib/site-packages" if WINDOWS else "lib/python3*/site-packages"

UV_FOLDER = VENV / "uv"  # the uv that get_uv fetches
LOCK = VENV / ".lecture-lock"
# Its first line is the place for which .venv was made, its second the torch build that the user
# named, if any.
MARKER = VENV / ".lecture-install"
UNFINISHED = VENV / ".lecture-unfinished"  # it is there while packages change


def main(shell: str) -> None:
    """Run the steps. shell is the door's, "bash" or "powershell": it decides how to go on."""
    if shell not in ("bash", "powershell") or "UV" not in os.environ:
        fail(f"this program is not started by itself. Run: {INSTALL}")
    started_in = os.getcwd()
    check_python()
    check_platform(platform.system(), platform.machine(), platform.mac_ver()[0])
    check_writable(ROOT, VENV)
    check_link()
    make_folder()
    check_writable(*VENV.iterdir())
    with take_lock():
        users = users_variables(os.environ)
        variables = variables_for_uv(users)
        check_uv_settings(variables)
        check_cache(variables)

        make_venv(variables)
        install_packages(variables)
        make_uv_answer()
        check_environment(users)
    show_next_steps(shell, started_in)


def say(line: str) -> None:
    """Print a line at once, before what the programs print that are started next."""
    print(line, flush=True)


def fail(sentence: str) -> None:
    """End the run with an error: the true reason, and the next thing to try."""
    raise SystemExit(f"error: {sentence}")


# What must hold before anything is done


def is_supported(version: str) -> bool:
    """Whether the packages exist for a Python of this version, "3.12.4"."""
    major, minor = version.split(".")[:2]
    return major == "3" and OLDEST <= int(minor) <= NEWEST


def check_python() -> None:
    """End the run if this Python is not one of those that will do: UV_PYTHON names another."""
    version = platform.python_version()
    if not is_supported(version):
        fail(
            f"this is Python {version}. Set UV_PYTHON to one of 3.{OLDEST} to 3.{NEWEST}, "
            "then run again."
        )


def check_platform(system: str, machine: str, macos: str) -> None:
    """End the run on a system for which there is no PyTorch."""
    if system == "Windows" and machine == "x86":
        fail(f"this is 32-bit Windows, for which there is no PyTorch. {ELSEWHERE}")
    if system != "Darwin":
        return
    if machine == "x86_64":
        if is_apple_silicon():
            fail(
                "this Python is for Intel processors, translated by Rosetta. Run: "
                "UV_PYTHON=cpython-3.13-macos-aarch64 arch -arm64 bash script/install.sh"
            )
        fail(f"this is an Intel Mac, for which there is no PyTorch after 2.2. {ELSEWHERE}")
    if int(macos.split(".")[0]) < 14:
        fail(f"this is macOS {macos}. PyTorch needs macOS 14: update it. {ELSEWHERE}")


def is_apple_silicon() -> bool:
    """Whether this Mac's processor is Apple's, also where Rosetta translates this Python."""
    command = ["sysctl", "-n", "hw.optional.arm64"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return result.stdout.strip() == b"1"


def check_writable(*paths: Path) -> None:
    """End the run if one of the paths is there and cannot be written, and say whose it is.

    After one run under sudo, files belong to root.
    """
    for path in paths:
        if not os.path.exists(path) or os.access(path, os.W_OK):
            continue
        if not WINDOWS and path.stat().st_uid != os.getuid():
            me = user_name(os.getuid())
            fail(
                f"{path} belongs to {user_name(path.stat().st_uid)} and cannot be written. "
                f"Run: sudo chown -R {me} {shlex.quote(str(path))}, then run again."
            )
        fail(f"{path} cannot be written. Change that, or clone elsewhere, then run again.")


def user_name(number: int) -> str:
    """Return the name of a user, or the number of one that has no name, as in a container."""
    import pwd  # not on Windows

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def check_link() -> None:
    """End the run if .venv is a link into a folder in which others have something.

    A link to a scratch disk is kept, and .venv is made where it leads.
    """
    target = os.path.realpath(VENV)
    is_link = target != os.path.join(os.path.realpath(ROOT), VENV.name)
    if not is_link or not os.path.isdir(target) or MARKER.exists():
        return
    if has_foreign_files() and venv_problem() is not None:
        fail(
            f".venv is a link to {target}, and what lies there is not ours: remove one or the "
            "other, then run again."
        )


def has_foreign_files() -> bool:
    """Whether .venv has anything but the uv and the notes that this program puts there."""
    names = os.listdir(VENV)
    return any(name != UV_FOLDER.name and not name.startswith(".lecture-") for name in names)


def make_folder() -> None:
    """Make the folder .venv, where a link of that name leads if there is one."""
    if VENV.is_file():
        VENV.unlink()
    try:
        os.makedirs(os.path.realpath(VENV), exist_ok=True)
    except OSError as error:
        fail(f"the folder .venv cannot be made: {error}. Change that, then run again.")


def take_lock():
    """Return a file that no other run has open like this, or end the run.

    The system frees it when all programs have ended that have it open, however they ended: uv is
    one of them (inheritable). On Windows a lock ends with this program.
    """
    try:
        lock = LOCK.open("w")
    except OSError as error:
        fail(f"{LOCK} cannot be written: {error}. Change that, then run again.")
    try:
        if WINDOWS:
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            os.set_inheritable(lock.fileno(), True)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        fail("another run is at work here. Wait until it has ended, then run again.")
    except OSError:
        pass  # a file system that has no locks
    return lock


# What reaches in


def users_variables(environ) -> dict[str, str]:
    """Return the variables as the user has them, without what `uv run` adds for this program."""
    variables = dict(environ)
    variables.pop("VIRTUAL_ENV", None)
    own_folder = os.path.dirname(sys.executable)
    folders = variables.get("PATH", "").split(os.pathsep)
    variables["PATH"] = os.pathsep.join(f for f in folders if f != own_folder)
    return variables


HIDDEN_FROM_UV = (
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    "PYTHONHOME",
    "PYTHONPATH",
    "UV_PROJECT",
    "UV_REQUIRE_HASHES",
    "UV_SYSTEM_PYTHON",
    "UV_VENV_CLEAR",
    "UV_WORKING_DIR",
    "UV_WORKING_DIRECTORY",
)


def variables_for_uv(users: dict[str, str]) -> dict[str, str]:
    """Return the variables that uv gets.

    An active environment must receive nothing, so uv does not see it. Nor does it see another
    project, or a setting that forbids what is done here.
    """
    variables = dict(users)
    for name in HIDDEN_FROM_UV:
        variables.pop(name, None)
    if not variables.get("UV_TORCH_BACKEND"):
        variables.pop("UV_TORCH_BACKEND", None)  # to uv, one that is set and empty is an error
    hand_pip_settings_to_uv(variables)
    return variables


def hand_pip_settings_to_uv(variables: dict[str, str]) -> None:
    """Let uv use the wheel folder and the mirrors that pip's settings name.

    A variable of uv's own counts more. Both separate places by white space, but uv those of
    find-links by commas.
    """
    settings = pip_settings(variables)
    links = settings.get("find-links", "")
    if links and not variables.get("UV_FIND_LINKS"):
        variables["UV_FIND_LINKS"] = ",".join(links.split())
    index = settings.get("index-url", "")
    if index and not variables.get("UV_DEFAULT_INDEX") and not variables.get("UV_INDEX_URL"):
        variables["UV_DEFAULT_INDEX"] = index
    more = settings.get("extra-index-url", "")
    if more and not variables.get("UV_INDEX") and not variables.get("UV_EXTRA_INDEX_URL"):
        variables["UV_INDEX"] = " ".join(more.split())
        # as pip does: the best version from any index, not the first index that has the name
        variables.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")


def pip_settings(variables: dict[str, str]) -> dict[str, str]:
    """Return what pip's files and variables say: a later file counts more, and [install] more
    than [global], and a variable most.

    Source: https://pip.pypa.io/en/stable/topics/configuration
    """
    settings = configparser.RawConfigParser(strict=False)
    for file in pip_files(variables):
        try:
            with open(file, encoding="utf-8-sig", errors="replace") as lines:
                settings.read_file(lines)
        except (OSError, configparser.Error):
            continue  # it is not there, or pip could not read it either
    found = {}
    for section in ("global", "install"):
        if settings.has_section(section):
            for name, value in settings.items(section):
                found[name.replace("_", "-")] = value
    for name in ("find-links", "index-url", "extra-index-url"):
        value = variables.get("PIP_" + name.replace("-", "_").upper())
        if value:
            found[name] = value
    return found


def pip_files(variables: dict[str, str]) -> list[str]:
    """Return where pip looks for its settings, the one that counts most last."""
    named = variables.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    home = os.path.expanduser("~")
    if WINDOWS:
        files = [f"{folder}/pip/pip.ini" for folder in config_folders(variables)]
        files.insert(1, f"{home}/pip/pip.ini")
    else:
        mac = "Library/Application Support/pip/pip.conf"
        *system, user = config_folders(variables)
        files = [f"{folder}/pip/pip.conf" for folder in system]
        files += ["/etc/pip.conf", f"/{mac}", f"{home}/.pip/pip.conf"]
        files += [f"{user}/pip/pip.conf", f"{home}/{mac}"]
    return [*files, named]


def config_folders(variables: dict[str, str]) -> list[str]:
    """Return the folders for the settings of programs: the system's, then the user's."""
    if WINDOWS:
        return [variables.get("PROGRAMDATA", "/"), variables.get("APPDATA", "/")]
    system = variables.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    user = variables.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return [*system.split(os.pathsep), user]


def check_uv_settings(variables: dict[str, str]) -> None:
    """End the run if a setting in the user's uv.toml would keep the packages from .venv."""
    import tomllib  # not before Python 3.11

    files = [f"{folder}/uv/uv.toml" for folder in ["/etc", *config_folders(variables)]]
    if variables.get("UV_CONFIG_FILE"):
        files = [variables["UV_CONFIG_FILE"]]
    if variables.get("UV_NO_CONFIG"):
        files = []
    for file in files:
        try:
            settings = tomllib.loads(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # it is not there, or uv itself will say what is wrong in it
        of_pip = settings.get("pip", {})
        for name in ("target", "prefix", "require-hashes", "no-deps", "python-platform"):
            if isinstance(of_pip, dict) and of_pip.get(name):
                fail(
                    f"{file} sets {name} under [pip]: with it, .venv would not get all packages. "
                    "Remove that line, or set UV_NO_CONFIG=1, then run again."
                )


def check_cache(variables: dict[str, str]) -> None:
    """End the run if uv's cache cannot be written."""
    result = run_uv(variables, "cache", "dir")
    cache = Path(result.stdout.strip())
    if result.returncode == 0 and os.path.isdir(cache):
        check_writable(cache)
        check_writable(*cache.iterdir())


# Running other programs


def run_uv(variables: dict[str, str], *words: str, show: bool = False):
    """Run uv, and return the completed process; show leaves its output to the user.

    A folder without parents as the project shuts off the settings of a project in a parent folder,
    but not the user's own. The lock is handed on, see take_lock.
    """
    command = [os.environ["UV"], *words, "--project", ROOT.anchor]
    if show:
        return subprocess.run(command, env=variables, close_fds=False)
    return subprocess.run(
        [*command, "--color", "never"],
        env=variables,
        close_fds=False,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )


def run_uv_pip_install(variables: dict[str, str], *words: str, show: bool = False):
    """Run `uv pip install`, into .venv and nowhere else."""
    return run_uv(variables, "pip", "install", "--python", str(PYTHON), *words, show=show)


def ask_python(code: str) -> str | None:
    """Return what .venv's Python prints for the code; None if it does not start."""
    try:
        result = subprocess.run(
            [str(PYTHON), "-I", "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def python_version() -> str | None:
    """Return the version of .venv's Python, "3.12.4"; None if it does not start."""
    return ask_python("import platform; print(platform.python_version())")


# The environment


def read_marker() -> list[str]:
    """Return the marker's two lines, each "" where it is not there."""
    try:
        text = MARKER.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        text = ""
    return [*text.splitlines(), "", ""][:2]


def write_marker(build: str) -> None:
    """Write where .venv is, and the torch build that the user named, if any."""
    MARKER.write_text(f"{VENV}\n{build}\n", encoding="utf-8", errors="surrogateescape")


def venv_problem() -> str | None:
    """Return why .venv cannot be kept; None if it can."""
    made_for, _ = read_marker()
    if not (VENV / "pyvenv.cfg").is_file():
        return "it is not a virtual environment"
    if not PYTHON.exists():
        return "its Python is gone"
    version = python_version()
    if version is None:
        return "its Python does not start"
    if not is_supported(version):
        return f"its Python is {version}, not 3.{OLDEST} to 3.{NEWEST}"
    if os.environ.get("UV_PYTHON") and not has_wheels(ask_platform()):
        return "there is no PyTorch for its platform"
    if made_for and not is_venv(made_for):
        return f"it was moved or copied from {made_for}"
    if UNFINISHED.exists() and damaged_packages():
        return "an earlier install did not finish"
    return None


def is_venv(place: str) -> bool:
    """Whether a place is .venv, by another name perhaps, as on a mapped drive."""
    try:
        return os.path.samefile(place, VENV)
    except OSError:
        return False


def damaged_packages() -> list[str]:
    """Return the names of the installed packages that are not whole.

    A run that was interrupted while uv was still fetching has changed nothing.
    """
    names = []
    for package in VENV.glob(f"{SITE_PACKAGES}/*.dist-info"):
        if not is_whole(package):
            names.append(package.name.split("-")[0])
    return names


def is_whole(package: Path) -> bool:
    """Whether each file that an installed package lists is there, in its full size.

    A line of RECORD has the path from site-packages, a hash and the size in bytes.

    Source: https://packaging.python.org/en/latest/specifications/recording-installed-packages
    """
    try:
        with (package / "RECORD").open(newline="", encoding="utf-8") as lines:
            for path, _, size in csv.reader(lines):
                actual_size = (package.parent / path).stat().st_size
                if size and int(size) != actual_size:
                    return False
    except (OSError, ValueError, csv.Error):  # a file is gone, or the list itself is cut off
        return False
    return True


def make_venv(variables: dict[str, str]) -> None:
    """Leave a healthy .venv: the one that is there, or a new one."""
    problem = venv_problem()
    if problem is None:
        say(f"environment: .venv is kept, Python {python_version()}")
        if variables.get("UV_PYTHON"):
            say("UV_PYTHON is for a new .venv: to change its Python, delete .venv, then run again.")
        return
    if has_foreign_files():
        say(f"environment: .venv is rebuilt, since {problem}")
    clear_venv()
    wanted = variables.get("UV_PYTHON") or PYTHONS
    words = ["--quiet", "--no-project", "--allow-existing", "--python", wanted]
    result = run_uv(variables, "venv", *words, str(VENV))
    if result.returncode != 0:
        print(result.stderr, end="", file=sys.stderr)
        fail(
            "making .venv failed: uv's own message above is the cause. Set UV_CACHE_DIR where its "
            "cache fails, clone elsewhere where a disk is full or lacks links. Then run again."
        )
    version = python_version()
    if version is None:
        fail("making .venv failed: its Python does not start. Set UV_PYTHON=3.13, then run again.")
    _, build = read_marker()
    write_marker(build)
    say(f"environment: .venv is made, Python {version}")


def clear_venv() -> None:
    """Remove what is in .venv, except for uv, the lock and the marker.

    pyvenv.cfg comes first: without it, what a removal that was stopped leaves is no environment.
    """
    settings = VENV / "pyvenv.cfg"
    try:
        settings.unlink(missing_ok=True)
        for path in VENV.iterdir():
            if path in (UV_FOLDER, LOCK, MARKER):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(long_path(str(path)) if WINDOWS else path)
            else:
                path.unlink()
    except OSError as error:
        print(error, file=sys.stderr)
        fail("removing the old .venv failed: close the programs that use it, then run again.")


def long_path(path: str) -> str:
    """Return a path as Windows wants it where it has more than 260 characters."""
    if path.startswith("\\\\"):  # of another machine: \\server\folder
        return "\\\\?\\UNC" + path[1:]
    return "\\\\?\\" + path


# The packages


def install_packages(variables: dict[str, str]) -> None:
    """Install requirements.txt with the torch build for this machine, and pip.

    pip is there for those who type `pip install` with .venv active, and for %pip in a notebook.
    """
    packages = ["--requirement", str(ROOT / "requirements.txt"), "pip>=25"]
    _, named_before = read_marker()
    named = variables.get("UV_TORCH_BACKEND") or named_before
    if named == named_before and are_there(variables, packages):
        say("packages: all there")
        UNFINISHED.unlink(missing_ok=True)
        write_marker(named)
        return

    build = choose_torch_build(variables, named)
    if build == "":
        variables.pop("UV_TORCH_BACKEND", None)
        named = named_before  # what the user named is not what .venv gets
    else:
        variables["UV_TORCH_BACKEND"] = build
        if named != named_before and any(VENV.glob(f"{SITE_PACKAGES}/torch-*.dist-info")):
            packages += ["--reinstall-package", "torch"]

    say("packages: installing requirements.txt")
    UNFINISHED.touch()
    install(variables, packages)
    damaged = damaged_packages()
    if damaged:
        # .venv's files are links to those in uv's cache: who cuts off one has cut off the other
        say(f"packages: uv's cache is damaged, fetching anew {', '.join(damaged)}")
        run_uv(variables, "cache", "clean", "--force", *damaged)
        for name in damaged:
            packages += ["--reinstall-package", name]
        install(variables, packages)
    UNFINISHED.unlink()
    write_marker(named)


def install(variables: dict[str, str], packages: list[str]) -> None:
    """Let uv install packages, or end the run. uv exchanges them when it has fetched all."""
    result = run_uv_pip_install(variables, *packages, show=True)
    if result.returncode == 0:
        return
    check_wheels()
    fail(
        "installing the packages failed: uv's own message above is the cause. Where the "
        "network fails, check the proxy (HTTPS_PROXY); where links do, as on OneDrive, set "
        "UV_LINK_MODE=copy; where the cache or its disk does, UV_CACHE_DIR. Then run again."
    )


def are_there(variables: dict[str, str], packages: list[str]) -> bool:
    """Whether .venv has all packages: uv succeeds without any place from which to install."""
    variables = dict(variables)
    variables.pop("UV_FIND_LINKS", None)
    return run_uv_pip_install(variables, "--no-index", "--offline", *packages).returncode == 0


def choose_torch_build(variables: dict[str, str], named: str) -> str:
    """Return the torch build to ask uv for, "cpu" or "auto"; "" for what the default index has.

    uv looks at this machine's driver and chooses, unless the user has named a build by
    UV_TORCH_BACKEND, in this run or in an earlier one, or torch is there already, or the index of
    builds is out of reach.
    """
    if named not in ("", "auto"):
        say(f"torch build: {named}, from UV_TORCH_BACKEND")
        return named
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    torch = [line for line in lines if line.startswith("torch")]
    words = ["--dry-run", "--no-deps", "--torch-backend", "auto", *torch]
    if named:
        words += ["--reinstall-package", "torch"]
    variables = {"UV_HTTP_RETRIES": "1", **variables}  # uv's own number is 3
    result = run_uv_pip_install(variables, *words)
    if result.returncode != 0:
        check_wheels()
        if "pytorch.org" not in result.stderr:
            print(result.stderr, end="", file=sys.stderr)
            fail(
                "choosing the torch build failed. Check the network or proxy (HTTPS_PROXY), then "
                "run again."
            )
        say("torch build: the PyTorch index cannot be reached, taking the default index's")
        if platform.system() == "Linux":
            say_what_cuda_costs()
        return ""

    found = re.search(r"\+ torch==[\w.]+(\+\w+)?", result.stderr)
    if found is None:
        say("torch build: the one that is there")
        return ""
    kind = (found.group(1) or "")[1:]
    if kind and not re.match(r"cpu|cu\d|rocm", kind):
        say(f"torch build: cpu, since these scripts do not use what {kind} is for")
        return "cpu"
    say("torch build: chosen by uv for this machine")
    if kind.startswith("cu"):
        say_what_cuda_costs()
    return "auto"


def say_what_cuda_costs() -> None:
    """Say what is going to be fetched, before it is (measured with torch 2.15 on Linux)."""
    say(
        "torch build: this is the one for NVIDIA GPUs, about 3 GB to fetch and 6 GB on disk. Where "
        "download.pytorch.org can be reached, UV_TORCH_BACKEND=cpu gives the small one instead."
    )


def check_wheels() -> None:
    """End the run if there is no PyTorch for the platform of .venv's Python."""
    answer = ask_platform()
    if has_wheels(answer):
        return
    advice = ELSEWHERE
    other = other_python(answer, platform.system(), platform.machine())
    if other:
        advice = f"That can be changed: set UV_PYTHON={other}, then run again."
    fail(
        f"there is no PyTorch for this Python's platform, {answer}: it is for 64-bit Linux with "
        f"glibc 2.28, 64-bit Windows, and Macs with Apple silicon. {advice}"
    )


def ask_platform() -> str:
    """Return the platform of .venv's Python, "linux-x86_64 glibc 2.36"; "unknown" without one."""
    code = "import platform, sysconfig; print(sysconfig.get_platform(), *platform.libc_ver())"
    return ask_python(code) or "unknown"


def has_wheels(answer: str) -> bool:
    """Whether PyTorch has wheels for a platform as ask_platform names it."""
    tag, *libc = answer.split()
    if tag.startswith("linux"):
        if not tag.endswith(("-x86_64", "-aarch64")) or libc[:1] != ["glibc"]:
            return False
        major, minor = libc[1].split(".")[:2]
        return (int(major), int(minor)) >= (2, 28)
    if tag.startswith("macosx"):
        return tag.endswith(("-arm64", "-universal2"))
    return tag == "win-amd64"


def other_python(answer: str, system: str, machine: str) -> str | None:
    """Return a Python for which there is a PyTorch and that runs on this machine, too."""
    if system == "Darwin" and machine == "arm64":
        return "cpython-3.13-macos-aarch64"
    if system == "Linux" and machine == "x86_64" and "86_64" not in answer:
        return "cpython-3.13-linux-x86_64"
    if system == "Windows":
        return "cpython-3.13-windows-x86_64"
    return None


# The end


def make_uv_answer() -> None:
    """Let `uv` and `uvx` be found by their names once .venv is active, wherever uv lies."""
    uv = Path(os.environ["UV"])
    for source in (uv, uv.with_name(uv.name.replace("uv", "uvx", 1))):
        target = PROGRAMS / source.name
        if target.exists() or not source.exists():
            continue
        if WINDOWS:
            shutil.copy2(source, target)  # a link to a uv at work could not be removed
        else:
            target.unlink(missing_ok=True)  # a link that leads nowhere
            target.symlink_to(source)


def check_environment(users: dict[str, str]) -> None:
    """Run check_environment.py, with what reaches into every Python that the user will start."""
    result = subprocess.run(
        [str(PYTHON), str(ROOT / "script" / "check_environment.py")], env=users, close_fds=False
    )
    if result.returncode != 0:
        fail(
            "the packages are there, and not all is well. The lines above say why, and what helps."
        )


def show_next_steps(shell: str, started_in: str) -> None:
    """Print lines that can be pasted into the user's shell, whatever is in the path."""
    say("Done. Next:")
    if not os.path.samefile(started_in, ROOT):
        say(f"    {change_folder(str(ROOT), shell)}")
    forbidden = ";" if WINDOWS else ":"
    activates = forbidden not in str(ROOT)
    folder = PROGRAMS.name
    tests = f".venv/{folder}/pytest"
    if shell == "powershell":
        tests = f".venv\\{folder}\\pytest"
        say(f"    .venv\\{folder}\\python script\\gd_1d_torch.py")
        if activates:
            say(f"Where scripts may run, this spares you .venv\\{folder}\\ in this window:")
            say(f"    .venv\\{folder}\\Activate.ps1")
    elif WINDOWS or not activates:
        say(f"    .venv/{folder}/python script/gd_1d_torch.py")
    else:
        tests = "pytest"
        say("    source .venv/bin/activate")
        say("    python script/gd_1d_torch.py")
    if not activates:
        name = "semicolon" if WINDOWS else "colon"
        say(f"The {name} in this path forbids activating .venv.")
    say(f"Whoever maintains the scripts checks everything with {tests}, in some ten minutes.")


def change_folder(folder: str, shell: str) -> str:
    """Return the line that changes to a folder; in PowerShell, for cmd, too, if it can be."""
    if shell == "bash":
        return f"cd {shlex.quote(folder)}"
    if re.search('[][$`*?"\u201c-\u201e]', folder):
        return "cd -LiteralPath '{}'".format(re.sub("(['\u2018-\u201b])", r"\1\1", folder))
    return f'pushd "{folder}"'


# Run by a door, with any Python that has pip, where there is no uv


def get_uv() -> None:
    """Put uv into .venv/uv with this Python's pip, leaving this Python as it is."""
    check_writable(ROOT, VENV)
    check_link()
    make_folder()
    new = VENV / f".lecture-uv-{os.getpid()}"  # two runs may both be here
    variables = {**os.environ, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
    variables.pop("PIP_PREFIX", None)
    # From Python 3.11 on, this keeps files of the user's that have the name of a module out of pip.
    variables["PYTHONSAFEPATH"] = "1"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--retries", "2", "--only-binary", ":all:", "--target", str(new), "uv"]
    result = subprocess.run(
        command, env=variables, capture_output=True, encoding="utf-8", errors="replace"
    )
    if result.returncode == 0:
        shutil.rmtree(UV_FOLDER, ignore_errors=True)
        with contextlib.suppress(OSError):  # the other run was faster
            new.rename(UV_FOLDER)
    shutil.rmtree(new, ignore_errors=True)
    if result.returncode == 0:
        return
    print(result.stderr, end="", file=sys.stderr)
    with contextlib.suppress(OSError):  # it is a link, or something is in it
        VENV.rmdir()
    fail(
        "pip could not get uv from the index: see above. Check the network, pip's mirror and the "
        "proxy (HTTPS_PROXY), or install uv (https://docs.astral.sh/uv), then run again."
    )


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # a console may lack letters of a path
    word = " ".join(sys.argv[1:])
    try:
        if word == "get-uv":
            get_uv()
        else:
            main(word)
    except KeyboardInterrupt:
        print("error: interrupted. Run again: it goes on from here.", file=sys.stderr)
        sys.exit(130)
