"""devices.py: a device counts as present when an operation on it works; the work of a product."""

import sys

import pytest
import torch
from conftest import ROOT, defined
from torch.utils.flop_counter import FlopCounterMode
from tour import read

tour = defined("devices")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: no kernel image is available for execution on the device"),
        AssertionError("Torch not compiled with CUDA enabled"),
        NotImplementedError("The operator is not implemented for the MPS device"),
    ],
)
def test_device_that_cannot_compute_is_not_there(error, monkeypatch):
    def ones(*size, **options):
        raise error

    monkeypatch.setattr(torch, "ones", ones)
    assert not tour.works("cuda")


def test_cpu_works_and_meta_does_not():
    assert tour.works("cpu")
    assert not tour.works("meta")


@pytest.mark.parametrize(
    ("options", "devices"),
    [
        ([], ["cpu", "cuda"]),
        (["--device", "cuda"], ["cpu", "cuda"]),
        (["--device", "cpu"], ["cpu"]),
    ],
)
def test_option_picks_what_is_compared_with_the_cpu(options, devices, monkeypatch):
    ones = torch.ones
    on_cpu = lambda *size, device, dtype: ones(*size)  # noqa: E731
    monkeypatch.setattr(torch, "ones", on_cpu)  # all but mps is there
    monkeypatch.setattr(sys, "argv", ["devices.py", *options])
    names = {"__name__": "__main__"}
    code = read(ROOT / "script" / "devices.py").code[0].code
    exec(code.replace('("cuda", "mps")', '("cuda",)'), names)
    assert (names["DEVICES"], names["DEVICE"]) == (devices, devices[-1])


@pytest.mark.parametrize("n", [1, 8, 100])
def test_multiply_adds_are_those_that_pytorch_counts(n):
    with FlopCounterMode(display=False) as counter:
        torch.ones(n, n) @ torch.ones(n, n)
    assert counter.get_total_flops() == 2 * tour.multiply_adds(n)
