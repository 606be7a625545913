"""README.md is true: its table, its commands, its links and what it quotes."""

import re

import pytest
import tour
import yaml
from conftest import NAMES, ROOT, hold, tracked
from installation import load_install
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
    return block.replace("    ", "").splitlines()


UNIX = commands("**macOS and Linux**")
WINDOWS = commands("**Windows**, in PowerShell")
CHECK = commands("## The tests")


def test_the_commands_of_the_readme_are_what_ci_runs():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines[-4:] == UNIX + CHECK


@pytest.mark.skipif(not WORKFLOW.exists(), reason="There is no .github/workflows/tests.yml here")
def test_the_commands_of_the_readme_are_what_the_workflow_runs():
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    unix = [step.get("run") for step in jobs["unix"]["steps"]]
    windows = [step.get("run") for step in jobs["windows"]["steps"]]
    assert UNIX[0] in unix
    assert f".venv/bin/{UNIX[2]}" in unix
    assert f".venv/bin/{CHECK[0]}" in unix
    assert WINDOWS[0] in windows
    assert WINDOWS[1] in windows
    assert f".venv\\Scripts\\{CHECK[0]}" in windows


def test_after_an_install_the_readme_and_the_installer_go_on_alike(monkeypatch, capsys):
    install = load_install()
    monkeypatch.setattr(install, "WINDOWS", False)

    def said_next(shell: str, folder: str) -> list[str]:
        monkeypatch.setattr(install, "PROGRAMS", ROOT / ".venv" / folder)
        install.show_next_steps(shell, str(ROOT))
        return [line.strip() for line in capsys.readouterr().out.splitlines()[1:]]

    steps = said_next("powershell", "Scripts")
    assert steps[0] == WINDOWS[1]
    assert steps[2] in README
    if ":" not in str(ROOT):
        assert said_next("bash", "bin")[:2] == UNIX[1:]


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


def test_rows_of_a_table_have_as_many_cells_as_its_head():
    """A stroke in a cell that is not escaped would make two cells of it, and break a picture."""
    tables = re.findall(r"(?:^\|.*\n)+", README, re.MULTILINE)
    assert len(tables) == 5
    for table in tables:
        strokes = set()
        for row in table.splitlines():
            strokes.add(len(re.findall(r"(?<!\\)\|", row)))
        assert len(strokes) == 1, table


def test_words_of_the_index_stand_under_their_headings():
    rows = re.findall(r"^\| (.*) \| \[(\w+)\.py\].* \| (.*) \|$", section("Index"), re.MULTILINE)
    assert len(rows) > 40
    faults = []
    for entry, name, heading in rows:
        script = (ROOT / "script" / f"{name}.py").read_text(encoding="utf-8")
        _, _, below = script.partition(f"\n# ## {heading}\n")
        if not below:
            faults.append(f"README.md's index names {heading!r}, which {name}.py has not")
            continue
        text = " ".join([heading, *below.split("\n# ## ")[0].split()]).lower()
        for word in entry.replace("`", "").split(", "):
            if word.lower() not in text:
                faults.append(f"README.md's index has {word!r}, not under {heading!r} in {name}.py")
    hold(faults)


def test_links_lead_somewhere():
    headings = re.findall("^## (.*)$", README, re.MULTILINE)
    anchors = set()
    for heading in headings:
        words = re.sub(r"[^\w ]", "", heading).lower()
        anchors.add("#" + words.replace(" ", "-"))
    assert set(re.findall(r"\]\((#[^)]+)\)", README)) <= anchors
    assert len(LINKS) > 30
    faults = []
    for link in LINKS:
        if not (ROOT / link).is_file():
            faults.append(f"README.md links {link}: there is no such file")
    hold(faults)


def test_links_lead_to_files_that_everybody_gets():
    faults = []
    for link in LINKS:
        if link not in tracked():
            faults.append(f"README.md links {link}, which git does not track: git add {link}")
    hold(faults)


@pytest.mark.parametrize(("name", "line"), QUOTED)
def test_quoted_line_is_printed(run_of, name, line):
    """With the sizes of the lecture, where these make the number: the script has recorded that."""
    recorded = (ROOT / "script" / f"{name}.py").read_text(encoding="utf-8")
    lines = run_of(name).stdout.splitlines()
    lines += [tour.uncommented(comment) for comment in recorded.splitlines()]
    assert any(tour.same(line, printed) for printed in lines)


def test_corrections_are_quoted():
    rows = re.findall("^[|] .*", section("What was wrong in the notes"), re.MULTILINE)[1:]
    assert len(QUOTED) == len(rows) >= 9


def test_python_versions_are_those_of_the_installer():
    assert README.count(f'uv venv --python "{load_install().PYTHONS}"') == 2
