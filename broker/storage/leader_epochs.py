"""Which leader epoch began at which offset (LeaderEpochFileCache; facts D.8, KIP-101).

Kept in ``leader-epoch-checkpoint``, rewritten at each change. The file is renamed into place without fsync: after a
power loss recovery assigns the epochs again from the batches past the recovery point, and ``Log.flush`` syncs it.
"""

from __future__ import annotations

from bisect import bisect_right

from broker.host.files import Files, sync_file, write_atomically
from broker.storage.checkpoints import LEADER_EPOCHS, CheckpointCorrupt, format_lines, read_lines

UNDEFINED_EPOCH = -1
UNDEFINED_OFFSET = -1
NEVER = 1 << 62


class LeaderEpochs:
    """Ascending (epoch, start offset). Reading calls touch no file.

    ``written``: the newest epoch in the file; -1 for none.
    """

    __slots__ = ("_directory", "_epochs", "_files", "_held", "_starts", "_unsynced", "written")

    def __init__(self, files: Files, directory: str) -> None:
        self._files = files
        self._directory = directory
        self._epochs: list[int] = []
        self._starts: list[int] = []
        self._unsynced = False
        self._held: list[tuple[int, int]] | None = None
        self.written = UNDEFINED_EPOCH

    @classmethod
    def load(cls, files: Files, directory: str) -> LeaderEpochs:
        """Read the checkpoint. Raises CheckpointCorrupt."""
        loaded = cls(files, directory)
        try:
            for epoch, start in read_lines(files, loaded._path()):
                loaded._epochs.append(int(epoch))
                loaded._starts.append(int(start))
        except ValueError as error:
            raise CheckpointCorrupt(f"{loaded._path()}: {error}") from error
        if loaded._epochs != sorted(set(loaded._epochs)) or loaded._starts != sorted(set(loaded._starts)):
            raise CheckpointCorrupt(f"{loaded._path()}: epochs or offsets do not ascend")
        loaded.written = loaded.latest
        return loaded

    def hold(self) -> None:
        """Write no change until ``release``: recovery drops and finds again most of what is there."""
        self._held = self.entries()

    def release(self) -> None:
        """Write what has changed since ``hold``, if anything."""
        before, self._held = self._held, None
        if before is not None and before != self.entries():
            self._save()

    def held(self) -> dict[int, int]:
        """Epoch -> start offset, oldest first, as the file has had it since ``hold``."""
        return dict(self._held or ())

    def moved_to(self, directory: str) -> None:
        self._directory = directory

    @property
    def latest(self) -> int:
        """The newest epoch; -1 when none is known."""
        return self._epochs[-1] if self._epochs else UNDEFINED_EPOCH

    def entries(self) -> list[tuple[int, int]]:
        """(epoch, start offset), oldest first."""
        return list(zip(self._epochs, self._starts, strict=True))

    def start_of(self, epoch: int) -> int | None:
        """Where ``epoch`` itself began; None when it left no entry."""
        at = bisect_right(self._epochs, epoch)
        return self._starts[at - 1] if at and self._epochs[at - 1] == epoch else None

    def epoch_at(self, offset: int) -> int:
        """The epoch of the record at ``offset``; -1 when unknown."""
        at = bisect_right(self._starts, offset)
        return self._epochs[at - 1] if at else UNDEFINED_EPOCH

    def run_at(self, offset: int) -> tuple[int, int]:
        """(epoch of the record at ``offset`` or -1, the offset up to which that holds)."""
        at = bisect_right(self._starts, offset)
        end = self._starts[at] if at < len(self._starts) else NEVER
        return (self._epochs[at - 1] if at else UNDEFINED_EPOCH), end

    def between(self, offset: int, end: int) -> list[int]:
        """The epochs of the records from ``offset`` to below ``end``."""
        first = max(bisect_right(self._starts, offset) - 1, 0)
        return [epoch for epoch, start in zip(self._epochs[first:], self._starts[first:], strict=True) if start < end]

    def begin(self, epoch: int, log_end: int) -> None:
        """Leadership begins. Nothing was written in this log yet: then the epoch is, with the first batch.

        An epoch without a batch may be forgotten: nobody else has anything of it either.
        """
        if self.written >= 0 or log_end > 0 or self._held is not None:
            self.assign(epoch, log_end)
        else:
            self._epochs, self._starts = [epoch], [log_end]

    def assign(self, epoch: int, start_offset: int) -> bool:
        """``epoch`` begins at ``start_offset``; whether that was news. Entries that it contradicts go.

        Called for each appended batch of a new epoch.
        """
        if epoch < 0:
            return False
        if self._epochs and self._epochs[-1] == epoch and start_offset >= self._starts[-1]:
            if self.written < epoch:
                self._save()
            return False
        while self._epochs and (self._epochs[-1] >= epoch or self._starts[-1] >= start_offset):
            self._epochs.pop()
            self._starts.pop()
        self._epochs.append(epoch)
        self._starts.append(start_offset)
        self._save()
        return True

    def end_offset_for(self, epoch: int, log_end_offset: int) -> tuple[int, int]:
        """(largest known epoch <= ``epoch``, its end offset), as OffsetForLeaderEpoch answers; (-1, -1) if unknown."""
        if epoch == UNDEFINED_EPOCH:
            return UNDEFINED_EPOCH, UNDEFINED_OFFSET
        if epoch == self.latest:
            return epoch, log_end_offset
        at = bisect_right(self._epochs, epoch)
        if at == len(self._epochs):
            return UNDEFINED_EPOCH, UNDEFINED_OFFSET
        return (self._epochs[at - 1] if at else epoch), self._starts[at]

    def truncate_from_end(self, offset: int) -> None:
        """Drop the epochs that begin at ``offset`` or after."""
        if not self._starts or self._starts[-1] < offset:
            return
        while self._starts and self._starts[-1] >= offset:
            self._epochs.pop()
            self._starts.pop()
        self._save()

    def truncate_from_start(self, offset: int) -> None:
        """The log begins at ``offset`` now: the epoch in force there begins there."""
        at = bisect_right(self._starts, offset)
        if at == 0 or (at == 1 and self._starts[0] == offset):
            return
        del self._epochs[: at - 1]
        del self._starts[: at - 1]
        self._starts[0] = offset
        self._save()

    def clear(self) -> None:
        if self._epochs:
            self._epochs.clear()
            self._starts.clear()
            self._save()

    async def sync(self) -> None:
        """Make the file durable if it changed since the last time."""
        if self._unsynced:
            self._unsynced = False
            await sync_file(self._files, self._path())
            await self._files.fsync_dir(self._directory)

    def _path(self) -> str:
        return f"{self._directory}/{LEADER_EPOCHS}"

    def _content(self) -> bytes:
        pairs = zip(self._epochs, self._starts, strict=True)
        return format_lines(f"{epoch} {start}" for epoch, start in pairs)

    def _save(self) -> None:
        if self._held is not None:
            return
        write_atomically(self._files, self._path(), self._content())
        self._unsynced = True
        self.written = self.latest
