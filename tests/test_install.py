"""install.py: its functions called, and the program run with a stand-in for uv (stand_in_uv.py).

What is tested is what it does around uv. test_install_uv.py holds what uv itself does, and
test_install_doors.py the two doors that start it.
"""

import ast
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest
from conftest import ROOT
from installation import WINDOWS, Course, load_install

needs_signals = pytest.mark.skipif(WINDOWS, reason="Windows has no such signals")
needs_links = pytest.mark.skipif(WINDOWS, reason="on Windows, a link needs an administrator")


@pytest.fixture(scope="module")
def install():
    """The program as a module."""
    return load_install()


@pytest.fixture
def course(tmp_path) -> Course:
    return Course(tmp_path)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A .venv that install.py made."""
    course = Course(tmp_path_factory.mktemp("template"))
    status, _, stderr = course.install()
    assert status == 0, stderr
    return course.venv


@pytest.fixture
def installed(course, template) -> Course:
    """A course with a copy of that .venv, as made here, and a file that a rebuild would remove."""
    shutil.copytree(template, course.venv, symlinks=True)
    (course.venv / ".lecture-install").write_text(f"{course.venv}\n\n", encoding="utf-8")
    (course.venv / "witness").touch()
    return course


def assert_kept(course: Course, **variables: str) -> str:
    status, stdout, stderr = course.install(**variables)
    assert status == 0, stderr
    assert "environment: .venv is kept, Python 3." in stdout
    assert (course.venv / "witness").exists()
    return stdout


def assert_rebuilt(course: Course, reason: str) -> None:
    status, stdout, stderr = course.install()
    assert status == 0, stderr
    assert f"environment: .venv is rebuilt, since {reason}" in stdout
    assert not (course.venv / "witness").exists()
    assert "Done." in stdout


def assert_fails(course: Course, sentence: str, **variables: str) -> str:
    status, stdout, stderr = course.install(**variables)
    assert status == 1, stderr
    assert "Done." not in stdout
    assert "Traceback" not in stderr
    assert re.search(r"^error: .*" + re.escape(sentence), stderr, re.MULTILINE), stderr
    return stderr


def files_under(folder: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


# The whole way


def test_a_first_run(course):
    status, stdout, stderr = course.install()
    assert (status, stderr) == (0, "")
    version = ".".join(map(str, sys.version_info[:3]))
    steps = ["source .venv/bin/activate", "python script/gd_1d_torch.py"]
    tests = "pytest"
    if WINDOWS:
        steps = [".venv/Scripts/python script/gd_1d_torch.py"]
        tests = ".venv/Scripts/pytest"
    assert stdout.splitlines() == [
        f"environment: .venv is made, Python {version}",
        "torch build: chosen by uv for this machine",
        "packages: installing requirements.txt",
        "check: PYTHONPATH=",
        "Done. Next:",
        *[f"    {step}" for step in steps],
        f"Whoever maintains the scripts checks everything with {tests}, in some ten minutes.",
    ]
    assert {path.name for path in course.root.iterdir()} == {"script", "requirements.txt", ".venv"}


def test_a_second_run_keeps_the_environment_and_needs_no_network(installed):
    assert "packages: all there" in assert_kept(installed)
    for call in installed.calls():
        assert call["words"][0] == "cache" or "--offline" in call["words"]


def test_started_from_elsewhere(course, tmp_path):
    status, stdout, _ = course.install(folder=tmp_path)
    assert status == 0
    assert course.python.exists()
    assert f"    cd {shlex.quote(str(course.root))}" in stdout.splitlines()


def test_pip_is_installed_beside_the_requirements(course):
    """For `pip install` with .venv active, and for %pip in a notebook."""
    course.install()
    words = course.install_call()["words"]
    assert words[words.index("--requirement") + 1 :][:2] == [
        str(course.root / "requirements.txt"),
        "pip>=25",
    ]


def test_uv_answers_by_its_name_once_venv_is_active(course):
    shutil.copy(course.uv, course.uv.with_name(course.uv.name.replace("uv", "uvx")))
    course.install()
    for name in ("uv", "uvx"):
        found = shutil.which(name, path=str(course.python.parent))
        assert found
        help_text = subprocess.run([found, "--help"], capture_output=True, encoding="utf-8").stdout
        assert "--torch-backend" in help_text


@needs_links
def test_a_uv_that_has_moved_answers_again(installed):
    link = installed.python.with_name("uv")
    link.unlink()
    link.symlink_to(installed.home / "gone")
    assert_kept(installed)
    assert link.resolve() == installed.uv.resolve()


@pytest.mark.parametrize("words", [["bash"], [], ["bash", "more"]])
def test_started_without_a_door_it_names_one(course, words):
    variables = {} if words == ["bash"] else {"UV": str(course.uv)}
    status, _, stderr = course.run([*course.install_command()[:-1], *words], **variables)
    assert status == 1
    door = "bash script/install.sh"
    if WINDOWS:
        door = "powershell -ExecutionPolicy Bypass -File script/install.ps1"
    assert stderr == f"error: this program is not started by itself. Run: {door}\n"


# Which Pythons and systems will do


@pytest.mark.parametrize(
    ("version", "will_do"),
    [
        ("2.7.18", False),
        ("3.10.13", False),
        ("3.11.0", True),
        ("3.15.2", True),
        ("3.15.0rc1", True),
        ("3.16.0", False),
        ("4.11.0", False),
    ],
)
def test_pythons_from_3_11_to_3_15_will_do(install, version, will_do):
    assert install.is_supported(version) == will_do


def test_it_is_written_for_python_3_8():
    """An old Python gets a sentence, and no traceback."""
    text = (ROOT / "script" / "install.py").read_text(encoding="ascii")
    ast.parse(text, feature_version=(3, 8))


@pytest.mark.parametrize("name", ["python3.8", "python3.9", "python3.10"])
def test_an_older_python_gets_a_sentence(course, name):
    python = shutil.which(name)
    if python is None or subprocess.run([python, "-c", ""], capture_output=True).returncode:
        pytest.skip(f"no {name} here")
    status, _, stderr = course.run([python, *course.install_command()[1:]], UV=str(course.uv))
    assert status == 1
    assert re.fullmatch(
        r"error: this is Python 3[.]\d+[.]\d+\. Set UV_PYTHON to one of 3\.11 to 3\.15, "
        r"then run again\.\n",
        stderr,
    )
    assert not course.venv.exists()


@pytest.mark.parametrize(
    ("system", "machine", "macos", "apple", "sentence"),
    [
        ("Darwin", "x86_64", "15.1", False, "an Intel Mac, for which there is no PyTorch"),
        ("Darwin", "x86_64", "15.1", True, "Rosetta. Run: UV_PYTHON=cpython-3.13-macos-aarch64"),
        ("Darwin", "arm64", "13.7.1", True, "this is macOS 13.7.1. PyTorch needs macOS 14"),
        ("Darwin", "arm64", "14.0", True, None),
        ("Darwin", "arm64", "26.1", True, None),
        ("Windows", "x86", "", False, "this is 32-bit Windows"),
        ("Windows", "AMD64", "", False, None),
        ("Linux", "x86_64", "", False, None),
        ("Linux", "aarch64", "", False, None),
    ],
)
def test_a_system_without_a_build_gets_one_sentence(
    install, monkeypatch, system, machine, macos, apple, sentence
):
    monkeypatch.setattr(install, "is_apple_silicon", lambda: apple)
    if sentence is None:
        install.check_platform(system, machine, macos)
    else:
        with pytest.raises(SystemExit, match=re.escape(sentence)):
            install.check_platform(system, machine, macos)


@pytest.mark.parametrize(
    ("answer", "there"),
    [
        ("linux-x86_64 glibc 2.28", True),
        ("linux-aarch64 glibc 2.41", True),
        ("linux-x86_64 glibc 2.17", False),
        ("linux-x86_64 musl 1.2.5", False),
        ("linux-x86_64", False),
        ("linux-i686 glibc 2.36", False),
        ("linux-armv7l glibc 2.36", False),
        ("macosx-11.0-arm64", True),
        ("macosx-10.13-universal2", True),
        ("macosx-11.0-x86_64", False),
        ("win-amd64", True),
        ("win-arm64", False),
        ("win32", False),
        ("unknown", False),
    ],
)
def test_platforms_with_wheels(install, answer, there):
    assert install.has_wheels(answer) == there


@pytest.mark.parametrize(
    ("answer", "system", "machine", "advice"),
    [
        ("macosx-11.0-x86_64", "Darwin", "arm64", "set UV_PYTHON=cpython-3.13-macos-aarch64"),
        ("linux-i686 glibc 2.36", "Linux", "x86_64", "set UV_PYTHON=cpython-3.13-linux-x86_64"),
        ("win-arm64", "Windows", "ARM64", "set UV_PYTHON=cpython-3.13-windows-x86_64"),
        ("win32", "Windows", "AMD64", "set UV_PYTHON=cpython-3.13-windows-x86_64"),
        ("linux-x86_64 glibc 2.17", "Linux", "x86_64", "Use another computer, or run single"),
        ("linux-armv7l glibc 2.36", "Linux", "armv7l", "Use another computer, or run single"),
    ],
)
def test_the_python_that_can_be_changed_is_named(
    install, monkeypatch, answer, system, machine, advice
):
    monkeypatch.setattr(install, "ask_python", lambda code: answer)
    monkeypatch.setattr(install.platform, "system", lambda: system)
    monkeypatch.setattr(install.platform, "machine", lambda: machine)
    with pytest.raises(SystemExit) as end:
        install.check_wheels()
    assert f"there is no PyTorch for this Python's platform, {answer}: " in str(end.value)
    assert advice in str(end.value)


def test_this_platform_has_wheels(install):
    """Otherwise no step could fail for another reason."""
    code = "import platform, sysconfig; print(sysconfig.get_platform(), *platform.libc_ver())"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert install.has_wheels(answer.stdout.strip())


# What reaches in


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_an_active_environment_receives_nothing(course, tmp_path, variable):
    active = tmp_path / "active"
    (active / "bin").mkdir(parents=True)
    before = files_under(active)
    variables = {variable: str(active), "UV_SYSTEM_PYTHON": "1"}
    path = str(active / "bin") + os.pathsep + course.variables["PATH"]
    status, _, stderr = course.install(PATH=path, **variables)
    assert status == 0, stderr
    assert files_under(active) == before
    for call in course.calls():
        assert not {*variables} & {*call["variables"]}
        if call["words"][0] == "pip":
            assert call["words"][call["words"].index("--python") + 1] == str(course.python)


def test_the_environment_that_uv_run_makes_is_left(install):
    """`uv run` makes it active for the program: what the program starts must not see it."""
    own = os.path.dirname(sys.executable)
    users = install.users_variables({"VIRTUAL_ENV": own, "PATH": os.pathsep.join([own, "x", "y"])})
    assert users == {"PATH": os.pathsep.join(["x", "y"])}


def test_no_other_project_reaches_in(course, tmp_path):
    variables = {"UV_PROJECT": ".", "UV_WORKING_DIR": ".", "UV_WORKING_DIRECTORY": "."}
    status, _, _ = course.install(folder=tmp_path, UV_CACHE_DIR="c", **variables)
    assert status == 0
    for call in course.calls():
        assert not {*variables} & {*call["variables"]}
        words = call["words"]
        assert words[words.index("--project") + 1] == Path(course.root.anchor).as_posix().replace(
            "/", os.sep
        )
        # relative settings of the user's own are meant from where the user is
        assert call["variables"]["UV_CACHE_DIR"] == "c"
        assert os.path.samefile(call["folder"], tmp_path)


@pytest.mark.parametrize(
    "name", ["CONDA_DEFAULT_ENV", "PYTHONHOME", "UV_REQUIRE_HASHES", "UV_VENV_CLEAR"]
)
def test_a_setting_that_forbids_what_is_done_here_is_hidden_from_uv(course, name):
    course.install(**{name: "1"})
    assert course.calls()
    assert not any(name in call["variables"] for call in course.calls())


def test_what_is_read_of_uv_is_not_coloured(course):
    course.install(FORCE_COLOR="1")
    assert course.calls()
    for call in course.calls():
        shown = "--requirement" in call["words"] and "--no-index" not in call["words"]
        assert ("--color" in call["words"]) == (not shown)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("target", "user"),
        ("prefix", "user"),
        ("no-deps", "user"),
        ("python-platform", "UV_CONFIG_FILE"),
        ("require-hashes", "UV_CONFIG_FILE"),
    ],
)
def test_a_uv_toml_that_leads_the_packages_elsewhere_is_named(course, name, place):
    folder = course.home if WINDOWS else course.home / ".config"
    file = folder / "uv" / "uv.toml" if place == "user" else course.home / "my.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'[pip]\n{name} = "x"\n')
    variables = {} if place == "user" else {"UV_CONFIG_FILE": str(file)}
    stderr = assert_fails(course, "or set UV_NO_CONFIG=1, then run again.", **variables)
    assert f"sets {name} under [pip]" in stderr
    assert file.as_posix() in stderr.replace(os.sep, "/")
    assert course.install(UV_NO_CONFIG="1", **variables)[0] == 0


def test_a_uv_toml_that_uv_does_not_read_does_not_count(course):
    folder = course.home if WINDOWS else course.home / ".config"
    (folder / "uv").mkdir(parents=True)
    (folder / "uv" / "uv.toml").write_text('[pip]\ntarget = "x"\n')
    other = course.home / "my.toml"
    other.touch()
    assert course.install(UV_CONFIG_FILE=str(other))[0] == 0


def test_other_settings_in_a_uv_toml_are_uvs_own_matter(course):
    folder = course.home if WINDOWS else course.home / ".config"
    (folder / "uv").mkdir(parents=True)
    text = 'offline = false\n[pip]\nindex-url = "https://m"\nno-deps = false\n'
    (folder / "uv" / "uv.toml").write_text(text)
    assert course.install()[0] == 0


def test_pythonpath_is_hidden_from_uv_and_not_from_the_check(course):
    """The check must find what the user's own programs will find."""
    (course.home / "from_ros.py").touch()
    status, stdout, stderr = course.install(PYTHONPATH=str(course.home), ON_CHECK="import from_ros")
    assert status == 0, stderr
    assert f"check: PYTHONPATH={course.home}\n" in stdout
    assert not any("PYTHONPATH" in call["variables"] for call in course.calls())


def test_a_users_file_named_like_a_module_is_not_imported(course):
    for name in ("csv", "configparser", "platform", "shlex"):
        (course.root / "script" / f"{name}.py").write_text("raise RuntimeError('mine')\n")
    assert course.install(folder=course.root / "script")[0] == 0


def test_pips_sources_are_handed_to_uv(course):
    course.install(
        PIP_FIND_LINKS="/wheels /more",
        PIP_INDEX_URL="https://mirror.example/simple",
        PIP_EXTRA_INDEX_URL="https://a.example https://b.example",
    )
    variables = course.install_call()["variables"]
    assert variables["UV_FIND_LINKS"] == "/wheels,/more"
    assert variables["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert variables["UV_INDEX"] == "https://a.example https://b.example"
    assert variables["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_uvs_own_sources_win_over_pips(course):
    own = {"UV_FIND_LINKS": "/u", "UV_DEFAULT_INDEX": "https://u", "UV_INDEX": "https://v"}
    pip = {"PIP_FIND_LINKS": "/p", "PIP_INDEX_URL": "https://p", "PIP_EXTRA_INDEX_URL": "https://q"}
    course.install(**own, **pip)
    variables = course.install_call()["variables"]
    assert {name: variables[name] for name in own} == own
    assert "UV_INDEX_STRATEGY" not in variables


def test_pips_files_count_as_its_variables_do(course):
    user = course.home / ("pip/pip.ini" if WINDOWS else ".config/pip/pip.conf")
    user.parent.mkdir(parents=True)
    user.write_text(
        "[global]\nindex_url = https://user\n# no = comment\n"
        "find-links =\n    /wheels\n    https://more:80/\n"
        "[install]\nextra-index-url: https://extra\n"
    )
    named = course.home / "named"
    named.write_bytes(
        b"[global]\nindex-url=https://named/%20\r\nextra-index-url = https://less\n[list]\n"
    )
    course.install(PIP_CONFIG_FILE=str(named), XDG_CONFIG_DIRS="/nonexistent")
    variables = course.install_call()["variables"]
    assert variables["UV_DEFAULT_INDEX"] == "https://named/%20"
    assert variables["UV_FIND_LINKS"] == "/wheels,https://more:80/"
    assert variables["UV_INDEX"] == "https://extra"


def test_a_pip_file_that_cannot_be_read_stops_nothing(course):
    named = course.home / "named"
    named.write_bytes(b"index-url = \xff\n[[\n")
    assert course.install(PIP_CONFIG_FILE=str(named))[0] == 0


def test_a_pip_file_in_another_encoding_counts(course):
    named = course.home / "named"
    named.write_bytes("# M\u00fcller\n[global]\nindex-url = https://m\n".encode("cp1252"))
    course.install(PIP_CONFIG_FILE=str(named))
    assert course.install_call()["variables"]["UV_DEFAULT_INDEX"] == "https://m"


# The environment


def test_venv_whose_python_is_gone_is_rebuilt(installed):
    installed.python.unlink()
    assert_rebuilt(installed, "its Python is gone")


def test_venv_whose_python_does_not_start_is_rebuilt(installed):
    installed.python.unlink()
    installed.python.write_text("no program")
    assert_rebuilt(installed, "its Python does not start")


def test_venv_of_an_unsupported_python_cannot_be_kept(installed, monkeypatch):
    program = load_install(installed.root)
    assert program.venv_problem() is None
    monkeypatch.setattr(program, "python_version", lambda: "3.10.9")
    assert program.venv_problem() == "its Python is 3.10.9, not 3.11 to 3.15"


def test_a_python_that_is_named_replaces_one_without_a_pytorch(installed, monkeypatch):
    """Otherwise the advice to set UV_PYTHON would not help."""
    program = load_install(installed.root)
    monkeypatch.setattr(program, "ask_platform", lambda: "win-arm64")
    monkeypatch.delenv("UV_PYTHON", raising=False)
    assert program.venv_problem() is None
    monkeypatch.setenv("UV_PYTHON", "cpython-3.13-windows-x86_64")
    assert program.venv_problem() == "there is no PyTorch for its platform"


def test_a_python_that_is_named_does_not_replace_a_healthy_one_and_the_run_says_so(installed):
    sentence = "UV_PYTHON is for a new .venv: to change its Python, delete .venv, then run again."
    assert sentence not in assert_kept(installed)
    assert sentence in assert_kept(installed, UV_PYTHON="3.13")


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_venv_that_was_moved_or_copied_is_rebuilt(installed, how):
    old = installed.root
    new = old.with_name("new")
    shutil.copytree(old, new, symlinks=True)
    if how == "moved":
        shutil.rmtree(old)
    installed.move_to(new)
    assert_rebuilt(installed, f"it was moved or copied from {old / '.venv'}")
    assert (old / ".venv" / "witness").exists() == (how == "copied")


@needs_links
def test_venv_by_another_name_of_its_folder_is_kept(installed):
    """As on a mapped drive."""
    other = installed.root.with_name("mapped")
    other.symlink_to(installed.root)
    installed.move_to(other)
    assert_kept(installed)


def test_a_folder_that_is_no_environment_is_replaced(course):
    course.venv.mkdir()
    (course.venv / "witness").touch()
    assert_rebuilt(course, "it is not a virtual environment")


def test_a_file_in_the_place_of_venv_is_replaced(course):
    course.venv.touch()
    assert course.install()[0] == 0
    assert course.python.exists()


def test_venv_made_by_hand_is_kept(installed):
    (installed.venv / ".lecture-install").unlink()
    assert_kept(installed)


@needs_links
def test_a_rebuild_removes_a_link_and_not_what_it_leads_to(installed, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.tex").touch()
    (installed.venv / "link").symlink_to(tmp_path / "data")
    installed.python.unlink()
    assert_rebuilt(installed, "its Python is gone")
    assert not (installed.venv / "link").is_symlink()
    assert (tmp_path / "data" / "thesis.tex").exists()


def test_a_rebuild_keeps_the_uv_that_a_door_fetched(installed):
    kept = installed.venv / "uv" / "bin" / "uv"
    kept.parent.mkdir(parents=True)
    kept.touch()
    installed.python.unlink()
    assert_rebuilt(installed, "its Python is gone")
    assert kept.exists()


@needs_links
@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "environment: .venv is made"),  # the target is gone
        ([], "environment: .venv is made"),
        ([".lecture-uv-77"], "environment: .venv is made"),
        ([".lecture-install", "witness"], "environment: .venv is rebuilt"),
        (["thesis.tex"], None),
        (["pyvenv.cfg"], None),  # another project's environment, with a Python that is gone
    ],
)
def test_venv_that_is_a_link_to_a_scratch_disk_is_kept_as_one(course, tmp_path, content, line):
    target = tmp_path / "scratch" / "venv"
    course.venv.symlink_to("../scratch/venv")
    if content is not None:
        target.mkdir(parents=True)
        for name in content:
            (target / name).touch()
    if line is None:
        assert_fails(course, "what lies there is not ours")
        assert [path.name for path in target.iterdir()] == content
    else:
        status, stdout, _ = course.install()
        assert status == 0
        assert line in stdout
        assert (target / "pyvenv.cfg").exists()
        assert not (target / "witness").exists()
        assert "environment: .venv is kept" in course.install()[1]
    assert course.venv.is_symlink()


# When a step fails, .venv stays as good as it was

OWN_MESSAGE = "uv's own message above is the cause. "


@pytest.mark.parametrize(
    ("step", "said", "sentence"),
    [
        ("VENV", "cache!", "making .venv failed: " + OWN_MESSAGE + "Set UV_CACHE_DIR where its"),
        ("DRY_RUN", "dns error", "choosing the torch build failed. Check the network or proxy"),
        ("INSTALL", "No space left", "installing the packages failed: " + OWN_MESSAGE),
        ("CHECK", "import torch: no", "not all is well. The lines above say why, and what helps."),
    ],
)
def test_a_failing_step_shows_the_reason_and_the_next_run_goes_on(course, step, said, sentence):
    stderr = assert_fails(course, sentence, **{f"ON_{step}": f"raise SystemExit({said!r})"})
    assert stderr.startswith(said + "\n")
    status, stdout, stderr = course.install()
    assert status == 0, stderr
    assert "rebuilt" not in stdout


@pytest.mark.parametrize(
    ("step", "variables"),
    [
        ("INSTALL", {"UV_TORCH_BACKEND": "cpu"}),  # as without a network
        ("DRY_RUN", {"UV_TORCH_BACKEND": "auto"}),
        ("CHECK", {}),
    ],
)
def test_a_run_that_fails_leaves_a_healthy_venv(installed, step, variables):
    failing = {f"ON_{step}": "raise SystemExit('no network')"}
    status, _, _ = installed.install(**failing, **variables)
    assert status == 1
    assert (installed.site_packages() / "torch.py").exists()
    assert "packages: all there" in assert_kept(installed)


@pytest.mark.parametrize(
    "spoil",
    [
        "(site / 'torch.py').unlink()",
        "(site / 'torch.py').write_text('')",
        "next(site.glob('torch-*/RECORD')).unlink()",
        "next(site.glob('torch-*/RECORD')).write_text('torch.py,,6\\ntor')",
        "next(site.glob('torch-*/RECORD')).write_bytes(bytes(200_000))",
    ],
)
def test_half_a_package_is_found_after_a_run_that_failed(installed, spoil):
    code = f"site = Path({str(installed.site_packages())!r}); {spoil}; raise SystemExit('killed')"
    status, _, _ = installed.install(UV_TORCH_BACKEND="cpu", ON_INSTALL=code)
    assert status == 1
    assert_rebuilt(installed, "an earlier install did not finish")


def test_a_package_that_is_missing_comes_into_the_venv_that_is_there(installed):
    next(installed.site_packages().glob("torch-*.dist-info/RECORD")).unlink()
    shutil.rmtree(next(installed.site_packages().glob("torch-*.dist-info")))
    assert "packages: installing requirements.txt" in assert_kept(installed)
    assert "packages: all there" in assert_kept(installed)


def test_a_removal_that_was_stopped_leaves_no_environment(installed, monkeypatch):
    program = load_install(installed.root)

    def stop(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(program.shutil, "rmtree", stop)
    with pytest.raises(KeyboardInterrupt):
        program.clear_venv()
    monkeypatch.undo()
    assert_rebuilt(installed, "it is not a virtual environment")


def test_a_run_that_was_stopped_and_moved_is_rebuilt(installed):
    """Half a package would be a reason, too, but not the one that helps to understand."""
    (installed.venv / ".lecture-unfinished").touch()
    next(installed.site_packages().glob("torch-*/RECORD")).unlink()
    old = installed.root
    installed.move_to(old.rename(old.with_name("new")))
    assert_rebuilt(installed, f"it was moved or copied from {old / '.venv'}")


@pytest.mark.parametrize(
    ("path", "long"),
    [
        ("C:\\x\\y", "\\\\?\\C:\\x\\y"),
        ("\\\\server\\share\\y", "\\\\?\\UNC\\server\\share\\y"),
    ],
)
def test_long_paths_on_windows(install, path, long):
    assert install.long_path(path) == long


# The torch build

UNREACHABLE = "raise SystemExit('Failed to fetch: https://download.pytorch.org/whl/cpu/torch/')"


def chosen(build: str) -> str:
    return f"print(' + torch==2.15.0{build}', file=sys.stderr); raise SystemExit"


@pytest.mark.parametrize(
    ("named", "dry_run", "line", "handed"),
    [
        ("", "", "torch build: chosen by uv for this machine", "auto"),
        ("", UNREACHABLE, "torch build: the PyTorch index cannot be reached, taking", None),
        ("", chosen("+cu130"), "torch build: chosen by uv", "auto"),
        ("", chosen("+rocm6.4"), "torch build: chosen by uv", "auto"),
        ("", chosen(""), "torch build: chosen by uv", "auto"),
        ("", chosen("+xpu"), "torch build: cpu, since these scripts do not use what xpu", "cpu"),
        ("auto", chosen("+xpu"), "torch build: cpu, since these", "cpu"),
        ("", "raise SystemExit", "torch build: the one that is there", None),
        ("cu128", "1 / 0", "torch build: cu128, from UV_TORCH_BACKEND", "cu128"),
    ],
)
def test_torch_build(course, named, dry_run, line, handed):
    status, stdout, stderr = course.install(UV_TORCH_BACKEND=named, ON_DRY_RUN=dry_run)
    assert status == 0, stderr
    assert line in stdout
    assert course.install_call()["variables"].get("UV_TORCH_BACKEND") == handed


@pytest.mark.parametrize(
    ("dry_run", "said"),
    [
        (chosen("+cu130"), True),
        (chosen("+cpu"), False),
        (UNREACHABLE, sys.platform == "linux"),
    ],
)
def test_what_a_cuda_build_costs_is_said_before_it_is_fetched(course, dry_run, said):
    _, stdout, _ = course.install(ON_DRY_RUN=dry_run, ON_INSTALL="print('fetching')")
    before = stdout.split("fetching")[0]
    assert ("about 3 GB to fetch" in before) == said
    assert ("UV_TORCH_BACKEND=cpu gives the small one" in before) == said


def test_a_build_other_than_the_installed_one_is_exchanged_once(installed):
    status, _, _ = installed.install(UV_TORCH_BACKEND="cu126")
    assert status == 0
    assert "--reinstall-package" in installed.install_call()["words"]
    assert list(installed.site_packages().glob("torch-2.15.0+cu126.dist-info"))
    assert "packages: all there" in assert_kept(installed, UV_TORCH_BACKEND="cu126")
    assert "packages: all there" in assert_kept(installed)


def test_a_named_build_is_remembered(installed):
    """A pull may raise a requirement, and .venv may have to be made anew."""
    installed.install(UV_TORCH_BACKEND="cu126")
    installed.log.unlink()
    shutil.rmtree(next(installed.site_packages().glob("torch-*.dist-info")))
    assert "torch build: cu126, from UV_TORCH_BACKEND" in installed.install()[1]
    assert installed.install_call()["variables"]["UV_TORCH_BACKEND"] == "cu126"
    installed.log.unlink()
    installed.python.unlink()
    assert_rebuilt(installed, "its Python is gone")
    assert installed.install_call()["variables"]["UV_TORCH_BACKEND"] == "cu126"
    # until another one is named
    installed.log.unlink()
    installed.install(UV_TORCH_BACKEND="auto")
    assert installed.install_call()["variables"]["UV_TORCH_BACKEND"] == "auto"


def test_auto_without_the_index_leaves_the_build_that_is_there(installed):
    status, _, _ = installed.install(UV_TORCH_BACKEND="auto", ON_DRY_RUN=UNREACHABLE)
    assert status == 0
    assert "--reinstall-package" not in installed.install_call()["words"]
    # once the index can be reached, it is exchanged after all
    installed.log.unlink()
    installed.install(UV_TORCH_BACKEND="auto")
    assert "--reinstall-package" in installed.install_call()["words"]


# Two runs, and runs that are cut off


def start_hanging(course: Course, step: str) -> subprocess.Popen:
    """Start a run that hangs in a step until the file home/hanging is gone, or for a minute."""
    hanging = course.home / "hanging"
    code = f"""if True:
        import pathlib, time
        hanging = pathlib.Path({str(hanging)!r})
        hanging.touch()
        for _ in range(600):
            if hanging.exists():
                time.sleep(0.1)
    """
    # pytest in the background of a script ignores SIGINT, and so would what it starts
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = course.start(course.install_command(), UV=str(course.uv), **{f"ON_{step}": code})
    signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    while not hanging.exists():
        if time.monotonic() > deadline or process.poll() is not None:
            process.kill()
            pytest.fail(f"the step was not reached: {process.communicate()}")
        time.sleep(0.02)
    return process


@pytest.fixture
def hanging(installed):
    """A run of the packages step that hangs, and is ended with what it started."""
    (installed.venv / ".lecture-install").unlink()
    shutil.rmtree(next(installed.site_packages().glob("torch-*.dist-info")))
    process = start_hanging(installed, "INSTALL")
    yield process
    if not WINDOWS:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.communicate()


@needs_signals
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_an_interrupted_run_leaves_venv_and_the_next_one_goes_on(installed, hanging, name):
    os.killpg(hanging.pid, getattr(signal, name))  # Windows has no signal.SIGKILL
    stdout, stderr = hanging.communicate(timeout=30)
    assert hanging.returncode != 0
    assert "Done." not in stdout
    if name == "SIGINT":
        assert "error: interrupted. Run again: it goes on from here.\n" in stderr
    assert_kept(installed)


@needs_signals
def test_a_second_run_is_refused_while_anything_of_the_first_is_at_work(installed, hanging):
    before = {*files_under(installed.venv)}
    sentence = "another run is at work here. Wait until it has ended, then run again."
    assert_fails(installed, sentence)
    hanging.kill()  # uv outlives it
    hanging.wait()
    assert_fails(installed, sentence)
    assert {*files_under(installed.venv)} == before
    os.killpg(hanging.pid, signal.SIGKILL)
    hanging.communicate()
    assert_kept(installed)


def test_a_run_that_has_no_uv_at_work_counts_too(installed):
    process = start_hanging(installed, "CHECK")
    assert_fails(installed, "another run is at work here. ")
    process.kill()
    (installed.home / "hanging").unlink()  # the check ends by itself
    process.communicate()
    assert_kept(installed)


def test_a_file_system_without_locks_stops_nothing(install, monkeypatch, tmp_path):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(install, "LOCK", tmp_path / "lock")
    if WINDOWS:
        monkeypatch.setattr(install.msvcrt, "locking", refuse)
    else:
        monkeypatch.setattr(install.fcntl, "flock", refuse)
    install.take_lock().close()


# Whose files are there


@pytest.mark.skipif(WINDOWS, reason="Windows has no sudo that leaves files of another")
@pytest.mark.parametrize("place", ["root", ".venv", "a file in .venv", "the cache"])
def test_what_belongs_to_another_is_named_with_its_owner(install, monkeypatch, tmp_path, place):
    """As after one run under sudo. Root may write everything, so the rights are stood in for."""
    if place == "the cache":
        answer = subprocess.CompletedProcess([], 0, stdout=f"{tmp_path}\n")
        monkeypatch.setattr(install, "run_uv", lambda *_: answer)
    monkeypatch.setattr(install.os, "access", lambda path, mode: False)
    monkeypatch.setattr(install.os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    me = install.user_name(tmp_path.stat().st_uid + 1)
    owner = install.user_name(tmp_path.stat().st_uid)
    with pytest.raises(SystemExit) as end:
        if place == "the cache":
            install.check_cache({})
        else:
            install.check_writable(tmp_path / "not there", tmp_path)
    assert str(end.value) == (
        f"error: {tmp_path} belongs to {owner} and cannot be written. "
        f"Run: sudo chown -R {me} {shlex.quote(str(tmp_path))}, then run again."
    )


@pytest.mark.parametrize("place", [".", ".venv", ".venv/folder", "cache", "cache/folder"])
def test_what_cannot_be_written_is_named_before_anything_is_done(installed, monkeypatch, place):
    """Root may write everything, so the right to write is stood in for."""
    program = load_install(installed.root)
    forbidden = installed.root / place
    if "cache" in place:
        forbidden = Path(f"{installed.log} {place}")
    forbidden.mkdir(parents=True, exist_ok=True)
    for name, value in installed.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UV", str(installed.uv))
    monkeypatch.setattr(program.os, "access", lambda path, mode: Path(path) != forbidden)
    with pytest.raises(SystemExit) as end:
        program.main("bash")
    sentence = "cannot be written. Change that, or clone elsewhere, then run again."
    assert str(end.value) == f"error: {forbidden} {sentence}"
    asked_for = ["cache"] if "cache" in place else []
    assert [call["words"][0] for call in installed.calls()] == asked_for


@pytest.mark.skipif(WINDOWS, reason="Windows has no such rights")
def test_a_cache_that_cannot_be_looked_into_is_named(install, monkeypatch, tmp_path):
    answer = subprocess.CompletedProcess([], 0, stdout=f"{tmp_path}\n")
    monkeypatch.setattr(install, "run_uv", lambda *_: answer)
    monkeypatch.setattr(install.os, "access", lambda path, mode: False)

    def refuse(path):
        raise PermissionError(path)

    monkeypatch.setattr(install.os, "listdir", refuse)
    monkeypatch.setattr(install.os, "scandir", refuse)
    with pytest.raises(SystemExit, match="cannot be written"):
        install.check_cache({})


@pytest.mark.skipif(WINDOWS, reason="Windows' users have no numbers")
def test_a_user_without_a_name_has_a_number(install):
    assert install.user_name(2**31 - 7) == str(2**31 - 7)


# The next steps


@pytest.mark.skipif(WINDOWS, reason="needs a bash of its own")
@pytest.mark.parametrize("name", ["plain", "[b] c'd", "$HOME `x`", 'a "b"', "50% off!", "a:b;c"])
def test_the_line_that_changes_folder_can_be_pasted(install, tmp_path, name):
    (tmp_path / name).mkdir()
    line = install.change_folder(str(tmp_path / name), "bash")
    paste = subprocess.run(["bash", "-c", f"{line}; pwd"], capture_output=True, encoding="utf-8")
    assert paste.stdout == f"{tmp_path / name}\n"


def test_a_path_that_forbids_activating_is_said_so(course, tmp_path):
    root = tmp_path / ("a;b" if WINDOWS else "a:b")
    shutil.move(course.root, root)
    course.move_to(root)
    status, stdout, stderr = course.install()
    assert status == 0, stderr
    folder = course.python.parent.name
    assert stdout.split("Done. Next:\n")[1].splitlines() == [
        f"    .venv/{folder}/python script/gd_1d_torch.py",
        f"The {'semicolon' if WINDOWS else 'colon'} in this path forbids activating .venv.",
        f"Whoever maintains the scripts checks everything with .venv/{folder}/pytest, in some ten "
        "minutes.",
    ]


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("C:\\x y", 'pushd "C:\\x y"'),  # for cmd, too
        ("C:\\[b] c'd", "cd -LiteralPath 'C:\\[b] c''d'"),
        ("C:\\$x", "cd -LiteralPath 'C:\\$x'"),
        ("C:\\a\u2019\u201cb", "cd -LiteralPath 'C:\\a\u2019\u2019\u201cb'"),
    ],
)
def test_the_line_that_changes_folder_in_powershell(install, folder, line):
    assert install.change_folder(folder, "powershell") == line


def test_next_steps_in_powershell(course):
    folder = course.python.parent.name
    assert course.install("powershell")[1].split("Done. Next:\n")[1].splitlines() == [
        f"    .venv\\{folder}\\python script\\gd_1d_torch.py",
        f"Where scripts may run, this spares you .venv\\{folder}\\ in this window:",
        f"    .venv\\{folder}\\Activate.ps1",
        "Whoever maintains the scripts checks everything with "
        f".venv\\{folder}\\pytest, in some ten minutes.",
    ]


# uv from the index, by a Python that has pip


@pytest.fixture
def wheels(tmp_path, course) -> Path:
    """A folder with a wheel of uv, the stand-in."""
    from zipfile import ZipFile

    folder = tmp_path / "wheels"
    folder.mkdir()
    with ZipFile(folder / "uv-9.0-py3-none-any.whl", "w") as wheel:
        about = "Metadata-Version: 2.1\nName: uv\nVersion: 9.0\n"
        wheel.writestr("uv-9.0.dist-info/METADATA", about)
        kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr("uv-9.0.dist-info/WHEEL", kind)
        wheel.writestr("uv-9.0.dist-info/RECORD", "")
        wheel.write(course.uv, f"uv-9.0.data/scripts/{course.uv.name}")
    return folder


def get_uv(course: Course, **variables: str):
    variables = {"PIP_NO_INDEX": "1", **variables}
    return course.run(course.install_command("get-uv"), **variables)


@pytest.mark.parametrize(
    "forbidding", [{"PIP_USER": "1"}, {"PIP_REQUIRE_VIRTUALENV": "1"}, {"PIP_PREFIX": "/usr"}]
)
def test_what_pip_forbids_otherwise_does_not_keep_uv_out(course, wheels, forbidding):
    """By a Python that is no virtual environment, as a user's is. It borrows our pip."""
    command = course.install_command("get-uv")
    command[0] = sys._base_executable
    borrowed = sysconfig.get_path("purelib")
    variables = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels.as_uri(), "PYTHONPATH": borrowed}
    status, _, stderr = course.run(command, **variables, **forbidding)
    assert status == 0, stderr
    assert (course.venv / "uv" / "bin" / course.uv.name).exists()


def test_uv_comes_from_the_index_into_venv(course, wheels):
    status, stdout, stderr = get_uv(course, PIP_FIND_LINKS=wheels.as_uri())
    assert (status, stdout, stderr) == (0, "", "")
    assert {path.name for path in course.venv.iterdir()} == {"uv"}
    (course.venv / "uv" / "bin" / course.uv.name).stat()
    # one that is there and is too old is replaced
    (course.venv / "uv" / "old").touch()
    status, _, stderr = get_uv(course, PIP_FIND_LINKS=wheels.as_uri())
    assert status == 0, stderr
    assert not (course.venv / "uv" / "old").exists()
    assert {path.name for path in course.venv.iterdir()} == {"uv"}
    # and the install says nothing of a rebuild
    assert "rebuilt" not in course.install()[1]


def test_pips_reason_is_shown_and_nothing_is_left(course):
    before = {*files_under(course.root)}
    status, _, stderr = get_uv(course)
    assert status == 1
    assert "No matching distribution found for uv" in stderr
    assert "error: pip could not get uv from the index: see above." in stderr
    assert {*files_under(course.root)} == before


def test_a_users_file_is_no_part_of_pip(course, wheels):
    (course.root / "script" / "contextlib.py").write_text("raise RuntimeError('mine')\n")
    folder = course.root / "script"
    variables = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels.as_uri()}
    status, _, stderr = course.run(course.install_command("get-uv"), folder, **variables)
    assert status == 0, stderr


def test_the_calls_are_recorded_as_they_were(installed):
    """The stand-in's own promise, on which the tests above rest."""
    installed.install()
    (line, *_) = installed.log.read_text().splitlines()
    assert json.loads(line)["words"][:2] == ["cache", "dir"]
