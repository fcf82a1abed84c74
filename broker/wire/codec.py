"""Requests and replies to and from bytes, headers included (org.apache.kafka.common.requests.RequestContext).

Buffers may be bytes, bytearray or memoryview. Trailing bytes are ignored, as Kafka does. ``records`` fields come out as
views of the buffer, all others as copies. Everything that is not as it should be raises :class:`Malformed`.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from importlib import import_module
from struct import Struct
from typing import Any, Final, NamedTuple, TypeVar

from broker.wire.compiler import parts_writer, reader, writer
from broker.wire.errors import Malformed
from broker.wire.keys import NEVER, ApiKey, flexible_from, is_flexible
from broker.wire.primitives import skip_tags
from broker.wire.schema import shape_of

M = TypeVar("M")

_HEADER: Final = Struct(">hhi")
_HEADER_AND_LENGTH: Final = Struct(">hhih")
_INT32: Final = Struct(">i")
_SIZE_AND_ID: Final = Struct(">ii")


class RequestHeader(NamedTuple):
    """``body_at`` is where the body begins in the payload (the frame without its size)."""

    api_key: int
    version: int
    correlation_id: int
    client_id: str | None
    body_at: int


def read(cls: type[M], version: int, payload: Any, pos: int = 0) -> M:
    """The message of ``cls`` in ``version`` that begins at ``pos``. Raises Malformed."""
    try:
        found: M = reader(shape_of(cls), version)(payload, pos, len(payload))[0]
    except (IndexError, struct.error):
        raise Malformed(f"{cls.__name__} v{version} ends too early, after {len(payload) - pos} bytes") from None
    return found


def write(message: object, version: int) -> bytes:
    """The bytes of ``message``. Fields that ``version`` lacks are left out; ValueError for a null it cannot carry."""
    out = bytearray()
    writer(shape_of(type(message)), version)(message, out)
    return bytes(out)


def request_class(api_key: int) -> type[Any]:
    """The class of an API's requests, imported when first asked for. Raises ValueError for an unknown key."""
    return _class(api_key, "Request")


def response_class(api_key: int) -> type[Any]:
    return _class(api_key, "Response")


@lru_cache(maxsize=256)
def _class(api_key: int, kind: str) -> type[Any]:
    name = ApiKey(api_key).name
    module = import_module(f"broker.wire.messages.{name.lower()}")
    found: type[Any] = getattr(module, "".join(word.capitalize() for word in name.split("_")) + kind)
    return found


def request_header_version(api_key: int, version: int) -> int:
    """0 for ControlledShutdown v0, 2 for flexible versions, else 1."""
    if api_key == ApiKey.CONTROLLED_SHUTDOWN and version == 0:
        return 0
    return 2 if is_flexible(api_key, version) else 1


def response_header_version(api_key: int, version: int) -> int:
    """1 for flexible versions, but for ApiVersions, whose reader may not know the version yet (KIP-511)."""
    return 1 if api_key != ApiKey.API_VERSIONS and is_flexible(api_key, version) else 0


def decode_request_header(payload: Any) -> RequestHeader:
    """The header of a request. An API that is unknown here gets one as of version 1. Raises Malformed."""
    try:
        return RequestHeader(*header_fields(payload))
    except (IndexError, struct.error):
        raise Malformed(f"request header ends too early, after {len(payload)} bytes") from None


def header_fields(payload: Any) -> tuple[int, int, int, str | None, int]:
    """The fields of a :class:`RequestHeader`, at half the price. Raises Malformed, IndexError, struct.error."""
    if payload[1] == ApiKey.CONTROLLED_SHUTDOWN:
        api_key, version, correlation_id = _HEADER.unpack_from(payload, 0)
        if api_key == ApiKey.CONTROLLED_SHUTDOWN and version == 0:
            return api_key, version, correlation_id, None, 8
    api_key, version, correlation_id, length = _HEADER_AND_LENGTH.unpack_from(payload, 0)
    if length < 0:
        pos, client_id = 10, None
    else:
        pos = 10 + length
        if pos > len(payload):
            raise Malformed(f"client id of {length} bytes, {len(payload) - 10} left")
        client_id = str(payload[10:pos], "utf-8", "replace")
    if version >= _FLEXIBLE_FROM.get(api_key, NEVER):
        tags = payload[pos]
        pos += 1
        if tags:
            pos = skip_tags(payload, pos, tags, len(payload))
    return api_key, version, correlation_id, client_id, pos


_FLEXIBLE_FROM: Final = {int(key): flexible_from(key) for key in ApiKey}


def encode_request(api_key: int, version: int, correlation_id: int, client_id: str | None, body: object) -> bytes:
    """A whole frame, size included."""
    out = bytearray(4)
    out += _HEADER.pack(api_key, version, correlation_id)
    header_version = request_header_version(api_key, version)
    if header_version:
        if client_id is None:
            out += b"\xff\xff"
        else:
            name = client_id.encode("utf-8", "replace")
            out += len(name).to_bytes(2, "big") + name
    if header_version == 2:
        out.append(0)
    writer(shape_of(type(body)), version)(body, out)
    _INT32.pack_into(out, 0, len(out) - 4)
    return bytes(out)


def decode_request(header: RequestHeader, payload: Any) -> Any:
    """The body of the request that ``header`` was read from. Raises Malformed."""
    return read(request_class(header.api_key), header.version, payload, header.body_at)


def encode_response(api_key: int, version: int, correlation_id: int, body: object) -> bytes:
    """A whole frame, size included."""
    out = bytearray(8)
    if response_header_version(api_key, version):
        out.append(0)
    writer(shape_of(type(body)), version)(body, out)
    _SIZE_AND_ID.pack_into(out, 0, len(out) - 4, correlation_id)
    return bytes(out)


def decode_response(api_key: int, version: int, payload: Any) -> tuple[int, Any]:
    """(correlation id, body) of a reply without its size. Raises Malformed."""
    try:
        (correlation_id,) = _INT32.unpack_from(payload, 0)
        pos = 4
        if response_header_version(api_key, version):
            pos = skip_tags(payload, 5, payload[4], len(payload)) if payload[4] else 5
    except (IndexError, struct.error):
        raise Malformed(f"reply header ends too early, after {len(payload)} bytes") from None
    return correlation_id, read(response_class(api_key), version, payload, pos)


def encode_response_parts(
    api_key: int, version: int, correlation_id: int, body: object
) -> tuple[bytes | bytearray | memoryview, ...]:
    """As :func:`encode_response`, with large ``records`` as parts of their own, so that they are not copied."""
    out = bytearray(8)
    if response_header_version(api_key, version):
        out.append(0)
    parts: list[bytes | bytearray | memoryview] = []
    parts_writer(shape_of(type(body)), version)(body, out, parts)
    first = parts[0]
    _SIZE_AND_ID.pack_into(first, 0, sum(map(len, parts)) - 4, correlation_id)
    return tuple(parts)
