"""Names of partition directories, ``topic-partition`` and its suffixes (LocalLog.parseTopicPartitionName)."""

from __future__ import annotations

DELETE = "-delete"
FUTURE = "-future"
STRAY = "-stray"
MAX_NAME = 255
FOREIGN = frozenset({"lost+found", ".Trash", "@eaDir"})
"""What file systems and their tools put into a mount point."""


def name_of(topic: str, partition: int) -> str:
    return f"{topic}-{partition}"


def deleted_name(topic: str, partition: int, unique: str) -> str:
    """``topic-partition.<32 hex>-delete``, the topic cut so that it stays a legal file name."""
    suffix = f"-{partition}.{unique}{DELETE}"
    return topic[: MAX_NAME - len(suffix)] + suffix


def parse(name: str) -> tuple[str, int]:
    """(topic, partition). Raises ValueError for what is no partition's directory."""
    topic, dash, partition = name.rpartition("-")
    if not dash or not topic or not partition.isdigit():
        raise ValueError(f"directory {name} is not in the form of topic-partition")
    return topic, int(partition)
