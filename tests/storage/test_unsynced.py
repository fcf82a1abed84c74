"""What a sync that failed left behind is written anew: only the tails of logs, the same bytes, and once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from broker.host import real_host
from broker.storage import unsynced
from tests.storage.support import FailingFiles

BASES = (0, 100, 200, 300)


def written(directory: Path) -> tuple[Path, Path]:
    """A partition's directory, and one that holds on to the files that it has now."""
    log, before = directory / "t-0", directory / "before"
    log.mkdir()
    before.mkdir()
    for base in BASES:
        path = log / f"{base:020d}.log"
        path.write_bytes(os.urandom(unsynced.CHUNK + base if base == 200 else base))
        os.utime(path, (1_600_000_000 + base, 1_600_000_000 + base))
        os.link(path, before / path.name)
    return log, before


def are_anew(log: Path, before: Path) -> list[bool]:
    """Of each segment whether it is another file now; its bytes and its age must not have changed."""
    found = []
    for old in sorted(before.iterdir()):
        new = log / old.name
        assert new.read_bytes() == old.read_bytes()
        assert new.stat().st_mtime == old.stat().st_mtime
        found.append(not new.samefile(old))
    return found


@pytest.mark.parametrize(
    ("recovery_point", "expected"),
    [(0, [1, 1, 1, 1]), (100, [1, 1, 1, 1]), (101, [0, 1, 1, 1]), (250, [0, 0, 1, 1]), (900, [0, 0, 0, 1])],
)
async def test_segments_that_reach_beyond_the_recovery_point_are_written_anew(
    tmp_path: Path, recovery_point: int, expected: list[bool]
) -> None:
    log, before = written(tmp_path)
    (log / f"{200:020d}.log.tmp").write_bytes(b"of an earlier attempt")
    (log / f"{200:020d}.index").write_bytes(b"index")
    await unsynced.rewrite(real_host(), str(log), recovery_point)
    assert are_anew(log, before) == expected
    assert (log / f"{200:020d}.index").read_bytes() == b"index"


async def test_a_mark_is_there_until_it_is_taken_away(tmp_path: Path) -> None:
    files, path = real_host().files, str(tmp_path)
    assert not unsynced.is_marked(files, path)
    unsynced.mark(files, path)
    unsynced.mark(files, path)
    assert unsynced.is_marked(files, path)
    await unsynced.unmark(files, path)
    assert not unsynced.is_marked(files, path)


def test_a_disk_that_takes_no_mark_either_is_no_error(tmp_path: Path) -> None:
    files = FailingFiles(1)
    unsynced.mark(files, str(tmp_path))
    assert files.calls == 1
    assert not unsynced.is_marked(files, str(tmp_path))
