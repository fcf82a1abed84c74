"""Plays for watches: who hears what, how often, in which order."""

from __future__ import annotations

import pytest

from broker.zookeeper.messages import OPEN_ACL, Code
from broker.zookeeper.tree import Change, Node, Tree
from broker.zookeeper.watches import ANY, CHILDREN, DATA, STANDARD, Watches

CREATED, DELETED, CHANGED, CHILD = 1, 2, 3, 4


@pytest.fixture
def watches() -> Watches[str]:
    return Watches()


def fire(watches: Watches[str], kind: int, path: str) -> list[str]:
    return watches.fire(Change(kind, path, OPEN_ACL))


def test_a_one_shot_watch_fires_once_even_if_set_twice(watches: Watches[str]) -> None:
    watches.data.add("/a", "me", STANDARD)
    watches.data.add("/a", "me", STANDARD)
    assert fire(watches, CHANGED, "/a") == ["me"]
    assert fire(watches, CHANGED, "/a") == []
    assert watches.count() == 0


def test_data_watches_do_not_hear_of_children_nor_child_watches_of_data(watches: Watches[str]) -> None:
    watches.data.add("/a", "data", STANDARD)
    watches.child.add("/a", "child", STANDARD)
    assert fire(watches, CHILD, "/a") == ["child"]
    assert fire(watches, CHANGED, "/a") == ["data"]


def test_a_deletion_is_told_once_to_who_watches_both(watches: Watches[str]) -> None:
    watches.data.add("/a", "me", STANDARD)
    watches.child.add("/a", "me", STANDARD)
    watches.child.add("/a", "you", STANDARD)
    assert fire(watches, DELETED, "/a") == ["me", "you"]
    assert watches.count() == 0


def test_persistent_watches_stay_and_hear_everything(watches: Watches[str]) -> None:
    assert watches.add("/a", "me", 0) == Code.OK
    for kind in (CREATED, CHANGED, CHILD, DELETED, CREATED):
        assert fire(watches, kind, "/a") == ["me"]
    assert fire(watches, CHANGED, "/a/b") == []


def test_recursive_watches_hear_of_everything_below_but_not_of_child_lists(watches: Watches[str]) -> None:
    watches.add("/a", "me", 1)
    assert fire(watches, CREATED, "/a/b/c") == ["me"]
    assert fire(watches, CHANGED, "/a") == ["me"]
    assert fire(watches, CHILD, "/a/b") == []
    assert fire(watches, CHANGED, "/ab") == []


def test_a_recursive_watch_on_the_root_hears_of_everything(watches: Watches[str]) -> None:
    watches.add("/", "me", 1)
    assert fire(watches, CREATED, "/x/y") == ["me"]
    assert fire(watches, CHANGED, "/") == ["me"]


def test_a_one_shot_watch_does_not_take_a_persistent_one_with_it(watches: Watches[str]) -> None:
    watches.add("/a", "me", 0)
    watches.data.add("/a", "me", STANDARD)
    assert fire(watches, CHANGED, "/a") == ["me"]
    assert fire(watches, CHANGED, "/a") == ["me"]


def test_another_mode_is_refused(watches: Watches[str]) -> None:
    assert watches.add("/a", "me", 7) == Code.MARSHALLING_ERROR


def test_watches_can_be_checked_and_removed_by_kind(watches: Watches[str]) -> None:
    watches.data.add("/a", "me", STANDARD)
    watches.child.add("/a", "me", STANDARD)
    assert watches.check("/a", "me", CHILDREN, remove=True) == Code.OK
    assert watches.check("/a", "me", CHILDREN, remove=True) == Code.NO_WATCHER
    assert watches.check("/a", "me", DATA, remove=False) == Code.OK
    assert watches.check("/a", "you", DATA, remove=False) == Code.NO_WATCHER
    watches.add("/a", "me", 1)
    assert watches.check("/a", "me", ANY, remove=True) == Code.OK
    assert fire(watches, CHANGED, "/a/b") == []
    assert watches.count() == 0


def test_a_lost_connection_loses_its_watches(watches: Watches[str]) -> None:
    watches.data.add("/a", "me", STANDARD)
    watches.add("/b", "me", 1)
    watches.add("/c", "me", 0)
    watches.data.add("/a", "you", STANDARD)
    watches.forget("me")
    assert fire(watches, CHANGED, "/a") == ["you"]
    assert fire(watches, CHANGED, "/b/x") == []
    assert watches.data.recursive == 0


def test_set_watches_tells_what_was_missed_and_watches_the_rest(watches: Watches[str]) -> None:
    tree = Tree()
    for path, mzxid, pzxid in (("/old", 5, 5), ("/new", 50, 5), ("/kids", 5, 50)):
        node = Node(b"", OPEN_ACL, 0, 1, 0)
        node.mzxid, node.pzxid = mzxid, pzxid
        tree.install(path, node)
    told: list[tuple[int, str]] = []
    watches.restore(
        tree,
        "me",
        10,
        (["/old", "/new", "/gone"], ["/old", "/not-yet"], ["/old", "/kids", "/gone"], ["/p"], ["/r"]),
        lambda kind, path: told.append((kind, path)),
    )
    assert told == [(3, "/new"), (2, "/gone"), (1, "/old"), (4, "/kids"), (2, "/gone")]
    assert fire(watches, CHANGED, "/old") == ["me"]
    assert fire(watches, CREATED, "/not-yet") == ["me"]
    assert fire(watches, CHILD, "/old") == ["me"]
    assert fire(watches, CHILD, "/p") == ["me"]
    assert fire(watches, CREATED, "/r/x") == ["me"]
