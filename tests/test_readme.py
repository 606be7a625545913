"""README.md is true: its table, its commands, its links and what it quotes."""

import re

import pytest
from conftest import ROOT, tracked
from scripts import SCRIPTS

README = (ROOT / "README.md").read_text(encoding="utf-8")
UNIX = "**macOS and Linux**"
WINDOWS = "**Windows**, in PowerShell"


def section(title: str) -> str:
    return re.split(r"^## ", README.split(f"## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def commands(text: str) -> list[str]:
    """The lines of the first indented block."""
    block = re.search(r"(?:^    .+\n)+", text, re.MULTILINE).group()
    return [line.strip() for line in block.splitlines()]


def test_first_block_is_what_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    assert commands(README) == [
        line.removesuffix(" || exit") for line in ci if "install.sh" in line
    ]
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    for command in commands(README):
        assert f"- run: {command}\n" in workflow


def test_quickstarts_are_what_the_installers_say_next():
    sh = (ROOT / "script" / "install.sh").read_text()
    for command in commands(README.split(UNIX)[1])[1:]:
        assert f'say "    {command}"' in sh
    ps1 = (ROOT / "script" / "install.ps1").read_text()
    for command in commands(README.split(WINDOWS)[1])[1:]:
        assert f"Say '    {command}'" in ps1
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    assert f"- run: {commands(README.split(WINDOWS)[1])[0]}\n" in workflow


def test_table_is_the_scripts_and_their_figures():
    rows = [
        line for line in section("The lecture, section by section").splitlines() if "](" in line
    ]
    table = {
        name: tuple(re.findall(r"\(figures/lecture/([\w.]+)\)", row))
        for row in rows
        for name in re.findall(r"\[(\w+)\.py\]\(script/\1\.py\)", row)
    }
    assert table == {name: script.figures for name, script in SCRIPTS.items()}
    assert list(table) == list(SCRIPTS)


def test_every_figure_is_shown_with_a_text_for_those_who_cannot_see_it():
    shown = dict(re.findall(r"!\[([^\]]+)\]\(figures/lecture/([\w.]+)\)", README))
    assert sorted(shown.values()) == sorted(f for s in SCRIPTS.values() for f in s.figures)


LINKS = re.findall(r"\]\((?!https:)([^)#]+)\)", README)


def test_links_lead_somewhere():
    headings = {f"#{title.lower()}" for title in re.findall(r"^## (\w+)$", README, re.MULTILINE)}
    assert set(re.findall(r"\]\((#[^)]+)\)", README)) <= headings
    assert len(LINKS) > 30
    assert [link for link in LINKS if not (ROOT / link).is_file()] == []


def test_links_lead_to_files_that_everybody_gets():
    assert set(LINKS) - tracked() == set(), "a file to git add?"


QUOTED = re.findall(r"^\| .* \| `(\w+)\.py` \| `([^`]+)` \|$", README, re.MULTILINE)


@pytest.mark.parametrize(("name", "line"), QUOTED)
def test_quoted_line_is_printed(run_of, name, line):
    assert line in run_of(name).stdout


def test_corrections_are_quoted():
    rows = section("What was wrong in the notes").strip().splitlines()[2:]
    assert len(QUOTED) == len(rows) >= 6


def test_python_versions_are_those_of_the_installer():
    assert "Python 3.11 to 3.15;" in README
    for name in ("install.sh", "install.ps1"):
        assert ">=3.11,<3.16" in (ROOT / "script" / name).read_text()
