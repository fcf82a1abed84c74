"""Frames that lie: every API in every version that is served, cut, with counts and lengths that are not true."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from broker.api.table import Table
from broker.wire import codec
from broker.wire.keys import ApiKey
from tests.wire.random_messages import random_message

CONTROLLERS = {ApiKey.LEADER_AND_ISR, ApiKey.STOP_REPLICA, ApiKey.UPDATE_METADATA, ApiKey.CONTROLLED_SHUTDOWN}
"""Whoever may send these rules the cluster, so they are cut, but never whole."""
OWN = {ApiKey.ALTER_PARTITION, ApiKey.ALLOCATE_PRODUCER_IDS}
LARGEST = (0x7FFFFFFF).to_bytes(4, "big")
TEN_BYTES = b"\xff" * 9 + b"\x01"


def served(table: Table) -> list[tuple[ApiKey, int]]:
    """Every (API, version) that the broker serves."""
    return [
        (route.key, version)
        for _, route in sorted(table.routes.items())
        for version in range(route.low, route.high + 1)
    ]


def frames(apis: list[tuple[ApiKey, int]], dice: Random) -> Iterator[bytes]:
    """Without end: frames with their sizes, most of them broken."""
    while True:
        for key, version in apis:
            body = random_message(codec.request_class(key), version, dice)
            whole = codec.encode_request(key, version, dice.getrandbits(31), "fuzz", body)[4:]
            yield from _broken(key, whole, dice)


def cut_everywhere(apis: list[tuple[ApiKey, int]], dice: Random) -> Iterator[bytes]:
    """One frame of each API and version, cut at every byte."""
    for key, version in apis:
        body = random_message(codec.request_class(key), version, dice)
        whole = codec.encode_request(key, version, dice.getrandbits(31), "fuzz", body)[4:]
        for size in range(len(whole)):
            yield sized(whole[:size])


def sized(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


def _broken(key: ApiKey, whole: bytes, dice: Random) -> Iterator[bytes]:
    yield sized(whole[: dice.randrange(len(whole))])
    if key in CONTROLLERS or key in OWN:
        return
    at = dice.randrange(8, max(len(whole) - 4, 9))
    yield sized(whole[:at] + LARGEST + whole[at + 4 :])
    yield sized(whole[:at] + TEN_BYTES + whole[at + 1 :])
    changed = bytearray(whole)
    for _ in range(dice.randint(1, 4)):
        changed[dice.randrange(8, len(changed))] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
    yield sized(bytes(changed))
    yield (len(whole) + dice.choice((1, 1000, 1 << 20, 1 << 30))).to_bytes(4, "big") + whole
    yield dice.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", b"GET / HTTP/1.1\r\n\r\n"))
