"""What the doctor makes of what was seen: one play per ailment, on charts of plain data."""

from dataclasses import replace

from kops.cluster.logdirs import LogDirectory, Replica
from kops.cluster.metadata import Broker, Partition, Snapshot, Topic
from kops.cluster.reassignments import Move
from kops.local.data_dirs import DataDir, PartitionDir
from kops.operations.doctor import NOTE, PROBLEM, Chart, examine


def partition(index: int = 0, leader: int = 1, isr: tuple[int, ...] = (1, 2)) -> Partition:
    return Partition("t", index, leader, 3, (1, 2), isr)


def chart(one: Partition | None = None, brokers: tuple[int, ...] = (1, 2)) -> Chart:
    """Topic t on brokers 1 and 2, and nothing wrong with it."""
    topic = Topic("t", partitions=(one or partition(),))
    seen = Snapshot("abc", 1, tuple(Broker(broker, "h", 1) for broker in brokers), (topic,))
    replica = Replica("t", 0, 10, 0, future=False)
    return Chart(
        seen=seen,
        views=dict.fromkeys(brokers, seen),
        folders={broker: [LogDirectory(broker, "/d", "", 1, 1, (replica,))] for broker in brokers},
        disks=[],
        foreign=[],
        zookeeper={"t": topic},
        marked=frozenset(),
        configured=frozenset({"t"}),
        changed={},
        moves=[],
        needed={"t": 1},
        not_deleting=(),
    )


def told(seen: Chart) -> list[tuple[str, str, str]]:
    return [(ailment.level, ailment.check, ailment.subject) for ailment in examine(seen)]


def test_a_whole_cluster_has_nothing() -> None:
    assert examine(chart()) == []


def test_a_broker_that_is_gone_and_what_it_left_short() -> None:
    found = examine(chart(partition(isr=(1,)), brokers=(1,)))
    assert [(one.check, one.subject, one.mend) for one in found] == [
        ("broker", "broker 2", "kops broker start 2"),
        ("under-replicated", "t-0", "kops broker start 2"),
    ]
    assert "broker 2 is down" in found[1].what


def test_too_few_in_sync_for_acks_all() -> None:
    (found,) = examine(replace(chart(partition(isr=(1,))), needed={"t": 2}))
    assert found.what == "1 of 2 in sync: broker 2 is behind; min.insync.replicas=2: writes with acks=all are refused"


def test_a_partition_that_nobody_leads() -> None:
    assert (PROBLEM, "offline", "t-0") in told(chart(partition(leader=-1, isr=(2,))))


def test_a_zookeeper_that_is_away_is_a_problem_and_one_that_nobody_named_is_not() -> None:
    unseen = replace(chart(), zookeeper=None, unseen="no ZooKeeper answers")
    assert told(unseen) == [(NOTE, "zookeeper", "ZooKeeper")]
    assert told(replace(unseen, named=True)) == [(PROBLEM, "zookeeper", "ZooKeeper")]


def test_leaders_that_are_not_the_preferred_ones_are_only_noted() -> None:
    assert told(chart(partition(leader=2))) == [(NOTE, "leaders", "cluster")]


def test_a_deletion_that_does_not_end_says_why() -> None:
    seen = replace(chart(brokers=(1, 2)), marked=frozenset({"t"}), not_deleting=(1,))
    (found,) = examine(seen)
    assert (found.check, found.mend) == ("deletion", "kops topic purge t")
    assert "delete.topic.enable is false on broker 1" in found.what


def test_what_a_deletion_that_waits_leaves_on_disks_is_told_once() -> None:
    seen = chart(brokers=(1,))
    gone = Topic("doomed", partitions=(Partition("doomed", 0, 1, 3, (1, 2), (1,)),))
    log = Replica("doomed", 0, 10, 0, future=False)
    seen = replace(
        seen,
        seen=replace(seen.seen, topics=()),
        views={1: replace(seen.seen, topics=())},
        zookeeper={"doomed": gone},
        marked=frozenset({"doomed"}),
        configured=frozenset({"doomed"}),
        disks=[(DataDir("/e", 2, "abc"), PartitionDir("/e/doomed-0", "doomed", 0))],
        folders={1: [LogDirectory(1, "/d", "", 1, 1, (log,))]},
    )
    (found,) = examine(seen)
    assert (found.check, found.subject) == ("deletion", "doomed")
    assert found.what == "marked for deletion, not deleted: broker 2 is down"


def test_a_topic_that_only_one_side_knows() -> None:
    assert told(replace(chart(), zookeeper={}, configured=frozenset())) == [(PROBLEM, "metadata", "t")]
    more = {"t": chart().known["t"], "u": Topic("u")}
    assert told(replace(chart(), zookeeper=more)) == [(PROBLEM, "zookeeper", "u")]
    assert told(replace(chart(), configured=frozenset({"t", "old"}))) == [(PROBLEM, "zookeeper", "old")]


def test_a_broker_that_does_not_know_a_topic() -> None:
    seen = chart()
    views = {1: seen.seen, 2: replace(seen.seen, topics=())}
    assert told(replace(seen, views=views)) == [(PROBLEM, "metadata", "t")]


def test_logs_that_are_missing_and_logs_that_nobody_assigned() -> None:
    seen = chart()
    other = Replica("gone", 4, 10, 0, future=False)
    folders = {1: [LogDirectory(1, "/d", "", 1, 1, (other,))], 2: seen.folders[2]}
    found = examine(replace(seen, folders=folders))
    assert [(one.check, one.subject) for one in found] == [("replica", "t-0"), ("orphan", "gone-4")]
    assert found[1].mend == "kops topic purge gone"


def test_an_offline_disk_is_told_and_its_replicas_are_not_told_twice() -> None:
    seen = chart()
    folders = {1: [LogDirectory(1, "/d", "KafkaStorageError", 1, 1, ())], 2: seen.folders[2]}
    assert told(replace(seen, folders=folders)) == [(PROBLEM, "log dir", "broker 1 /d")]


def test_directories_that_no_broker_holds() -> None:
    here = DataDir("/d", 1, "abc")
    gone = DataDir("/e", 3, "abc")
    disks = [
        (here, PartitionDir("/d/t-0", "t", 0)),
        (here, PartitionDir("/d/t-0.x-stray", "t", 0, "stray")),
        (here, PartitionDir("/d/u-0.x-delete", "u", 0, "delete")),
        (gone, PartitionDir("/e/t-0", "t", 0)),
        (gone, PartitionDir("/e/old-0", "old", 0)),
    ]
    found = [(one.subject, one.mend) for one in examine(replace(chart(), disks=disks))]
    assert found == [("t-0.x-stray", "remove /d/t-0.x-stray"), ("old-0", "kops topic purge old")]


def test_a_directory_of_another_cluster() -> None:
    assert told(replace(chart(), foreign=[DataDir("/d", 1, "xyz")])) == [(PROBLEM, "cluster id", "/d")]


def test_a_move_that_waits_for_a_broker_that_is_down() -> None:
    waiting = Move("t", 0, (1, 2, 3), (3,), (2,))
    assert (PROBLEM, "reassignment", "t-0") in told(replace(chart(), moves=[waiting]))
    assert told(replace(chart(), moves=[Move("t", 0, (1, 2), (2,), ())])) == [(NOTE, "reassignment", "t-0")]
