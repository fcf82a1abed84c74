"""Asks two brokers the same and finds where their answers differ, but for ids, ports, times and the order of lists."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from broker.wire import codec
from broker.wire.keys import ApiKey
from broker.wire.messages.api_versions import ApiVersionsRequest
from broker.wire.schema import Array, Kind, shape_of

MEMBER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
REASON = re.compile(r"(Failed to elect leader for partition [^ :]+).*")
"""Apache names a Java class, we say which replicas there are."""
MASKED = {"port", "session_id", "producer_id", "cluster_id", "total_bytes", "usable_bytes"}
NOT_COMPARED = {"documentation", "is_default"}
"""Of settings: the words are our own; version 0 of 3.9 says false of every default, up to 2.6 and here it says true."""


class Known(NamedTuple):
    """Stands in a row for what an earlier reply brought."""

    name: str


class Row(NamedTuple):
    """One request in some versions (None: all that both serve). ``keep``: what later rows need of the last reply."""

    label: str
    key: ApiKey
    fields: dict[str, Any]
    versions: Sequence[int] | None = None
    keep: Mapping[str, Callable[[Any], Any]] = MappingProxyType({})


class Line:
    """A connection that sends one request at a time, and comes back when it was closed."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._socket: socket.socket | None = None
        self.known: dict[str, Any] = {}

    def ranges(self) -> dict[int, tuple[int, int]]:
        asked = ApiVersionsRequest(client_software_name="kops", client_software_version="1")
        reply = self._exchange(codec.encode_request(ApiKey.API_VERSIONS, 3, 1, "kops", asked))
        assert reply is not None
        told = codec.decode_response(ApiKey.API_VERSIONS, 3, reply)[1].api_keys
        return {each.api_key: (each.min_version, each.max_version) for each in told}

    def ask(self, row: Row, version: int) -> Any:
        """The answer in plain form; None: the connection was closed; ValueError: this version cannot say it."""
        body = self._message(codec.request_class(row.key), row.fields)
        payload = self._exchange(codec.encode_request(row.key, version, 7, "kops", body))
        if payload is None:
            return None
        correlation_id, reply = codec.decode_response(row.key, version, payload)
        assert codec.encode_response(row.key, version, correlation_id, reply)[4:] == payload
        for name, of in row.keep.items():
            self.known[name] = of(reply)
        return self._plain("", reply, version)

    def send(self, frame: bytes) -> bytes | None:
        """The reply's payload to any bytes, None if the connection was closed; it is not used again."""
        answer = self._exchange(frame)
        self.close()
        return answer

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, frame: bytes) -> bytes | None:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, 20)
        try:
            self._socket.sendall(frame)
            (size,) = struct.unpack(">i", self._read(4))
            return self._read(size)
        except ConnectionError:
            self.close()
            return None

    def _read(self, size: int) -> bytes:
        assert self._socket is not None
        found = b""
        while len(found) < size:
            part = self._socket.recv(size - len(found))
            if not part:
                raise ConnectionError
            found += part
        return found

    def _message(self, cls: type[Any], fields: dict[str, Any]) -> Any:
        types = {field.name: field.type for field in shape_of(cls).fields}
        return cls(**{name: self._value(types[name], value) for name, value in fields.items()})

    def _value(self, type_: Any, value: Any) -> Any:
        if isinstance(value, Known):
            return self.known[value.name]
        if isinstance(type_, Array) and value is not None:
            return [self._value(type_.element, each) for each in value]
        return self._message(type_, value) if isinstance(value, dict) and not isinstance(type_, Kind) else value

    def _plain(self, name: str, value: Any, version: int) -> Any:
        if isinstance(value, list):
            found = [self._plain(name, each, version) for each in value]
            return sorted(found, key=repr) if found and isinstance(found[0], dict) and name != "synonyms" else found
        if hasattr(type(value), "SHAPE"):
            fields = [field.name for field in shape_of(type(value)).fields if field.in_version(version)]
            return {
                each: self._plain(each, getattr(value, each), version) for each in fields if each not in NOT_COMPARED
            }
        if name in MASKED or (isinstance(value, UUID) and value.int):
            return "masked" if value not in (0, -1) else value
        return REASON.sub(r"\1", MEMBER.sub("id", value)) if isinstance(value, str) else value


def differences(apache: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Ours may say why where Apache's says nothing."""
    if isinstance(apache, dict) and isinstance(ours, dict):
        for name in apache:
            yield from differences(apache[name], ours[name], f"{path}.{name}")
    elif isinstance(apache, list) and isinstance(ours, list) and len(apache) == len(ours):
        for index, pair in enumerate(zip(apache, ours, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif apache != ours and not (apache is None and path.endswith("error_message")):
        yield f"{path}: Apache {apache!r:.300}, ours {ours!r:.300}"


def compare(apache: Line, ours: Line, rows: Sequence[Row]) -> tuple[int, dict[str, list[str]]]:
    """How many answers were compared, and by row what differed."""
    theirs, served = apache.ranges(), ours.ranges()
    compared, found = 0, dict[str, list[str]]()
    for row in rows:
        low, high = max(theirs[row.key][0], served[row.key][0]), min(theirs[row.key][1], served[row.key][1])
        for version in range(low, high + 1) if row.versions is None else row.versions:
            try:
                pair = apache.ask(row, version), ours.ask(row, version)
            except ValueError:
                continue
            compared += 1
            wrong = [f"v{version}{each}" for each in differences(*pair)]
            found.setdefault(row.label, []).extend(wrong)
    return compared, {label: wrong for label, wrong in found.items() if wrong}
