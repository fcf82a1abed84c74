"""Damaged records are fetched from another replica (Kafka has no such thing: a damaged leader serves what it has).

A hole of the log (``storage/damage``) is asked for as a consumer asks, from the leader or, if that is us, from the
followers, who answer below their high watermark (KIP-392). What is committed is the same on every replica, so it may
take the place of what was damaged here whoever leads, now and later; nothing is truncated for it, and no leadership and
no ISR changes. What is not committed yet cannot be had so: it is asked for until it is, or until it was cut off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from broker.cluster.metadata_cache import MetadataCache
from broker.cluster.peers import Line, Peers, PeerUnreachable
from broker.config import KafkaConfig
from broker.host import Clock, LogDirFailed
from broker.storage.damage import accept, holes_of, mend
from broker.storage.replacing import Replacement
from broker.storage.segment import Hole, Segment
from broker.wire import batch as batches
from broker.wire.batch import HEADER_SIZE, Buffer
from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic

if TYPE_CHECKING:
    from broker.replication.hosted import HostedPartition

logger = logging.getLogger(__name__)

FROM_FOLLOWERS: Final = 11
"""The version of Fetch from which on followers answer consumers."""
MOST_BYTES: Final = 1 << 20
TIMEOUT_SECONDS: Final = 10.0
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 2.0
HOPELESS_PAUSE_SECONDS: Final = 30.0
"""Where whoever was asked has it not: nobody waits for it any more."""


class _CannotTell(Exception):
    """This replica cannot say now what it has."""


class Repairs:
    """One task per damaged partition; ``is_hosted`` tells whether it is still ours."""

    def __init__(
        self,
        config: KafkaConfig,
        clock: Clock,
        peers: Peers,
        metadata: MetadataCache,
        is_hosted: Callable[[HostedPartition], bool],
    ) -> None:
        self._config = config
        self._clock = clock
        self._peers = peers
        self._metadata = metadata
        self._is_hosted = is_hosted
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}

    def begin(self, hosted: HostedPartition) -> None:
        """Mend what is damaged in its log, unless that is being done."""
        key = hosted.topic, hosted.index
        if key not in self._tasks:
            task = self._tasks[key] = asyncio.ensure_future(self._mend_all(hosted))
            task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def stop(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _mend_all(self, hosted: HostedPartition) -> None:
        pause = FIRST_PAUSE_SECONDS
        try:
            while self._is_hosted(hosted) and (holes := holes_of(hosted.log)):
                for segment, hole in holes:
                    if await self._mend(hosted, segment, hole):
                        pause = FIRST_PAUSE_SECONDS
                        break
                else:
                    await self._clock.sleep(pause)
                    hopeless = all(hole.is_hopeless for _, hole in holes)
                    pause = min(2 * pause, HOPELESS_PAUSE_SECONDS if hopeless else LONGEST_PAUSE_SECONDS)
        except LogDirFailed:
            return

    async def _mend(self, hosted: HostedPartition, segment: Segment, hole: Hole) -> bool:
        """Whether the hole is gone, or smaller; whoever was asked in vain makes it hopeless, until somebody is back."""
        told_all = True
        for source in self._sources(hosted):
            line = self._connect(source)
            if line is None:
                told_all = False
                continue
            try:
                if await self._mend_from(hosted, segment, hole, line):
                    return True
            except (PeerUnreachable, _CannotTell) as reason:
                logger.info("%s: %s cannot be had from broker %d: %s", hosted, hole, source, reason)
                told_all = False
            finally:
                line.close()
        if told_all and hole.position == hole.end:
            logger.error("%s: nobody has records in %s: they are passed over", hosted, hole)
            accept(hosted.log, segment, hole)
            return True
        if told_all and not hole.is_hopeless:
            hole.is_hopeless = True
            logger.error("%s: nobody has %s: told as CORRUPT_MESSAGE from now on", hosted, hole)
        return False

    async def _mend_from(self, hosted: HostedPartition, segment: Segment, hole: Hole, line: Line) -> bool:
        log = hosted.log
        records = await self._ask(hosted, hole.first, line)
        if not self._is_hosted(hosted) or segment.holes.get(hole.position) is not hole or segment not in log.segments:
            return True
        if not records:
            return False
        with log.dir:
            if mend(log, segment, hole, records):
                return True
            if hole.position == hole.end and batches.header(records).base_offset >= hole.following:
                return False  # that replica has nothing there either
            replacement = Replacement(log, segment, hole)
            if not replacement.is_possible:
                replacement.give_up()
                return False
            return await self._replace(hosted, replacement, line)

    async def _replace(self, hosted: HostedPartition, replacement: Replacement, line: Line) -> bool:
        complete = False
        try:
            while not replacement.is_complete:
                if not replacement.take(await self._ask(hosted, replacement.offset, line)):
                    return False
            complete = True
        finally:
            if not complete:
                replacement.give_up()
        return await replacement.put()

    async def _ask(self, hosted: HostedPartition, offset: int, line: Line) -> Buffer:
        """What that broker has from ``offset`` on; nothing: it has none of it. Raises PeerUnreachable, _CannotTell."""
        wanted = FetchPartition(
            partition=hosted.index,
            current_leader_epoch=hosted.partition.leader_epoch,
            fetch_offset=offset,
            partition_max_bytes=MOST_BYTES,
        )
        request = FetchRequest(
            replica_id=-1,
            max_wait_ms=500,
            min_bytes=1,
            max_bytes=MOST_BYTES,
            session_epoch=-1,
            topics=[FetchTopic(topic=hosted.topic, partitions=[wanted])],
        )
        reply: FetchResponse = await line.send(ApiKey.FETCH, FROM_FOLLOWERS, request, TIMEOUT_SECONDS)
        for topic in reply.responses:
            for data in topic.partitions:
                if data.error_code in (ErrorCode.OFFSET_OUT_OF_RANGE, ErrorCode.CORRUPT_MESSAGE):
                    return b""
                records = data.records or b""
                if data.error_code or len(records) < HEADER_SIZE:
                    raise _CannotTell(f"error {data.error_code}, high watermark {data.high_watermark}")
                return records
        raise _CannotTell(f"error {reply.error_code}")

    def _sources(self, hosted: HostedPartition) -> list[int]:
        """Whom to ask, the leader and those in sync first."""
        partition, ours = hosted.partition, self._config.broker_id
        return [
            each
            for each in dict.fromkeys((partition.leader, *partition.isr, *partition.replicas))
            if each not in (-1, ours)
        ]

    def _connect(self, broker_id: int) -> Line | None:
        endpoint = self._metadata.endpoint(broker_id, self._config.inter_broker_listener())
        if endpoint is None:
            return None
        return self._peers.line(broker_id, endpoint.host, endpoint.port, f"broker-{self._config.broker_id}-repairs")
