"""README.md is true: its table, its commands, its links and what it quotes."""

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


FIRST = commands("# From one dimension to d")
UNIX = commands("**macOS and Linux**")
WINDOWS = commands("**Windows**, in PowerShell")


def test_first_block_is_what_a_fresh_machine_runs():
    runs = []
    for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines():
        if "install.sh" in line:
            runs.append(line.removesuffix(" || exit"))
    assert runs == FIRST


@pytest.mark.skipif(not WORKFLOW.exists(), reason="There is no .github/workflows/tests.yml here")
def test_what_the_readme_tells_to_run_the_workflow_runs():
    steps = re.findall(r"^ +- run: (.*)$", WORKFLOW.read_text(encoding="utf-8"), re.MULTILINE)
    for command in [*FIRST, WINDOWS[0]]:
        assert command in steps


@pytest.mark.parametrize(
    ("installer", "start"), [("install.sh", UNIX), ("install.ps1", WINDOWS)], ids=["sh", "ps1"]
)
def test_after_an_install_the_readme_and_the_installer_go_on_alike(installer, start):
    """What the installer prints is test_installers.py's to test."""
    text = (ROOT / "script" / installer).read_text(encoding="utf-8")
    said = re.findall(r"""["'] {4}(\S.*)["']$""", text, re.MULTILINE)
    assert f"script/{installer}" in start[0]
    assert len(start) > 2
    for command in start[1:]:
        assert command in said


def test_table_is_the_scripts_and_their_figures():
    figures = {}
    for row in section("The lecture, section by section").splitlines():
        for name in re.findall(r"\[(\w+)\.py\]\(script/\1\.py\)", row):
            figures[name] = tuple(re.findall(r"\(figures/lecture/([\w.]+)\)", row))
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
    assert line in run_of(name).stdout


def test_corrections_are_quoted():
    rows = section("What was wrong in the notes").strip().splitlines()[2:]
    assert len(QUOTED) == len(rows) >= 6


def test_python_versions_are_those_of_the_installer():
    assert "Python 3.11 to 3.15;" in README
    for name in ("install.sh", "install.ps1"):
        text = (ROOT / "script" / name).read_text(encoding="utf-8")
        assert ">=3.11,<3.16" in text
