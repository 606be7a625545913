"""devices.py: a device counts if an operation on it works, and a gain only if it is clear."""

import math

import matplotlib.pyplot as plt
import pytest
import torch
from conftest import ROOT, defined, drawing
from figure_checks import complaints, misdrawn_lines, table_in
from tour import read, run_cell

devices = defined("devices")
NAMES = devices.works.__globals__  # where its functions look names up: a test may change some


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: no kernel image is available for execution on the device"),
        AssertionError("Torch not compiled with CUDA enabled"),
        NotImplementedError("The operator is not implemented for the MPS device"),
        TypeError("Cannot convert a MPS Tensor to float64 dtype"),
    ],
)
def test_device_that_cannot_compute_does_not_work(error, monkeypatch):
    def ones(*size, **options):
        raise error

    monkeypatch.setattr(torch, "ones", ones)
    assert not devices.works("cuda")


@pytest.mark.parametrize("dtype", devices.DTYPES, ids=str)
def test_cpu_works_with_each_dtype(dtype):
    assert devices.works("cpu", dtype)


def test_meta_which_holds_no_numbers_does_not_work():
    assert not devices.works("meta")


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ("all", ["cuda", "xpu"]),
        ("cuda", ["cuda"]),
        ("mps", []),
        ("cpu", []),
    ],
)
def test_variable_leaves_accelerators_out(chosen, found, monkeypatch):
    """On a machine on which all accelerators work except mps."""

    def works(name):
        return name != "mps"

    monkeypatch.setitem(NAMES, "DEVICE", chosen)
    monkeypatch.setitem(NAMES, "works", works)
    assert devices.working_accelerators() == found


def test_cpu_is_always_measured_and_first():
    assert devices.DEVICES[0] == "cpu"
    assert devices.DEVICES[1:] == devices.ACCELERATORS


@pytest.mark.parametrize(
    ("fast", "slow", "size"),
    [
        ([1, 1, 1], [2, 2, 2], 16),
        ([3, 1, 1], [2, 2, 2], 32),
        ([1, 3, 1], [2, 2, 2], 64),  # once faster, then not, counts from where it stays faster
        ([1, 1, 3], [2, 2, 2], math.inf),
        ([2, 2, 2], [2, 2, 2], math.inf),
        ([1, 1, 1], [1.1, 1.3, 1.3], 32),  # a gain below 20 percent is none
    ],
)
def test_clear_gain_counts_from_the_size_on_from_which_it_stays(fast, slow, size, monkeypatch):
    monkeypatch.setitem(NAMES, "SIZES", [16, 32, 64])
    assert devices.clearly_faster_from(fast, slow) == size


@pytest.mark.parametrize("threads", [1, devices.ALL_CORES])
def test_function_is_timed_on_as_many_threads_as_asked_for(threads):
    seen = set()
    devices.milliseconds(lambda: seen.add(torch.get_num_threads()), threads)
    assert seen == {threads}


def test_timing_uses_one_thread_unless_told_otherwise_and_puts_the_number_back():
    before = torch.get_num_threads()
    seen = set()
    devices.milliseconds(lambda: seen.add(torch.get_num_threads()))
    assert seen == {1}
    assert torch.get_num_threads() == before


@pytest.fixture
def with_accelerator(tmp_path):
    """What the cell with the figure prints and draws where there is an accelerator.

    The CPU under its other name, cpu:0, stands for one.
    """
    small = {"SIZES": "[4, 8, 16, 32]", "ACCELERATORS": "['cpu:0']"}
    whole = read(ROOT / "script" / "devices.py", small)
    [cell] = [cell for cell in whole.showing if "devices_matmul.png" in cell.code]
    (tmp_path / "figures").mkdir()
    with drawing() as figures:
        printed = run_cell(whole, cell, tmp_path)
    yield printed, figures["devices_matmul.png"]
    plt.close("all")


def test_accelerator_has_two_columns_two_curves_and_its_own_lines(with_accelerator):
    printed, figure = with_accelerator
    columns = ["n", "cpu, one thread", "cpu, all cores", "cpu:0", "cpu:0, with moving"]
    assert list(table_in(printed)) == columns
    assert misdrawn_lines(figure, printed) == []
    assert "cpu:0: beats all cores from n = " in printed
    assert "cpu:0, with moving: beats all cores from n = " in printed
    assert "no accelerator works here" not in printed


def test_figure_with_an_accelerator_is_fit_to_read(with_accelerator):
    _, figure = with_accelerator
    assert complaints(figure) == []
