"""install.sh and install.ps1, the two doors to install.py, run by bash and by PowerShell.

Each runs in a copy of the repository, on a PATH made for it, with a stand-in for uv. Each test is
of both, unless its kind is of one: then it stands at the end. Windows' runners of the workflow
start the doors for real.
"""

import os
import re
import shlex
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import ROOT, git
from installation import Course, load_install

if os.name == "nt":
    pytest.skip("needs a PATH of shell programs", allow_module_level=True)

only_sh = pytest.mark.parametrize("door", ["install.sh"], indirect=True)
only_ps1 = pytest.mark.parametrize("door", ["install.ps1"], indirect=True)
TOOLS = ("bash", "cat", "dirname", "env", "mkdir", "readlink", "rm", "sh", "sleep")


def quoted(text: object) -> str:
    """In PowerShell."""
    return "'" + str(text).replace("'", "''") + "'"


class PowerShell:
    """One session for all tests, since to start one takes longer than a test."""

    def __init__(self, folder: Path):
        self.errors = folder / "stderr"
        with self.errors.open("w") as stderr:
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
        """Run a line. Returns ($LASTEXITCODE, standard output, standard error)."""
        before = self.errors.stat().st_size
        watchdog = threading.Timer(120, self.process.kill)
        watchdog.start()
        # a session that has run no program yet has no $LASTEXITCODE
        end = '; [Console]::Out.WriteLine("=== $([int]$LASTEXITCODE)")'
        print(line + end, file=self.process.stdin, flush=True)
        stdout = ""
        for text in self.process.stdout:
            if text.startswith("=== "):
                watchdog.cancel()
                stderr = self.errors.read_bytes()[before:].decode()
                return int(text.split()[1]), stdout, stderr
            stdout += text
        raise AssertionError(f"the session was closed: {stdout}")

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="session")
def powershell(tmp_path_factory):
    session = PowerShell(tmp_path_factory.mktemp("powershell"))
    yield session
    session.close()


class Machine(Course):
    """A course on a PATH that holds what the test puts there, and the door to be tested."""

    def __init__(self, folder: Path, door: str, powershell: PowerShell | None):
        super().__init__(folder)
        self.powershell = powershell
        self.exe = ".exe" if powershell else ""
        self.door = self.root / "script" / door
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.program("uname", "echo Linux")
        self.variables["PATH"] = str(self.bin)
        # the one thing that is not as it is: other systems are not refused
        windows_door = self.root / "script" / "install.ps1"
        text = windows_door.read_text().replace("-ge 6 -and -not $IsWindows", "-lt 0")
        windows_door.write_text(text)

    def program(self, name: str, code: str, folder: Path | None = None) -> Path:
        """Write a shell program, on PATH unless a folder is named."""
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{code}\n")
        path.chmod(0o755)
        return path

    def add_uv(self, folder: Path | None = None) -> Path:
        """Put the stand-in for uv on PATH, or into a folder."""
        return self.program(f"uv{self.exe}", f'exec {shlex.quote(str(self.uv))} "$@"', folder)

    def add_python_with_pip(self) -> None:
        """A python3 that runs what it is given, and whose `install.py get-uv` fetches uv."""
        fetched = self.add_uv(self.bin.parent / "index")
        self.program(
            "python3",
            f"""case "$*" in
                *import*pip*) echo True ;;
                *get-uv*) mkdir -p .venv/uv/bin && cat {shlex.quote(str(fetched))} \\
                    >.venv/uv/bin/uv{self.exe} && chmod +x .venv/uv/bin/uv{self.exe} ;;
                *) exit 1 ;;
            esac""",
        )
        (self.bin / "chmod").symlink_to(shutil.which("chmod"))

    def command(self) -> list:
        return [shutil.which("bash"), self.door]

    def enter(self, *words: str, folder: Path | None = None, code: str = "", **variables: str):
        """Go in by the door. Returns (exit status, standard output, standard error).

        In PowerShell, code is run instead, in a session as a user has it.
        """
        if self.powershell is None:
            return self.run([*self.command(), *words], folder, **variables)
        variables = {**self.variables, **variables}
        lines = ["Get-ChildItem Env: | Remove-Item"]
        for name, value in variables.items():
            lines.append(f"Set-Item {quoted('Env:' + name)} {quoted(value)}")
        lines += [
            "Set-Variable HOME $env:HOME -Force -Scope Global",
            f"Set-Location -LiteralPath {quoted(folder or self.root)}",
            code or f"& {quoted(self.door)} {' '.join(words)}",
        ]
        return self.powershell.run(f"& {{ {'; '.join(lines)} }}")


@pytest.fixture(params=["install.sh", "install.ps1"])
def door(request) -> str:
    if request.param == "install.ps1" and shutil.which("pwsh") is None:
        pytest.skip("no PowerShell here")
    return request.param


@pytest.fixture
def machine(tmp_path, request, door) -> Machine:
    powershell = request.getfixturevalue("powershell") if door == "install.ps1" else None
    return Machine(tmp_path, door, powershell)


@pytest.fixture
def ready(machine) -> Machine:
    """A machine that has uv."""
    machine.add_uv()
    return machine


def assert_fails(machine: Machine, sentence: str, **variables: str) -> str:
    status, stdout, stderr = machine.enter(**variables)
    assert status == 1
    assert "Done." not in stdout
    assert re.search(r"^error: .*" + re.escape(sentence), stderr, re.MULTILINE), stderr
    return stderr


# Getting uv, and handing over


def test_the_whole_way_with_the_uv_on_path(ready):
    status, stdout, stderr = ready.enter()
    assert (status, stderr) == (0, "")
    lines = stdout.splitlines()
    assert lines[0] == f"uv: found, {ready.bin / 'uv'}{ready.exe}"
    assert lines[1].startswith("environment: .venv is made, Python 3.")
    python = r".venv\bin\python" if ready.powershell else "source .venv/bin/activate"
    assert lines[lines.index("Done. Next:") + 1].strip().startswith(python)


def test_install_py_is_started_out_of_reach_of_other_environments(ready):
    """What each of these words does is held by test_install_uv.py."""
    ready.program(
        f"uv{ready.exe}", 'case "$*" in *help*) echo --torch-backend ;; *) echo "$@";; esac'
    )
    _, stdout, _ = ready.enter()
    program = ready.root / "script" / "install.py"
    shell = "powershell" if ready.powershell else "bash"
    assert stdout.splitlines()[1] == (
        "run --quiet --no-cache --no-project --isolated --project / --directory . --no-env-file "
        f"--python >=3.11,<3.16 python -I {program} {shell}"
    )
    _, stdout, _ = ready.enter(UV_PYTHON="3.12")
    assert "--python 3.12 python -I" in stdout


@pytest.mark.parametrize("status", [0, 1, 7, 130])
def test_the_status_of_install_py_is_the_doors(ready, status):
    code = f'case "$*" in *help*) echo --torch-backend ;; *) exit {status} ;; esac'
    ready.program(f"uv{ready.exe}", code)
    assert ready.enter()[0] == status


def test_no_python_is_one_clear_error(ready):
    """uv ends with 2 where it finds none and can fetch none."""
    code = 'case "$*" in *help*) echo --torch-backend ;; *) exit 2 ;; esac'
    ready.program(f"uv{ready.exe}", code)
    assert_fails(ready, "uv could not start a Python >=3.11,<3.16. Install one, or check the")
    assert_fails(ready, "uv could not start a Python 3.9. Install one", UV_PYTHON="3.9")


@pytest.mark.parametrize(
    ("variable", "place"), [(None, ".local/bin"), ("UV_INSTALL_DIR", "chosen")]
)
def test_uv_is_found_where_astrals_installer_puts_it(machine, variable, place):
    uv = machine.add_uv(machine.home / place)
    variables = {variable: str(machine.home / place)} if variable else {}
    status, stdout, _ = machine.enter(**variables)
    assert status == 0
    found = stdout.splitlines()[0].removeprefix("uv: found, ")
    assert os.path.samefile(found, uv)


@pytest.mark.parametrize("code", ["echo 'pip install [OPTIONS]'", "exit 127"])
def test_uv_that_is_too_old_or_does_not_start_is_passed_over(machine, code):
    machine.program(f"uv{machine.exe}", code)
    uv = machine.add_uv(machine.home / ".local" / "bin")
    assert machine.enter()[1].startswith(f"uv: found, {uv}")


def test_a_uv_in_venv_is_passed_over(machine):
    """A rebuild of .venv would remove it."""
    folder = machine.venv / ("Scripts" if machine.powershell else "bin")
    machine.add_uv(folder)
    uv = machine.add_uv(machine.home / ".local" / "bin")
    _, stdout, _ = machine.enter(PATH=f"{folder}:{machine.bin}")
    assert stdout.startswith(f"uv: found, {uv}")


def test_without_astral_uv_comes_from_the_index_into_venv(machine):
    machine.add_python_with_pip()
    status, stdout, stderr = machine.enter()
    assert (status, stderr) == (0, "")
    lines = stdout.splitlines()
    assert lines[:3] == [
        "uv: not found, running Astral's installer",
        "uv: Astral's installer cannot be had here, getting uv from the Python package index",
        f"uv: installed, {machine.venv / 'uv' / 'bin' / 'uv'}{machine.exe}",
    ]
    assert "rebuilt" not in stdout
    # the next run finds it there
    (machine.bin / "python3").unlink()
    assert "uv: found, " in machine.enter()[1]


@pytest.mark.parametrize("python", [None, "exit 1"])
def test_no_way_to_get_uv_is_one_clear_error(machine, python):
    if python:
        machine.program("python3", python)
    stderr = assert_fails(machine, "or Python 3.11 or later with pip, then run again.")
    assert len(stderr.splitlines()) == 1
    assert not machine.venv.exists()


def test_a_uv_from_the_index_that_is_no_use_is_one_clear_error(machine):
    machine.add_python_with_pip()
    machine.program(f"uv{machine.exe}", "echo too old", machine.bin.parent / "index")
    stderr = assert_fails(machine, "the uv from the index does not start here, or cannot choose")
    assert len(stderr.splitlines()) == 1


def test_pips_reason_is_shown(machine):
    code = 'case "$*" in *import*) echo True ;; *) echo "error: pip: SSL" >&2; exit 1 ;; esac'
    machine.program("python3", code)
    stderr = assert_fails(machine, "pip: SSL")
    assert "Install uv (" not in stderr


# How it is started


@pytest.mark.parametrize(("word", "status"), [("--help", 0), ("-h", 0), ("please", 2)])
def test_a_surplus_word_gets_the_usage_and_nothing_is_done(ready, word, status):
    got, stdout, stderr = ready.enter(word)
    assert got == status
    assert stdout.startswith("usage: ")
    assert stderr == ""
    assert not ready.log.exists()
    assert not ready.venv.exists()


@pytest.mark.parametrize("kind", ["absolute", "relative"])
def test_a_link_to_the_door_works(ready, tmp_path, kind):
    link = tmp_path / "links" / "here" / ready.door.name
    link.parent.mkdir(parents=True)
    target = ready.door if kind == "absolute" else os.path.relpath(ready.door, link.parent)
    link.symlink_to(target)
    ready.door = link
    status, _, stderr = ready.enter(folder=tmp_path)
    assert status == 0, stderr
    assert ready.python.exists()
    assert not list(tmp_path.glob("**/links/**/.venv"))


def test_a_copy_elsewhere_says_how_to_run_it(ready, tmp_path):
    (tmp_path / "script").mkdir()
    ready.door = shutil.copy(ready.door, tmp_path / "script")
    slash = "\\" if ready.powershell else "/"
    assert_fails(ready, f"this is not run from script{slash} of the repository. There, run: ")
    assert not list(tmp_path.glob("**/.venv"))


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9, 0.99])
def test_part_of_a_door_does_nothing(ready, part):
    """As where a download was cut off."""
    lines = ready.door.read_text().splitlines()
    ready.door.write_text("\n".join(lines[: int(part * len(lines))]))
    ready.enter()
    assert not ready.venv.exists()
    assert not ready.log.exists()


def test_a_clone_with_autocrlf_starts(ready, tmp_path):
    shutil.copy(ROOT / ".gitattributes", ready.root)
    git("init", "-q", cwd=ready.root)
    git("add", ".", cwd=ready.root)
    git("commit", "-q", "-m", "all", cwd=ready.root)
    clone = tmp_path / "clone"
    git("-c", "core.autocrlf=true", "clone", "-q", ready.root, clone, cwd=tmp_path)
    ready.move_to(clone)
    ready.door = clone / "script" / ready.door.name
    status, _, stderr = ready.enter()
    assert (status, stderr) == (0, "")
    assert b"\r" not in (clone / "requirements.txt").read_bytes()


@pytest.mark.parametrize("name", ["install.sh", "install.ps1"])
def test_a_door_is_ascii_and_names_the_pythons_of_install_py(name):
    text = (ROOT / "script" / name).read_text(encoding="ascii")  # Windows PowerShell reads cp1252
    assert load_install().PYTHONS in text


# What only install.sh has: other shells, downloaders, Git Bash


@only_sh
@pytest.mark.parametrize("downloader", ["curl", "wget"])
def test_astrals_installer_is_run(machine, downloader):
    uv = machine.add_uv(machine.bin.parent / "astral")
    for tool in ("cp", "mkdir"):
        (machine.bin / tool).unlink(missing_ok=True)
        (machine.bin / tool).symlink_to(shutil.which(tool))
    code = f'mkdir -p "$UV_INSTALL_DIR" && cp {shlex.quote(str(uv))} "$UV_INSTALL_DIR"'
    machine.program(downloader, f"echo {shlex.quote(code)}")
    assert f"uv: installed, {machine.home / '.local' / 'bin' / 'uv'}" in machine.enter()[1]


@only_sh
def test_half_of_astrals_installer_is_not_run(machine):
    machine.program("curl", 'echo "mkdir $HOME/half"; exit 18')
    machine.enter()
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
    shell, *words = shlex.split(command)
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    _, stdout, stderr = ready.run([shutil.which(shell), *words])
    said, *more = stderr.splitlines()
    assert re.fullmatch("error: .*[Rr]un: bash script/install.sh", said)
    assert more == (["still open"] if "still" in command else [])
    assert stdout == ""
    assert not list(ready.root.parent.glob("**/.venv"))


@only_sh
def test_git_bash_hands_over_to_powershell(ready):
    ready.program("uname", 'echo "MINGW64_NT-10.0"')
    assert_fails(ready, "there is no powershell.exe on PATH.")
    ready.program("cygpath", 'echo "C:/un depot/script/install.ps1"')
    ready.program("powershell.exe", 'echo "$LECTURE_SHELL: $*"; exit 3')
    status, stdout, _ = ready.enter()
    words = "-NoProfile -ExecutionPolicy Bypass -File C:/un depot/script/install.ps1"
    assert (status, stdout) == (3, f"bash: {words}\n")


@only_sh
def test_it_runs_by_the_bash_of_macos(ready):
    bash = shutil.which("bash3.2") or "/bin/bash"
    version = subprocess.run([bash, "--version"], capture_output=True, encoding="utf-8").stdout
    if "version 3.2" not in version:
        pytest.skip("no bash 3.2 here")
    status, _, stderr = ready.run([bash, ready.door])
    assert (status, stderr) == (0, "")


# What only install.ps1 has: a session around it, policies, drives


@only_ps1
@pytest.mark.parametrize("proxy", ["", "proxy.example:3128", "http://proxy.example"])
def test_astrals_installer_is_fetched_through_the_proxy(machine, proxy):
    uv = machine.add_uv(machine.bin.parent / "astral")
    home = machine.home / ".local" / "bin"
    fetched = (
        f"'downloading uv'; $null = New-Item -ItemType Directory {quoted(home)}; "
        f"$null = Copy-Item {quoted(uv)} {quoted(home)}"
    )
    code = (
        f"function Invoke-RestMethod($Uri, $Proxy, $TimeoutSec, [switch] $UseBasicParsing) "
        f'{{ Write-Host "proxy=$Proxy"; {quoted(fetched)} }}; & {quoted(machine.door)}'
    )
    status, stdout, stderr = machine.enter(code=code, HTTPS_PROXY=proxy)
    assert status == 0, stderr
    wanted_proxy = f"http://{proxy}" if proxy and "://" not in proxy else proxy
    assert f"proxy={wanted_proxy}\n" in stdout
    assert "downloading uv\n" in stdout
    assert f"uv: installed, {home / 'uv.exe'}" in stdout


NAMES = "@(Get-Variable; Get-Command -CommandType Function).Name"
VARIABLES = "((Get-ChildItem Env: | % { $_.Name + '=' + $_.Value }) -join '|')"
INVOKED = "Get-Content -Raw script/install.ps1 | Invoke-Expression"


@only_ps1
@pytest.mark.parametrize("how", [INVOKED, "& script/install.ps1", ". script/install.ps1"])
@pytest.mark.parametrize("trouble", ["", "raise SystemExit('no')"])
def test_the_session_is_as_before(ready, how, trouble):
    told = {"VIRTUAL_ENV": "v", "PYTHONPATH": "p", "UV_TORCH_BACKEND": "auto", "PIP_INDEX_URL": "i"}
    code = (
        "$global:LASTEXITCODE = 9; $names = $before = $status = $_ = ''; "
        f"$names = {NAMES}; $before = {VARIABLES}; {how}; $status = $LASTEXITCODE; "
        f"Write-Host ($before -ceq {VARIABLES}) $status "
        f"({NAMES} | Where-Object {{ $_ -notin $names }}); $nothing.Missing"
    )
    _, stdout, stderr = ready.enter(code=code, ON_INSTALL=trouble, **told)
    assert stdout.endswith(f"True {int(bool(trouble))} \n"), stdout
    assert ("Done." in stdout) == (not trouble)
    assert "cannot be retrieved" not in stderr  # of StrictMode


@only_ps1
def test_invoked_elsewhere_it_says_how_to_run_it(ready, tmp_path):
    code = f"Get-Content -Raw {quoted(ready.door)} | Invoke-Expression"
    status, _, stderr = ready.enter(code=code, folder=tmp_path)
    assert status == 1
    assert stderr.startswith("error: this is not run from script\\ of the repository. There, run: ")
    assert not list(tmp_path.glob("**/.venv"))


@only_ps1
def test_a_home_on_a_drive_that_is_not_there(ready):
    code = f"Set-Variable HOME 'Q:\\home' -Force -Scope Global; & {quoted(ready.door)}"
    status, _, stderr = ready.enter(code=code)
    assert (status, stderr) == (0, "")


@only_ps1
def test_git_bash_gets_steps_for_its_own_shell(ready):
    status, stdout, _ = ready.enter(LECTURE_SHELL="bash")
    assert status == 0
    assert "source .venv/bin/activate" in stdout


@only_ps1
def test_another_system_is_refused(ready):
    shutil.copy(ROOT / "script" / "install.ps1", ready.door)
    assert_fails(ready, "this is not Windows. Run: bash script/install.sh")


# With nothing stood in


@pytest.mark.skipif(not os.environ.get("CI"), reason="in CI only: it may fetch gigabytes")
def test_the_whole_way_on_this_machine(tmp_path):
    """An installation with this machine's own PATH and home, inside another project."""
    (tmp_path / "pyproject.toml").write_text('[tool.uv]\nrequired-version = ">=99"\n')
    course = Course(tmp_path)
    shutil.copy(ROOT / "script" / "check_environment.py", course.root / "script")
    variables = {name: os.environ[name] for name in os.environ if name != "VIRTUAL_ENV"}
    process = subprocess.run(
        ["bash", course.root / "script" / "install.sh"],
        cwd=course.root,
        env=variables,
        capture_output=True,
        encoding="utf-8",
        timeout=1800,
    )
    assert process.returncode == 0, process.stderr
    assert re.search("^check: all is well: Python 3", process.stdout, re.MULTILINE)
    programs = course.venv / "bin"
    assert (programs / "pytest").exists()
    assert (programs / "pip").exists()
