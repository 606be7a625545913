"""install.sh, run for real in a throw-away copy of the repository with a PATH made for the case.

Nearly every case stands in for uv (stand_in_uv.py): what is tested is what the script does around
it. The last test stands in for nothing. It runs in CI: elsewhere it might fetch gigabytes again.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import pytest
from conftest import ROOT, wanted

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has install.ps1")

TOOLS = "bash cat chmod cp cut dirname find grep ln ls mkdir rm sh tr uname".split()  # noqa: SIM905
NO_NETWORK = "exit 6"
PYTHON_WITHOUT_PIP = f"""
case "$*" in *pip*|*venv*) exit 1 ;; esac
exec {shlex.quote(sys.executable)} "$@"
"""


class Machine:
    """A copy of the repository, and a PATH and a home that hold what the test puts there."""

    def __init__(self, folder: Path):
        self.root = folder / "un dépôt"
        self.venv = self.root / ".venv"
        self.home = folder / "home"
        self.bin = folder / "bin"
        self.log = folder / "log"
        for path in (self.home, self.bin, self.root / "script"):
            path.mkdir(parents=True)
        shutil.copy(ROOT / "requirements.txt", self.root)
        shutil.copy(ROOT / "script" / "install.sh", self.root / "script")
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.uv_code = (
            'case "$*" in *--help*) echo "--torch-backend <TORCH_BACKEND>"; exit ;; esac\n'
            f"exec {shlex.quote(sys.executable)} -I "
            f'{shlex.quote(str(ROOT / "tests" / "stand_in_uv.py"))} "$@"'
        )
        self.environ = {
            "PATH": str(self.bin),
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "STAND_IN_LOG": str(self.log),
        }

    def program(self, name: str, code: str, folder: Path | None = None) -> Path:
        """Write a shell program, on PATH unless a folder is named."""
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{code}\n")
        path.chmod(0o755)
        return path

    def add_uv(self) -> None:
        self.program("uv", self.uv_code)

    def add_python_with_pip(self) -> None:
        """A python3 whose pip can install one thing: the stand-in uv into a --target."""
        uv = self.program("uv", self.uv_code, self.bin.parent / "index")
        self.program(
            "python3",
            f"""case "$*" in
                "-m pip --version") ;;
                *" install "*--target*)
                    [ "$PIP_USER$PIP_REQUIRE_VIRTUALENV$PIP_PREFIX" = 00 ] || exit 1
                    while [ "$1" != --target ]; do shift; done
                    mkdir -p "$2/bin" && cp {shlex.quote(str(uv))} "$2/bin/uv" &&
                    cp "$2/bin/uv" "$2/bin/uvx" ;;
                *pip*) exit 1 ;;
                *) exec {shlex.quote(sys.executable)} "$@" ;;
            esac""",
        )

    def start(self, cwd: str | Path | None = None, **environ: str) -> subprocess.Popen:
        return subprocess.Popen(
            ["bash", self.root / "script" / "install.sh"],
            cwd=cwd or self.root,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )

    def install(self, cwd: str | Path | None = None, timeout: float = 60, **environ: str):
        """Run install.sh. Returns (exit status, standard output, standard error)."""
        process = self.start(cwd, **environ)
        stdout, stderr = process.communicate(timeout=timeout)
        return process.returncode, stdout, stderr

    def calls(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def install_calls(self) -> list[dict]:
        """The calls of uv that may use the network to install."""
        return [c for c in self.calls() if "--requirement" in c["arguments"][-2:] and
                "--offline" not in c["arguments"]]  # fmt: skip


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def installed(machine) -> Machine:
    machine.add_uv()
    assert machine.install()[0] == 0
    (machine.venv / "witness").touch()
    return machine


def assert_rebuilt(machine: Machine, reason: str, **environ: str) -> None:
    status, stdout, stderr = machine.install(**environ)
    assert status == 0, stderr
    assert f"environment: .venv is rebuilt, since {reason}" in stdout
    assert not (machine.venv / "witness").exists()
    assert "Done." in stdout


def files_under(folder: Path) -> dict[Path, tuple[int, int]]:
    return {p: (p.lstat().st_mtime_ns, p.lstat().st_size) for p in folder.rglob("*")}


# Getting uv


def test_uv_on_path_is_used(machine):
    machine.add_uv()
    status, stdout, stderr = machine.install()
    assert (status, stderr) == (0, "")
    version = ".".join(map(str, sys.version_info[:3]))
    assert stdout.splitlines() == [
        f"uv: found, {machine.bin / 'uv'}",
        f"environment: .venv is made, Python {version}",
        "torch build: chosen by uv for this machine",
        "packages: installing requirements.txt",
        f"check: Python {version}, torch 2.13.0+hollow, devices: cpu",
        "Done. Next:",
        "    source .venv/bin/activate",
        "    python script/gd_1d_torch.py",
        "    pytest",
    ]


@pytest.mark.parametrize(
    ("variable", "place"),
    [
        (None, ".local/bin"),
        ("UV_INSTALL_DIR", "chosen"),
        ("XDG_BIN_HOME", "xdg bin"),
        ("XDG_DATA_HOME", "bin"),
    ],
)
def test_uv_is_found_where_astrals_installer_puts_it(machine, variable, place):
    uv = machine.program("uv", machine.uv_code, machine.home / place)
    value = machine.home / ("share" if variable == "XDG_DATA_HOME" else place)
    value.mkdir(exist_ok=True)
    status, stdout, _ = machine.install(**({variable: str(value)} if variable else {}))
    assert status == 0
    assert os.path.samefile(stdout.splitlines()[0].removeprefix("uv: found, "), uv)


@pytest.mark.parametrize("code", ["echo 'pip install [OPTIONS]'", "exit 127"])
def test_uv_that_is_too_old_or_does_not_start_is_passed_over(machine, code):
    machine.program("uv", code)
    machine.program("uv", machine.uv_code, machine.home / ".local" / "bin")
    status, stdout, _ = machine.install()
    assert status == 0
    assert stdout.startswith(f"uv: found, {machine.home / '.local' / 'bin' / 'uv'}")


@pytest.mark.parametrize("downloader", ["curl", "wget"])
def test_astrals_installer_is_run(machine, downloader):
    uv = machine.program("uv", machine.uv_code, machine.bin.parent / "astral")
    installer = machine.bin.parent / "installer"
    installer.write_text(
        f'mkdir -p "$HOME/.local/bin" && cp {shlex.quote(str(uv))} "$HOME/.local/bin"\n'
    )
    machine.program(downloader, f"cat {shlex.quote(str(installer))}")
    status, stdout, _ = machine.install()
    assert status == 0
    assert f"uv: installed, {machine.home / '.local' / 'bin' / 'uv'}" in stdout


def test_half_an_installer_is_not_run(machine):
    machine.program("curl", 'echo "mkdir $HOME/half"; exit 18')
    machine.install()
    assert not (machine.home / "half").exists()


@pytest.mark.parametrize("downloader", ["curl", "wget", None])
def test_without_astral_uv_comes_from_the_index_into_venv(machine, downloader):
    if downloader:
        machine.program(downloader, NO_NETWORK)
    machine.add_python_with_pip()
    forbidding = {"PIP_USER": "1", "PIP_REQUIRE_VIRTUALENV": "1", "PIP_PREFIX": "/usr"}
    status, stdout, stderr = machine.install(**forbidding)
    assert (status, stderr) == (0, "")
    assert f"uv: installed, {machine.venv / 'uv' / 'bin' / 'uv'}" in stdout
    assert "rebuilt" not in stdout
    assert files_under(machine.home) == {}
    assert os.access(machine.venv / "bin" / "uvx", os.X_OK)  # on PATH once activated


def test_uv_in_venv_survives_a_rebuild_without_the_index(machine):
    machine.add_python_with_pip()
    assert machine.install()[0] == 0
    (machine.bin / "python3").unlink()
    (machine.venv / "bin" / "python").unlink()
    activated = f"{machine.venv / 'bin'}:{machine.bin}"  # uv in .venv/bin will not survive
    assert_rebuilt(machine, "its Python is gone", PATH=activated)


def test_python_without_pip_makes_a_pip_for_itself(machine):
    machine.add_python_with_pip()
    pip = (machine.bin / "python3").rename(machine.bin.parent / "pip")
    machine.program(
        "python3",
        f"""case "$*" in
            "-m pip "*) exit 1 ;;
            "-m venv "*) mkdir -p "$3/bin" && cp {shlex.quote(str(pip))} "$3/bin/python" ;;
            *) exec {shlex.quote(sys.executable)} "$@" ;;
        esac""",
    )
    status, stdout, _ = machine.install()
    assert status == 0
    assert f"uv: installed, {machine.venv / 'uv' / 'bin' / 'uv'}" in stdout
    assert "rebuilt" not in stdout


@pytest.mark.parametrize("python", [None, PYTHON_WITHOUT_PIP, "exit 1"])
def test_no_way_to_get_uv_is_one_clear_error(machine, python):
    machine.program("curl", NO_NETWORK)
    if python:
        machine.program("python3", python)
    before = files_under(machine.root)
    status, _, stderr = machine.install()
    assert status == 1
    assert len(stderr.splitlines()) == 1
    assert "Install uv" in stderr
    assert files_under(machine.root).keys() == before.keys()


# Where the packages go


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_an_active_environment_receives_nothing(machine, tmp_path, variable):
    active = tmp_path / "active"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", active], check=True)
    before = files_under(active)
    machine.add_uv()
    path = f"{active / 'bin'}:{machine.bin}"
    status, _, stderr = machine.install(PATH=path, **{variable: str(active)})
    assert status == 0, stderr
    assert files_under(active) == before
    for call in machine.calls():
        assert call["VIRTUAL_ENV"] is None
        if call["arguments"][0] == "pip":
            place = call["arguments"][call["arguments"].index("--python") + 1]
            assert place == str(machine.venv / "bin" / "python")


def test_started_from_elsewhere(machine):
    machine.add_uv()
    status, stdout, _ = machine.install(cwd="/")
    assert status == 0
    assert (machine.venv / "pyvenv.cfg").exists()
    assert f'    cd "{machine.root}"' in stdout


def test_second_run_keeps_the_environment_and_needs_no_network(installed):
    installed.log.unlink()
    status, stdout, _ = installed.install()
    assert status == 0
    assert "environment: .venv is kept" in stdout
    assert "packages: all there" in stdout
    assert (installed.venv / "witness").exists()
    assert all("--offline" in call["arguments"] for call in installed.calls())


# Repairing .venv


def test_venv_whose_python_is_gone(installed):
    (installed.venv / "bin" / "python").unlink()
    (installed.venv / "bin" / "python").symlink_to("/nonexistent/python")
    assert_rebuilt(installed, "its Python is gone")


def test_venv_whose_python_does_not_start(installed):
    installed.program("python", "exit 127", installed.venv / "bin")
    assert_rebuilt(installed, "its Python does not start")


def test_venv_whose_python_is_too_old(installed):
    installed.program("python", "echo 3.9.18", installed.venv / "bin")
    assert_rebuilt(installed, "its Python is 3.9.18, too old")


def test_venv_that_was_moved(installed):
    old = installed.venv
    installed.root = installed.root.rename(installed.root.with_name("moved"))
    installed.venv = installed.root / ".venv"
    assert_rebuilt(installed, f"it was moved or copied from {old}")


def test_venv_that_was_copied(installed):
    old, copy = installed.venv, installed.root.with_name("copy")
    shutil.copytree(installed.root, copy, symlinks=True)
    installed.root, installed.venv = copy, copy / ".venv"
    assert_rebuilt(installed, f"it was moved or copied from {old}")
    assert (old / "witness").exists()


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_venv_that_is_no_environment(machine, kind):
    machine.add_uv()
    if kind == "folder":
        machine.venv.mkdir()
        (machine.venv / "witness").touch()
    elif kind == "file":
        machine.venv.touch()
    else:
        machine.venv.symlink_to("/nonexistent/venv")
    assert_rebuilt(machine, "it is not a virtual environment")


def test_venv_made_by_hand_is_kept(machine):
    machine.add_uv()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", machine.venv], check=True)
    (machine.venv / "witness").touch()
    status, stdout, _ = machine.install()
    assert status == 0
    assert "environment: .venv is kept" in stdout
    assert (machine.venv / "witness").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_while_installing_packages_then_repaired(machine, number):
    machine.add_uv()
    # pytest in the background of a script ignores SIGINT, and so would what it starts
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = machine.start(STAND_IN="packages hang")
    signal.signal(signal.SIGINT, before)
    hanging = machine.log.with_name("hanging")
    deadline = time.monotonic() + 30
    while not hanging.exists():
        assert time.monotonic() < deadline, "the package step was not reached"
        time.sleep(0.02)
    os.killpg(process.pid, number)
    stdout, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "Done." not in stdout
    assert_rebuilt(machine, "an earlier install did not finish")


# When a step fails


def test_failing_packages_are_reported_then_repaired(machine):
    machine.add_uv()
    status, stdout, stderr = machine.install(STAND_IN="packages fail")
    assert status == 1
    assert "Done." not in stdout
    assert stderr.splitlines()[0] == "error: No space left on device"
    assert stderr.splitlines()[1].startswith("error: installing the packages failed.")
    assert_rebuilt(machine, "an earlier install did not finish")


def test_packages_that_do_not_import_are_a_failed_install(machine):
    machine.add_uv()
    status, stdout, stderr = machine.install(STAND_IN="broken torch")
    assert status == 1
    assert "Done." not in stdout
    assert "libtorch is missing" in stderr
    assert "error: the packages do not import in .venv." in stderr
    assert_rebuilt(machine, "an earlier install did not finish")


def test_python_that_is_too_old_is_refused_before_the_packages(machine):
    old = machine.program("python3.9", "echo 3.9.18", machine.bin.parent / "old")
    making = (
        f'for last; do :; done; mkdir -p "$last/bin"; cp {shlex.quote(str(old))} "$last/bin/python"'
    )
    machine.program("uv", f'case "$*" in *--help*) echo --torch-backend ;; *) {making} ;; esac')
    status, stdout, stderr = machine.install(UV_PYTHON="3.9")
    assert status == 1
    assert stderr.startswith("error: this is Python 3.9.18, too old. Set UV_PYTHON to 3.10, ")
    assert "packages" not in stdout


@pytest.mark.skipif(shutil.which("dash") is None, reason="no dash here")
def test_another_shell_is_told_to_use_bash(machine):
    run = subprocess.run(
        ["dash", machine.root / "script" / "install.sh"], capture_output=True, encoding="utf-8"
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "error: this needs bash. Run: bash script/install.sh\n"


def test_venv_that_cannot_be_made_is_reported_and_removed(machine):
    machine.program("uv", 'case "$*" in *--help*) echo --torch-backend ;; *) exit 2 ;; esac')
    status, _, stderr = machine.install()
    assert status == 1
    assert "making .venv failed: no Python >=3.10,<3.14" in stderr
    assert not machine.venv.exists()


@pytest.mark.parametrize(
    ("system", "sentence"),
    [
        ("Darwin x86_64", "this is an Intel Mac, for which there is no PyTorch after 2.2."),
        ("MINGW64_NT-10.0 x86_64", "this is Windows. Run in PowerShell:"),
    ],
)
def test_a_system_without_a_build_gets_one_sentence(machine, system, sentence):
    kernel, processor = system.split()
    machine.program("uname", f'[ "$1" = -s ] && echo {kernel} || echo {processor}')
    machine.add_uv()
    status, stdout, stderr = machine.install()
    assert (status, stdout) == (1, "")
    assert len(stderr.splitlines()) == 1
    assert sentence in stderr
    assert not machine.log.exists()


@pytest.mark.parametrize(("version", "status"), [("13.7.1", 1), ("14.0", 0), ("26.1", 0)])
def test_macos_without_a_build_gets_one_sentence(machine, version, status):
    machine.program("uname", '[ "$1" = -s ] && echo Darwin || echo arm64')
    machine.program("sw_vers", f"echo {version}")
    machine.add_uv()
    got, _, stderr = machine.install()
    assert got == status
    assert ("PyTorch 2.13 needs macOS 14." in stderr) == bool(status)


def test_apple_silicon_under_rosetta_is_told_apart(machine):
    machine.program("uname", '[ "$1" = -s ] && echo Darwin || echo x86_64')
    machine.program("sysctl", "echo 1")
    _, _, stderr = machine.install()
    assert "arch -arm64 bash script/install.sh" in stderr


@pytest.mark.parametrize("lines", [20, 100, 200, -1])
def test_half_of_this_script_does_nothing(machine, lines):
    script = machine.root / "script" / "install.sh"
    text = script.read_text().rstrip("\n").split("\n")[:lines]
    script.write_text("\n".join(text))
    machine.add_uv()
    machine.install()
    assert not machine.venv.exists()
    assert not machine.log.exists()


# Sources of packages


def test_unreachable_pytorch_index_is_said_and_done_without(machine):
    machine.add_uv()
    status, stdout, _ = machine.install(STAND_IN="no pytorch index")
    assert status == 0
    assert "torch build: the PyTorch index cannot be reached, taking the default" in stdout
    assert [call["UV_TORCH_BACKEND"] for call in machine.install_calls()] == [None]


def test_torch_backend_is_auto_unless_the_user_chose(machine):
    machine.add_uv()
    machine.install()
    assert [call["UV_TORCH_BACKEND"] for call in machine.install_calls()] == ["auto"]


def test_users_torch_backend_wins(machine):
    machine.add_uv()
    _, stdout, _ = machine.install(UV_TORCH_BACKEND="cu128")
    assert "torch build: cu128, from UV_TORCH_BACKEND" in stdout
    assert [call["UV_TORCH_BACKEND"] for call in machine.install_calls()] == ["cu128"]


def test_pips_sources_are_handed_to_uv(machine):
    machine.add_uv()
    machine.install(
        PIP_FIND_LINKS="/wheels /more",
        PIP_INDEX_URL="https://mirror.example/simple",
        PIP_EXTRA_INDEX_URL="https://a.example https://b.example",
    )
    (call,) = machine.install_calls()
    assert call["UV_FIND_LINKS"] == "/wheels,/more"
    assert call["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert call["UV_INDEX"] == "https://a.example https://b.example"
    assert call["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_uvs_own_sources_win_over_pips(machine):
    machine.add_uv()
    own = {"UV_FIND_LINKS": "/u", "UV_DEFAULT_INDEX": "https://u", "UV_INDEX": "https://v"}
    pip = {"PIP_FIND_LINKS": "/p", "PIP_INDEX_URL": "https://p", "PIP_EXTRA_INDEX_URL": "https://q"}
    machine.install(**own, **pip)
    (call,) = machine.install_calls()
    assert {name: call[name] for name in own} == own
    assert call["UV_INDEX_STRATEGY"] is None


# With nothing stood in


@pytest.fixture(scope="session")
def whole_way(pool, tmp_path_factory) -> tuple[Machine, Future]:
    """An installation with this machine's own PATH and home, and what it returns."""
    machine = Machine(tmp_path_factory.mktemp("whole way"))
    environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return machine, pool.submit(machine.install, timeout=600, **environ)


@pytest.fixture(scope="session", autouse=True)
def start_early(request):
    if os.environ.get("CI") and wanted(request, "installed_for_real"):
        request.getfixturevalue("whole_way")


@pytest.fixture
def installed_for_real(whole_way) -> tuple[Machine, int, str, str]:
    machine, future = whole_way
    return machine, *future.result()


@pytest.mark.skipif(not os.environ.get("CI"), reason="in CI only: it may fetch gigabytes")
def test_the_whole_way_on_this_machine(installed_for_real):
    machine, status, stdout, stderr = installed_for_real
    if status and "error sending request" in stderr:
        pytest.skip("no package index can be reached from here")
    assert status == 0, stderr
    assert "check: Python 3." in stdout
    assert (machine.venv / "bin" / "pytest").exists()
