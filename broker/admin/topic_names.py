"""What a topic may be called (org.apache.kafka.common.internals.Topic; facts H.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from broker.wire.errors import ErrorCode, KafkaError

LONGEST = 249
_LEGAL = re.compile(r"[a-zA-Z0-9._-]+")


def check_name(topic: str) -> None:
    """Raises KafkaError INVALID_TOPIC_EXCEPTION with Kafka's words."""
    why = None
    if not topic:
        why = "the empty string is not allowed"
    elif topic in (".", ".."):
        why = f"'{topic}' is not allowed"
    elif len(topic) > LONGEST:
        why = f"the length of '{topic}' is longer than the max allowed length {LONGEST}"
    elif not _LEGAL.fullmatch(topic):
        why = f"'{topic}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    if why is not None:
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name is invalid: {why}")


def check_collision(topic: str, topics: Iterable[str]) -> None:
    """Names that differ in '.' and '_' only share their metrics. Raises KafkaError INVALID_TOPIC_EXCEPTION."""
    plain = topic.replace(".", "_")
    others = sorted(other for other in topics if other != topic and other.replace(".", "_") == plain)
    if others:
        raise KafkaError(
            ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic '{topic}' collides with existing topics: {', '.join(others)}"
        )
