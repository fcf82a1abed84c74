"""Random messages of any class and version, from its shape alone."""

from __future__ import annotations

from random import Random
from typing import Any
from uuid import UUID

from broker.wire import schema
from broker.wire.schema import Array, Field, Kind, shape_of

_WORDS = ("", "a", "orders", "x" * 126, "y" * 127, "z" * 200, "größe-価格-🎈")
_BITS = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}
_ERRORS = (-1, 0, 1, 3, 6, 22, 35, 56, 87, 120)


def random_message(cls: type, version: int, random: Random, *, most: int = 3) -> Any:
    """Fields that ``version`` lacks keep their defaults; lists have up to ``most`` elements."""
    return cls(
        **{
            field.name: _value(field, version, random, most)
            for field in shape_of(cls).fields
            if field.in_version(version) and not (field.is_tagged(version) and random.random() < 0.3)
        }
    )


def _value(field: Field, version: int, random: Random, most: int) -> Any:
    if field.is_nullable(version) and random.random() < 0.25:
        return None
    if field.name.endswith("error_code"):
        return random.choice(_ERRORS)
    if isinstance(field.type, Array):
        return [_plain(field.type.element, field.name, version, random, most) for _ in range(random.randint(0, most))]
    return _plain(field.type, field.name, version, random, most)


def _plain(type_: Any, name: str, version: int, random: Random, most: int) -> Any:
    if not isinstance(type_, Kind):
        return random_message(type_, version, random, most=most)
    if type_ is schema.BOOL:
        return random.random() < 0.5
    if type_ is schema.STRING:
        return random.choice(_WORDS)
    if type_ in (schema.BYTES, schema.RECORDS):
        return random.randbytes(random.choice((0, 1, 20, 126, 127, 300)))
    if type_ is schema.UUID_:
        return UUID(int=random.choice((0, random.getrandbits(128))))
    if type_ is schema.FLOAT64:
        return random.choice((0.0, -1.5, random.random()))
    if type_ is schema.UINT16:
        return random.getrandbits(16)
    if name.endswith(("_ms", "_timestamp", "timestamp")):
        return random.choice((0, 1, random.getrandbits(30)))
    bits = _BITS[type_.name]
    return random.choice((-1, 0, 1, random.getrandbits(bits), -(1 << bits), (1 << bits) - 1))
