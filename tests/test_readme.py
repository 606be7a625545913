"""README.md is true: its table, its commands, its links and what it quotes."""

import importlib.util
import re

import pytest
from conftest import NAMES, ROOT, hold, tracked
from scripts import SCRIPTS

README = (ROOT / "README.md").read_text(encoding="utf-8")
WORKFLOW = ROOT / ".github" / "workflows" / "tests.yml"
LINKS = sorted(set(re.findall(r"\]\((?!https:)([^)#]+)\)", README)))
QUOTED = re.findall(r"^\| .* \| `(\w+)\.py` \| `([^`]+)` \|$", README, re.MULTILINE)


def section(title: str) -> str:
    """The text below a heading, up to the next one."""
    below = README.split(f"## {title}\n", 1)[1]
    return below.split("\n## ", 1)[0]


def commands(above: str) -> list[str]:
    """The lines of the first indented block below a text."""
    below = README.split(above, 1)[1]
    block = re.search(r"(?:^    .+\n)+", below, re.MULTILINE).group()
    return [line.strip() for line in block.splitlines()]


UNIX = commands("**macOS and Linux**")
WINDOWS = commands("**Windows**, in PowerShell")


def test_start_is_what_ci_runs():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines[-len(UNIX) :] == UNIX


@pytest.mark.skipif(not WORKFLOW.exists(), reason="There is no .github/workflows/tests.yml here")
def test_what_start_tells_to_run_the_workflow_runs():
    steps = re.findall(r"^ +- run: (.*)$", WORKFLOW.read_text(encoding="utf-8"), re.MULTILINE)
    assert UNIX[0] in steps
    assert WINDOWS[0] in steps
    for script, pytest_ in ((".venv/bin/", UNIX[2:]), (".venv\\Scripts\\", WINDOWS[2:])):
        for command in pytest_:
            assert script + command in steps


def test_after_an_install_the_readme_and_the_installer_go_on_alike(monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("install", ROOT / "script" / "install.py")
    install = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(install)
    monkeypatch.setattr(install, "WINDOWS", False)
    monkeypatch.setattr(install, "PROGRAMS", ROOT / ".venv" / "bin")
    install.show_next_steps("bash", str(ROOT))
    said = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert said[1:] == UNIX[1:] or ":" in str(ROOT)
    monkeypatch.setattr(install, "PROGRAMS", ROOT / ".venv" / "Scripts")
    install.show_next_steps("powershell", str(ROOT))
    said = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert [f".venv\\Scripts\\{command}" for command in WINDOWS[2:]] == said[1:3]
    assert said[-1] == WINDOWS[1] or ":" in str(ROOT)


def test_table_is_the_scripts_and_their_figures():
    figures = {}
    for row in section("The lecture, section by section").splitlines():
        for name in re.findall(r"\[(\w+)\.py\]\(script/\1\.py\)", row):
            figures[name] = tuple(re.findall(r"\(figures/lecture/([\w.]+)\)", row))
    del figures["install"]  # it draws nothing, and has tests of its own
    faults = []
    for name in NAMES:
        if name not in figures:
            faults.append(f"README.md has no row for script/{name}.py in its table of sections")
        elif figures[name] != SCRIPTS[name].figures:
            faults.append(
                f"README.md's row for {name} links the figures {figures[name]}, "
                f"tests/scripts.py has {SCRIPTS[name].figures}"
            )
    for name in figures:
        if name not in SCRIPTS:
            faults.append(f"README.md has a row for {name}, tests/scripts.py has none")
    hold(faults)
    assert list(figures) == list(SCRIPTS), "README.md and tests/scripts.py differ in their order"


def test_every_figure_is_shown_with_a_text_for_those_who_cannot_see_it():
    shown = re.findall(r"!\[[^\]]+\]\(figures/lecture/([\w.]+)\)", README)
    faults = []
    for script in SCRIPTS.values():
        for figure in script.figures:
            if shown.count(figure) != 1:
                faults.append(f"README.md shows {figure} {shown.count(figure)} times, not once")
    hold(faults)
    assert len(shown) == README.count("![")


def test_links_lead_somewhere():
    headings = re.findall(r"^## (\w+)$", README, re.MULTILINE)
    anchors = [f"#{heading.lower()}" for heading in headings]
    for anchor in re.findall(r"\]\((#[^)]+)\)", README):
        assert anchor in anchors
    assert len(LINKS) > 30
    dead = [link for link in LINKS if not (ROOT / link).is_file()]
    hold([f"README.md links {link}: there is no such file" for link in dead])


def test_links_lead_to_files_that_everybody_gets():
    missing = [link for link in LINKS if link not in tracked()]
    hold([f"README.md links {link}, which git does not track: git add {link}" for link in missing])


@pytest.mark.parametrize(("name", "line"), QUOTED)
def test_quoted_line_is_printed(run_of, name, line):
    """With the sizes of the lecture, where these make the number: the script has recorded that."""
    recorded = (ROOT / "script" / f"{name}.py").read_text(encoding="utf-8")
    assert line in run_of(name).stdout or f"# {line}\n" in recorded


def test_corrections_are_quoted():
    rows = re.findall("^[|] .*", section("What was wrong in the notes"), re.MULTILINE)[1:]
    assert len(QUOTED) == len(rows) >= 9


def test_python_versions_are_those_of_the_installer():
    said = re.search(r"Python 3\.(\d+) to 3\.(\d+)", README).groups()
    program = (ROOT / "script" / "install.py").read_text(encoding="utf-8")
    assert f"OLDEST, NEWEST = {said[0]}, {said[1]} " in program
