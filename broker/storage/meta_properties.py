"""``meta.properties``: whose directory this is (MetaProperties; facts D.9)."""

from __future__ import annotations

from dataclasses import dataclass, field

from broker import java_properties
from broker.host import Files
from broker.host.files import write_durably

META_PROPERTIES = "meta.properties"


@dataclass(frozen=True, slots=True)
class MetaProperties:
    """``others`` are entries that are kept as they are, such as Kafka 3.9's ``directory.id``."""

    broker_id: int | None
    cluster_id: str | None
    others: dict[str, str] = field(default_factory=dict)


def read_meta(files: Files, directory: str) -> MetaProperties | None:
    """None where there is no file yet. Raises OSError, or ValueError with a line for the user."""
    path = f"{directory}/{META_PROPERTIES}"
    if files.stat(path) is None:
        return None
    entries = {entry.name: entry.text for entry in java_properties.parse(files.read(path).decode("latin-1"))}
    version = entries.pop("version", "0")
    if version != "0":
        raise ValueError(f"{path}: version={version} is not that of a broker with ZooKeeper (0)")
    broker_id = entries.pop("broker.id", None)
    if broker_id is not None and not broker_id.strip().isdigit():
        raise ValueError(f"{path}: broker.id={broker_id} is not a number")
    return MetaProperties(int(broker_id) if broker_id else None, entries.pop("cluster.id", None), entries)


async def write_meta(files: Files, directory: str, meta: MetaProperties) -> None:
    """Durable and atomic. Raises OSError."""
    entries = {"version": "0"} | meta.others
    if meta.broker_id is not None:
        entries["broker.id"] = str(meta.broker_id)
    if meta.cluster_id is not None:
        entries["cluster.id"] = meta.cluster_id
    await write_durably(files, f"{directory}/{META_PROPERTIES}", java_properties.written(entries).encode())


def check_agreement(found: list[tuple[str, MetaProperties]]) -> None:
    """All directories of a broker must name the same broker and cluster. Raises ValueError."""
    for what in ("broker_id", "cluster_id"):
        named = {directory: getattr(meta, what) for directory, meta in found if getattr(meta, what) is not None}
        if len(set(named.values())) > 1:
            listed = ", ".join(f"{directory}: {value}" for directory, value in named.items())
            raise ValueError(f"log.dirs of different brokers: {META_PROPERTIES} have {what.replace('_', '.')} {listed}")
