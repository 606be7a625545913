"""The tests touch nothing of the user's, and test what they can wherever they are."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import NAMES, ROOT, git

NEEDS_A_CLONE = [
    "test_script_and_figure_that_git_tracks_have_a_row",
    "test_runs_leave_a_clone_clean_and_it_can_be_pulled",
    "test_links_lead_to_files_that_everybody_gets",
]


def repository(folder: Path) -> Path:
    """A repository at folder with one commit of one file."""
    folder.mkdir(parents=True)
    (folder / "note.txt").write_text("committed\n")
    git("init", "-q", cwd=folder)
    git("add", "-A", cwd=folder)
    git("commit", "-q", "-m", "one", cwd=folder)
    return folder


def test_a_hooks_variables_lead_git_to_no_repository_of_the_users(tmp_path, monkeypatch):
    """git sets them for a hook, and for what `git rebase --exec` runs."""
    users = repository(tmp_path / "the user's")
    (users / "note.txt").write_text("not committed yet\n")
    before = git("config", "--list", "--local", cwd=users)
    monkeypatch.setenv("GIT_DIR", str(users / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(users))
    monkeypatch.setenv("GIT_INDEX_FILE", str(users / ".git" / "index"))
    monkeypatch.setenv("GIT_PREFIX", "")
    ours = repository(tmp_path / "ours")
    assert (ours / ".git").is_dir()
    assert git("log", "--format=%s", cwd=users) == "one\n"
    assert git("status", "--porcelain", cwd=users) == " M note.txt\n"
    assert git("config", "--list", "--local", cwd=users) == before


def test_settings_of_the_user_do_not_reach_git(tmp_path, monkeypatch):
    """Commits are to be signed, hooks refuse, and every file is ignored: in four places."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    (tmp_path / "template" / "hooks").mkdir(parents=True)
    shutil.copy(hooks / "pre-commit", tmp_path / "template" / "hooks")
    settings = f"[commit]\n\tgpgsign = true\n[core]\n\thooksPath = {hooks.as_posix()}\n"
    (tmp_path / ".gitconfig").write_text(settings)
    (tmp_path / "git").mkdir()
    (tmp_path / "git" / "ignore").write_text("*\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig"))
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path / "template"))
    ours = repository(tmp_path / "ours")
    assert git("ls-files", cwd=ours) == "note.txt\n"


def test_an_error_of_git_is_shown_in_its_own_words(tmp_path):
    ours = repository(tmp_path / "ours")
    with pytest.raises(AssertionError, match="git checkout nowhere: .*nowhere"):
        git("checkout", "nowhere", cwd=ours)


def test_without_git_what_needs_it_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match="needs git, which is not installed here"):
        git("init", cwd=tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="a git that only offers developer tools is macOS's")
def test_a_git_that_does_not_start_is_none(tmp_path, monkeypatch):
    (tmp_path / "git").write_text(
        "#!/bin/sh\necho 'xcrun: error: no developer tools' >&2; exit 1\n"
    )
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match="needs git, which is not installed here"):
        git("init", cwd=tmp_path)


# Options that a student may have set. The cache has no place, as in a folder that is read-only.
OPTIONS = "-o cache_dir=README.md/cache --import-mode=importlib"


def test_in_a_download_amid_a_students_files_only_what_needs_git_is_skipped(tmp_path):
    """The download lies in a repository of the student's, who has copied a script, too."""
    students = repository(tmp_path / "the student's")
    download = students / "lecture"
    compiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tests", download / "tests", ignore=compiled)
    shutil.copytree(ROOT / "figures" / "lecture", download / "figures" / "lecture")
    files = ["README.md", ".pytest.ini", "requirements.txt", ".ci/run"]
    files += [f"script/{name}.py" for name in NAMES]
    files += ["script/install.sh", "script/install.ps1", "script/install.py"]
    for name in files:
        (download / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, download / name)
    shutil.copy(ROOT / "script" / "dtypes.py", download / "script" / "my_dtypes.py")
    (download / "script" / "numpy.py").write_text("x = 1\n")

    quick = "test_layout or stands_alone or links_lead or first_figure"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "--color=no"]
        + ["-k", f"{quick} or {' or '.join(NEEDS_A_CLONE)}"]
        + ["tests/test_tours.py", "tests/test_every_script.py", "tests/test_readme.py"]
        + ["tests/test_install_and_run.py"],
        cwd=download,
        env={**os.environ, "COLUMNS": "200", "PYTEST_ADDOPTS": OPTIONS},
        capture_output=True,
        encoding="utf-8",
    )
    assert run.returncode == 0, run.stdout + run.stderr
    outcomes = dict(re.findall(r"::(test_.*?) (PASSED|SKIPPED|FAILED|ERROR)\b", run.stdout))
    skipped = {test for test, outcome in outcomes.items() if outcome == "SKIPPED"}
    assert skipped == {*NEEDS_A_CLONE, "test_the_installed_environment_draws_the_first_figure"}
    assert len(outcomes) > len(skipped) + len(NAMES)
    assert re.search(r"^SKIPPED \[3\] .*: needs a git clone", run.stdout, re.MULTILINE)
    assert re.search(r"^SKIPPED \[1\] .*: There is no .venv here", run.stdout, re.MULTILINE)


def test_a_parents_pytest_settings_do_not_reach_in(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--cov=t"\n')
    course = tmp_path / "course"
    (course / "tests").mkdir(parents=True)
    shutil.copy(ROOT / ".pytest.ini", course)
    (course / "tests" / "test_it.py").write_text("def test_it(): pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=course, capture_output=True, encoding="utf-8")
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.skipif(os.name == "nt", reason="on Windows, a link needs an administrator")
def test_git_ignores_venv_as_a_link(tmp_path):
    shutil.copy(ROOT / ".gitignore", tmp_path)
    git("init", "-q", cwd=tmp_path)
    (tmp_path / ".venv").symlink_to("elsewhere")
    assert git("status", "--porcelain", cwd=tmp_path) == "?? .gitignore\n"
