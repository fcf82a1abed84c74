"""Records as lines and as NDJSON: what goes out comes back in, byte for byte."""

import asyncio
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kops.cluster.records import Record
from kops.commands import record
from kops.errors import BadUsage
from kops.render.records import LineForm, LineReader, as_csv, as_json, from_json

maybe_bytes = st.none() | st.binary(max_size=40) | st.text(max_size=20).map(str.encode)
records = st.builds(
    Record,
    key=maybe_bytes,
    value=maybe_bytes,
    headers=st.lists(st.tuples(st.text(max_size=8), maybe_bytes), max_size=3).map(tuple),
    timestamp=st.none() | st.integers(0, 2**41),
    partition=st.integers(0, 99),
)


@given(records)
def test_ndjson_is_loss_less(record: Record) -> None:
    line = as_json(record)
    assert "\n" not in line
    assert from_json(line.encode(), 1) == record


def test_null_is_not_empty_and_bytes_that_are_no_text_are_base64() -> None:
    content = json.loads(as_json(Record(key=None, value=b"", headers=(("h", b"\xff"),))))
    assert (content["key"], content["value"]) == (None, "")
    assert content["headers"] == [{"key": "h", "value": {"base64": "/w=="}}]


def test_a_record_in_csv_is_quoted_and_null_is_empty() -> None:
    record = Record(None, b'a,"b"\nc', (("h", b"\xff"),), 5, 2, "t", 9)
    assert as_csv(record) == 't,2,9,5,,"a,""b""\nc","[{""key"":""h"",""value"":{""base64"":""/w==""}}]"'


@pytest.mark.parametrize("line", [b"not json", b"[]", b'{"value":7}', b'{"value":{"base64":"!"}}', b'{"headers":[{}]}'])
def test_what_is_not_a_record_is_named_by_its_line(line: bytes) -> None:
    with pytest.raises(BadUsage, match="line 7"):
        from_json(line, 7)


def test_a_line_is_printed_as_apaches_console_consumer_prints_it() -> None:
    record = Record(b"k", b"v", (("h", b"1"), ("n", None)), 5, 2, "t", 9)
    everything = LineForm(key=True, timestamp=True, partition=True, offset=True, headers=True)
    assert everything.line(record) == b"CreateTime:5\tPartition:2\tOffset:9\th:1,n:null\tk\tv\n"
    assert LineForm(key=True, key_separator=b"=").line(Record(None, b"v")) == b"null=v\n"
    assert LineForm(headers=True).line(Record(None, b"v")) == b"NO_HEADERS\tv\n"
    assert LineForm().line(Record(b"k", None)) == b"null\n"


def test_a_typed_line_is_read_as_apaches_console_producer_reads_it() -> None:
    assert LineReader().record(b"a\tb", 1) == Record(None, b"a\tb")
    assert LineReader(key_separator=b":").record(b"a:b:c", 1) == Record(b"a", b"b:c")
    assert LineReader(parse_headers=True, key_separator=b":").record(b"h:1,g:2\ta:b", 1) == Record(
        b"a", b"b", (("h", b"1"), ("g", b"2"))
    )
    assert LineReader(key_separator=b":", null_marker=b"NULL").record(b"k:NULL", 1) == Record(b"k", None)


def test_a_line_without_its_separator_is_refused_unless_errors_are_ignored() -> None:
    with pytest.raises(BadUsage, match="line 3"):
        LineReader(key_separator=b":").record(b"nokey", 3)
    assert LineReader(key_separator=b":", ignore_error=True).record(b"nokey", 3) == Record(None, b"nokey")


def test_waiting_for_a_typed_line_can_be_given_up() -> None:
    """Ctrl-c is enough; asyncio would wait for a thread of its own until somebody types another line."""
    readable, writable = os.pipe()

    async def give_up() -> None:
        async with asyncio.timeout(0.05):
            await record._read(readable)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    os.write(writable, b"one more\n")
    os.close(writable)
    assert asyncio.run(record._read(readable)) in (b"", b"one more\n")
