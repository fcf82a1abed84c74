"""One log directory as its logs see it: doors, open files, and whom to tell (the LogDirFailureChannel's place)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from broker.host import Dice, Files, LogDirFailed
from broker.storage.segment import OpenFiles

if TYPE_CHECKING:
    from broker.storage.log import Log


class LogDir:
    """Shared by all logs under ``path``. The callbacks are assigned by ``LogDirs``; alone they do little."""

    __slots__ = (
        "checkpoint_recovery",
        "dice",
        "files",
        "is_offline",
        "lost",
        "on_failed",
        "on_truncated",
        "open_files",
        "path",
        "remove_later",
        "request_flush",
    )

    def __init__(self, path: str, files: Files, dice: Dice, open_files: OpenFiles | None = None) -> None:
        self.path = path
        self.files = files
        self.dice = dice
        self.open_files = OpenFiles(512) if open_files is None else open_files
        self.is_offline = False
        self.lost: dict[tuple[str, int], int] = {}
        """High watermarks of partitions that should lie here, and do not."""
        self.on_failed: Callable[[LogDir, OSError], None] = _ignore_failure
        self.checkpoint_recovery: Callable[[], Awaitable[None]] = _no_checkpoint
        self.on_truncated: Callable[[Log], None] = _ignore_flush
        self.request_flush: Callable[[Log], None] = _ignore_flush
        self.remove_later: Callable[[Sequence[str], int], None] = self._remove_now

    def fail(self, error: OSError) -> NoReturn:
        """Take the directory offline for ``error`` and raise LogDirFailed."""
        if not self.is_offline:
            self.is_offline = True
            self.on_failed(self, error)
        raise LogDirFailed(self.path, error) from error

    def __enter__(self) -> LogDir:
        """``with log_dir:`` an OSError inside takes the directory offline and becomes LogDirFailed."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        if isinstance(error, OSError):
            self.fail(error)

    def check_online(self) -> None:
        """Raises LogDirFailed once the directory is offline."""
        if self.is_offline:
            raise LogDirFailed(self.path, OSError("the log directory is offline"))

    def _remove_now(self, paths: Sequence[str], delay_ms: int) -> None:
        for path in paths:
            self.files.unlink(path)


def _ignore_failure(log_dir: LogDir, error: OSError) -> None:
    """For logs that are opened without a LogDirs: LogDirFailed says it all."""


def _ignore_flush(log: Log) -> None:
    """For logs that are opened without a LogDirs: nobody flushes."""


async def _no_checkpoint() -> None:
    """For logs that are opened without a LogDirs: there is no checkpoint to be wrong."""
