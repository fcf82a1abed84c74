"""Envelope, API 58 (org.apache.kafka.common.message.EnvelopeRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BYTES, INT16, f, message


@message(key=ApiKey.ENVELOPE, versions="0", flexible="0+")
class EnvelopeRequest:
    request_data: bytes = f(BYTES, "0+")
    request_principal: bytes | None = f(BYTES, "0+", nullable="0+")
    client_host_address: bytes = f(BYTES, "0+")


@message(key=ApiKey.ENVELOPE, versions="0", flexible="0+")
class EnvelopeResponse:
    response_data: bytes | None = f(BYTES, "0+", nullable="0+", default=None)
    error_code: int = f(INT16, "0+")
