"""ListTransactions, API 66 (org.apache.kafka.common.message.ListTransactionsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, INT32, INT64, STRING, array, f, message, struct


@message(key=ApiKey.LIST_TRANSACTIONS, versions="0-1", flexible="0+")
class ListTransactionsRequest:
    state_filters: list[str] = f(array(STRING), "0+")
    producer_id_filters: list[int] = f(array(INT64), "0+")
    duration_filter: int = f(INT64, "1+", default=-1)


@struct
class TransactionState:
    transactional_id: str = f(STRING, "0+")
    producer_id: int = f(INT64, "0+")
    transaction_state: str = f(STRING, "0+")


@message(key=ApiKey.LIST_TRANSACTIONS, versions="0-1", flexible="0+")
class ListTransactionsResponse:
    throttle_time_ms: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    unknown_state_filters: list[str] = f(array(STRING), "0+")
    transaction_states: list[TransactionState] = f(array(TransactionState), "0+")
