"""devices.py: a device counts as present when an operation on it works; a gain has to be clear."""

import math

import pytest
import torch
from conftest import ROOT, defined, drawing
from figure_checks import complaints, misdrawn_lines, table_in
from tour import read, run_cell

tour = defined("devices")
NAMES = tour.works.__globals__


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
    assert not tour.works("cuda")


def test_cpu_works_with_each_dtype_and_meta_does_not():
    assert all(tour.works("cpu", dtype) for dtype in tour.DTYPES)
    assert not tour.works("meta")


@pytest.mark.parametrize(
    ("chosen", "found"), [("all", ["cuda", "xpu"]), ("cuda", ["cuda"]), ("mps", []), ("cpu", [])]
)
def test_variable_leaves_accelerators_out(chosen, found, monkeypatch):
    monkeypatch.setitem(NAMES, "DEVICE", chosen)
    monkeypatch.setitem(NAMES, "works", lambda name: name != "mps")
    assert tour.working_accelerators() == found


def test_cpu_is_always_measured():
    assert tour.DEVICES[0] == "cpu"
    assert tour.DEVICES[1:] == tour.ACCELERATORS


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
def test_clear_gain_counts_from_where_it_stays(fast, slow, size, monkeypatch):
    monkeypatch.setitem(NAMES, "SIZES", [16, 32, 64])
    assert tour.clearly_faster_from(fast, slow) == size


def test_threads_are_one_or_all_and_stay_what_they_were():
    before = torch.get_num_threads()
    threads = []
    tour.milliseconds(lambda: threads.append(torch.get_num_threads()))
    assert set(threads) == {1}
    threads.clear()
    tour.milliseconds(lambda: threads.append(torch.get_num_threads()), tour.ALL_CORES)
    assert set(threads) == {tour.ALL_CORES}
    assert torch.get_num_threads() == before


def test_with_an_accelerator_table_and_figure_have_its_two_columns(tmp_path):
    """The CPU under its other name stands for an accelerator."""
    small = {"SIZES": "[4, 8, 16, 32]", "ACCELERATORS": "['cpu:0']"}
    whole = read(ROOT / "script" / "devices.py", small)
    (cell,) = [cell for cell in whole.showing if "devices_matmul.png" in cell.code]
    with drawing() as figures:
        (tmp_path / "figures").mkdir()
        printed = run_cell(whole, cell, tmp_path)
    ways = ["cpu, one thread", "cpu, all cores", "cpu:0", "cpu:0, with moving"]
    assert list(table_in(printed)) == ["n", *ways]
    (figure,) = figures.values()
    assert misdrawn_lines(figure, printed) == []
    assert complaints(figure) == []
    assert "cpu:0, with moving: beats all cores from n = " in printed
    assert "no accelerator works here" not in printed
