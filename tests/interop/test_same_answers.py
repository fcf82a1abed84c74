"""Our broker beside Apache Kafka 3.9: the same requests, in every version that both serve, get the same answers.

``DIFFER`` are the rows whose answers differ, each with its reason; one that does not differ any more must leave it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey as K
from broker.wire.records import Record, build_batch
from kops.session import Session
from tests.interop.apache import Apache, Cluster, until
from tests.interop.ours import Ours, stopped_after
from tests.interop.same_answers import Known, Line, Row, compare

NEVER = UUID(int=1 << 80)
NAMES = ("", ".", "a b", "é", "x" * 250, "no.such")
NOW = int(time.time() * 1000)
AWAY = "same-away"


def batch(value: bytes = b"v", **settings: object) -> bytes:
    return bytes(build_batch([Record(0, NOW, b"k", value)], base_offset=0, **settings))  # type: ignore[arg-type]


def topic(name: str, partitions: int = 1, factor: int = 1, **settings: str | None) -> dict[str, object]:
    configs = [{"name": key.replace("_", "."), "value": value} for key, value in settings.items()]
    return {"name": name, "num_partitions": partitions, "replication_factor": factor, "configs": configs}


def placed(*replicas: tuple[int, list[int]]) -> dict[str, object]:
    assignments = [{"partition_index": index, "broker_ids": brokers} for index, brokers in replicas]
    return {"name": "same-placed", "num_partitions": -1, "replication_factor": -1, "assignments": assignments}


def creations() -> Iterator[Row]:
    made = [
        topic("same", 2),
        topic("same-compacted", cleanup_policy="compact"),
        topic("same-late", message_timestamp_type="x"),
    ]
    yield Row("create", K.CREATE_TOPICS, {"topics": [*made, made[0], topic("a b")], "timeout_ms": 20_000}, [7])
    yield Row("create", K.CREATE_TOPICS, {"topics": made, "timeout_ms": 20_000}, [7])
    wrong = {
        **{f"name {name!r:.9}": [topic(name)] for name in NAMES[:5]},
        **{
            f"{count} x {factor}": [topic("same-new", count, factor)]
            for count, factor in ((0, 1), (1, 0), (1, 3), (-1, -1))
        },
        "twice": [topic("same-new"), topic("same-new")],
        "settings": [
            topic("same-new", retention_ms="x"),
            topic("same-new2", nonsense="1"),
            topic("same-new3", retention_ms=None),
        ],
        "lists": [topic("same-new", cleanup_policy="delete,"), topic("same-new2", cleanup_policy="delete, compact")],
        "throttled": [topic("same-new", leader_replication_throttled_replicas="0:1,x")],
        "tiered": [topic("same-new", remote_storage_enable="true"), topic("same-new2", remote_log_copy_disable="true")],
        "gap": [placed((0, [1]), (2, [1]))],
        "doubled replica": [placed((0, [1, 1]))],
        "uneven": [placed((0, [1]), (1, [1, 2]))],
        "both ways": [{**placed((0, [1])), "num_partitions": 1}],
        "no replicas": [placed((0, []))],
    }
    for label, topics in wrong.items():
        fields = {"topics": topics, "validate_only": True, "timeout_ms": 9000}
        yield Row(f"create {label}", K.CREATE_TOPICS, fields, range(1, 8))
    yield Row("create too late", K.CREATE_TOPICS, {"topics": [topic("same-soon")], "timeout_ms": 0}, [7])
    for count, replicas in ((2, None), (1, None), (0, None), (3, [[9]]), (3, [[1, 1]]), (3, [[]]), (3, []), (4, [[1]])):
        given = None if replicas is None else [{"broker_ids": each} for each in replicas]
        grown = [{"name": name, "count": count, "assignments": given} for name in ("same", "no.such", "a b")]
        label = f"grow to {count} on {replicas}"
        yield Row(label, K.CREATE_PARTITIONS, {"topics": grown, "timeout_ms": 9000, "validate_only": True})
    names = [*NAMES, "no.such"]
    by_id = [{"name": name} for name in names] + [{"name": None}, {"name": None, "topic_id": NEVER}]
    yield Row("delete", K.DELETE_TOPICS, {"topic_names": names, "topics": by_id, "timeout_ms": 9000})


def metadata() -> Iterator[Row]:
    quiet = {"allow_auto_topic_creation": False}
    asked = {**quiet, "include_topic_authorized_operations": True, "include_cluster_authorized_operations": True}
    named = [{"name": name} for name in ("same", *NAMES)]
    keep = {"same": lambda reply: reply.topics[0].topic_id}
    yield Row("same", K.METADATA, {"topics": [{"name": "same"}], **asked}, keep=keep)
    yield Row("names", K.METADATA, {"topics": named, **asked}, range(4, 13))
    yield Row("none", K.METADATA, {"topics": [], **quiet}, range(1, 13))
    ids = [{"name": None, "topic_id": each} for each in (Known("same"), NEVER)]
    yield Row("ids", K.METADATA, {"topics": ids, **asked}, range(10, 13))
    for kind in (0, 1, 2):
        yield Row(f"endpoints {kind}", K.DESCRIBE_CLUSTER, {"endpoint_type": kind})


def records() -> Iterator[Row]:
    garbage = bytearray(batch())
    garbage[-1] ^= 1
    sent = {
        "good": batch(),
        "garbage": bytes(garbage),
        "two": batch() * 2,
        "cut": batch()[:-1],
        "none": b"",
        "magic 3": batch()[:16] + b"\3" + batch()[17:],
        "at 5": b"\0\0\0\0\0\0\0\5" + batch()[8:],
        "control": batch(attributes=0x20),
        "in a transaction": batch(attributes=0x10, producer_id=7, producer_epoch=0, base_sequence=0),
        "first of a producer": batch(producer_id=5, producer_epoch=0, base_sequence=0),
        "the same again": batch(producer_id=5, producer_epoch=0, base_sequence=0),
        "out of order": batch(producer_id=5, producer_epoch=0, base_sequence=7),
    }
    for label, payload in sent.items():
        rows = [{"index": index, "records": payload} for index in (0, 9)]
        data = [{"name": name, "partition_data": rows} for name in ("same", "no.such", "a b")]
        yield Row(label, K.PRODUCE, {"acks": -1, "timeout_ms": 9000, "topic_data": data}, range(3, 12))
    good = [{"name": "same", "partition_data": [{"index": 0, "records": batch()}]}]
    asked = [{"name": name, "partition_indexes": [0, 9]} for name in ("same", "no.such", "a b")]
    yield Row("producers", K.DESCRIBE_PRODUCERS, {"topics": asked})
    yield Row("acks 2", K.PRODUCE, {"acks": 2, "timeout_ms": 9000, "topic_data": good}, range(3, 12))
    keyless = bytes(build_batch([Record(0, NOW, None, b"v")] * 4, base_offset=0))
    data = [{"name": "same-compacted", "partition_data": [{"index": 0, "records": keyless}]}]
    yield Row("no key", K.PRODUCE, {"acks": 1, "timeout_ms": 9000, "topic_data": data}, range(3, 12))


def fetches() -> Iterator[Row]:
    def fetch(
        label: str, session: int | Known = 0, epoch: int = -1, topic_id: object = Known("same"), **more: int
    ) -> Row:
        parts = [{"partition": index, "fetch_offset": 0, "partition_max_bytes": 99_999, **more} for index in (0, 1, 9)]
        topics = [{"topic": name, "topic_id": topic_id, "partitions": parts} for name in ("same",)]
        fields = {"topics": topics, "session_id": session, "session_epoch": epoch, "max_bytes": 1 << 20}
        keep = {"session": lambda reply: reply.session_id} if epoch == 0 else {}
        return Row(f"fetch {label}", K.FETCH, fields, None if epoch == -1 else [13], keep)

    for offset in (0, 1, -1, 1_000_000):
        yield fetch(f"at {offset}", fetch_offset=offset)
    for leader_epoch in (0, 9, -7):
        yield fetch(f"epoch {leader_epoch}", current_leader_epoch=leader_epoch)
    yield fetch("diverging", last_fetched_epoch=3)
    yield fetch("of an unknown id", topic_id=NEVER)
    yield fetch("of a session", 0, 0)
    yield fetch("of a session again", Known("session"), 1)
    yield fetch("of a session in the wrong epoch", Known("session"), 9)
    yield fetch("of no session", 12345, 1)


def offsets() -> Iterator[Row]:
    def list_offsets(label: str, timestamp: int, name: str = "same", replica: int = -1, **more: int) -> Row:
        asked = [{"partition_index": index, "timestamp": timestamp, **more} for index in (0, 1, 9)]
        return Row(
            f"list {label}", K.LIST_OFFSETS, {"replica_id": replica, "topics": [{"name": name, "partitions": asked}]}
        )

    for timestamp in (-1, -2, -3, -4, -5, -6, 0, NOW, NOW + 1):
        yield list_offsets(f"at {timestamp if timestamp < 1 else timestamp - NOW}", timestamp)
    for replica in (0, 1, -2, -3):
        yield list_offsets(f"for {replica}", -1, replica=replica)
    yield list_offsets("in epoch 5", -1, current_leader_epoch=5)
    yield list_offsets("of nothing", -1, "no.such")
    for epoch, current in ((0, -1), (0, 0), (5, -1), (0, 5), (-1, -1)):
        parts = [{"partition": index, "leader_epoch": epoch, "current_leader_epoch": current} for index in (0, 9)]
        fields = {"replica_id": -1, "topics": [{"topic": name, "partitions": parts} for name in ("same", "no.such")]}
        yield Row(f"epoch {epoch} in {current}", K.OFFSET_FOR_LEADER_EPOCH, fields)
    for offset in (0, 1, 1_000_000, -1, -2):
        rows = [{"partition_index": index, "offset": offset} for index in (0, 9)]
        named = [{"name": name, "partitions": rows} for name in ("same", "no.such", "same-compacted")]
        yield Row(f"delete to {offset}", K.DELETE_RECORDS, {"topics": named, "timeout_ms": 9000})


def settings() -> Iterator[Row]:
    several = [(2, "same"), (2, ""), (2, "no.such"), (4, "9"), (4, " 1"), (4, ""), (8, ""), (16, "x")]
    resources = [{"resource_type": kind, "resource_name": name, "configuration_keys": None} for kind, name in several]
    flags = {"include_synonyms": True, "include_documentation": True}
    yield Row("describe", K.DESCRIBE_CONFIGS, {"resources": resources, **flags})
    keys = ["log.retention.ms", "num.io.threads", "log.cleaner.io.max.bytes.per.second", "nonsense"]
    yield Row(
        "describe 1",
        K.DESCRIBE_CONFIGS,
        {"resources": [{"resource_type": 4, "resource_name": "1", "configuration_keys": keys}], **flags},
    )
    yield Row(
        "describe type 5",
        K.DESCRIBE_CONFIGS,
        {"resources": [{"resource_type": 5, "resource_name": "x", "configuration_keys": None}]},
    )
    changes = (
        *(("retention.ms", op, value) for op in (0, 1, 2, 3) for value in ("5", "x", "", None)),
        *(("cleanup.policy", op, value) for op in (2, 3, 0, 3, 1) for value in ("compact", "delete,compact", "", "x")),
        *(
            ("follower.replication.throttled.replicas", op, value)
            for op in (2, 3)
            for value in ("0:1", "*", "0:x", ",")
        ),
        *(("nonsense", 0, "1"), ("num.io.threads", 0, "100"), ("num.io.threads", 0, "x"), ("broker.id", 0, "4")),
    )
    for name, op, value in changes:
        change = [{"name": name, "config_operation": op, "value": value}]
        kinds = (
            ((2, "same"), (4, "1"), (4, "")) if name in ("num.io.threads", "broker.id") else ((2, "same"), (32, "x"))
        )
        altered = [{"resource_type": kind, "resource_name": each, "configs": change} for kind, each in kinds]
        yield Row(f"alter {name} {op} {value}", K.INCREMENTAL_ALTER_CONFIGS, {"resources": altered})
        one = [{"resource_type": 2, "resource_name": "same", "configuration_keys": [name]}]
        yield Row(f"altered {name} {op} {value}", K.DESCRIBE_CONFIGS, {"resources": one, "include_synonyms": True}, [4])
    double = {"resource_type": 2, "resource_name": "same", "configs": [{"name": "segment.ms", "value": "x"}] * 2}
    nulls = {"resource_type": 2, "resource_name": "same", "configs": [{"name": each, "value": None} for each in "ab"]}
    for label, altered in (("double", [double]), ("twice", [double, double]), ("nulls", [nulls])):
        yield Row(f"alter {label}", K.INCREMENTAL_ALTER_CONFIGS, {"resources": altered})


def cluster() -> Iterator[Row]:
    parts = [{"topic": "same", "partitions": [0, 9]}, {"topic": "no.such", "partitions": [0]}]
    for election in (0, 1):
        elected = {"election_type": election, "topic_partitions": parts, "timeout_ms": 9000}
        yield Row(f"elect {election}", K.ELECT_LEADERS, elected)
    targets: tuple[list[int] | None, ...] = ([1], [], None, [9], [1, 1], [-1], [1, 2])
    for replicas in targets:
        moved = [{"partition_index": index, "replicas": replicas} for index in (0, 9)]
        named = [{"name": name, "partitions": moved} for name in ("same", "no.such")]
        yield Row(f"reassign to {replicas}", K.ALTER_PARTITION_REASSIGNMENTS, {"topics": named, "timeout_ms": 9000})
    yield Row("reassigning", K.LIST_PARTITION_REASSIGNMENTS, {"topics": None})
    dirs = [{"path": "/no/such", "topics": [{"name": "same", "partitions": [9]}]}]
    yield Row("move", K.ALTER_REPLICA_LOG_DIRS, {"dirs": dirs})
    for producer_id, epoch in ((5, -1), (-1, 5)):
        fields = {"transactional_id": None, "producer_id": producer_id, "producer_epoch": epoch}
        yield Row(f"producer {producer_id} {epoch}", K.INIT_PRODUCER_ID, fields, range(3, 6))


def groups() -> Iterator[Row]:
    coordinator = {"key": "g", "key_type": 0, "coordinator_keys": ["g", ""]}
    yield Row("coordinator", K.FIND_COORDINATOR, coordinator)
    life = {"group_id": "g", "generation_id": Known("generation"), "member_id": Known("member")}
    protocols = [{"name": "range", "metadata": b"m"}]
    join = {"group_id": "g", "session_timeout_ms": 30_000, "rebalance_timeout_ms": 30_000, "protocol_type": "consumer"}
    for label, fields in (
        ("short session", {"session_timeout_ms": 1}),
        ("unknown member", {"member_id": "x", "protocols": protocols}),
        ("no protocols", {"protocols": []}),
        ("no group", {"group_id": "", "protocols": protocols}),
    ):
        yield Row(label, K.JOIN_GROUP, {**join, **fields})
    kept = {"member": lambda reply: reply.member_id, "generation": lambda reply: reply.generation_id}
    yield Row("join", K.JOIN_GROUP, {**join, "protocols": protocols}, [5], kept)
    yield Row("join by id", K.JOIN_GROUP, {**join, "protocols": protocols, "member_id": Known("member")}, [5], kept)
    plan = [{"member_id": Known("member"), "assignment": b"plan"}]
    for label, wrong in (
        ("right", {}),
        ("generation", {"generation_id": 99}),
        ("member", {"member_id": "x"}),
        ("instance", {"group_instance_id": "i"}),
    ):
        beats: dict[str, Any] = {**life, **wrong}
        synced = {"protocol_type": "consumer", "protocol_name": "range", "assignments": plan}
        yield Row(f"sync {label}", K.SYNC_GROUP, {**beats, **synced})
        yield Row(f"heartbeat {label}", K.HEARTBEAT, dict(beats))
        committed = [{"partition_index": index, "committed_offset": 3} for index in (0, 9)]
        beats["generation_id_or_member_epoch"] = beats.pop("generation_id")
        yield Row(f"commit {label}", K.OFFSET_COMMIT, {**beats, "topics": [{"name": "same", "partitions": committed}]})
    yield Row("describe", K.DESCRIBE_GROUPS, {"groups": ["g", "no.such", ""], "include_authorized_operations": True})
    wanted = [{"name": name, "partition_indexes": [0, 9]} for name in ("same", "no.such")]
    for group in ("g", "no.such"):
        asked = {"group_id": group, "topics": wanted}
        yield Row(f"offsets of {group}", K.OFFSET_FETCH, asked, range(1, 8))
        yield Row(f"offsets of {group}", K.OFFSET_FETCH, {"groups": [asked]}, [8, 9])
    yield Row("delete", K.DELETE_GROUPS, {"groups_names": ["g", "no.such"]})
    yield Row(
        "leave",
        K.LEAVE_GROUP,
        {
            "group_id": "g",
            "member_id": Known("member"),
            "members": [{"member_id": "x"}, {"member_id": Known("member")}],
        },
        [5],
    )
    forgotten = [{"name": "same", "partitions": [{"partition_index": 0}]}]
    yield Row("forget", K.OFFSET_DELETE, {"group_id": "g", "topics": forgotten})
    yield Row("forgotten", K.DESCRIBE_GROUPS, {"groups": ["g"]})


def away() -> Iterator[Row]:
    """Of the partitions of AWAY broker 1 leads the first, with too few in sync, and nobody the second."""
    settings = [{"name": "min.insync.replicas", "config_operation": 0, "value": "2"}]
    altered = [{"resource_type": 2, "resource_name": AWAY, "configs": settings}]
    yield Row("too few", K.INCREMENTAL_ALTER_CONFIGS, {"resources": altered}, [1])
    asked = {"topics": [{"name": AWAY}], "allow_auto_topic_creation": False}
    yield Row("away", K.METADATA, asked, keep={"away": lambda reply: reply.topics[0].topic_id})
    rows = [{"index": index, "records": batch()} for index in (0, 1)]
    for acks in (-1, 1):
        data = [{"name": AWAY, "partition_data": rows}]
        yield Row(f"produce {acks}", K.PRODUCE, {"acks": acks, "timeout_ms": 500, "topic_data": data}, range(3, 12))
    for epoch in (-1, 0, 7):
        parts = [
            {"partition": index, "fetch_offset": 0, "partition_max_bytes": 9999, "current_leader_epoch": epoch}
            for index in (0, 1)
        ]
        topics = [{"topic": AWAY, "topic_id": Known("away"), "partitions": parts}]
        yield Row(f"fetch in {epoch}", K.FETCH, {"topics": topics, "max_bytes": 9999})
        listed = [
            {"partition_index": index, "timestamp": timestamp, "current_leader_epoch": epoch}
            for index, timestamp in ((0, -1), (0, -2), (1, -1))
        ]
        fields = {"replica_id": -1, "topics": [{"name": AWAY, "partitions": listed}]}
        yield Row(f"list in {epoch}", K.LIST_OFFSETS, fields)
        ends = [{"partition": index, "leader_epoch": 0, "current_leader_epoch": epoch} for index in (0, 1)]
        ended = {"replica_id": -1, "topics": [{"topic": AWAY, "partitions": ends}]}
        yield Row(f"end in {epoch}", K.OFFSET_FOR_LEADER_EPOCH, ended)
    for offset in (0, 1, -1):
        cut = [{"partition_index": index, "offset": offset} for index in (0, 1)]
        fields = {"topics": [{"name": AWAY, "partitions": cut}], "timeout_ms": 300}
        yield Row(f"delete to {offset}", K.DELETE_RECORDS, fields)
    for election in (0, 1):
        elected = [{"topic": AWAY, "partitions": [0, 1]}]
        fields = {"election_type": election, "topic_partitions": elected, "timeout_ms": 9000}
        yield Row(f"elect {election}", K.ELECT_LEADERS, fields)
    for replicas in (None, [1], [9], [1, 9], None):
        moved = [{"name": AWAY, "partitions": [{"partition_index": 1, "replicas": replicas}]}]
        yield Row(f"move to {replicas}", K.ALTER_PARTITION_REASSIGNMENTS, {"topics": moved, "timeout_ms": 9000}, [0])
        yield Row(f"moving to {replicas}", K.LIST_PARTITION_REASSIGNMENTS, {"topics": None})
    for brokers in ([[1]], [[9]], [[1, 9]]):
        grown = [{"name": AWAY, "count": 3, "assignments": [{"broker_ids": each} for each in brokers]}]
        fields = {"topics": grown, "timeout_ms": 9000, "validate_only": True}
        yield Row(f"grow on {brokers}", K.CREATE_PARTITIONS, fields)
    yield Row(
        "delete away", K.DELETE_TOPICS, {"topic_names": [AWAY], "topics": [{"name": AWAY}], "timeout_ms": 300}, [5]
    )


DIFFER = {
    "create no replicas": "Apache's would make a topic that has no replicas",
}
FRAMES = {
    "no bytes": struct.pack(">i", 0),
    "a size below zero": struct.pack(">i", -1),
    "an unknown API": struct.pack(">ihhih", 10, 999, 0, 7, -1),
    "a version that is not served": struct.pack(">ihhih", 10, 3, 99, 7, -1),
    "an array of two billion": struct.pack(">ihhihi", 14, 3, 1, 7, -1, 2**31 - 1),
    "a request that ends in a field": struct.pack(">ihhihih", 16, 3, 1, 7, -1, 1, 5),
}


@pytest.fixture(scope="module")
def ours(kafka39: Apache, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with stopped_after(Ours(kafka39, tmp_path_factory.mktemp("ours"))) as cluster:
        cluster.start(1)
        yield cluster


def is_coordinating(line: Line) -> bool:
    line.ask(Row("", K.FIND_COORDINATOR, {"key": "g"}), 3)
    beat: dict[str, int] = line.ask(Row("", K.HEARTBEAT, {"group_id": "g", "member_id": "x"}), 4)
    return beat["error_code"] == ErrorCode.UNKNOWN_MEMBER_ID


def is_led(line: Line, leaders: list[int]) -> bool:
    asked = {"topics": [{"name": AWAY}], "allow_auto_topic_creation": False}
    (told,) = line.ask(Row("", K.METADATA, asked), 12)["topics"]
    return sorted(each["leader_id"] for each in told["partitions"]) == leaders


def test_the_same_requests_get_the_same_answers(apache: Cluster, ours: Cluster) -> None:
    lines = Line(apache.addresses[0]), Line(ours.addresses[0])
    rows = [*creations(), *metadata(), *records(), *fetches(), *offsets(), *settings(), *cluster(), *groups()]
    for line in lines:
        until(partial(is_coordinating, line), "no coordinator")
    compared, found = compare(*lines, rows)
    told = {label: frame for label, frame in FRAMES.items() if lines[0].send(frame) != lines[1].send(frame)}
    for line in lines:
        line.close()
    unexpected = {label: wrong for label, wrong in found.items() if label not in DIFFER}
    assert not unexpected, "\n".join(f"{label}: {each}" for label, wrong in unexpected.items() for each in wrong)
    assert (sorted(found), told) == (sorted(DIFFER), {})
    assert compared > 900


def test_the_same_answers_where_replicas_are_away(apache: Cluster, ours: Cluster) -> None:
    lines = Line(apache.addresses[0]), Line(ours.addresses[0])
    for cluster, line in zip((apache, ours), lines, strict=True):
        with Session(cluster.context) as session:
            path = f"/brokers/topics/{AWAY}"
            session.zookeeper.create(path, b'{"version":1,"partitions":{"0":[1,9],"1":[9]}}')
            until(partial(is_led, line, [1]), f"{AWAY} is not led")
            lost = b'{"controller_epoch":1,"leader":9,"version":1,"leader_epoch":3,"isr":[9]}'
            session.zookeeper.create(f"{path}/partitions/1/state", lost, makepath=True)
            session.zookeeper.delete("/controller")
        until(partial(is_led, line, [-1, 1]), "the new controller does not tell who is away")
    compared, found = compare(*lines, list(away()))
    for line in lines:
        line.close()
    assert not found, "\n".join(f"{label}: {each}" for label, wrong in found.items() for each in wrong)
    assert compared > 100
