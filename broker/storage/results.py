"""What a log's calls return and raise (LogAppendInfo, FetchDataInfo, AppendOrigin)."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from broker.wire.batch import Buffer


class Origin(IntEnum):
    """Who appends (AppendOrigin): only a client's records are walked, sequences checked, control batches refused."""

    CLIENT = 0
    COORDINATOR = 1


class AppendInfo(NamedTuple):
    """What an append did. ``log_append_time`` is -1 for CreateTime. ``size`` is in bytes, 0 for a duplicate.

    A ``duplicate`` (an idempotent producer's retry, facts G.2) carries the offsets and timestamp of the original, the
    latter as ``log_append_time`` too (so does Kafka's); nothing was written. The producer is answered with
    ``first_offset``, ``log_append_time``, ``log_start_offset``; acks=all waits for a high watermark past
    ``last_offset`` all the same.
    """

    first_offset: int
    last_offset: int
    max_timestamp: int
    log_append_time: int
    log_start_offset: int
    size: int
    records: int
    duplicate: bool


class ReadResult(NamedTuple):
    """Whole batches from the one that was asked for on; none at the end of what may be read.

    ``goes_on_at``: the offset behind them, where they were cut for their size, else -1.
    """

    records: Buffer
    goes_on_at: int = -1


class UnexpectedAppendOffset(Exception):
    """A leader sent batches that begin below the follower's log end (UnexpectedAppendOffsetException)."""
