"""The table of soaks: every name leads to something that can be run, and a growing memory is seen."""

import importlib

import pytest

from tests.soak.__main__ import main
from tests.soak.dashboard import Course, _judge_memory
from tests.soak.table import SOAKS, Verdict


@pytest.mark.parametrize("name", SOAKS)
def test_every_soak_can_be_found(name: str) -> None:
    module, _, function = SOAKS[name].where.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_the_soaks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(SOAKS)


@pytest.mark.parametrize(("growth", "faults"), [(0.0, 0), (0.01, 0), (0.1, 1)])
def test_memory_that_grows_is_a_fault(growth: float, faults: int) -> None:
    course, verdict = Course([(float(at), 100 + growth * at) for at in range(0, 600, 2)]), Verdict()
    _judge_memory(course, verdict)
    assert len(verdict.faults) == faults
