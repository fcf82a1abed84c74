"""After a sync that failed: what lies in the page cache reads well, yet no later sync writes it (no class in Kafka).

The kernel marks pages clean when they could not be written, and says so once. A broker that ends itself for it and is
started again would take them for good, sync them (which succeeds, and does nothing), tell its leader that it has them,
and lose them with its power. So the failure leaves a mark beside the logs. It need not be durable: it is in the page
cache with what it tells of, and gone with it. Whoever finds it writes the tails of all logs anew.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence

from broker.host import Files, Host

logger = logging.getLogger(__name__)

MARK = ".kops_sync_failed"
REWRITTEN = ".tmp"
"""What a crash leaves of it is removed by the load, as every such file is."""
CHUNK = 1 << 20


def mark(files: Files, log_dir: str) -> None:
    """A sync of something under ``log_dir`` failed. A disk that takes no new file either is past helping."""
    with contextlib.suppress(OSError):
        files.open(f"{log_dir}/{MARK}", create=True).close()


def is_marked(files: Files, log_dir: str) -> bool:
    return files.stat(f"{log_dir}/{MARK}") is not None


async def rewrite(host: Host, directory: str, recovery_point: int) -> None:
    """Write every segment anew that reaches beyond ``recovery_point``, and sync it. Raises OSError."""
    files = host.files
    names = [name for name in files.listdir(directory) if name.endswith(".log")]
    for name in _beyond(names, recovery_point):
        await _rewrite_file(host, f"{directory}/{name}")
    await files.fsync_dir(directory)


async def unmark(files: Files, log_dir: str) -> None:
    files.unlink(f"{log_dir}/{MARK}")
    await files.fsync_dir(log_dir)


def _beyond(names: Sequence[str], recovery_point: int) -> Sequence[str]:
    """Names begin with the base offset in twenty digits, so that they sort by it."""
    ordered = sorted(names)
    below = [name for name in ordered if name < f"{recovery_point:020d}.log"]
    return ordered[max(len(below) - 1, 0) :]


async def _rewrite_file(host: Host, path: str) -> None:
    files = host.files
    with contextlib.suppress(FileNotFoundError):
        files.unlink(path + REWRITTEN)
    before = files.stat(path)
    old, new = files.open(path), files.open(path + REWRITTEN, create=True)
    try:
        position = 0
        while chunk := old.pread(CHUNK, position):
            position += new.append(chunk)
            await host.clock.sleep(0)
        await new.sync()
    finally:
        old.close()
        new.close()
    files.rename(path + REWRITTEN, path)
    if before is not None:
        files.set_mtime(path, before.mtime_ms)
    logger.info("%s: written anew, %d bytes, since a sync had failed", path, position)
