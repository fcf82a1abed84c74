"""Changing settings: what was there is saved before, read back after, and can be put back (``kops undo``)."""

import re
from collections.abc import Iterable, Mapping, Sequence

from kops.cluster import changes as kinds
from kops.cluster import configs
from kops.cluster.changes import Entry, SettingChange
from kops.cluster.configs import Entity, Setting
from kops.cluster.metadata import snapshot
from kops.errors import Failed, KopsError, Refused, nearest, not_found
from kops.operations import journal
from kops.session import Session

_SECRET = re.compile(r"password|secret|jaas")


def planned(
    entity: Entity, now: Mapping[str, Setting], put: Mapping[str, str], drop: Sequence[str]
) -> list[SettingChange]:
    """What would be another value than ``now``."""
    wanted: dict[str, str | None] = {**put, **dict.fromkeys(drop)}
    made = []
    for key, after in wanted.items():
        there = _own(now, key)
        secret = there.sensitive if there else _SECRET.search(key) is not None
        if secret:
            made.append(SettingChange(entity.kind, entity.name, key, None if there is None else "", None, secret=True))
        elif (there.value if there else None) != after:
            made.append(SettingChange(entity.kind, entity.name, key, there.value if there else None, after))
    return made


def check_names(session: Session, entity: Entity, put: Iterable[str], drop: Iterable[str]) -> str:
    """Raises NotFound, with the nearest name, for what no topic has and for what is to be unset and is not known.

    A broker takes names that it does not know, as plug-ins have them: the warning that is due, or nothing.
    """
    whose = entity
    if entity == Entity(configs.BROKER, configs.DEFAULT):
        whose = Entity(configs.BROKER, str(snapshot(session, []).brokers[0].id))
    known = {name for one in dict.fromkeys((whose, entity)) for name in present(session, one)}
    for key in (*drop, *(put if entity.kind == configs.TOPIC else ())):
        if key not in known:
            raise not_found(
                "setting", key, known, f"`kops config describe {entity.kind} {whose.name} --all` lists them."
            )
    strange = [key for key in put if key not in known]
    near = nearest(strange[0], known) if strange else None
    meant = f" Did you mean '{near}'?" if near else ""
    return f"no broker knows a setting {strange[0]}, it will only be kept.{meant}" if strange else ""


def change(session: Session, entity: Entity, put: Mapping[str, str], drop: Sequence[str]) -> Entry | None:
    """Save, change, wait until it holds. The journal's entry; None where everything was so already."""
    changes = planned(entity, present(session, entity), put, drop)
    if not changes:
        return None
    what = f"{entity}: {', '.join(one.key for one in changes)}"
    entry = journal.begin(what, snapshot(session, []).cluster_id or "", ",".join(session.servers), settings=changes)
    try:
        configs.alter(session, entity, put, drop)
    except BaseException:
        journal.ended(entry, kinds.FAILED)
        raise
    return journal.ended(entry, kinds.DONE)


def undo_plan(session: Session, entry: Entry, *, force: bool) -> list[SettingChange]:
    """The changes that take ``entry`` back. Raises Refused when somebody changed the same settings since."""
    back, moved = [], []
    seen = {entity: present(session, entity) for entity in dict.fromkeys(map(_entity, entry.settings))}
    for one in entry.settings:
        there = _own(seen[_entity(one)], one.key)
        now = there.value if there is not None else None
        hidden = one.secret or (there is not None and there.sensitive)
        if not hidden and now == one.before:
            continue  # it never took place, or is back already
        if not hidden and now != one.after:
            moved.append(f"{one.name} {one.key} is {told(now)}, was left at {told(one.after)}")
        back.append(SettingChange(one.kind, one.name, one.key, now, one.before, one.secret))
    if moved and not force:
        raise Refused(
            f"somebody changed it since: {'; '.join(moved)}",
            "--force puts the older values back all the same.",
            code="ChangedSince",
        )
    return back


def put_back(session: Session, changes: Sequence[SettingChange]) -> list[KopsError]:
    """Make the changes of an undo, without an entry of their own. What cannot be made: passwords that were there."""
    lost = [one for one in changes if one.secret and one.after is not None]
    for entity in dict.fromkeys(map(_entity, changes)):
        mine = [one for one in changes if _entity(one) == entity and one not in lost]
        put = {one.key: one.after for one in mine if one.after is not None}
        drop = [one.key for one in mine if one.after is None]
        if put or drop:
            configs.alter(session, entity, put, drop)
    return [
        Failed(f"{one.kind} {one.name}: {one.key} stays: no broker tells a password", "Set it anew.") for one in lost
    ]


def line(one: SettingChange) -> str:
    """One change in words."""
    values = "(hidden)" if one.secret else f"{told(one.before)} -> {told(one.after)}"
    return f"{one.kind} {one.name}: {one.key}: {values}"


def told(value: str | None) -> str:
    return "not set" if value is None else value or "(empty)"


def present(session: Session, entity: Entity) -> dict[str, Setting]:
    """What holds now, by name."""
    return {one.name: one for one in configs.describe(session, entity)}


def _own(now: Mapping[str, Setting], key: str) -> Setting | None:
    """The setting where it is set on the topic or broker itself."""
    return now[key] if key in now and now[key].overridden else None


def _entity(one: SettingChange) -> Entity:
    return Entity(one.kind, one.name)
