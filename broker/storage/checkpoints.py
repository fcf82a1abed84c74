"""Kafka's checkpoint files: version, count, lines (CheckpointFile, OffsetCheckpointFile; facts D.9)."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable
from uuid import UUID

from broker.host.files import Files, sync_file, write_atomically

REPLICATION = "replication-offset-checkpoint"
RECOVERY_POINT = "recovery-point-offset-checkpoint"
LOG_START = "log-start-offset-checkpoint"
LEADER_EPOCHS = "leader-epoch-checkpoint"
PARTITION_METADATA = "partition.metadata"


class CheckpointCorrupt(ValueError):
    """A checkpoint file does not parse; Kafka takes the log directory offline for it."""


def read_lines(files: Files, path: str) -> list[list[str]]:
    """The entries, split at spaces; none where there is no file, or an empty one, as Kafka makes it at its first start.

    Raises CheckpointCorrupt.
    """
    try:
        text = files.read(path).decode()
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise CheckpointCorrupt(f"{path}: not text") from error
    if not text:
        return []
    if not text.endswith("\n"):
        raise CheckpointCorrupt(f"{path}: cut within its last line")
    lines = text.splitlines()
    if len(lines) < 2 or lines[0] != "0" or not lines[1].isdigit():
        raise CheckpointCorrupt(f"{path}: does not begin with version 0 and a count")
    entries = [line.split() for line in lines[2:]]
    if len(entries) != int(lines[1]):
        raise CheckpointCorrupt(f"{path}: says {lines[1]} entries, has {len(entries)}")
    return entries


def format_lines(entries: Iterable[str]) -> bytes:
    lines = list(entries)
    return "".join(f"{line}\n" for line in ["0", str(len(lines)), *lines]).encode()


def read_offsets(files: Files, path: str) -> dict[tuple[str, int], int]:
    """(topic, partition) -> offset. Raises CheckpointCorrupt."""
    try:
        return {(topic, int(partition)): int(offset) for topic, partition, offset in read_lines(files, path)}
    except ValueError as error:
        raise CheckpointCorrupt(f"{path}: {error}") from error


def format_offsets(offsets: Iterable[tuple[str, int, int]]) -> bytes:
    return format_lines(f"{topic} {partition} {offset}" for topic, partition, offset in offsets)


def read_topic_id(files: Files, directory: str) -> UUID | None:
    """The topic id in ``partition.metadata``; None where there is no file. Raises CheckpointCorrupt."""
    path = f"{directory}/{PARTITION_METADATA}"
    fields: dict[str, str] = {}
    try:
        content = files.read(path)
    except FileNotFoundError:
        return None
    for line in content.decode(errors="replace").splitlines():
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    try:
        if fields["version"] != "0":
            raise CheckpointCorrupt(f"{path}: version {fields['version']}")
        return parse_topic_id(fields["topic_id"])
    except (KeyError, ValueError) as error:
        raise CheckpointCorrupt(f"{path}: {error}") from error


def write_topic_id(files: Files, directory: str, topic_id: UUID) -> None:
    write_atomically(
        files, f"{directory}/{PARTITION_METADATA}", f"version: 0\ntopic_id: {format_topic_id(topic_id)}".encode()
    )


async def sync_topic_id(files: Files, directory: str) -> None:
    """Make the content of ``partition.metadata`` durable, if there is one; its name is the directory's affair."""
    with contextlib.suppress(FileNotFoundError):
        await sync_file(files, f"{directory}/{PARTITION_METADATA}")


def format_topic_id(topic_id: UUID) -> str:
    """Kafka's Uuid.toString: base64url of the 16 bytes, without padding."""
    return base64.urlsafe_b64encode(topic_id.bytes).decode().rstrip("=")


def parse_topic_id(text: str) -> UUID:
    """Raises ValueError."""
    return UUID(bytes=base64.urlsafe_b64decode(text + "=="))
