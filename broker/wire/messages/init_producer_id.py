"""InitProducerId, API 22 (org.apache.kafka.common.message.InitProducerIdRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, INT32, INT64, STRING, f, message


@message(key=ApiKey.INIT_PRODUCER_ID, versions="0-5", flexible="2+")
class InitProducerIdRequest:
    transactional_id: str | None = f(STRING, "0+", nullable="0+")
    transaction_timeout_ms: int = f(INT32, "0+")
    producer_id: int = f(INT64, "3+", default=-1)
    producer_epoch: int = f(INT16, "3+", default=-1)


@message(key=ApiKey.INIT_PRODUCER_ID, versions="0-5", flexible="2+")
class InitProducerIdResponse:
    throttle_time_ms: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    producer_id: int = f(INT64, "0+", default=-1)
    producer_epoch: int = f(INT16, "0+")
