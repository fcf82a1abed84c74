"""Ailments planted in a real cluster: the doctor finds each, and the command that it names mends it."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

from tests.kops.purging import HEX, Ground

Ailments = dict[tuple[str, str], dict[str, Any]]


def told(ground: Ground, *words: str, code: int | None) -> Ailments:
    """By check and subject; without the topic of groups' offsets, and what a killed broker had still to delete."""
    items = json.loads(ground.kops("doctor", "-o", "json", *words, code=code))["items"]
    found = {(one["check"], one["subject"]): one for one in items}
    return {key: one for key, one in found.items() if not (key[1].startswith("__") or key[1].endswith("-delete"))}


def eventually_told(ground: Ground, expected: set[tuple[str, str]], level: str = "problem") -> Ailments:
    """Wait until these are told, and nothing else of that level."""
    deadline = time.monotonic() + 40
    while True:
        found = {key: one for key, one in told(ground, code=None).items() if one["level"] == level}
        if set(found) == expected or time.monotonic() > deadline:
            assert set(found) == expected, sorted(found)
            return found
        time.sleep(0.2)


def mended(ground: Ground, ailment: dict[str, Any]) -> None:
    """As the finding says."""
    words = ailment["mend"].split()
    if words[0] == "remove":
        shutil.rmtree(words[1])
    else:
        ground.kops(*words[1:], "-y", *(("--watch", "0") if "purge" in words else ()))


def leftovers_of_each_side(ground: Ground, elsewhere: Path) -> None:
    disk = ground.folders[1]
    ground.kops("topic", "create", "sick", "-p", "1", "-r", "3")
    ground.kops("topic", "create", "vanished", "-p", "1", "-r", "1")
    with ground.client() as client:
        client.delete("/brokers/topics/vanished", recursive=True)
    ground.offer("/config/topics/forgotten", b'{"version":1,"config":{}}')
    stray = f"sick-7.{HEX}-stray"
    for name in ("ghost-0", stray):
        (disk / name).mkdir()
    (elsewhere / "meta.properties").write_text("version=0\nbroker.id=1\ncluster.id=another\n")
    found = told(ground, "--data-dir", str(elsewhere), code=10)
    assert "it belongs to cluster another" in found.pop(("cluster id", str(elsewhere)))["what"]
    assert {key: item["mend"] for key, item in found.items() if item["level"] == "problem"} == {
        ("orphan", "ghost-0"): "kops topic purge ghost",
        ("orphan", stray): f"remove {disk / stray}",
        ("metadata", "vanished"): "kops topic purge vanished",
        ("zookeeper", "vanished"): "kops topic purge vanished",
        ("zookeeper", "forgotten"): "kops topic purge forgotten",
    }
    for item in found.values():
        if item["level"] == "problem":
            mended(ground, item)
    eventually_told(ground, set())
    ground.kops("topic", "delete", "sick", "-y")


def a_broker_that_is_away(ground: Ground) -> None:
    """What it leaves short, offline, undeleted, and led by others; an election that may lose records, last."""
    for name, replicas in (("short", "3:1"), ("lone", "3"), ("torn", "2:3"), ("doomed-by-doctor", "1:3")):
        ground.kops("topic", "create", name, "--replica-assignment", replicas)
    ground.kops("broker", "stop", "2")
    ground.kill(3)
    ground.kops("topic", "delete", "doomed-by-doctor", "-y")
    ground.kops("broker", "start", "2")
    of_brokers = {("broker", "broker 3"), ("deletion", "doomed-by-doctor"), ("under-replicated", "short-0")}
    found = eventually_told(ground, of_brokers | {("offline", "lone-0"), ("offline", "torn-0")})
    assert found["broker", "broker 3"]["what"].startswith("gone for ")
    assert found["broker", "broker 3"]["mend"] == "kops broker start 3"
    assert found["deletion", "doomed-by-doctor"]["what"].endswith("broker 3 is down")
    assert found["under-replicated", "short-0"]["what"] == "1 of 2 in sync: broker 3 is down"
    assert found["offline", "lone-0"]["mend"] == "kops broker start 3"

    def picked(which: str) -> list[str]:
        items = json.loads(ground.kops("topic", "describe", f"--{which}-partitions", "-o", "json"))["items"]
        return sorted({item["topic"] for item in items} - {"__consumer_offsets"})

    assert picked("unavailable") == ["lone", "torn"]
    assert picked("under-replicated") == ["short", "torn"]
    assert picked("under-min-isr") == ["lone", "torn"]
    ground.kops("partition", "elect", "torn", "--unclean", code=4)
    (elected,) = json.loads(ground.kops("partition", "elect", "torn", "--unclean", "-y", "-o", "json"))["items"]
    assert (elected["before"], elected["leader"]) == (-1, 2)
    mended(ground, found["broker", "broker 3"])
    eventually_told(ground, set())
    (note,) = eventually_told(ground, {("leaders", "cluster")}, "note").values()
    mended(ground, note)
    eventually_told(ground, set(), "note")
    ground.kops("topic", "delete", "short", "lone", "torn", "-y")
