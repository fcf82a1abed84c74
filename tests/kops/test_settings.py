"""Settings that kops changes: what is saved, how it is put back, and what it throttles while partitions are moved."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from kops.cluster import configs, throttles
from kops.cluster.changes import Entry
from kops.cluster.configs import Entity, Setting
from kops.cluster.offsets import Position
from kops.errors import NotFound, Refused
from kops.operations import journal, settings
from kops.session import Session

TOPIC, BROKER = Entity("topic", "orders"), Entity("broker", "1")
SESSION = cast(Session, SimpleNamespace(servers=["h:1"]))


class Held:
    """What an entity has; ``alter`` changes it as a broker does. What has no default is hidden, as by Kafka."""

    def __init__(self, own: dict[str, str], defaults: dict[str, str]) -> None:
        self.own, self.defaults = own, defaults

    def describe(self, session: Session, entity: Entity) -> list[Setting]:
        every = self.defaults | self.own
        return [
            Setting(
                entity,
                name,
                value if name in self.defaults else None,
                entity.kind if name in self.own else "default",
                read_only=False,
                sensitive=name not in self.defaults,
            )
            for name, value in every.items()
        ]

    def alter(self, session: Session, entity: Entity, put: dict[str, str], drop: list[str]) -> None:
        self.own = {name: value for name, value in (self.own | put).items() if name not in drop}


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    found = Held({"retention.ms": "5"}, {"retention.ms": "7", "cleanup.policy": "delete"})
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(configs, "describe", found.describe)
    monkeypatch.setattr(configs, "alter", found.alter)
    monkeypatch.setattr(settings, "snapshot", lambda *_: SimpleNamespace(cluster_id="c"))
    return found


def changed(entity: Entity, put: dict[str, str], drop: list[str]) -> Entry:
    entry = settings.change(SESSION, entity, put, drop)
    assert entry is not None
    return entry


def test_what_was_set_is_set_again_and_what_was_not_is_unset(held: Held) -> None:
    entry = changed(TOPIC, {"retention.ms": "6", "cleanup.policy": "compact"}, [])
    assert held.own == {"retention.ms": "6", "cleanup.policy": "compact"}
    assert journal.find(None, lambda one: one.cluster == "c") == entry
    back = settings.undo_plan(SESSION, entry, force=False)
    assert settings.line(back[1]) == "topic orders: cleanup.policy: compact -> not set"
    assert settings.put_back(SESSION, back) == []
    assert held.own == {"retention.ms": "5"}
    assert settings.undo_plan(SESSION, entry, force=False) == []


def test_what_is_so_already_is_no_change(held: Held) -> None:
    assert settings.change(SESSION, TOPIC, {"retention.ms": "5"}, ["cleanup.policy"]) is None
    assert journal.entries() == []


def test_what_somebody_changed_since_is_put_back_only_by_force(held: Held) -> None:
    entry = changed(TOPIC, {}, ["retention.ms"])
    held.own["retention.ms"] = "9"
    with pytest.raises(Refused, match="is 9, was left at not set"):
        settings.undo_plan(SESSION, entry, force=False)
    settings.put_back(SESSION, settings.undo_plan(SESSION, entry, force=True))
    assert held.own == {"retention.ms": "5"}


def test_a_password_is_neither_written_down_nor_put_back(held: Held, tmp_path: Path) -> None:
    held.own["x.password"] = "old"
    entry = changed(BROKER, {"x.password": "s3cret", "y.password": "s3cret"}, [])
    assert "s3cret" not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    [lost] = settings.put_back(SESSION, settings.undo_plan(SESSION, entry, force=False))
    assert "x.password stays" in lost.what
    assert held.own["x.password"] == "s3cret"
    assert "y.password" not in held.own


def test_a_value_that_no_broker_tells_is_put_back_all_the_same(held: Held) -> None:
    entry = changed(BROKER, {"my.plugin": "5"}, [])
    [back] = settings.undo_plan(SESSION, entry, force=False)
    settings.put_back(SESSION, [back])
    assert "my.plugin" not in held.own


def test_the_nearest_name_is_proposed(held: Held) -> None:
    with pytest.raises(NotFound) as raised:
        settings.check_names(SESSION, TOPIC, ["retention.mss"], [])
    assert raised.value.do == "Did you mean 'retention.ms'?"
    with pytest.raises(NotFound):
        settings.check_names(SESSION, BROKER, [], ["nonsense"])
    assert "Did you mean 'retention.ms'?" in settings.check_names(SESSION, BROKER, ["retention.mss"], [])
    assert settings.check_names(SESSION, BROKER, ["retention.ms"], ["cleanup.policy"]) == ""


def test_a_throttle_names_who_is_copied_from_and_who_is_new() -> None:
    moves = {
        Position("a", 0): ((1, 2), (3,)),
        Position("a", 1): ((2,), (1, 3)),
        Position("b", 0): ((1, 2), ()),
    }
    assert throttles.replicas(moves) == {
        "a": {throttles.LEADERS: "0:1,0:2,1:2", throttles.FOLLOWERS: "0:3,1:1,1:3"},
    }
