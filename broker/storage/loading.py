"""Opening all logs of a directory, sharing the event loop (LogManager.loadLogs; facts E.8)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Set

from broker.config import KafkaConfig, LogConfig
from broker.host import Files, Host
from broker.host.files import write_durably
from broker.storage import checkpoints, directory_names, unsynced
from broker.storage.checkpoints import CheckpointCorrupt
from broker.storage.log import Log
from broker.storage.log_dir import LogDir
from broker.storage.recovery import Checkpointed, OldFormat, open_log

logger = logging.getLogger(__name__)

CLEAN_SHUTDOWN = ".kafka_cleanshutdown"
SLICE_SECONDS = 0.005
"""How long loading keeps the event loop before it lets others in (ZooKeeper's heartbeat among them)."""


async def load_dir(
    host: Host, config: KafkaConfig, log_dir: LogDir, config_of: Callable[[str], LogConfig]
) -> list[Log]:
    """Every log of the directory, recovered unless it was left cleanly; the clean mark is taken away first.

    Raises OSError (unsupported formats among them): the directory cannot be used.
    """
    files, path = host.files, log_dir.path
    clean = files.stat(f"{path}/{CLEAN_SHUTDOWN}") is not None
    is_marked = unsynced.is_marked(files, path)
    if clean:
        files.unlink(f"{path}/{CLEAN_SHUTDOWN}")
        await files.fsync_dir(path)
    names = _partition_dirs(host, log_dir)
    if not clean and names:
        logger.info("log dir %s was not left cleanly: recovering %d logs", path, len(names))
    try:
        present = {(topic, partition) for topic, partition, _ in names}
        points, _ = await _offsets(files, f"{path}/{checkpoints.RECOVERY_POINT}", present)
        starts, _ = await _offsets(files, f"{path}/{checkpoints.LOG_START}", present)
        watermarks, log_dir.lost = await _offsets(files, f"{path}/{checkpoints.REPLICATION}", present)
        loaded = []
        configs: dict[str, LogConfig] = {}
        resume = host.clock.monotonic() + SLICE_SECONDS
        for topic, partition, name in names:
            if topic not in configs:
                configs[topic] = config_of(topic)
            log = Log(log_dir, f"{path}/{name}", topic, partition, configs[topic])
            key = topic, partition
            if is_marked:
                await unsynced.rewrite(host, log.directory, points.get(key, 0))
            known = Checkpointed(
                clean and not is_marked,
                points.get(key, 0),
                starts.get(key, 0),
                watermarks.get(key, 0),
            )
            for _ in open_log(log, known, host.clock.wall_ms()):
                if host.clock.monotonic() >= resume:
                    await host.clock.sleep(0)
                    resume = host.clock.monotonic() + SLICE_SECONDS
            for segment in log.segments:
                segment.close()
            loaded.append(log)
    except (CheckpointCorrupt, OldFormat) as error:
        raise OSError(str(error)) from error
    if is_marked:
        await unsynced.unmark(files, path)
    return loaded


Offsets = dict[tuple[str, int], int]


async def _offsets(files: Files, path: str, present: Set[tuple[str, int]]) -> tuple[Offsets, Offsets]:
    """Those of logs that are ``present``, and those of others.

    A damaged checkpoint counts as none (Kafka takes the directory offline): the logs know better, or are checked. Lines
    of logs that are not ``present`` are taken out, durably: later logs of these names must not inherit them.
    """
    try:
        offsets = checkpoints.read_offsets(files, path)
    except CheckpointCorrupt as error:
        logger.error("%s; it counts as missing, and is written anew", error)
        return {}, {}
    known = {key: offset for key, offset in offsets.items() if key in present}
    if len(known) < len(offsets):
        await write_durably(files, path, checkpoints.format_offsets((*key, known[key]) for key in known))
    return known, {key: offset for key, offset in offsets.items() if key not in known}


def _partition_dirs(host: Host, log_dir: LogDir) -> list[tuple[str, int, str]]:
    """(topic, partition, name) of each directory to load; those that wait for deletion are scheduled for it.

    Raises OSError for a name that is no partition's: something else lives here.
    """
    found = []
    for name in host.files.listdir(log_dir.path):
        stat = host.files.stat(f"{log_dir.path}/{name}")
        if stat is None or not stat.is_dir or name in directory_names.FOREIGN:
            continue
        if name.endswith(directory_names.DELETE):
            log_dir.remove_later([f"{log_dir.path}/{name}"], 0)
        elif name.endswith(directory_names.STRAY):
            logger.warning("log dir %s: %s is left alone", log_dir.path, name)
        else:
            try:
                found.append((*directory_names.parse(name), name))
            except ValueError as error:
                raise OSError(f"{error}; move it elsewhere") from error
    return found
