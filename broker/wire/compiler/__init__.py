"""Makes the reader and the writer of a message in one version (org.apache.kafka.message.MessageDataGenerator).

A codec is Python source, compiled at first use: one function per (class, version), nested structs unrolled into loops,
neighbouring fixed-size fields read or written by one struct call. A reader never trusts a length or a count beyond the
bytes there are: running out raises IndexError or struct.error, which ``broker.wire.codec`` turns into Malformed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from broker.wire.compiler.reading import ReaderSource
from broker.wire.compiler.writing import PartsWriterSource, WriterSource
from broker.wire.schema import Shape


def reader(shape: Shape, version: int) -> Callable[[Any, int, int], tuple[Any, int]]:
    """``read(buffer, position, end) -> (message, position behind it)``."""
    found = shape.readers.get(version)
    if found is None:
        found = shape.readers[version] = ReaderSource(version, shape.is_flexible(version)).compile(shape)
    return found


def writer(shape: Shape, version: int) -> Callable[[Any, bytearray], None]:
    """``write(message, out)`` appends the message to ``out``."""
    found = shape.writers.get(version)
    if found is None:
        found = shape.writers[version] = WriterSource(version, shape.is_flexible(version)).compile(shape)
    return found


def parts_writer(shape: Shape, version: int) -> Callable[[Any, bytearray, list[Any]], None]:
    """``write(message, out, parts)`` leaves the message in ``parts``, large records among them as they are."""
    found = shape.parts_writers.get(version)
    if found is None:
        found = shape.parts_writers[version] = PartsWriterSource(version, shape.is_flexible(version)).compile(shape)
    return found
