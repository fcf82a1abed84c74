"""``delete.topic.enable=false``: kops says so before it tries; a mark that Apache's old tool makes changes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kops.cli import main
from tests.interop.apache import Apache, Cluster, collect_what_clients_left, until
from tests.interop.ours import Ours, stopped_after
from tests.interop.tools import TOPICS_26, Tools


class Forbidding(Ours):
    def broker_lines(self, broker: int, port: int, brokers: int) -> list[str]:
        return [*super().broker_lines(broker, port, brokers), "delete.topic.enable=false"]


@pytest.fixture
def forbidding(kafka26: Apache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with stopped_after(Forbidding(kafka26, tmp_path / "cluster")) as cluster:
        cluster.start(1)
        monkeypatch.setenv("KOPS_BOOTSTRAP_SERVERS", cluster.bootstrap)
        yield cluster
    collect_what_clients_left()


def test_nothing_is_deleted_and_everybody_is_told(
    forbidding: Cluster, tools26: Tools, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["topic", "create", "kept", "-p", "1", "-r", "1"]) == 0
    capfd.readouterr()
    for verb in ("delete", "purge"):
        assert main(["topic", verb, "kept", "-y"]) == 4
        assert "delete.topic.enable is false" in capfd.readouterr().err
    way = ("--zookeeper", forbidding.zookeeper)
    said = tools26(TOPICS_26, *way, "--delete", "--topic", "kept")
    assert "Topic kept is marked for deletion." in said
    assert "This will have no impact if delete.topic.enable is not set to true." in said

    def marks() -> list[str]:
        capfd.readouterr()
        assert main(["zookeeper", "ls", "/admin/delete_topics", *way, "-o", "json"]) == 0
        return [item["path"] for item in json.loads(capfd.readouterr().out)["items"]]

    until(lambda: marks() == [], "the mark stays")
    assert main(["topic", "delete", "kept", "-y", *way, "--timeout", "5"]) == 4
    assert "delete.topic.enable" in capfd.readouterr().err
    assert tools26(TOPICS_26, *way, "--list").split() == ["kept"]
    assert (forbidding.folder / "broker-1" / "kept-0").is_dir()
