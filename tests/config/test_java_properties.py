"""The .properties format as java.util.Properties has it."""

from __future__ import annotations

import pytest

from broker.java_properties import BadEscape, Entry, parse, written


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("a=b", "a", "b"),
        ("a = b ", "a", "b "),
        ("a:b", "a", "b"),
        ("a b", "a", "b"),
        ("  a\t=\f:b", "a", ":b"),
        ("a", "a", ""),
        ("a==b", "a", "=b"),
        (r"a\=b\ c\:d=e", "a=b c:d", "e"),
        ("a=b\\\n   c", "a", "bc"),
        ("a=b\\\\", "a", "b\\"),
        ("a=b\\\n# c", "a", "b# c"),
        (r"a=\t\n\q\u00e9", "a", "\t\nqé"),
        (r"a=\ud83d\ude00", "a", "\U0001f600"),
        ("a=\x85\x1cb", "a", "\x85\x1cb"),
    ],
)
def test_an_entry(text: str, name: str, value: str) -> None:
    assert parse(text) == [Entry(name, value, 1)]


def test_lines_count_whatever_ends_them_and_comments_are_none() -> None:
    text = "# a\n! b=c\r\n\r\n  # d\ra=1\n\nb=2\\\n  3\nc=4"
    assert parse(text) == [Entry("a", "1", 5), Entry("b", "23", 7), Entry("c", "4", 9)]


def test_of_a_name_given_twice_both_are_told() -> None:
    assert [entry.text for entry in parse("a=1\na=2")] == ["1", "2"]


@pytest.mark.parametrize("text", [r"a=\u12", r"a=\u12g4", "\\u=1"])
def test_an_escape_without_its_digits_is_refused(text: str) -> None:
    with pytest.raises(BadEscape, match="four hexadecimal digits") as told:
        parse(f"b=1\n{text}")
    assert (told.value.line, told.value.text) == (2, text)


def test_what_is_written_is_read() -> None:
    entries = {"a b": " = : # ! \\ ", "é": "\t\n\U0001f600", "cluster.id": "Ab-_1", "empty": ""}
    text = written(entries)
    assert text.isascii()
    assert {entry.name: entry.text for entry in parse(text)} == entries
    assert written({"b": "2", "a": "1"}) == "a=1\nb=2\n"
