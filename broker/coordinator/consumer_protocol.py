"""The blobs that "consumer" groups carry: which topics a member subscribes to (ConsumerProtocol, KIP-429, KIP-792).

The coordinator looks into them for one reason only: to know whether a topic is in use before its offsets go away.
"""

from __future__ import annotations

import struct

CONSUMER = "consumer"


def subscribed_topics(metadata: bytes) -> frozenset[str] | None:
    """The topics of a subscription of any version, or None where the bytes are not a subscription.

    Every version begins with int16 version and the array of topics; what follows is newer and not needed here.
    """
    try:
        version, count = struct.unpack_from(">hi", metadata, 0)
        if version < 0 or not 0 <= count <= len(metadata) // 2:
            return None
        at = 6
        topics = []
        for _ in range(count):
            (size,) = struct.unpack_from(">h", metadata, at)
            if size < 0 or at + 2 + size > len(metadata):
                return None
            topics.append(metadata[at + 2 : at + 2 + size].decode())
            at += 2 + size
    except (struct.error, UnicodeDecodeError):
        return None
    return frozenset(topics)
