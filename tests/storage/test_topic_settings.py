"""Topic settings that few meet, each by what it does to a log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from broker.config import InvalidTopicConfig, LogConfig
from broker.config.keys import MAX_LONG
from broker.wire import batch as batches
from broker.wire.compression import Codec
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.records import read_all
from tests.storage.support import NOW, append, batch, contents, new_log

TEXT = [b"%d" % (number * number) + b" words that come again and again, and some that do not" for number in range(400)]


def kept(path: Path, **config: Any) -> int:
    """How large the batch of TEXT is when it has been kept; it must be whole."""
    path.mkdir()
    log = new_log(path, **config)
    log.append_as_leader(batch(TEXT), 0, NOW)
    found = contents(log)
    assert [record.value for record in read_all(found)] == TEXT
    log.close()
    return len(found)


@pytest.mark.parametrize(("codec", "low", "high"), [("gzip", 1, 9), ("zstd", -50, 19)])
def test_a_codec_is_told_its_level(tmp_path: Path, codec: str, low: int, high: int) -> None:
    fast, small = (
        kept(tmp_path / str(level), compression_type=codec, **{f"compression_{codec}_level": level})
        for level in (low, high)
    )
    assert small < fast < kept(tmp_path / "plain")


def test_lz4_and_snappy_are_kept_and_uncompressed_undoes_what_a_producer_compressed(tmp_path: Path) -> None:
    plain = kept(tmp_path / "plain", compression_type="uncompressed")
    assert kept(tmp_path / "lz4", compression_type="lz4", compression_lz4_level=17) < plain
    assert kept(tmp_path / "snappy", compression_type="snappy") < plain
    log = new_log(tmp_path, compression_type="uncompressed")
    log.append_as_leader(batch(TEXT, codec=Codec.GZIP), 0, NOW)
    [(_, head)] = batches.headers(contents(log))
    assert (head.codec, head.size) == (Codec.NONE, plain)
    log.close()


@pytest.mark.parametrize(("level", "allowed"), [("0", False), ("10", False), ("-1", True), ("1", True), ("9", True)])
def test_gzip_has_levels_1_to_9_and_one_of_its_own_choice(level: str, allowed: bool) -> None:
    if allowed:
        LogConfig.of().with_overrides({"compression.gzip.level": level})
    else:
        with pytest.raises(InvalidTopicConfig, match="Value must be between 1 and 9 or equal to -1"):
            LogConfig.of().with_overrides({"compression.gzip.level": level})


@pytest.mark.parametrize(
    ("settings", "before", "after"),
    [
        ({}, MAX_LONG, MAX_LONG),
        ({"message_timestamp_difference_max_ms": 500}, 500, 500),
        ({"message_timestamp_difference_max_ms": 500, "message_timestamp_before_max_ms": 900}, 900, 500),
        ({"message_timestamp_difference_max_ms": 500, "message_timestamp_after_max_ms": 100}, 500, 100),
    ],
)
def test_bounds_of_timestamps_and_the_older_setting_where_the_newer_is_not_set(
    tmp_path: Path, settings: dict[str, int], before: int, after: int
) -> None:
    log = new_log(tmp_path, **settings)
    for stamp, allowed in (
        (NOW - 400, True),
        (NOW - 600, before > 600),
        (NOW - 1000, before > 1000),
        (NOW + 50, True),
        (NOW + 300, after > 300),
        (NOW + 1000, after > 1000),
    ):
        if allowed:
            log.append_as_leader(batch(timestamp=stamp), 0, NOW)
        else:
            with pytest.raises(KafkaError) as refused:
                log.append_as_leader(batch(timestamp=stamp), 0, NOW)
            assert refused.value.code == ErrorCode.INVALID_TIMESTAMP
    log.close()


def test_a_full_index_and_an_age_less_some_jitter_roll_a_segment(tmp_path: Path) -> None:
    log = new_log(tmp_path, segment_index_bytes=24, index_interval_bytes=0)
    append(log, *[1] * 9)
    assert len(log.segments) > 2
    log.close()
    (tmp_path / "aged").mkdir()
    aged = new_log(tmp_path / "aged", segment_ms=1000, segment_jitter_ms=1000)
    assert 0 <= aged.segments[0].jitter_ms < 1000
    aged.segments[0].jitter_ms = 900
    append(aged, 1, timestamp=NOW)
    append(aged, 1, timestamp=NOW + 90)
    assert len(aged.segments) == 1
    append(aged, 1, timestamp=NOW + 110)
    assert len(aged.segments) == 2
    aged.close()
