"""inplace.py: which sums have page faults, what the two variables change, what in-place saves."""

import math
import os
import platform
import sys

import pytest
import torch
from conftest import ROOT, defined
from torch.utils._python_dispatch import TorchDispatchMode

inplace = defined("inplace")
NUMBERS = 9_000_000  # 34 MiB: malloc does not keep so large a block
NEW_AVERAGE = "0.75 * average + 0.25 * w"
IN_PLACE = "average.mul_(0.75).add_(w, alpha=0.25)"

glibc = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or "LD_PRELOAD" in os.environ,
    reason="PyTorch uses glibc's malloc on Linux with an x86 processor",
)


class NewTensors(TorchDispatchMode):
    """Counts the results that lie in other memory than the arguments of their operation."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        existing = [x.data_ptr() for x in args if torch.is_tensor(x)]
        self.count += result.data_ptr() not in existing
        return result


@pytest.fixture
def with_sizes(monkeypatch):
    """Gives run_program other SIZES."""

    def set_sizes(*sizes: int) -> None:
        monkeypatch.setitem(inplace.run_program.__globals__, "SIZES", list(sizes))

    return set_sizes


@glibc
def test_only_new_memory_has_page_faults_and_only_without_the_variables(with_sizes):
    with_sizes(1000, NUMBERS)
    _, usual = inplace.run_program({})
    _, keep = inplace.run_program(inplace.KEEP)
    small, new = usual["x + y"]
    # each page of the result; fewer, where the system hands out pages of 2 MiB
    assert 10 < new < 1.1 * 4 * NUMBERS / 4096
    for without in (small, keep["x + y"][1], *usual["torch.add(out=z)"], *usual["x.add_(y)"]):
        assert without < new / 10


def test_without_counts_the_program_says_nan_and_still_measures(with_sizes, tmp_path, monkeypatch):
    (tmp_path / "resource.py").write_text("raise ImportError")  # as on Windows
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with_sizes(10, 20)
    times, faults = inplace.run_program(inplace.KEEP)
    assert all(math.isnan(count) for counts in faults.values() for count in counts)
    assert all(time > 0 for pair in times.values() for time in pair)


def test_no_file_of_the_current_folder_is_taken_for_a_module(with_sizes, tmp_path, monkeypatch):
    (tmp_path / "random.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    with_sizes(10)
    inplace.run_program({})


@pytest.mark.parametrize("name", ["inplace", "gd_nd_cost"])
def test_command_to_copy_sets_the_variables_of_the_experiment(name):
    text = (ROOT / "script" / f"{name}.py").read_text(encoding="utf-8")
    variables = " ".join(f"{key}={value}" for key, value in defined(name).KEEP.items())
    assert f"`{variables} python program.py`" in text


def test_running_average_makes_three_new_tensors_and_in_place_none():
    text = (ROOT / "script" / "inplace.py").read_text(encoding="utf-8")
    for code, count in {NEW_AVERAGE: 3, IN_PLACE: 0}.items():
        names = {"average": torch.ones(5), "w": torch.full((5,), 3.0)}
        with NewTensors() as new_tensors:
            result = eval(code, names)
        assert new_tensors.count == count
        assert result.tolist() == [1.5] * 5
        assert f"lambda: {code})" in text
