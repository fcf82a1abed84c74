"""SaslHandshake, API 17 (org.apache.kafka.common.message.SaslHandshakeRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, STRING, array, f, message


@message(key=ApiKey.SASL_HANDSHAKE, versions="0-1")
class SaslHandshakeRequest:
    mechanism: str = f(STRING, "0+")


@message(key=ApiKey.SASL_HANDSHAKE, versions="0-1")
class SaslHandshakeResponse:
    error_code: int = f(INT16, "0+")
    mechanisms: list[str] = f(array(STRING), "0+")
