"""install.sh and install.ps1 are the same program twice: what they say, in the same order."""

import re

from conftest import ROOT


def messages(name: str, keywords: str) -> list[str]:
    """The sentences of an installer, each up to its first variable, from uv on."""
    text = (ROOT / "script" / name).read_text()
    said = re.findall(rf"""\b(?:{keywords}) \(?(["'])((?:(?!\1|\$).)+)""", text)
    sentences = [sentence.strip() for _, sentence in said]
    return sentences[sentences.index("uv: found,") : sentences.index("Done. Next:")]


def test_the_installers_say_the_same():
    unix = messages("install.sh", "say|err")
    assert len(unix) > 20
    # which programs fetch Astral's installer is the one difference
    unix = [sentence.replace(" (with curl or wget) nor", " nor") for sentence in unix]
    windows = messages("install.ps1", "Say|Err|return")
    assert windows == unix


def test_the_installers_check_the_same():
    check = re.compile(r"import platform\n.*?devices:.*?\n", re.DOTALL)
    unix, windows = (
        check.search((ROOT / "script" / name).read_text()).group()
        for name in ("install.sh", "install.ps1")
    )
    assert unix == windows


def test_the_installers_hand_over_the_same_variables():
    def variables(name):
        text = (ROOT / "script" / name).read_text()
        return set(re.findall(r"\b(?:PIP|UV|XDG|CONDA|VIRTUAL|PYTHON)_?[A-Z_]+\b", text))

    unix, windows = variables("install.sh"), variables("install.ps1")
    assert len(unix) > 15
    # the heredoc's delimiter, and a setting that Windows passes as the option -B
    assert unix - windows == {"PYTHON", "PYTHONDONTWRITEBYTECODE"} & unix
    assert windows <= unix
