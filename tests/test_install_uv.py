"""What install.py and its doors rely on uv for, held with the uv that is here: no network needed.

Where uv rewords or changes one of these, the tests with a stand-in would stay green.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from conftest import ROOT
from installation import load_install

PROGRAMS = "Scripts" if os.name == "nt" else "bin"


@pytest.fixture(scope="module")
def uv() -> str:
    places = [
        ROOT / ".venv" / "uv" / "bin",
        ROOT / ".venv" / PROGRAMS,
        *os.environ["PATH"].split(os.pathsep),
        Path("~/.local/bin").expanduser(),
    ]
    found = shutil.which("uv", path=os.pathsep.join(map(str, places)))
    if found is None:
        pytest.skip("there is no uv here")
    return found


@pytest.fixture
def program(uv, tmp_path, monkeypatch):
    """install.py as a module whose .venv lies in tmp_path, out of reach of any index."""
    for name in list(os.environ):
        if name.startswith(("UV_", "PIP_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("UV", uv)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_PYTHON", sys.executable)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "script").mkdir()
    shutil.copy(ROOT / "script" / "install.py", tmp_path / "script")
    (tmp_path / "requirements.txt").write_text("torch>=2.13,<2.16\n")
    module = load_install(tmp_path)
    module.make_folder()
    return module


def write_wheel(folder: Path, name: str, version: str) -> None:
    """Write a wheel of one file."""
    folder.mkdir(exist_ok=True)
    about = f"{name}-{version}.dist-info"
    with ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "x = 1\n")
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        wheel.writestr(f"{about}/METADATA", metadata)
        kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{about}/WHEEL", kind)
        files = f"{name}.py,,6\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n"
        wheel.writestr(f"{about}/RECORD", files)


def install_packages(program, wheels: Path, **more: str) -> None:
    """Install torch and pip from wheels made for the test."""
    variables = program.variables_for_uv({**os.environ, "UV_FIND_LINKS": str(wheels), **more})
    program.make_venv(variables)
    program.install_packages(variables)


@pytest.fixture
def wheels(tmp_path) -> Path:
    folder = tmp_path / "wheels"
    write_wheel(folder, "torch", "2.14.0+cpu")
    write_wheel(folder, "pip", "26.0")
    return folder


def test_help_names_the_option_that_a_door_looks_for(uv):
    said = subprocess.run([uv, "pip", "install", "--help"], capture_output=True, encoding="utf-8")
    assert said.returncode == 0
    assert "--torch-backend" in said.stdout


# How the doors start install.py


def run_words() -> list[str]:
    """The words of `uv run` in install.sh. install.ps1 has the same: see test_install_doors.py."""
    text = (ROOT / "script" / "install.sh").read_text().replace("\\\n", " ")
    (words,) = re.findall(r'"\$uv" (run .*?) --python', text)
    return words.split()


def run_by_uv(uv: str, folder: Path, code: str, python: str = sys.executable, **variables: str):
    command = [uv, *run_words(), "--python", python, "python", "-I"]
    command += ["-X", "utf8", "-c", code]  # on Windows, pipes speak cp1252
    environ = {**os.environ, "UV_OFFLINE": "1", **variables}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, encoding="utf-8")


def test_uv_run_hands_the_status_on(uv, tmp_path):
    assert run_by_uv(uv, tmp_path, "raise SystemExit(7)").returncode == 7


def test_uv_run_ends_with_2_where_there_is_no_python(uv, tmp_path):
    run = run_by_uv(uv, tmp_path, "", python=">=3.99")
    assert run.returncode == 2
    assert run.stderr


def test_uv_run_says_where_it_is_and_what_it_adds(uv, tmp_path):
    code = "import os, sys; print(os.environ['UV']); print(os.environ['VIRTUAL_ENV'])\n"
    code += "print(os.environ['PATH'].split(os.pathsep)[0]); print(os.path.dirname(sys.executable))"
    place, added, head, own = run_by_uv(uv, tmp_path, code).stdout.splitlines()
    assert os.path.samefile(place, uv)
    assert added not in ("", os.environ.get("VIRTUAL_ENV"))
    assert head == own


def test_nothing_reaches_into_uv_run(uv, tmp_path):
    """A project in a parent folder, an active environment, and variables that lead elsewhere."""
    (tmp_path / "pyproject.toml").write_text('[tool.uv]\nrequired-version = ">=99"\n')
    (tmp_path / ".python-version").write_text("3.99\n")
    folder = tmp_path / "course"
    folder.mkdir()
    for name in ("active", "elsewhere"):
        (tmp_path / name).mkdir()
    run = run_by_uv(
        uv,
        folder,
        "import os; print(os.getcwd())",
        VIRTUAL_ENV=str(tmp_path / "active"),
        UV_PROJECT=str(tmp_path / "elsewhere"),
        UV_WORKING_DIR=str(tmp_path / "elsewhere"),
        UV_WORKING_DIRECTORY=str(tmp_path / "elsewhere"),
        UV_ENV_FILE=str(tmp_path / "no such file"),
        UV_CACHE_DIR=str(tmp_path / "pyproject.toml" / "cannot be made"),
        UV_TORCH_BACKEND="",
        PYTHONHOME=str(tmp_path),
    )
    assert run.returncode == 0, run.stderr
    assert os.path.samefile(run.stdout.strip(), folder)
    assert list((tmp_path / "active").iterdir()) == []


# What install.py asks of it


def test_a_project_in_a_parent_folder_is_shut_off(program, tmp_path, wheels, monkeypatch):
    (tmp_path / "pyproject.toml").write_text('[tool.uv]\nrequired-version = ">=99"\n')
    monkeypatch.chdir(tmp_path)
    install_packages(program, wheels, UV_TORCH_BACKEND="cpu")
    assert program.are_there(dict(os.environ), ["torch", "pip"])


def test_the_cache_is_named(program, tmp_path):
    answer = program.run_uv(dict(os.environ), "cache", "dir")
    assert answer.returncode == 0
    assert Path(answer.stdout.strip()) == tmp_path / "cache"


def test_uv_venv_leaves_what_is_ours(program):
    kept = program.UV_FOLDER / "kept"
    kept.parent.mkdir()
    kept.touch()
    lock = program.take_lock()
    program.make_venv(program.variables_for_uv(dict(os.environ)))
    assert program.PYTHON.exists()
    assert kept.exists()
    assert program.LOCK.exists()
    lock.close()


def test_without_any_place_uv_succeeds_if_all_is_there(program, wheels):
    variables = program.variables_for_uv({**os.environ, "UV_FIND_LINKS": str(wheels)})
    program.make_venv(variables)
    words = ["--requirement", str(program.ROOT / "requirements.txt"), "pip>=25"]
    assert not program.are_there(variables, words)
    install_packages(program, wheels, UV_TORCH_BACKEND="cpu")
    assert program.are_there(variables, words)
    assert program.are_there({**variables, "UV_REQUIRE_HASHES": "1"}, words)
    (program.ROOT / "requirements.txt").write_text("torch>=2.15,<2.16\n")
    assert not program.are_there(variables, words)


@pytest.mark.parametrize(
    ("build", "chosen"), [("+xpu", "cpu"), ("+cu130", "auto"), ("+cpu", "auto"), ("", "auto")]
)
def test_a_dry_run_names_the_build(program, tmp_path, build, chosen, capfd):
    write_wheel(tmp_path / "wheels", "torch", "2.15.0" + build)
    links = {"UV_FIND_LINKS": str(tmp_path / "wheels"), "FORCE_COLOR": "1"}
    variables = program.variables_for_uv({**os.environ, **links})
    program.make_venv(variables)
    assert program.choose_torch_build(variables, "") == chosen
    assert ("do not use what xpu is for" in capfd.readouterr().out) == (build == "+xpu")


def test_a_dry_run_names_no_build_if_torch_is_there(program, wheels, capfd):
    install_packages(program, wheels, UV_TORCH_BACKEND="cpu")
    variables = program.variables_for_uv(dict(os.environ))
    assert program.choose_torch_build(variables, "") == ""
    assert "torch build: the one that is there" in capfd.readouterr().out


def test_an_index_out_of_reach_is_named(program, capfd):
    """A closed port is the proxy, so no machine's network reaches further."""
    environ = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "UV_HTTP_RETRIES": "0"}
    del environ["UV_OFFLINE"]
    variables = program.variables_for_uv(environ)
    program.make_venv(variables)
    assert program.choose_torch_build(variables, "") == ""
    assert "the PyTorch index cannot be reached" in capfd.readouterr().out


def test_a_named_build_is_exchanged_for_the_one_that_is_there(program, wheels, capfd):
    install_packages(program, wheels, UV_TORCH_BACKEND="cpu")
    (wheels / "torch-2.14.0+cpu-py3-none-any.whl").unlink()
    write_wheel(wheels, "torch", "2.14.0+cu126")
    install_packages(program, wheels, UV_TORCH_BACKEND="cu126")
    (about,) = program.VENV.glob(f"{program.SITE_PACKAGES}/torch-*.dist-info")
    assert about.name == "torch-2.14.0+cu126.dist-info"
    assert "packages: installing" in capfd.readouterr().out
    install_packages(program, wheels, UV_TORCH_BACKEND="cu126")
    assert "packages: all there" in capfd.readouterr().out


def test_what_uv_installed_is_whole_until_a_file_is_lost(program, wheels):
    install_packages(program, wheels, UV_TORCH_BACKEND="cpu")
    assert program.damaged_packages() == []
    (module,) = program.VENV.glob(f"{program.SITE_PACKAGES}/torch.py")
    module.unlink()
    assert program.damaged_packages() == ["torch"]


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
def test_what_is_damaged_in_uvs_cache_too_is_fetched_anew(program, wheels, capfd, mode):
    """With hardlink, what uv mostly does, a file that is cut off in .venv is so in the cache."""
    install_packages(program, wheels, UV_TORCH_BACKEND="cpu", UV_LINK_MODE=mode)
    (module,) = program.VENV.glob(f"{program.SITE_PACKAGES}/torch.py")
    module.write_text("")
    assert program.damaged_packages() == ["torch"]
    program.UNFINISHED.touch()
    capfd.readouterr()
    install_packages(program, wheels, UV_TORCH_BACKEND="cpu", UV_LINK_MODE=mode)
    assert module.read_text() == "x = 1\n"
    line = "packages: uv's cache is damaged, fetching anew torch\n"
    assert (line in capfd.readouterr().out) == (mode == "hardlink")
    assert not program.UNFINISHED.exists()


def test_a_failing_install_changes_nothing(program, wheels):
    """uv removes the old package when the new one is there."""
    install_packages(program, wheels, UV_TORCH_BACKEND="cpu")
    with pytest.raises(SystemExit, match="installing the packages failed"):
        install_packages(program, wheels.with_name("none"), UV_TORCH_BACKEND="cu126")
    assert program.damaged_packages() == []
    assert program.venv_problem() is None


def test_a_target_in_uv_toml_would_lead_elsewhere(program, wheels, tmp_path):
    """Why check_uv_settings ends such a run."""
    file = tmp_path / "uv.toml"
    file.write_text(f'[pip]\ntarget = "{(tmp_path / "elsewhere").as_posix()}"\n')
    environ = {**os.environ, "UV_FIND_LINKS": str(wheels), "UV_CONFIG_FILE": str(file)}
    variables = program.variables_for_uv(environ)
    program.make_venv(variables)
    program.run_uv_pip_install(variables, "torch")
    assert (tmp_path / "elsewhere" / "torch.py").exists()
    with pytest.raises(SystemExit, match="sets target under"):
        program.check_uv_settings(variables)
