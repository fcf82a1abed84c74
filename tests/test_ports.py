"""Ports that tests take are theirs alone, in this process and in all others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import ports


def test_no_port_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ports.free_port()
    monkeypatch.setattr(ports, "_FIRST", first)
    monkeypatch.setattr(ports, "_LAST", first + 40)
    given = {ports.free_port() for _ in range(3)}
    assert len(given) == 3
    assert first not in given


def test_another_process_is_not_given_what_this_one_holds() -> None:
    port = ports.free_port()
    ask = f"from tests import ports; print(ports._reserved({port}), ports._reserved({port} ^ (1 << 20)))"
    root = Path(__file__).parents[1]
    said = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, cwd=root, timeout=30)
    assert said.stdout.split() == ["False", "True"]
