"""inplace.py: one sum in three memories, the same bytes for each, and memory that is kept."""

import json
import sys

import pytest
import torch
from conftest import ROOT, defined, python

inplace = defined("inplace")


def test_bytes_are_those_of_two_terms_and_a_sum():
    x, y = torch.ones(2, 1000)
    assert x.nbytes + y.nbytes + (x + y).nbytes == inplace.BYTES * 1000


def test_each_variant_leaves_the_sum_where_it_says():
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])
    new, existing, in_place = inplace.sums(x, y).values()
    assert new().data_ptr() not in (x.data_ptr(), new.__closure__[1].cell_contents.data_ptr())
    assert existing() is existing()
    assert x.tolist() == [1, 2]
    assert in_place() is x
    assert x.tolist() == [11, 22]


# In a fresh process, whose heap has no gaps: page faults of a second block of 40 MB, which tell of
# memory that is new to the process, and the bytes of the process that lie in memory.
KEEPING = """
import json, resource, torch
from pathlib import Path
from conftest import defined

def faults():
    torch.ones(10_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

seen = [("outside", faults(), resident())]
for _ in range(3):
    with defined("inplace").freed_memory_kept() as kept:
        seen.append((kept, faults(), resident()))
    seen.append(("outside", faults(), resident()))
print(json.dumps(seen))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc is Linux's")
def test_freed_memory_is_kept_inside_and_given_back_outside():
    run = python("-c", KEEPING, cwd=ROOT, PYTHONPATH=str(ROOT / "tests"))
    (_, new, before), *rounds = json.loads(run.stdout)
    if new < 10:
        pytest.skip("an allocator that keeps freed memory anyway")
    for where, faults, resident in rounds:
        if where == "outside":
            assert faults > new / 2
            assert resident < before + 100 * 2**20  # not so much as the half GiB in stock
        else:
            assert where is True
            assert faults < new / 100


@pytest.mark.parametrize("where", ["Darwin", "Windows", "musl"])
def test_without_mallopt_nothing_is_kept_and_nothing_fails(where, monkeypatch):
    names = inplace.freed_memory_kept.__wrapped__.__globals__
    monkeypatch.setitem(names, "system", lambda: "Linux" if where == "musl" else where)
    if where == "musl":
        monkeypatch.setattr(names["ctypes"], "CDLL", lambda _: object())
    with inplace.freed_memory_kept() as kept:
        assert kept is False


def test_where_mallopt_refuses_the_cell_says_so(monkeypatch):
    class Libc:
        calls = []

        def mallopt(self, *option):
            self.calls.append(option)
            return 0

    names = inplace.freed_memory_kept.__wrapped__.__globals__
    monkeypatch.setitem(names, "system", lambda: "Linux")
    monkeypatch.setattr(names["ctypes"], "CDLL", lambda _: Libc())
    with inplace.freed_memory_kept() as kept:
        assert kept is False
    assert Libc.calls == [(-4, 0)]
