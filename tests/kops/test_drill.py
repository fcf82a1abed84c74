"""The drill: what it takes, what it compares, and one on a real cluster of this machine, whole."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kops.cluster.drills import Report
from kops.cluster.probe import Acknowledged, Comparison, Tally, compare
from kops.cluster.probe_reader import Reader
from kops.commands.drill import _complaint
from kops.contexts import Context
from tests.kops.conftest import Said

Kops = Callable[..., Said]


def test_what_was_acknowledged_and_is_not_there_is_lost() -> None:
    assert compare([0, 1, 2, 3], [0, 1, 3]) == Comparison(3, (2,), (), (), 0)


def test_what_is_there_twice_or_late_is_told() -> None:
    assert compare([0, 1, 2, 3], [0, 2, 2, 1, 3]) == Comparison(5, (), (2,), (1,), 0)


def test_what_is_there_without_having_been_acknowledged_is_no_fault() -> None:
    assert compare([0, 1], [0, 1, 2]) == Comparison(3, (), (), (), 1)


def test_the_gap_is_the_longest_silence_that_ends_after_the_trigger() -> None:
    tally = Tally(acknowledged=[Acknowledged(n, at, 1.0, n) for n, at in enumerate((0, 900, 905, 1100, 1105))])
    assert tally.gap(902) == (195, 905, 1100)
    assert tally.gap(5000) == (0.0, 5000, 5000)


def report(comparison: Comparison, gap: float = 120.0, not_whole: tuple[str, ...] = ()) -> Report:
    return Report("kill", 1, "t", 0, "all", (), 9, 9, {}, gap, 5.0, 100.0, 100.0, 900.0, comparison, not_whole)


FINE = Comparison(9, (), (), (), 0)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (report(FINE), "ok"),
        (report(Comparison(8, (3,), (), (), 0)), "lost"),
        (report(Comparison(10, (), (3,), (), 0)), "disordered"),
        (report(FINE, not_whole=("orders-1",)), "not whole"),
    ],
)
def test_a_verdict_is_one_word_and_all_but_ok_are_unhealthy(given: Report, verdict: str) -> None:
    assert given.verdict == verdict
    complaint = _complaint(given, None)
    assert (complaint is None) == (verdict == "ok")
    assert complaint is None or complaint.exit == 10


def test_reading_stood_still_for_the_longest_time_without_anything_new() -> None:
    reader = Reader(Context(), "t", 0)
    assert reader.gap(0) is None
    reader.arrived = [0, 700, 705, 1100, 1105]
    assert reader.gap(702) == 395
    assert reader.gap(5000) is None


def test_a_longer_gap_than_allowed_is_unhealthy() -> None:
    assert _complaint(report(FINE), 150.0) is None
    assert _complaint(report(FINE), 100.0) is not None


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("drill", "--action", "explode"), 2),
        (("drill", "--acks", "0"), 2),
        (("drill", "--rate", "0"), 2),
        (("drill",), 4),  # kops did not start that cluster
        (("tui", "nonsense"), 4),  # no terminal
    ],
)
def test_words_that_mean_nothing_are_refused(kops: Kops, cluster: object, words: tuple[str, ...], code: int) -> None:
    assert kops(*words).code == code


@pytest.mark.timeout(120)
def test_a_drill_on_a_real_cluster_loses_nothing_and_leaves_it_whole(kops: Kops, home: Path) -> None:
    try:
        up = kops("up", "-n", "3", "--name", "drilled", "--timeout", "90")
        assert up.code == 0, up.err
        said = kops("drill", "--yes", "-o", "json", "--hold", "0.5", "--rate", "100")
        assert said.code == 0, said.err
        found = json.loads(said.out)["items"][0]
        assert found["verdict"] == "ok"
        assert found["acknowledged"] == found["read"] > 100
        assert found["lost"] == found["duplicated"] == found["outOfOrder"] == found["notWhole"] == []
        # The leader moved before writes went on, and the gap is what lies between two acknowledgements.
        assert 0 < found["leaderMs"] <= found["writeGapMs"] + 50
        assert found["isrMs"] < found["wholeMs"]
        # Nothing new can be read while nothing is written, but for one record that was on its way.
        assert found["readGapMs"] >= found["writeGapMs"] - 50
        told = [moment["what"] for moment in found["timeline"]]
        assert told[0].startswith("SIGKILL sent to broker")
        assert any("leader" in one for one in told) and any("is started again" in one for one in told)
        assert [moment["ms"] for moment in found["timeline"]] == sorted(m["ms"] for m in found["timeline"])
        topics = json.loads(kops("topic", "list", "-o", "json").out)["items"]
        assert not [one for one in topics if one["name"].startswith("kops-drill")]
        states = json.loads(kops("status", "-o", "json").out)["items"]
        assert all(one["state"] == "running" for one in states)
    finally:
        kops("down", "--name", "drilled", "--wipe", "--yes")
