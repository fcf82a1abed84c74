"""Records as lines, out and in: Apache's console form, and a loss-less NDJSON that ``kops produce`` reads back.

In NDJSON text is a string, null is null, and bytes that are not UTF-8 are ``{"base64": "..."}``.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kops.cluster.records import Record
from kops.errors import BadUsage
from kops.render.text import csv_lines


@dataclass(frozen=True, slots=True)
class LineForm:
    """How a record is printed on a line: Apache's ``print.*`` and separators (DefaultMessageFormatter)."""

    key: bool = False
    value: bool = True
    timestamp: bool = False
    partition: bool = False
    offset: bool = False
    headers: bool = False
    key_separator: bytes = b"\t"
    headers_separator: bytes = b","
    line_separator: bytes = b"\n"
    null: bytes = b"null"

    def line(self, record: Record) -> bytes:
        parts = []
        if self.timestamp:
            kind = b"LogAppendTime" if record.timestamp_type == 1 else b"CreateTime"
            parts.append(kind + b":%d" % record.timestamp if record.timestamp is not None else b"NO_TIMESTAMP")
        if self.partition:
            parts.append(b"Partition:%d" % (record.partition or 0))
        if self.offset:
            parts.append(b"Offset:%d" % record.offset)
        if self.headers:
            parts.append(self._headers(record))
        if self.key:
            parts.append(self.null if record.key is None else record.key)
        if self.value:
            parts.append(self.null if record.value is None else record.value)
        return self.key_separator.join(parts) + self.line_separator

    def _headers(self, record: Record) -> bytes:
        if not record.headers:
            return b"NO_HEADERS"
        return self.headers_separator.join(
            name.encode() + b":" + (self.null if value is None else value) for name, value in record.headers
        )


FIELDS = ("topic", "partition", "offset", "timestamp", "key", "value", "headers")


def as_json(record: Record) -> str:
    """One line of NDJSON with everything that a record has."""
    return _dumped(dict(zip(FIELDS, _fields(record), strict=True)))


def as_csv(record: Record) -> str:
    """One line of CSV with FIELDS: null is empty, headers and bytes that are not UTF-8 are as in NDJSON."""
    fields = [one if one is None or isinstance(one, str | int) else _dumped(one) for one in _fields(record)]
    return next(csv_lines((), [fields], headers=False))


def _fields(record: Record) -> tuple[Any, ...]:
    headers = [{"key": name, "value": _text(value)} for name, value in record.headers]
    place = record.topic, record.partition, record.offset, record.timestamp
    return (*place, _text(record.key), _text(record.value), headers)


def _dumped(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def from_json(line: bytes, number: int) -> Record:
    """The record of one line of NDJSON. Raises BadUsage naming the line."""
    try:
        content = json.loads(line)
        return Record(
            key=_bytes(content.get("key")),
            value=_bytes(content.get("value")),
            headers=tuple((str(one["key"]), _bytes(one.get("value"))) for one in content.get("headers") or ()),
            timestamp=content.get("timestamp"),
            partition=content.get("partition"),
        )
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise BadUsage(
            f"line {number} is not a record in NDJSON: {error}",
            'For example {"key":"k","value":"v","headers":[],"timestamp":1700000000000}.',
        ) from error


@dataclass(frozen=True, slots=True)
class LineReader:
    """How a typed line becomes a record: Apache's ``parse.*`` and separators (LineMessageReader)."""

    key_separator: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    parse_headers: bool = False
    headers_delimiter: bytes = b"\t"
    headers_separator: bytes = b","
    headers_key_separator: bytes = b":"
    null_marker: bytes | None = None
    ignore_error: bool = False
    partition: int | None = None

    def record(self, line: bytes, number: int) -> Record:
        """Raises BadUsage for a line that lacks a separator it must have."""
        headers, rest = self.headers, line
        if self.parse_headers:
            parsed, rest = self._cut(rest, self.headers_delimiter, number)
            headers = (*headers, *self._parsed(parsed or b"", number))
        key: bytes | None = None
        if self.key_separator is not None:
            key, rest = self._cut(rest, self.key_separator, number)
        return Record(self._null(key), self._null(rest), headers, partition=self.partition)

    def _cut(self, line: bytes, separator: bytes, number: int) -> tuple[bytes | None, bytes]:
        before, found, after = line.partition(separator)
        if found:
            return before, after
        if self.ignore_error:
            return None, line
        raise BadUsage(
            f"line {number} has no {separator.decode()!r}", "Change the separator, or --property ignore.error=true."
        )

    def _parsed(self, text: bytes, number: int) -> Iterator[tuple[str, bytes | None]]:
        if not text or text == self.null_marker:
            return
        for pair in text.split(self.headers_separator):
            name, value = self._cut(pair, self.headers_key_separator, number)
            yield (name or b"").decode(), self._null(value)

    def _null(self, value: bytes | None) -> bytes | None:
        return None if value is None or value == self.null_marker else value


def _text(value: bytes | None) -> str | dict[str, str] | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _bytes(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return base64.b64decode(value["base64"], validate=True)
    if isinstance(value, str):
        return value.encode()
    raise TypeError(f"{value!r} is neither text, null nor base64")
