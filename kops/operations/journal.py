"""What was changed, and what was there before: one JSON file per change, for ``kops history`` and ``kops undo``.

An entry is written before the change is made, so that it can be undone whatever happens in between.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kops.cluster.changes import BEGUN, Entry, OffsetChange, SettingChange
from kops.cluster.groups import Committed
from kops.cluster.offsets import Position
from kops.errors import NotFound
from kops.local.state import state_dir


def folder() -> Path:
    return state_dir() / "journal"


def begin(
    what: str,
    cluster: str,
    servers: str,
    changes: Iterable[OffsetChange] = (),
    way: str = "brokers",
    settings: Iterable[SettingChange] = (),
) -> Entry:
    """Write an entry to disk, before the change is made."""
    now = time.time_ns() // 1_000_000
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now / 1000))
    entry = Entry(f"{stamp}-{now % 1000:03d}", now, what, cluster, servers, way, BEGUN, tuple(changes), tuple(settings))
    write(entry)
    return entry


def write(entry: Entry) -> None:
    folder().mkdir(parents=True, exist_ok=True)
    content = asdict(entry) | {"changes": [_encoded(change) for change in entry.changes]}
    fresh = folder() / f".{entry.id}.{os.getpid()}"
    with open(fresh, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder() / f"{entry.id}.json")


def ended(entry: Entry, state: str) -> Entry:
    changed = replace(entry, state=state)
    write(changed)
    return changed


def entries() -> list[Entry]:
    """The newest first; files of another version of kops are left out."""
    paths = sorted(folder().glob("*.json"), reverse=True) if folder().is_dir() else []
    return [entry for path in paths if (entry := _read(path))]


def find(identity: str | None, suits: Callable[[Entry], bool]) -> Entry:
    """The entry of that id, or the latest that can be undone and ``suits``. Raises NotFound."""
    known = entries()
    if identity is not None:
        for entry in known:
            if entry.id == identity:
                return entry
        raise NotFound(f"there is no change '{identity}'", "`kops history` shows them.")
    for entry in known:
        if entry.undoable and suits(entry):
            return entry
    raise NotFound("there is nothing to undo on this cluster", "`kops history` shows what was changed.")


def _encoded(change: OffsetChange) -> dict[str, Any]:
    return {
        "group": change.group,
        "topic": change.position.topic,
        "partition": change.position.partition,
        "before": asdict(change.before) if change.before else None,
        "after": asdict(change.after) if change.after else None,
    }


def _read(path: Path) -> Entry | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        changes = tuple(
            OffsetChange(
                one["group"],
                Position(one["topic"], one["partition"]),
                _committed(one["before"]),
                _committed(one["after"]),
            )
            for one in content.pop("changes")
        )
        settings = tuple(SettingChange(**one) for one in content.pop("settings", ()))
        return Entry(**content, changes=changes, settings=settings)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _committed(content: Mapping[str, Any] | None) -> Committed | None:
    return None if content is None else Committed(**content)
