"""The whole story on the bundled broker, and what happens when something in it is not so."""

from collections.abc import Callable, Collection
from pathlib import Path

import psutil
import pytest

from kops.errors import Failed
from kops.local import ports
from kops.operations import quickstart
from kops.operations.stage import Stage
from tests.ports import free_ports


def told() -> tuple[list[str], Callable[[str], None]]:
    lines: list[str] = []
    return lines, lines.append


def left_running() -> list[str]:
    """Command lines of servers whose files lie in a quickstart's folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        found += [word for word in words if "kops-quickstart-" in word and word.endswith(".properties")]
    return found


@pytest.mark.timeout(150)
def test_the_story_runs_from_start_to_failover_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(first: int, count: int, taken: Collection[int] = ()) -> list[int]:
        begin = free_ports(count)
        return list(range(begin, begin + count))

    monkeypatch.setattr(ports, "choose", elsewhere)
    lines, tell = told()
    quickstart.play(tell, lambda: None)
    checks = [line for line in lines if line.startswith("  [ok] ")]
    assert len(checks) == 18
    assert sum("all 3000 lines came back in order" in line for line in checks) == 2
    assert [line for line in lines if line.startswith("\n$ kill -9 ")]
    assert left_running() == []


def test_a_step_that_fails_ends_the_story_with_its_words(tmp_path: Path) -> None:
    lines, tell = told()
    stage = Stage(tell, lambda: None)
    try:
        with pytest.raises(Failed, match="ended with exit code 2"):
            stage.show("kops topic nonsense")
        assert lines[0] == "\n$ kops topic nonsense"
        assert "No such command 'nonsense'" in lines[1]
        with pytest.raises(Failed, match="not so: two is one"):
            stage.check("two is one", 2 == 1)
        with pytest.raises(Failed, match=r"not so after 0\.3 s"):
            stage.until("it never happens", lambda: False, timeout=0.3)
    finally:
        stage.close(keep=False)
    assert not stage.folder.exists()


def test_each_shown_command_waits_for_its_key() -> None:
    waited: list[int] = []
    stage = Stage(lambda _: None, lambda: waited.append(1))
    try:
        stage.show("echo one")
        stage.ask("echo two")
        stage.show("echo three")
    finally:
        stage.close(keep=False)
    assert len(waited) == 2


def test_contexts_and_state_of_the_user_are_not_touched(home: Path) -> None:
    stage = Stage(lambda _: None, lambda: None)
    try:
        stage.ask("kops context add mine -b 127.0.0.1:1 --use")
        assert not (home / "config").exists()
        assert (stage.folder / ".config" / "kops" / "config.toml").exists()
    finally:
        stage.close(keep=False)
