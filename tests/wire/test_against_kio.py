"""kio, an independent implementation, reads what we write and we read what it writes: every API and version it has."""

from __future__ import annotations

import dataclasses
import io
from datetime import UTC, datetime, timedelta
from importlib import import_module
from random import Random
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from kio.schema.errors import ErrorCode
from kio.serial import entity_reader, entity_writer

from broker.wire import codec
from broker.wire.keys import ApiKey, newest_version
from broker.wire.schema import Array, Kind, shape_of
from tests.wire.random_messages import random_message

CASES = [(key, kind) for key in ApiKey for kind in ("request", "response")]


def kio_class(key: ApiKey, version: int, kind: str) -> type | None:
    """kio's class, or None where it has none (it knows no inter-broker control requests and no removed versions)."""
    try:
        module: ModuleType = import_module(f"kio.schema.{key.name.lower()}.v{version}.{kind}")
    except ModuleNotFoundError:
        return None
    cls = codec.request_class(key) if kind == "request" else codec.response_class(key)
    found: type = getattr(module, cls.__name__)
    return found


def to_kio(message: Any, cls: Any, version: int) -> Any:
    """Fields correspond by position: kio has those of one version, in the order of the wire."""
    ours = [field for field in shape_of(type(message)).fields if field.in_version(version)]
    theirs = {field.name: field for field in dataclasses.fields(cls)}
    assert len(ours) == len(theirs), (cls, [field.name for field in ours], list(theirs))
    module = import_module(cls.__module__)
    values = {}
    for field, (name, description) in zip(ours, theirs.items(), strict=True):
        value = getattr(message, field.name)
        element = field.type.element if isinstance(field.type, Array) else field.type
        if not isinstance(element, Kind) and value is not None:
            inner = getattr(module, element.__name__.removeprefix("Request").removeprefix("Response"), None)
            inner = inner or getattr(module, element.__name__)
            many = isinstance(value, list)
            value = tuple(to_kio(each, inner, version) for each in value) if many else to_kio(value, inner, version)
        elif isinstance(value, list):
            value = tuple(_scalar(each, description.metadata["kafka_type"]) for each in value)
        else:
            value = _scalar(value, description.metadata.get("kafka_type", ""))
        values[name] = value
    return cls(**values)


def _scalar(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "error_code":
        return ErrorCode(value)
    if kind.startswith("timedelta"):
        return timedelta(milliseconds=value)
    if kind == "datetime_i64":
        return datetime.fromtimestamp(value / 1000, UTC)
    if isinstance(value, UUID):
        return value if value.int else None
    return value


@pytest.mark.parametrize(("key", "kind"), CASES, ids=lambda value: getattr(value, "name", value))
def test_kio_and_we_agree_on_every_version_it_has(key: ApiKey, kind: str) -> None:
    cls = codec.request_class(key) if kind == "request" else codec.response_class(key)
    judged = 0
    for version in range(newest_version(key) + 1):
        theirs = kio_class(key, version, kind)
        if theirs is None:
            continue
        judged += 1
        for seed in range(8):
            message = random_message(cls, version, Random(f"{key} {kind} {version} {seed}"))
            entity = to_kio(message, theirs, version)
            written = io.BytesIO()
            entity_writer(theirs)(written, entity)
            assert codec.read(cls, version, written.getvalue()) == message
            ours = codec.write(message, version)
            assert ours == written.getvalue()
            found, size = entity_reader(theirs)(ours, 0)
            assert (found, size) == (entity, len(ours))
    if not judged:
        pytest.skip(f"kio has no {key.name}")
