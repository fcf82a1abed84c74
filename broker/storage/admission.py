"""What bytes must be before a log takes them, from a client or a leader (UnifiedLog.analyzeAndValidateRecords)."""

from __future__ import annotations

from collections.abc import Iterator

from broker.storage.results import UnexpectedAppendOffset
from broker.wire import batch as batches
from broker.wire.batch import HEADER_SIZE, BatchHeader, Buffer
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.records import read_control


def leader_header(records: Buffer) -> BatchHeader:
    """The header of what a leader is to append.

    Raises KafkaError UNSUPPORTED_FOR_MESSAGE_FORMAT for magic 0 and 1 (not converted), CORRUPT_MESSAGE if too short.
    """
    if len(records) > batches.MAGIC_AT and batches.magic_at(records) < 2:
        message = "record batches of magic 0 and 1 are not converted"
        raise KafkaError(ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT, message)
    if len(records) < HEADER_SIZE:
        message = f"record batch of {len(records)} bytes is shorter than its header"
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, message)
    return batches.header(records)


def follower_batches(records: Buffer, log_end_offset: int, name: str) -> list[tuple[int, BatchHeader]]:
    """(position, header) of each whole batch that a leader sent; a cut trailing one is left out.

    ``name`` is the partition, for the errors: KafkaError CORRUPT_MESSAGE for a bad CRC or size,
    UNSUPPORTED_FOR_MESSAGE_FORMAT for magic 0 and 1; UnexpectedAppendOffset for offsets that do not ascend from the
    log end.
    """
    found: list[tuple[int, BatchHeader]] = []
    at, end, expected = 0, len(records), log_end_offset
    while end - at > batches.MAGIC_AT:
        if batches.magic_at(records, at) != 2:
            message = f"{name}: magic {batches.magic_at(records, at)} from the leader"
            raise KafkaError(ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT, message)
        size = batches.size_at(records, at)
        if size < HEADER_SIZE:
            raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"{name}: batch of {size} bytes")
        if at + size > end:
            break
        head = batches.header(records, at)
        if head.crc != batches.computed_crc(records, at, size):
            raise KafkaError(
                ErrorCode.CORRUPT_MESSAGE, f"{name}: CRC of the batch at {head.base_offset} does not match"
            )
        if head.base_offset < expected or head.last_offset_delta < 0:
            raise UnexpectedAppendOffset(f"{name}: batch at {head.base_offset}, log end {expected}")
        if head.is_control and not has_readable_marker(records, at):
            raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"{name}: control batch at {head.base_offset} is garbled")
        expected = head.next_offset
        found.append((at, head))
        at += size
    return found


def by_segment(found: list[tuple[int, BatchHeader]], limit: int) -> Iterator[list[tuple[int, BatchHeader]]]:
    """The same batches in runs of at most ``limit`` bytes each (or one batch), for one write each."""
    run: list[tuple[int, BatchHeader]] = []
    size = 0
    for at, head in found:
        if run and size + head.size > limit:
            yield run
            run, size = [], 0
        run.append((at, head))
        size += head.size
    yield run


def has_readable_marker(records: Buffer, at: int) -> bool:
    """Whether the control batch at ``at`` holds what ``read_control`` can read."""
    try:
        read_control(records, at)
    except ValueError:
        return False
    return True
