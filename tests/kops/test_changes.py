"""What a partition watch says happened between two looks."""

from kops.cluster.metadata import Partition
from kops.cluster.partitions import Change, changes


def partition(leader: int, epoch: int, isr: tuple[int, ...]) -> Partition:
    return Partition("t", 0, leader, epoch, (1, 2, 3), isr)


def told(before: Partition | None, after: Partition | None) -> list[tuple[str, str, str]]:
    found: list[Change] = changes(
        {"t-0": before} if before else {}, {"t-0": after} if after else {}, at=5, resolution_ms=1000
    )
    assert all((change.at, change.resolution_ms) == (5, 1000) for change in found)
    return [(change.what, change.old, change.new) for change in found]


def test_a_failover_is_a_leader_change_and_a_shrunk_isr() -> None:
    assert told(partition(1, 0, (1, 2, 3)), partition(2, 1, (2, 3))) == [
        ("leader", "1 (epoch 0)", "2 (epoch 1)"),
        ("isr", "1,2,3", "2,3"),
    ]


def test_the_same_leader_in_a_new_epoch_is_an_epoch() -> None:
    assert told(partition(1, 0, (1, 2, 3)), partition(1, 1, (1, 2, 3))) == [("epoch", "0", "1")]


def test_another_order_of_the_isr_is_no_change() -> None:
    assert told(partition(1, 0, (1, 2, 3)), partition(1, 0, (3, 2, 1))) == []


def test_partitions_come_and_go() -> None:
    assert told(None, partition(1, 0, (1,))) == [("created", "", "leader 1 isr 1")]
    assert told(partition(1, 0, (1,)), None) == [("deleted", "leader 1 isr 1", "")]
