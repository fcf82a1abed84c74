"""Every place where ZooKeeper may name a topic: found, and removed in one multi, with what others have there kept."""

import json
from collections.abc import Iterator

import pytest
from kazoo.client import KazooClient

from kops.cluster import topic_znodes
from tests.kops.purging import dumped
from tests.zk.servers import ZkServer

TOPIC = "doomed"
BOTH = [{"topic": name, "partition": 0} for name in (TOPIC, "kept")]
ONE = BOTH[:1]
MOVES = [{"topic": name, "partition": 0, "replicas": [1, 2]} for name in (TOPIC, "kept")]
PLANTED: dict[str, object] = {
    "/controller_epoch": 7,
    f"/brokers/topics/{TOPIC}": {
        "version": 2,
        "partitions": {"0": [1]},
        "adding_replicas": {},
        "removing_replicas": {},
    },
    f"/brokers/topics/{TOPIC}/partitions/0/state": {"controller_epoch": 7, "leader": 1, "version": 1, "isr": [1]},
    f"/config/topics/{TOPIC}": {"version": 1, "config": {}},
    f"/admin/delete_topics/{TOPIC}": "",
    "/admin/reassign_partitions": {"version": 1, "partitions": MOVES},
    "/admin/preferred_replica_election": {"version": 1, "partitions": BOTH},
    "/isr_change_notification/isr_change_0000000001": {"version": 1, "partitions": ONE},
    "/isr_change_notification/isr_change_0000000002": {"version": 1, "partitions": BOTH},
    "/isr_change_notification/isr_change_0000000003": {"version": 1, "partitions": BOTH[1:]},
    "/config/changes/config_change_0000000001": {"version": 2, "entity_path": f"topics/{TOPIC}"},
    "/config/changes/config_change_0000000002": {"version": 2, "entity_path": "topics/kept"},
    f"/consumers/g/offsets/{TOPIC}/0": "5",
    f"/consumers/g/owners/{TOPIC}/0": "g_1",
    "/consumers/g/offsets/kept/0": "6",
    f"/kafka-acl/Topic/{TOPIC}": {"version": 1, "acls": []},
    "/kafka-acl-changes/acl_changes_0000000001": f"Topic:{TOPIC}",
    "/brokers/topics/doomed-not": {"version": 2, "partitions": {"0": [1]}},
}


@pytest.fixture
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KazooClient]:
    """Of a ZooKeeper without brokers: a controller would take some of these away by itself."""
    server = ZkServer("kops", tmp_path_factory.mktemp("zk"))
    server.start()
    found = KazooClient(hosts=server.connect)
    found.start(20)
    try:
        yield found
    finally:
        found.stop()
        found.close()
        server.kill()


def test_every_place_is_found_and_only_this_topic_is_removed(client: KazooClient) -> None:
    for path, content in PLANTED.items():
        text = content if isinstance(content, str) else json.dumps(content)
        if client.exists(path):
            client.set(path, text.encode())
        else:
            client.create(path, text.encode(), makepath=True)
    found = topic_znodes.traces(client, TOPIC)
    assert set(found) == set(topic_znodes.places(TOPIC))
    changed = topic_znodes.remove(client, TOPIC)
    left = dict(dumped(client, "/"))
    assert [path for path, data in left.items() if path.endswith(f"/{TOPIC}") or b'"doomed"' in data] == []
    assert f"Topic:{TOPIC}".encode() not in left.values()
    assert json.loads(left["/admin/reassign_partitions"])["partitions"] == MOVES[1:]
    assert json.loads(left["/admin/preferred_replica_election"])["partitions"] == BOTH[1:]
    assert json.loads(left["/isr_change_notification/isr_change_0000000002"])["partitions"] == BOTH[1:]
    assert "/isr_change_notification/isr_change_0000000001" not in left
    untouched = {path for path, content in PLANTED.items() if "kept" in str(content) + path} - set(changed)
    assert untouched == {
        "/isr_change_notification/isr_change_0000000003",
        "/config/changes/config_change_0000000002",
        "/consumers/g/offsets/kept/0",
    }
    assert "/brokers/topics/doomed-not" in left
    assert topic_znodes.traces(client, TOPIC) == {}
    assert topic_znodes.remove(client, TOPIC) == []
