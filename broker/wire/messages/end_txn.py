"""EndTxn, API 26 (org.apache.kafka.common.message.EndTxnRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, INT16, INT32, INT64, STRING, f, message


@message(key=ApiKey.END_TXN, versions="0-4", flexible="3+")
class EndTxnRequest:
    transactional_id: str = f(STRING, "0+")
    producer_id: int = f(INT64, "0+")
    producer_epoch: int = f(INT16, "0+")
    committed: bool = f(BOOL, "0+")


@message(key=ApiKey.END_TXN, versions="0-4", flexible="3+")
class EndTxnResponse:
    throttle_time_ms: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
