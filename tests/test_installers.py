"""install.sh and install.ps1, run in a throw-away copy of the repository on a PATH made for it.

Each test is of both, unless its kind is of one: then it stands at the end. uv and .venv's Python
are stood in for (stand_in_uv.sh): what is tested is what an installer does around them. The last
test stands in for nothing. It runs in CI: elsewhere it might fetch gigabytes again.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOT, git

if os.name == "nt":
    pytest.skip("Windows' runners install for real", allow_module_level=True)

only_sh = pytest.mark.parametrize("installer", ["install.sh"], indirect=True)
only_ps1 = pytest.mark.parametrize("installer", ["install.ps1"], indirect=True)

TOOLS = """awk bash cat chmod cp cut dirname env find grep head id ln ls mkdir mv ps readlink rm sh
    sleep sort tr""".split()  # noqa: SIM905
STAND_IN = (ROOT / "tests" / "stand_in_uv.sh").read_text()
FAIL = "echo 'error: {}' >&2; exit 1"
# What pip's -m does is the first line's: install uv into the target, without its own settings.
PIP = """case "$*" in
    *"import pip" | *version_info*) exit 0 ;;
    *" install "*) [ "$PIP_USER$PIP_REQUIRE_VIRTUALENV$PIP_PREFIX" = 00 ] || exit 1
        while [ "$1" != --target ]; do shift; done
        mkdir -p "$2/bin" && cp {uv} "$2/bin/{name}" && cp {uv} "$2/bin/uvx" ;;
    *) exit 1 ;;
esac"""
PYTHON_WITHOUT_PIP = 'case "$*" in *pip*|*venv*) exit 1 ;; esac'


def quoted(text: object) -> str:
    """In PowerShell."""
    return "'" + str(text).replace("'", "''") + "'"


class PowerShell:
    """One session for all cases, since to start one takes longer than a case."""

    def __init__(self, folder: Path):
        self.stderr = folder / "stderr"
        with self.stderr.open("w") as stderr:
            self.process = subprocess.Popen(
                ["pwsh", "-NoProfile", "-NonInteractive", "-Command", "-"],
                cwd=folder,
                env={**os.environ, "TERM": "dumb"},  # no escape sequences
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                encoding="utf-8",
            )

    def run(self, line: str) -> tuple[int, str, str]:
        before = self.stderr.stat().st_size
        watchdog = threading.Timer(60, self.process.kill)
        watchdog.start()
        # a session that has run no program yet has no $LASTEXITCODE
        end = '; [Console]::Out.WriteLine("=== $([int]$LASTEXITCODE)")'
        print(line + end, file=self.process.stdin)
        self.process.stdin.flush()
        stdout = ""
        for text in self.process.stdout:
            if text.startswith("=== "):
                watchdog.cancel()
                stderr = self.stderr.read_bytes()[before:].decode()
                return int(text.split()[1]), stdout, stderr
            stdout += text
        raise AssertionError(f"the session was closed: {stdout}")


@pytest.fixture(scope="session")
def powershell(tmp_path_factory):
    session = PowerShell(tmp_path_factory.mktemp("powershell"))
    yield session
    session.process.kill()
    session.process.wait()
    session.process.stdin.close()
    session.process.stdout.close()


class Machine:
    """A copy of the repository, and a PATH and a home that hold what the test puts there."""

    def __init__(self, folder: Path, installer: str, request: pytest.FixtureRequest):
        self.installer, self.request = installer, request
        self.windows = installer == "install.ps1"
        self.exe = ".exe" if self.windows else ""
        self.home = folder / "home"
        self.bin = folder / "bin"
        self.log = folder / "log"
        for path in (self.home, self.bin):
            path.mkdir()
        self.move(folder / "un dépôt")
        (self.root / "script").mkdir(parents=True)
        for name in ("requirements.txt", "script/check_environment.py", "script/install.sh"):
            shutil.copy(ROOT / name, self.root / name)
        # the one thing that is not as it is: other systems are not refused
        text = (ROOT / "script" / "install.ps1").read_text()
        text = text.replace("-ge 6 -and -not $IsWindows", "-lt 0")
        (self.root / "script" / "install.ps1").write_text(text)
        for tool in TOOLS:
            if shutil.which(tool):
                (self.bin / tool).symlink_to(shutil.which(tool))
        self.program(
            "uname", 'case "$1" in -s) echo Linux ;; -m) echo x86_64 ;; -n) echo lab ;; esac'
        )
        self.environ = {
            "PATH": str(self.bin),
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "PIP_CONFIG_FILE": "/dev/null",
            "STAND_IN_LOG": str(self.log),
        }

    def move(self, root: Path) -> None:
        self.root, self.venv, self.script = root, root / ".venv", root / "script" / self.installer
        self.python = self.venv / ("Scripts/python.exe" if self.windows else "bin/python")

    def program(self, name: str, code: str, folder: Path | None = None) -> Path:
        """Write a shell program, on PATH unless a folder is named."""
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(code if code.startswith("#!") else f"#!/bin/sh\n{code}\n")
        path.chmod(0o755)
        return path

    def add_uv(self, folder: Path | None = None) -> Path:
        return self.program(f"uv{self.exe}", STAND_IN, folder)

    def add_python_with_pip(self) -> None:
        """A python3 whose pip can install one thing: the stand-in uv into a --target."""
        uv = shlex.quote(str(self.add_uv(self.bin.parent / "index")))
        self.program("python3", PIP.format(uv=uv, name=f"uv{self.exe}"))

    def command(self) -> list[str | Path]:
        shell = ["pwsh", "-NoProfile", "-File"] if self.windows else ["bash"]
        return [shutil.which(shell[0]), *shell[1:], self.script]

    def start(self, command: list | None = None, cwd: Path | None = None, **environ: str):
        return subprocess.Popen(
            command or self.command(),
            cwd=cwd or self.root,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )

    def install(self, *words: str, cwd: Path | None = None, code: str = "", **environ: str):
        """Run the installer. Returns (exit status, standard output, standard error).

        In PowerShell, code is run instead, in a session as a user has it.
        """
        environ = {**self.environ, **environ}
        if not self.windows:
            process = self.start([*self.command(), *words], cwd, **environ)
            stdout, stderr = process.communicate(timeout=60)
            return process.returncode, stdout, stderr
        lines = ["Get-ChildItem Env: | Remove-Item"]
        lines += [f"Set-Item {quoted('Env:' + k)} {quoted(v)}" for k, v in environ.items()]
        lines += [
            "Set-Variable HOME $env:HOME -Force -Scope Global",
            f"Set-Location -LiteralPath {quoted(cwd or self.root)}",
            code or f"& {quoted(self.script)} {' '.join(words)}",
        ]
        return self.request.getfixturevalue("powershell").run(f"& {{ {'; '.join(lines)} }}")

    def calls(self) -> list[dict]:
        """The calls of uv: its words and its settings."""
        texts = self.log.read_text().split("CALL=")[1:] if self.log.exists() else []
        calls = []
        for text in texts:
            words, *settings = text.splitlines()
            calls.append(dict(line.split("=", 1) for line in settings if "=" in line))
            calls[-1]["words"] = words.split("|")
        return calls

    def install_call(self) -> dict:
        """The one call of uv that installs."""
        (call,) = [c for c in self.calls() if "--requirement" in c["words"] and
                   not {"--offline", "--dry-run"} & {*c["words"]}]  # fmt: skip
        return call


@pytest.fixture(params=["install.sh", "install.ps1"])
def installer(request) -> str:
    if request.param == "install.ps1" and shutil.which("pwsh") is None:
        pytest.skip("no PowerShell here")
    return request.param


@pytest.fixture
def machine(tmp_path, request, installer) -> Machine:
    return Machine(tmp_path, installer, request)


@pytest.fixture
def ready(machine) -> Machine:
    """A machine that has uv."""
    machine.add_uv()
    return machine


@pytest.fixture
def installed(ready) -> Machine:
    status, _, stderr = ready.install()
    assert status == 0, stderr
    (ready.venv / "witness").touch()
    ready.log.unlink()
    return ready


def assert_rebuilt(machine: Machine, reason: str, **environ: str) -> None:
    status, stdout, stderr = machine.install(**environ)
    assert status == 0, stderr
    assert f"environment: .venv is rebuilt, since {reason}" in stdout
    assert not (machine.venv / "witness").exists()
    assert "Done." in stdout


def assert_fails(machine: Machine, sentence: str, **environ: str) -> str:
    status, stdout, stderr = machine.install(**environ)
    assert status == 1
    assert "Done." not in stdout
    assert re.search(r"^error: .*" + re.escape(sentence), stderr, re.MULTILINE), stderr
    return stderr


def files_under(folder: Path) -> dict[Path, tuple[int, int]]:
    return {p: (p.lstat().st_mtime_ns, p.lstat().st_size) for p in folder.rglob("*")}


# Getting uv


def test_uv_on_path_is_used(ready):
    status, stdout, stderr = ready.install()
    assert (status, stderr) == (0, "")
    lines = stdout.splitlines()
    assert lines[:6] == [
        f"uv: found, {ready.bin / 'uv'}{ready.exe}",
        "environment: .venv is made, Python 3.12.4",
        "torch build: chosen by uv for this machine",
        "packages: installing requirements.txt",
        "check: PYTHONPATH=",
        "Done. Next:",
    ]
    python = r".venv\Scripts\python script\gd_1d_torch.py"
    steps = [python, r".venv\Scripts\pytest"]
    if not ready.windows:
        steps = ["source .venv/bin/activate", "python script/gd_1d_torch.py", "pytest"]
    assert [line.strip() for line in lines[6 : 6 + len(steps)]] == steps
    assert {p.name for p in ready.root.iterdir()} == {"script", "requirements.txt", ".venv"}


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
    uv = machine.add_uv(machine.home / place)
    value = machine.home / ("share" if variable == "XDG_DATA_HOME" else place)
    value.mkdir(exist_ok=True)
    status, stdout, _ = machine.install(**({variable: str(value)} if variable else {}))
    assert status == 0
    assert os.path.samefile(stdout.splitlines()[0].removeprefix("uv: found, "), uv)


@pytest.mark.parametrize("code", ["echo 'pip install [OPTIONS]'", "exit 127"])
def test_uv_that_is_too_old_or_does_not_start_is_passed_over(machine, code):
    machine.program(f"uv{machine.exe}", code)
    uv = machine.add_uv(machine.home / ".local" / "bin")
    assert machine.install()[1].startswith(f"uv: found, {uv}")


def test_without_astral_uv_comes_from_the_index_into_venv(machine):
    machine.add_python_with_pip()
    forbidding = {"PIP_USER": "1", "PIP_REQUIRE_VIRTUALENV": "1", "PIP_PREFIX": "/usr"}
    status, stdout, stderr = machine.install(**forbidding)
    assert (status, stderr) == (0, "")
    assert f"uv: installed, {machine.venv / 'uv' / 'bin' / 'uv'}" in stdout
    assert "rebuilt" not in stdout
    assert not list(machine.home.rglob("*uv*"))
    assert os.access(machine.python.with_name(f"uv{machine.exe}"), os.X_OK)  # once activated
    # it survives a rebuild without the index, where that one in .venv/bin does not
    (machine.bin / "python3").unlink()
    machine.python.unlink()
    assert_rebuilt(machine, "its Python is gone", PATH=f"{machine.python.parent}:{machine.bin}")


def test_python_without_pip_makes_a_pip_for_itself(machine):
    machine.add_python_with_pip()
    pip = (machine.bin / "python3").rename(machine.bin.parent / "pip")
    place = f"$3/{machine.python.relative_to(machine.venv)}"
    machine.program(
        "python3",
        f"""case "$*" in
            *"import pip") exit 1 ;;
            "-m venv "*) mkdir -p "$(dirname "{place}")" && cp {shlex.quote(str(pip))} "{place}" ;;
        esac""",
    )
    assert f"uv: installed, {machine.venv / 'uv' / 'bin' / 'uv'}" in machine.install()[1]


@pytest.mark.parametrize("python", [None, PYTHON_WITHOUT_PIP, "exit 1"])
def test_no_way_to_get_uv_is_one_clear_error(machine, python):
    if python:
        machine.program("python3", python)
    before = files_under(machine.root)
    stderr = assert_fails(machine, "or Python 3.11 or later with pip, then run again.")
    assert len(stderr.splitlines()) == 1
    assert files_under(machine.root).keys() == before.keys()


def test_pips_reason_is_shown(machine):
    machine.program("python3", f'case "$*" in *install*) {FAIL.format("SSL")} ;; esac')
    stderr = assert_fails(machine, "pip could not get uv from the index: see above.")
    assert stderr.startswith("error: SSL\n")
    assert "Install uv (" not in stderr


# What reaches in


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_an_active_environment_receives_nothing(ready, tmp_path, variable):
    active = tmp_path / "active"
    ready.program("python", "exit 1", active / "bin")
    before = files_under(active)
    path = f"{active / 'bin'}:{ready.bin}"
    status, _, stderr = ready.install(PATH=path, **{variable: str(active)})
    assert status == 0, stderr
    assert files_under(active) == before
    for call in ready.calls():
        assert variable not in call
        if call["words"][0] == "pip":
            assert call["words"][call["words"].index("--python") + 1] == str(ready.python)


def test_no_other_project_reaches_in(ready, tmp_path):
    status, _, _ = ready.install(cwd=tmp_path, UV_PROJECT=".", UV_WORKING_DIR=".", UV_CACHE_DIR="c")
    assert status == 0
    for call in ready.calls():
        assert "UV_PROJECT" not in call and "UV_WORKING_DIR" not in call
        assert "--project|/" in "|".join(call["words"])
        # relative settings of the user's own are meant from where the user is
        assert (call["UV_CACHE_DIR"], call["PWD"]) == ("c", str(tmp_path))


def test_pythonpath_is_hidden_from_uv_and_not_from_the_check(ready):
    status, stdout, _ = ready.install(PYTHONPATH="/usr/ros")
    assert status == 0
    assert "check: PYTHONPATH=/usr/ros\n" in stdout
    assert not any("PYTHONPATH" in call for call in ready.calls())


def test_pips_sources_are_handed_to_uv(ready):
    ready.install(
        PIP_FIND_LINKS="/wheels /more",
        PIP_INDEX_URL="https://mirror.example/simple",
        PIP_EXTRA_INDEX_URL="https://a.example https://b.example",
    )
    call = ready.install_call()
    assert call["UV_FIND_LINKS"] == "/wheels,/more"
    assert call["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert call["UV_INDEX"] == "https://a.example https://b.example"
    assert call["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_uvs_own_sources_win_over_pips(ready):
    own = {"UV_FIND_LINKS": "/u", "UV_DEFAULT_INDEX": "https://u", "UV_INDEX": "https://v"}
    pip = {"PIP_FIND_LINKS": "/p", "PIP_INDEX_URL": "https://p", "PIP_EXTRA_INDEX_URL": "https://q"}
    ready.install(**own, **pip)
    call = ready.install_call()
    assert {name: call[name] for name in own} == own
    assert "UV_INDEX_STRATEGY" not in call


def test_pips_files_count_as_its_variables_do(ready):
    user = ready.home / (".config/pip/pip.conf" if not ready.windows else "pip/pip.ini")
    user.parent.mkdir(parents=True)
    user.write_text(
        "[global]\nindex_url = https://user\n# no = comment\n"
        "find-links =\n    /wheels\n    https://more:80/\n[install]\nextra-index-url: https://extra\n"
    )
    named = ready.home / "named"
    named.write_text(
        "[global]\nindex-url=https://named\r\nextra-index-url = https://less\n[list]\n"
    )
    environ = {"APPDATA": str(ready.home), "PIP_CONFIG_FILE": str(named)}
    ready.install(**environ, XDG_CONFIG_DIRS="/nonexistent")
    call = ready.install_call()
    assert call["UV_DEFAULT_INDEX"] == "https://named"
    assert call["UV_FIND_LINKS"] == "/wheels,https://more:80/"
    assert call["UV_INDEX"] == "https://extra"


def test_a_parents_pytest_settings_do_not_reach_in(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--cov=t"\n')
    repository = tmp_path / "course"
    (repository / "tests").mkdir(parents=True)
    shutil.copy(ROOT / ".pytest.ini", repository)
    (repository / "tests" / "test_it.py").write_text("def test_it(): pass\n")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=repository,
        capture_output=True,
    )
    assert run.returncode == 0, run.stderr


# The environment


def test_started_from_elsewhere(ready):
    status, stdout, _ = ready.install(cwd=Path("/"))
    assert status == 0
    assert (ready.venv / "pyvenv.cfg").exists()
    assert f'{"pushd" if ready.windows else "cd"} "{ready.root}"' in stdout


def test_second_run_keeps_the_environment_and_needs_no_network(installed):
    status, stdout, _ = installed.install()
    assert status == 0
    assert "environment: .venv is kept" in stdout
    assert "packages: all there" in stdout
    assert (installed.venv / "witness").exists()
    assert all("--offline" in call["words"] for call in installed.calls())


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda python: python.unlink(), "its Python is gone"),
        (lambda python: python.write_text("#!/bin/sh\nexit 127\n"), "its Python does not start"),
        (
            lambda python: python.write_text("#!/bin/sh\necho 3.10.9\n"),
            "its Python is 3.10.9, not 3.11 to 3.15",
        ),
    ],
)
def test_venv_that_is_broken_is_rebuilt(installed, spoil, reason):
    spoil(installed.python)
    assert_rebuilt(installed, reason)


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_venv_that_was_moved_or_copied_is_rebuilt(installed, how):
    old, new = installed.root, installed.root.with_name("new")
    shutil.copytree(old, new, symlinks=True)
    if how == "moved":
        shutil.rmtree(old)
    installed.move(new)
    assert_rebuilt(installed, f"it was moved or copied from {old / '.venv'}")
    assert (old / ".venv" / "witness").exists() == (how == "copied")


def test_venv_by_another_name_of_its_folder_is_kept(installed):
    """As on a mapped drive."""
    (installed.root.with_name("mapped")).symlink_to(installed.root)
    installed.move(installed.root.with_name("mapped"))
    assert "environment: .venv is kept" in installed.install()[1]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_venv_that_is_no_environment(ready, kind):
    if kind == "folder":
        ready.venv.mkdir()
        (ready.venv / "witness").touch()
    else:
        ready.venv.touch()
    assert_rebuilt(ready, "it is not a virtual environment")


def test_venv_made_by_hand_is_kept(installed):
    (installed.venv / ".lecture-install").unlink()
    assert "environment: .venv is kept" in installed.install()[1]
    assert (installed.venv / "witness").exists()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "environment: .venv is made"),  # the target is gone
        ([], "environment: .venv is made"),
        ([".lecture-install", "witness"], "environment: .venv is rebuilt"),
        (["thesis.tex"], None),
    ],
)
def test_venv_that_is_a_link_to_a_scratch_disk_is_kept_as_one(ready, tmp_path, content, line):
    target = tmp_path / "scratch" / "venv"
    ready.venv.symlink_to("../scratch/venv")
    if content is not None:
        target.mkdir(parents=True)
    for name in content or []:
        (target / name).touch()
    if line is None:
        assert_fails(ready, "what lies there is not ours")
        assert {p.name for p in target.iterdir()} == {*content}
    else:
        status, stdout, _ = ready.install()
        assert status == 0
        assert line in stdout
        assert (target / "pyvenv.cfg").exists() and not (target / "witness").exists()
        assert "environment: .venv is kept" in ready.install()[1]
    assert ready.venv.is_symlink()


def test_git_ignores_venv_as_a_link_and_the_lock(tmp_path):
    shutil.copy(ROOT / ".gitignore", tmp_path)
    git("init", "-q", cwd=tmp_path)
    for name in (".venv", ".venv.lock", ".venv.lock.uv"):
        (tmp_path / name).symlink_to("elsewhere")
    assert git("status", "--porcelain", cwd=tmp_path) == "?? .gitignore\n"


# When a step fails

NO_WHEEL = FAIL.format("torch has no wheels with a matching platform tag (e.g., `win32`)")
OWN_MESSAGE = "uv's own message above is the cause. "


@pytest.mark.parametrize(
    ("step", "code", "sentence"),
    [
        (
            "VENV",
            FAIL.format("No interpreter found for Python"),
            "no Python >=3.11,<3.16 was found",
        ),
        ("VENV", FAIL.format("Failed to initialize cache"), OWN_MESSAGE + "Set UV_CACHE_DIR where"),
        ("VENV", FAIL.format("No space left on device"), "clone elsewhere where a disk is full"),
        (
            "VENV",
            "export STAND_IN_PYTHON=3.10.9",
            "this is Python 3.10.9. Set UV_PYTHON to one of",
        ),
        ("DRY_RUN", FAIL.format("dns error"), "choosing the torch build failed. Check the network"),
        ("DRY_RUN", NO_WHEEL, "there is no PyTorch for this Python's platform, linux-x86_64 musl"),
        ("INSTALL", FAIL.format("No space left"), "installing the packages failed: " + OWN_MESSAGE),
        ("INSTALL", FAIL.format("os error 396"), OWN_MESSAGE[:-2]),
        ("PYTHON", 'case "$*" in *.py) exit 1 ;; esac', "The lines above say why, and what helps."),
    ],
)
def test_a_failing_step_says_why_and_is_repaired(ready, step, code, sentence):
    environ = {f"ON_{step}": code, "STAND_IN_PLATFORM": "linux-x86_64 musl 1.2"}
    if step == "VENV" and "export" in code:
        environ = {"STAND_IN_PYTHON": "3.10.9"}
    stderr = assert_fails(ready, sentence, **environ)
    if code.startswith("echo") and code != NO_WHEEL:
        assert stderr.startswith(shlex.split(code)[1] + "\n")
    status, stdout, _ = ready.install()
    assert status == 0
    assert "environment: .venv is kept" not in stdout


@pytest.mark.parametrize(
    ("system", "platform", "advice"),
    [
        ("Darwin arm64", "macosx-11.0-x86_64", "set UV_PYTHON=cpython-3.13-macos-aarch64"),
        ("Linux x86_64", "linux-i686", "set UV_PYTHON=cpython-3.13-linux-x86_64"),
        ("", "win-arm64", "set UV_PYTHON=cpython-3.13-windows-x86_64"),
        ("Linux x86_64", "linux-x86_64 glibc 2.17", "Use another computer, or run single scripts"),
    ],
)
def test_the_python_that_can_be_changed_is_named(ready, system, platform, advice):
    if ready.windows == bool(system and "glibc" not in platform):
        pytest.skip("of the other installer")
    if system:
        kernel, processor = system.split()
        ready.program("uname", f'[ "$1" = -s ] && echo {kernel} || echo {processor}')
        ready.program("sw_vers", "echo 15.1")
    assert_fails(
        ready, f"platform, {platform}: ", ON_DRY_RUN=NO_WHEEL, STAND_IN_PLATFORM=platform
    ).index(advice)
    # where the index is out of reach, or the user chose, it is the install that fails
    environ = {"ON_INSTALL": NO_WHEEL, "UV_TORCH_BACKEND": "cpu", "ON_DRY_RUN": NO_WHEEL}
    assert_fails(ready, advice, STAND_IN_PLATFORM=platform, **environ)


@pytest.mark.parametrize("minor", range(10, 17))
def test_pythons_from_3_11_to_3_15_will_do(ready, minor):
    status, _, stderr = ready.install(STAND_IN_PYTHON=f"3.{minor}.1")
    assert (status == 0) == (11 <= minor <= 15), stderr


# The torch build

UNREACHABLE = FAIL.format("Failed to fetch: https://download.pytorch.org/whl/cpu/torch/")


@pytest.mark.parametrize(
    ("build", "dry_run", "line", "handed"),
    [
        ("", "", "torch build: chosen by uv for this machine", "auto"),
        ("", UNREACHABLE, "torch build: the PyTorch index cannot be reached, taking", None),
        ("", "echo ' + torch==2.13.0+cu130'", "torch build: chosen by uv", "auto"),
        ("", "echo ' + torch==2.13.0+rocm6.4'", "torch build: chosen by uv", "auto"),
        ("", "echo ' + torch==2.13.0'", "torch build: chosen by uv", "auto"),
        ("", "echo ' + torch==2.13.0+xpu'", "torch build: cpu, since these scripts do not", "cpu"),
        ("auto", "echo ' + torch==2.13.0+xpu'", "torch build: cpu, since these", "cpu"),
        ("", "echo 'Would make no changes'", "torch build: the one that is there", None),
        ("cu128", "exit 1", "torch build: cu128, from UV_TORCH_BACKEND", "cu128"),
    ],
)
def test_torch_build(ready, build, dry_run, line, handed):
    _, stdout, _ = ready.install(UV_TORCH_BACKEND=build, ON_DRY_RUN=dry_run)
    assert line in stdout
    assert ready.install_call().get("UV_TORCH_BACKEND") == handed


@pytest.mark.parametrize(
    ("build", "dry_run", "exchanged"),
    [
        ("cu126", "echo ' - torch==2.13.0+auto'; echo ' + torch==2.13.0+cu126'", True),
        ("auto", "exit 1", False),  # what is there is what it names
        ("cpu", "echo ' - torch==2.13.0+auto'; echo ' + torch==2.13.0+auto'", False),
    ],
)
def test_a_build_other_than_the_installed_one_is_exchanged(installed, build, dry_run, exchanged):
    dry_run = UNREACHABLE if dry_run == "exit 1" else dry_run
    status, stdout, _ = installed.install(UV_TORCH_BACKEND=build, ON_DRY_RUN=dry_run)
    assert status == 0
    assert ("packages: all there" in stdout) == (not exchanged)
    if exchanged:
        assert "--reinstall-package|torch" in "|".join(installed.install_call()["words"])
        installed.log.unlink()
        assert "packages: all there" in installed.install(UV_TORCH_BACKEND=build)[1]


# Two runs, and runs that are cut off


def hang(machine: Machine, step: str = "INSTALL") -> subprocess.Popen:
    """Start a run that hangs: uv at the packages, or Python at the check."""
    # pytest in the background of a script ignores SIGINT, and so would what it starts
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    hanging = machine.home / "hanging"
    code = f"case \"$*\" in *.py | *--requirement*) echo $$ >'{hanging}'; sleep 60 ;; esac"
    process = machine.start(**{f"ON_{step}": code})
    signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 30
    while not (hanging.exists() and hanging.read_text()):
        assert time.monotonic() < deadline, "the package step was not reached"
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_while_installing_packages_then_repaired(ready, number):
    if ready.windows and number == signal.SIGTERM:
        pytest.skip("Windows has no such signal")
    process = hang(ready)
    os.killpg(process.pid, number)
    stdout, _ = process.communicate(timeout=30)
    assert process.returncode != 0 or ready.windows
    assert "Done." not in stdout
    assert_rebuilt(ready, "an earlier install did not finish")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_second_run_is_refused_and_a_killed_one_does_not_block(ready, number):
    if ready.windows and number == signal.SIGTERM:
        pytest.skip("Windows has no such signal")
    process = hang(ready)
    before = {*files_under(ready.venv)}
    assert_fails(ready, "another run is at work here: ")
    assert {*files_under(ready.venv)} == before
    process.send_signal(number)  # uv outlives it
    process.wait()
    assert_fails(ready, "another run is at work here: ")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert_rebuilt(ready, "an earlier install did not finish")
    assert not list(ready.root.glob(".venv.lock*"))


def test_a_run_that_has_no_uv_at_work_counts_too(ready):
    process = hang(ready, "PYTHON")
    assert_fails(ready, "another run is at work here: ")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert_rebuilt(ready, "an earlier install did not finish")


# How it is started


@pytest.mark.parametrize(("word", "status"), [("--help", 0), ("-h", 0), ("please", 2)])
def test_a_surplus_word_gets_the_usage_and_nothing_is_done(ready, word, status):
    got, stdout, stderr = ready.install(word)
    assert got == status
    assert stdout.startswith("usage: ") and stderr == ""
    assert not ready.log.exists() and not ready.venv.exists()


@pytest.mark.parametrize("kind", ["absolute", "relative"])
def test_a_link_to_the_script_works(ready, tmp_path, kind):
    link = tmp_path / "links" / "here" / "install.ps1"
    link.parent.mkdir(parents=True)
    target = ready.script if kind == "absolute" else os.path.relpath(ready.script, link.parent)
    link.symlink_to(target)
    ready.script = link
    status, _, stderr = ready.install(cwd=tmp_path)
    assert status == 0, stderr
    assert ready.python.exists() and not list(tmp_path.glob("**/links/**/.venv"))


def test_a_copy_elsewhere_says_how_to_run_it(ready, tmp_path):
    shutil.move(ready.root / "script", tmp_path / "script")
    ready.script = tmp_path / "script" / ready.installer
    assert_fails(ready, "this is not run from script/".replace("/", "\\" * ready.windows or "/"))
    assert not list(tmp_path.glob("**/.venv"))


@pytest.mark.parametrize("lines", [20, 100, 200, -1])
def test_half_of_this_script_does_nothing(ready, lines):
    text = ready.script.read_text().rstrip("\n").split("\n")[:lines]
    ready.script.write_text("\n".join(text))
    ready.install()
    assert not ready.venv.exists()
    assert not ready.log.exists()


@pytest.mark.parametrize("name", ["plain", "[b] c'd", "$HOME `x`", 'a "b"', "50% off!", "a:b;c"])
def test_the_line_that_changes_folder_can_be_pasted(ready, tmp_path, name):
    root = tmp_path / name
    shutil.move(ready.root, root)
    ready.move(root)
    status, stdout, stderr = ready.install(cwd=tmp_path)
    assert status == 0, stderr
    lines = stdout.split("Done. Next:\n")[1].splitlines()
    if ready.windows:
        _, there, _ = ready.install(cwd=tmp_path, code=f"{lines[0]}; (Get-Location).Path")
    else:
        paste = ["bash", "-c", f"{lines[0]}; pwd"]
        there = subprocess.run(paste, cwd=tmp_path, capture_output=True, encoding="utf-8").stdout
    assert there == f"{root}\n"
    assert ("forbids activating .venv." in stdout) == (":" in name)
    assert ("/activate\n" in stdout or "Activate.ps1" in stdout) == (":" not in name)


def test_a_clone_with_autocrlf_starts(ready, tmp_path):
    for name in (".gitattributes", "script/check_environment.py"):
        shutil.copy(ROOT / name, ready.root / name)
    git("init", "-q", cwd=ready.root)
    git("add", ".", cwd=ready.root)
    git("commit", "-q", "-m", "all", cwd=ready.root)
    clone = tmp_path / "clone"
    git("-c", "core.autocrlf=true", "clone", "-q", ready.root, clone, cwd=tmp_path)
    ready.move(clone)
    status, _, stderr = ready.install()
    assert (status, stderr) == (0, "")
    assert b"\r" not in (clone / "requirements.txt").read_bytes()


# What only install.sh has: other shells, downloaders, systems, and sudo


@only_sh
@pytest.mark.parametrize("downloader", ["curl", "wget"])
def test_astrals_installer_is_run(machine, downloader):
    uv = machine.add_uv(machine.bin.parent / "astral")
    code = f'mkdir -p "$HOME/.local/bin" && cp {shlex.quote(str(uv))} "$HOME/.local/bin"'
    machine.program(downloader, f"echo {shlex.quote(code)}")
    assert f"uv: installed, {machine.home / '.local' / 'bin' / 'uv'}" in machine.install()[1]


@only_sh
def test_half_an_installer_is_not_run(machine):
    machine.program("curl", 'echo "mkdir $HOME/half"; exit 18')
    machine.install()
    assert not (machine.home / "half").exists()


@only_sh
@pytest.mark.parametrize(
    "command",
    [
        "dash script/install.sh",
        "dash -c '. script/install.sh; echo still open >&2'",
        "bash -c 'source script/install.sh; echo still open >&2'",
        "zsh -c 'source script/install.sh; echo still open >&2'",
        "bash -c 'bash < script/install.sh'",
    ],
)
def test_run_in_another_way_it_says_how_and_makes_nothing(ready, command):
    words = shlex.split(command)
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} here")
    process = ready.start([shutil.which(words[0]), *words[1:]])
    stdout, stderr = process.communicate(timeout=60)
    said, *more = stderr.splitlines()
    assert re.fullmatch("error: .*[Rr]un: bash script/install.sh", said)
    assert more == (["still open"] if "still" in command else [])
    assert stdout == ""
    assert not list(ready.root.parent.glob("**/.venv"))


@only_sh
@pytest.mark.parametrize(
    ("system", "more", "sentence"),
    [
        ("Darwin x86_64", "", "this is an Intel Mac, for which there is no PyTorch after 2.2."),
        ("Darwin x86_64", "sysctl 1", "Run: arch -arm64 bash script/install.sh"),
        (
            "Darwin arm64",
            "sw_vers 13.7.1",
            "this is macOS 13.7.1. PyTorch needs macOS 14: update it.",
        ),
        ("Darwin arm64", "sw_vers 14.0", None),
        ("Darwin arm64", "sw_vers 26.1", None),
        ("MINGW64_NT-10.0 x86_64", "", "there is no powershell.exe on PATH."),
    ],
)
def test_a_system_without_a_build_gets_one_sentence(ready, system, more, sentence):
    kernel, processor = system.split()
    ready.program("uname", f'[ "$1" = -s ] && echo {kernel} || echo {processor}')
    if more:
        ready.program(more.split()[0], f"echo {more.split()[1]}")
    if sentence is None:
        assert ready.install()[0] == 0
    else:
        assert len(assert_fails(ready, sentence).splitlines()) == 1
        assert not ready.log.exists()


@only_sh
def test_git_bash_hands_over_to_powershell(ready):
    ready.program("uname", 'echo "MINGW64_NT-10.0"')
    ready.program("cygpath", 'echo "C:/un depot/script/install.ps1"')
    ready.program("powershell.exe", 'echo "$LECTURE_NEXT_STEPS: $*"; exit ${ON_PS:-0}')
    status, stdout, _ = ready.install()
    assert (status, stdout.splitlines()) == (0, [
        "elsewhere: -NoProfile -ExecutionPolicy Bypass -File C:/un depot/script/install.ps1",
        "Done. Next:",
        "    .venv/Scripts/python script/gd_1d_torch.py",
        "    .venv/Scripts/pytest",
    ])  # fmt: skip
    status, stdout, _ = ready.install(ON_PS="3")
    assert status == 3 and "Done." not in stdout


@only_sh
@pytest.mark.parametrize("place", [".", ".venv", "cache/wheels"])
def test_what_belongs_to_another_is_named_with_its_owner(installed, place):
    root, command = installed.root, installed.command()
    if os.geteuid() == 0:  # as after one run under sudo, seen by the user
        folder = Path(tempfile.mkdtemp(prefix="sudo "))
        shutil.copytree(installed.bin.parent, folder / "all", symlinks=True)
        (folder / "all").chmod(0o755)
        folder.chmod(0o755)
        root, home = folder / "all" / root.name, folder / "all" / "home"
        installed.environ |= {"HOME": str(home), "PATH": str(folder / "all" / "bin")}
        installed.environ["STAND_IN_LOG"] = "/dev/null"
        command[-1] = root / "script" / "install.sh"
        subprocess.run(["chown", "-R", "nobody", folder], check=True)
    else:
        home = installed.home
    foreign = (home if "cache" in place else root) / place
    (home / "cache").mkdir(mode=0o777)
    (home / "cache").chmod(0o777)
    foreign.mkdir(exist_ok=True)
    subprocess.run(["chown", "0", foreign] if os.geteuid() == 0 else ["true"], check=True)
    foreign.chmod(0o555)
    user = {"user": "nobody", "group": 65534} if os.geteuid() == 0 else {}
    try:
        run = subprocess.run(command, cwd="/", env=installed.environ, capture_output=True, **user)
        stderr = run.stderr.decode()
        owner = " belongs to root and cannot be written. Run: sudo chown -R nobody "
        assert stderr.startswith(f"error: {os.path.normpath(foreign)}")
        assert (owner if user else " cannot be written. ") in stderr
    finally:
        foreign.chmod(0o755)
        if user:
            shutil.rmtree(folder)


@only_sh
def test_a_file_system_without_links(ready):
    ready.program("ln", "exit 1")
    assert_fails(ready, "its file system knows none. Clone the repository into a folder on another")


@only_sh
@pytest.mark.parametrize(("minutes", "held"), [(0, True), (90, False)])
def test_a_run_on_another_host_counts_for_an_hour(ready, minutes, held):
    lock = ready.root / ".venv.lock"
    lock.symlink_to(f"other {os.getpid()} 1")
    past = time.time() - 60 * minutes
    os.utime(lock, (past, past), follow_symlinks=False)
    if held:
        assert_fails(ready, f"Where its host is gone, remove {lock} first.")
    else:
        assert ready.install()[0] == 0


@only_sh
def test_a_number_that_another_process_has_by_now_does_not_block(ready):
    (ready.root / ".venv.lock").symlink_to(f"lab {os.getpid()} 1")
    assert ready.install()[0] == 0


# What only install.ps1 has: a session around it, policies, drives


@only_ps1
@pytest.mark.parametrize("proxy", ["", "proxy.example:3128", "http://proxy.example"])
def test_astrals_installer_is_fetched_through_the_proxy(machine, proxy):
    uv = machine.add_uv(machine.bin.parent / "astral")
    home = machine.home / ".local" / "bin"
    fetched = f"New-Item -ItemType Directory {quoted(home)}; Copy-Item {quoted(uv)} {quoted(home)}"
    reply = f"'$null = ' + {quoted(fetched.replace(';', '; $null ='))}"
    code = (
        f"function Invoke-RestMethod($Uri, $Proxy, $TimeoutSec, [switch] $UseBasicParsing) "
        f'{{ Write-Host "proxy=$Proxy"; {reply} }}; & {quoted(machine.script)}'
    )
    status, stdout, stderr = machine.install(code=code, HTTPS_PROXY=proxy)
    assert status == 0, stderr
    wanted_proxy = f"http://{proxy}" if proxy and "://" not in proxy else proxy
    assert f"proxy={wanted_proxy}\n" in stdout
    assert f"uv: installed, {home / 'uv.exe'}" in stdout


NAMES = "@(Get-Variable; Get-Command -CommandType Function).Name"
VARIABLES = "((Get-ChildItem Env: | % { $_.Name + '=' + $_.Value }) -join '|')"
INVOKED = "Get-Content -Raw script/install.ps1 | Invoke-Expression"


@only_ps1
@pytest.mark.parametrize("how", [INVOKED, "& script/install.ps1", ". script/install.ps1"])
@pytest.mark.parametrize("trouble", ["", "exit 1"])
def test_the_session_is_as_before(ready, how, trouble):
    told = {"VIRTUAL_ENV": "v", "PYTHONPATH": "p", "UV_TORCH_BACKEND": "auto", "PIP_INDEX_URL": "i"}
    code = (
        "$global:LASTEXITCODE = 9; $names = $before = $status = $_ = ''; "
        f"$names = {NAMES}; $before = {VARIABLES}; {how}; $status = $LASTEXITCODE; "
        f"Write-Host ($before -ceq {VARIABLES}) $status "
        f"({NAMES} | Where-Object {{ $_ -notin $names }}); $nothing.Missing"
    )
    _, stdout, stderr = ready.install(code=code, ON_INSTALL=trouble, **told)
    assert stdout.endswith(f"True {int(bool(trouble))} \n"), stdout
    assert ("Done." in stdout) == (not trouble)
    assert "cannot be retrieved" not in stderr  # of StrictMode


@only_ps1
def test_invoked_elsewhere_it_says_how_to_run_it(ready, tmp_path):
    code = f"Get-Content -Raw {quoted(ready.script)} | Invoke-Expression"
    status, _, stderr = ready.install(code=code, cwd=tmp_path)
    assert status == 1
    assert stderr.startswith("error: this is not run from script\\ of the repository. There, run: ")
    assert not list(tmp_path.glob("**/.venv"))


@only_ps1
def test_a_home_on_a_drive_that_is_not_there(ready):
    code = f"Set-Variable HOME 'Q:\\home' -Force -Scope Global; & {quoted(ready.script)}"
    status, _, stderr = ready.install(code=code)
    assert (status, stderr) == (0, "")


@only_ps1
def test_next_steps_are_left_to_git_bash(ready):
    status, stdout, _ = ready.install(LECTURE_NEXT_STEPS="elsewhere")
    assert status == 0 and "Done." not in stdout


@only_ps1
def test_another_system_is_refused(ready):
    shutil.copy(ROOT / "script" / "install.ps1", ready.script)
    assert_fails(ready, "this is not Windows. Run: bash script/install.sh")


# The same program twice


# what only one of the two says, and why
ONLY_IN_ONE = {
    "not run from script|not Windows|32-bit|Mac|macOS|Rosetta|PowerShell": "systems and shells",
    "sudo|chmod|knows none|at work here": "rights, links and locks",
    "(with curl or wget) nor|installer nor pip": "which programs fetch Astral's installer",
    "colon|ctivate|Where scripts may|pushd|-LiteralPath|gd_1d|pytest|usage": "how to go on",
}


def sentences(name: str) -> list[str]:
    """What an installer says, with $ for each variable."""
    text = (ROOT / "script" / name).read_text()
    string = r"""(?:"(?:[^"\\`]|\\.|`.)*"|'[^']*')"""
    calls = rf"\b(?:say|err|Say|Err|return) \(?({string}(?:(?: \\| \+)\n\s*{string})*)"
    glue = " " if name == "install.sh" else ""
    said = [
        glue.join(part[1:-1] for part in re.findall(string, call))
        for call in re.findall(calls, text)
    ]
    variable = r"\$\((?:[^()]|\([^()]*\))*\)|\$\{[^}]*\}|\$\w+|\$\*"
    return [line for line in (re.sub(variable, "$", line) for line in said) if len(line) > 14]


def test_the_installers_say_the_same():
    unix, windows = sentences("install.sh"), sentences("install.ps1")
    both = [line for line in unix if line in windows]
    assert len(both) > 25
    assert both == [line for line in windows if line in unix]
    reasons = "|".join(map(re.escape, "|".join(ONLY_IN_ONE).split("|")))
    assert not [line for line in {*unix} ^ {*windows} if not re.search(reasons, line)]


def test_the_installers_hand_over_the_same_variables():
    def variables(name):
        text = (ROOT / "script" / name).read_text()
        return set(re.findall(r"\b(?:PIP|UV|XDG|CONDA|VIRTUAL|PYTHON|LECTURE)_?[A-Z_]+\b", text))

    unix, windows = variables("install.sh"), variables("install.ps1")
    assert len(unix) > 20
    # where pip's files lie, and a setting that Windows passes as the option -B
    assert unix ^ windows == {"XDG_CONFIG_DIRS", "XDG_CONFIG_HOME", "PYTHONDONTWRITEBYTECODE"}


@pytest.mark.parametrize("name", ["install.sh", "install.ps1"])
def test_each_installer_is_short_and_ascii(name):
    text = (ROOT / "script" / name).read_text(encoding="ascii")  # Windows PowerShell reads cp1252
    assert text.count("\n") <= 450
    assert max(map(len, text.splitlines())) <= 100


# With nothing stood in


@pytest.mark.skipif(not os.environ.get("CI"), reason="in CI only: it may fetch gigabytes")
def test_the_whole_way_on_this_machine(tmp_path, request):
    """An installation with this machine's own PATH and home, inside another project."""
    (tmp_path / "pyproject.toml").write_text('[tool.uv]\nrequired-version = ">=99"\n')
    machine = Machine(tmp_path, "install.sh", request)
    (machine.bin / "uname").unlink()
    machine.environ = {name: os.environ[name] for name in os.environ if name != "VIRTUAL_ENV"}
    status, stdout, stderr = machine.install()
    if status and "error sending request" in stderr:
        pytest.skip("no package index can be reached from here")
    assert status == 0, stderr
    assert "check: " in stdout and "well: Python 3." in stdout
    assert (machine.venv / "bin" / "pytest").exists()
