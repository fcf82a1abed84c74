"""SaslAuthenticate, API 36 (org.apache.kafka.common.message.SaslAuthenticateRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BYTES, INT16, INT64, STRING, f, message


@message(key=ApiKey.SASL_AUTHENTICATE, versions="0-2", flexible="2+")
class SaslAuthenticateRequest:
    auth_bytes: bytes = f(BYTES, "0+")


@message(key=ApiKey.SASL_AUTHENTICATE, versions="0-2", flexible="2+")
class SaslAuthenticateResponse:
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+")
    auth_bytes: bytes = f(BYTES, "0+")
    session_lifetime_ms: int = f(INT64, "1+")
