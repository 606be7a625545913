"""What a machine counts the same however fast it is: calls, new memory, and who counts pages."""

import os
import platform
import sys

import pytest
from torch.autograd.profiler import profile
from torch.overrides import TorchFunctionMode

glibc = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or "LD_PRELOAD" in os.environ,
    reason="PyTorch uses glibc's malloc on Linux with an x86 processor",
)
LARGE = 9_000_000  # numbers of 4 bytes, 34 MiB: glibc's malloc does not keep so large a block
PAGES = 4 * LARGE / 4096


class CallRecorder(TorchFunctionMode):
    """Records the names of the functions of PyTorch that are called under it."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.names.append(function.__name__)
        return function(*args, **(kwargs or {}))


def new_bytes(function) -> int:
    """The bytes of all new memory in a call of function, as PyTorch's profiler counts them."""
    with profile(use_kineto=False, profile_memory=True) as profiled:
        function()
    total = 0
    for event in profiled.function_events:
        if event.self_cpu_memory_usage > 0:  # memory that is given back counts as negative
            total += event.self_cpu_memory_usage
    return total
