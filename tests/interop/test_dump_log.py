"""Apache Kafka's own DumpLogSegments reads what we write, without complaint (facts E.11)."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from broker.storage.log import Log
from broker.wire import batch as batches
from broker.wire.records import ControlRecord, Record, build_batch, control_batch
from tests.storage.support import NOW, append, contents, idempotent, new_log, reopen

HOME = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kops-interop"
VERSIONS = ("3.9.1", "2.6.3")
COMPLAINT = re.compile(r"mismatch|invalid|isvalid: false|exception|error|out of order|consecutive", re.IGNORECASE)
CONFIG = {"segment_bytes": 5_000, "index_interval_bytes": 500}

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(params=VERSIONS)
def libs(request: pytest.FixtureRequest) -> Path:
    found = HOME / f"kafka-{request.param}" / "libs"
    if not found.is_dir():
        pytest.skip(f"Apache Kafka {request.param} is not in {found}; scripts/interop-setup brings it")
    return found


def dump(libs: Path, *arguments: str) -> str:
    """DumpLogSegments' output. ``arguments`` are its own."""
    command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{libs}/*"]
    done = subprocess.run(
        [*command, "kafka.tools.DumpLogSegments", *arguments], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def judge(libs: Path, log: Log) -> str:
    """Dump every file of the log; nothing may be complained of."""
    log.seal()
    log.close()
    files = [
        path
        for path in sorted(Path(log.directory).iterdir())
        if path.suffix in {".log", ".index", ".timeindex", ".snapshot"}
    ]
    assert len([path for path in files if path.suffix == ".index" and path.stat().st_size]) > 2
    out = dump(libs, "--deep-iteration", "--print-data-log", "--files", ",".join(map(str, files)))
    assert not COMPLAINT.findall(out.replace("isvalid: true", "")), [
        line for line in out.splitlines() if COMPLAINT.search(line)
    ][:5]
    return out


def leader_log(path: Path) -> Log:
    """Every kind of batch: plain, each codec, idempotent, transactional with a marker, over several epochs."""
    log = new_log(path, **CONFIG)
    for round_ in range(10):
        append(log, 1, 7, epoch=round_ // 2, timestamp=NOW + round_ * 100, value=150)
        for codec in range(1, 5):
            records = [
                Record(0, NOW + round_ * 100 + codec, b"key", b"value %d " % codec * 40, (("h", b"x"), ("n", None)))
            ] * 5
            log.append_as_leader(build_batch(records, base_offset=0, codec=codec), round_ // 2, NOW)
        log.append_as_leader(idempotent(round_ * 3, 3, timestamp=NOW + round_ * 100), round_ // 2, NOW)
    return log


def test_segments_of_a_leader(libs: Path, tmp_path: Path) -> None:
    log = leader_log(tmp_path)
    out = judge(libs, log)
    assert len(log.segments) > 2
    assert out.count("compresscodec: ") + out.count("compresscodec ") >= 70
    found = [int(each) for each in re.findall(r"^\| offset: (\d+)", out, re.MULTILINE)]
    assert found == list(range(log.log_end_offset))


def test_segments_of_a_follower_with_transactions(libs: Path, tmp_path: Path) -> None:
    log = leader_log(tmp_path / "leader")
    follower = new_log(tmp_path / "follower", **CONFIG)
    follower.append_as_follower(contents(log))
    base = follower.log_end_offset
    data = idempotent(0, 4, producer_id=9, attributes=batches.TRANSACTIONAL, base_offset=base)
    follower.append_as_follower(data + control_batch(base + 4, 9, 0, ControlRecord(True, 3), NOW + 5000, 6))
    out = judge(libs, follower)
    assert "endTxnMarker: COMMIT" in out
    assert "producerId: 9" in out


def test_segments_after_a_crash_and_a_truncation(libs: Path, tmp_path: Path) -> None:
    log = leader_log(tmp_path)
    log.close()
    path = Path(log.segments[-1].path(".log"))
    path.write_bytes(path.read_bytes()[:-10])
    again = reopen(tmp_path, config=CONFIG)
    assert again.log_end_offset < log.log_end_offset
    again.truncate_to(again.log_end_offset - 10)
    append(again, 2, 3, epoch=9, timestamp=NOW + 9000)
    judge(libs, again)


def test_the_index_sanity_check_passes(libs: Path, tmp_path: Path) -> None:
    log = leader_log(tmp_path)
    log.seal()
    log.close()
    indexes = sorted(path for path in Path(log.directory).glob("*index") if path.stat().st_size)
    out = dump(libs, "--index-sanity-check", "--files", ",".join(map(str, indexes)))
    assert out.count("passed sanity check") == len(indexes)
    assert not COMPLAINT.search(dump(libs, "--verify-index-only", "--files", ",".join(map(str, indexes))))
