"""record.py rewrites scripts and pictures: what it reads from a run, and what it puts where."""

import pytest
import record
import tour
from PIL import Image

TIMED = '''\
# %% [markdown]
# # A timed tour
#
# Example outputs: nobody's machine.

# %%
import matplotlib.pyplot as plt

# %% [markdown]
# ## A sum
# It is exact.

# %%
print("two:", 1 + 1)
# Output:
# two: 2

# %% [markdown]
# ## A table
# It is drawn.

# %%
print("n  one way  the other way")
print("1     0.50           1.50")
print("2     0.50           2.00")
print("the other way takes 4 times as long")
fig, ax = plt.subplots()
ax.plot([1, 2], [0.5, 0.5], label="one way")
ax.plot([1, 2], [1.5, 2.0], label="the other way")
fig.savefig("table.png")
print("figure: file:///somewhere/table.png")
# Example output:
# n  one way
# an old line
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recorded")


@pytest.fixture(scope="module")
def timed(folder):
    path = folder / "timed.py"
    path.write_text(TIMED, encoding="utf-8")
    return tour.read(path)


@pytest.fixture(scope="module")
def printed(timed, folder):
    return record.run(timed.path, record.with_ends(timed), folder / "run")


def test_examples_and_the_machine_are_recorded_and_nothing_else(timed, printed):
    before = TIMED.splitlines()
    after = record.recorded(timed, printed).splitlines()
    assert after[3] == f"# Example outputs: the lecture's machine, {record.machine()}."
    end = before.index("# Example output:") + 1
    assert after[:3] + after[4:end] == before[:3] + before[4:end]
    assert after[end:] == [
        "# n  one way  the other way",
        "# 1     0.50           1.50",
        "# 2     0.50           2.00",
        "# the other way takes 4 times as long",
        "# figure: ...table.png",
    ]


def test_picture_carries_the_table_that_it_was_drawn_from(printed, folder):
    with Image.open(folder / "run" / "table.png") as image:
        lines = image.text["Description"].splitlines()
    assert lines[0] == "n  one way  the other way"
    assert lines[-1] == "the other way takes 4 times as long"


def test_ratios_are_those_in_words_and_those_of_the_last_row(printed):
    assert list(record.ratios(printed)) == [4, 4]


def test_whole_numbers_of_a_table_are_counts_and_no_times():
    assert list(record.ratios("n  time  other  faults\n1  0.5  1.0  7\n2  0.5  1.5  9\n")) == [3]


def test_runs_go_on_until_two_in_a_row_agree(timed, tmp_path, monkeypatch):
    to_come = ["it takes 2.0 times", "it takes 3.0 times", "it takes 2.0 times", "2.1 times"]
    monkeypatch.setattr(record, "run", lambda path, code, folder: to_come.pop(0))
    assert record.run_until_two_agree(timed, tmp_path) == "2.1 times"
    assert to_come == []


def test_nothing_is_recorded_if_no_two_runs_agree(timed, tmp_path, monkeypatch):
    endless = (f"it takes {2**k} times" for k in range(1000))
    monkeypatch.setattr(record, "run", lambda path, code, folder: next(endless))
    with pytest.raises(SystemExit, match="nothing is recorded"):
        record.run_until_two_agree(timed, tmp_path)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (2.0, 2.2, True),
        (2.2, 2.0, True),
        (2.0, 2.4, False),
        (2.4, 2.0, False),
        (0.85, 1.15, True),  # near 1 nothing is concluded
        (1.15, 1.3, True),
        (1.0, 1.3, False),
    ],
)
def test_runs_agree_within_15_percent(one, other, same):
    text = "it takes {} times as long"
    assert (record.disagreements(text.format(one), text.format(other)) == []) == same
