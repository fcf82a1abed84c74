"""Settings that kops changes: the line that undoes it, and what it throttles while partitions are moved."""

from kops.cluster import throttles
from kops.cluster.configs import Entity, Setting, undo_line
from kops.cluster.offsets import Position

TOPIC = Entity("topic", "orders")


def setting(name: str, value: str | None, source: str, *, sensitive: bool = False) -> Setting:
    return Setting(TOPIC, name, value, source, read_only=False, sensitive=sensitive)


def test_what_was_set_before_is_set_again_and_what_was_not_is_unset() -> None:
    before = {
        one.name: one
        for one in (
            setting("retention.ms", "5000", "topic"),
            setting("cleanup.policy", "delete", "default"),
            setting("x.password", None, "topic", sensitive=True),
        )
    }
    assert undo_line(TOPIC, before, ["retention.ms"]) == "kops config set topic orders retention.ms=5000"
    assert undo_line(TOPIC, before, ["retention.ms", "cleanup.policy", "new.one"]) == (
        "kops config set topic orders retention.ms=5000; kops config unset topic orders cleanup.policy new.one"
    )
    assert undo_line(TOPIC, before, ["x.password"]) == "(x.password: no broker tells a password)"


def test_a_throttle_names_who_is_copied_from_and_who_is_new() -> None:
    moves = {
        Position("a", 0): ((1, 2), (3,)),
        Position("a", 1): ((2,), (1, 3)),
        Position("b", 0): ((1, 2), ()),
    }
    assert throttles.replicas(moves) == {
        "a": {throttles.LEADERS: "0:1,0:2,1:2", throttles.FOLLOWERS: "0:3,1:1,1:3"},
    }
