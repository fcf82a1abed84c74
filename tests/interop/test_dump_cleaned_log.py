"""Apache Kafka's own DumpLogSegments reads segments that our cleaner wrote."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from broker.wire import batch as batches
from tests.interop.test_dump_log import COMPLAINT, dump, libs
from tests.storage.cleaning import Compacted, data, found

__all__ = ["libs"]

pytestmark = pytest.mark.timeout(120)

GAPS = re.compile(r"Non-consecutive offsets in .*\n(?:.* is followed by .*\n)+")
"""What the tool says of every compacted log, Apache's own included."""


async def cleaned(path: Path) -> Compacted:
    """Every kind of batch that a cleaner leaves: untouched, filtered under each codec, empty, with a horizon."""
    kit = Compacted(path, segment_bytes=6_000, index_interval_bytes=400, min_cleanable_dirty_ratio=0.0)
    await kit.open()
    for turn in range(30):
        kit.clock.now_ms += 100
        for codec in range(5):
            pairs = [(f"k{codec}-{number % (turn + 2)}", f"{turn}" * 40) for number in range(5)]
            kit.put(*pairs, (f"gone-{turn}", None), codec=codec)
        kit.put((f"idempotent-{turn % 3}", "x"), producer_id=7, producer_epoch=0, base_sequence=turn)
        kit.put(
            *(("in a transaction", "x"), (f"t{turn % 7}", "x")),
            producer_id=8,
            producer_epoch=0,
            base_sequence=turn * 2,
            attributes=batches.TRANSACTIONAL,
        )
        kit.mark(8, commit=turn % 3 != 0)
        if turn == 20:
            kit.put(("idempotent-1", "later"))
            kit.roll()
            await kit.clean()
    kit.put(("in a transaction", "no more"))
    kit.roll()
    await kit.clean()
    return kit


async def test_cleaned_segments(libs: Path, tmp_path: Path) -> None:
    kit = await cleaned(tmp_path)
    log = kit.log
    shapes = found(log)
    assert any(head.attributes & batches.DELETE_HORIZON for head, _ in shapes)
    assert {head.codec for head, _ in shapes} == set(range(5))
    expected = [record.offset for _, records in shapes for record in records]
    values = data(log)
    log.seal()
    await kit.dirs.stop()
    files = [
        each
        for each in sorted((tmp_path / "t-0").iterdir())
        if each.suffix in {".log", ".index", ".timeindex", ".snapshot"}
    ]
    assert len([each for each in files if each.suffix == ".index" and each.stat().st_size]) > 2
    out = dump(libs, "--deep-iteration", "--print-data-log", "--files", ",".join(map(str, files)))
    plain = GAPS.sub("", out.replace("isvalid: true", ""))
    assert not COMPLAINT.findall(plain), [line for line in plain.splitlines() if COMPLAINT.search(line)][:5]
    assert [int(each) for each in re.findall(r"^\| offset: (\d+)", out, re.MULTILINE)] == expected
    assert out.count("keySize: -1") == 0
    assert len(re.findall(r"^\| .* key: ", out, re.MULTILINE)) == len(values)


async def test_the_indexes_of_cleaned_segments_pass_the_sanity_check(libs: Path, tmp_path: Path) -> None:
    kit = await cleaned(tmp_path)
    kit.log.seal()
    await kit.dirs.stop()
    indexes = ",".join(str(each) for each in sorted((tmp_path / "t-0").glob("*index")) if each.stat().st_size)
    assert dump(libs, "--index-sanity-check", "--files", indexes).count("passed sanity check") == indexes.count("/t-0/")
    assert not COMPLAINT.search(dump(libs, "--verify-index-only", "--files", indexes))
