"""ExpireDelegationToken, API 40 (org.apache.kafka.common.message.ExpireDelegationTokenRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BYTES, INT16, INT32, INT64, f, message


@message(key=ApiKey.EXPIRE_DELEGATION_TOKEN, versions="0-2", flexible="2+")
class ExpireDelegationTokenRequest:
    hmac: bytes = f(BYTES, "0+")
    expiry_time_period_ms: int = f(INT64, "0+")


@message(key=ApiKey.EXPIRE_DELEGATION_TOKEN, versions="0-2", flexible="2+")
class ExpireDelegationTokenResponse:
    error_code: int = f(INT16, "0+")
    expiry_timestamp_ms: int = f(INT64, "0+")
    throttle_time_ms: int = f(INT32, "0+")
