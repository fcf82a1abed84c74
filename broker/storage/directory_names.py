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


def future_name(topic: str, partition: int, unique: str) -> str:
    """``topic-partition.<32 hex>-future``, which may be too long for a file name."""
    return f"{topic}-{partition}.{unique}{FUTURE}"


def stray_name(topic: str, partition: int, unique: str) -> str:
    """``topic-partition.<32 hex>-stray``, the topic cut as for a deleted one."""
    suffix = f"-{partition}.{unique}{STRAY}"
    return topic[: MAX_NAME - len(suffix)] + suffix


def is_future(directory: str) -> bool:
    return directory.endswith(FUTURE)


def parse(name: str) -> tuple[str, int]:
    """(topic, partition), also of a future replica. Raises ValueError for what is no partition's directory."""
    if is_future(name):
        name = name.removesuffix(FUTURE).rpartition(".")[0]
    topic, dash, partition = name.rpartition("-")
    if not dash or not topic or not partition.isdigit():
        raise ValueError(f"directory {name} is not in the form of topic-partition")
    return topic, int(partition)
