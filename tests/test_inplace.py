"""inplace.py: which sums have page faults, what the two variables change, what in-place saves."""

import math

import pytest
import torch
from conftest import ROOT, defined
from counting import LARGE, PAGES, glibc
from torch.utils._python_dispatch import TorchDispatchMode
from tour import define, read

inplace = defined("inplace")
NAMES = inplace.run_program.__globals__  # where run_program looks SIZES up


@glibc
def test_only_large_new_memory_has_page_faults_and_the_variables_spare_them(monkeypatch):
    """Below a tenth of the usual faults counts as none.

    A new result has PAGES. A system that hands out pages of 2 MiB has fewer faults.
    """
    monkeypatch.setitem(NAMES, "SIZES", [1000, LARGE])
    _, usual = inplace.run_program({})
    _, keep = inplace.run_program(inplace.KEEP)

    faults_of_small, faults_of_large = usual["x + y"]
    assert 10 < faults_of_large < 1.1 * PAGES
    assert faults_of_small < faults_of_large / 10
    assert max(usual["torch.add(out=z)"]) < faults_of_large / 10
    assert max(usual["x.add_(y)"]) < faults_of_large / 10
    assert max(keep["x + y"]) < faults_of_large / 10


def test_without_counts_the_program_says_nan_and_still_measures(tmp_path, monkeypatch):
    (tmp_path / "resource.py").write_text("raise ImportError")  # as on Windows
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(NAMES, "SIZES", [10, 20])
    times, faults = inplace.run_program({})
    for way in ["x + y", "torch.add(out=z)", "x.add_(y)"]:
        assert len(times[way]) == len(faults[way]) == 2
        assert min(times[way]) > 0
        assert all(math.isnan(count) for count in faults[way])


@pytest.mark.parametrize("name", ["inplace", "gd_nd_cost"])
def test_no_file_of_the_current_folder_is_taken_for_a_module(name, tmp_path, monkeypatch):
    """run_program raises an error if the program fails, which it does with this random.py."""
    (tmp_path / "random.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    run_program = defined(name).run_program
    monkeypatch.setitem(run_program.__globals__, "SIZES", [10])
    run_program({})


@pytest.mark.parametrize("name", ["inplace", "gd_nd_cost"])
def test_command_in_the_text_sets_the_variables_of_the_experiment(name):
    text = (ROOT / "script" / f"{name}.py").read_text(encoding="utf-8")
    settings = [f"{variable}={value}" for variable, value in defined(name).KEEP.items()]
    assert f"`{' '.join(settings)} python program.py`" in text


class NewTensors(TorchDispatchMode):
    """Counts the results that lie in other memory than the arguments of their operation."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        existing = [x.data_ptr() for x in args if torch.is_tensor(x)]
        if result.data_ptr() not in existing:
            self.count += 1
        return result


def test_running_average_makes_three_new_tensors_and_in_place_none(tmp_path, capsys):
    """The cell runs with `milliseconds` replaced: the function to be timed is run and counted."""
    whole = read(ROOT / "script" / "inplace.py", {"N": "5"})
    [cell] = [cell for cell in whole.showing if cell.heading == "A real loop"]
    names = define(whole, whole.above(cell), tmp_path)

    def count_new_tensors(function):
        with NewTensors() as new_tensors:
            function()
        return new_tensors.count

    names["milliseconds"] = count_new_tensors
    exec(cell.code, names)
    printed = " ".join(capsys.readouterr().out.split())
    assert "average: 1.5 same as the new one? True" in printed
    assert "three new tensors: 3.00 ms in place: 0.00 ms" in printed
