"""Which names Kafka takes for a topic."""

from __future__ import annotations

import pytest

from broker.admin.topic_names import check_collision, check_name
from broker.wire.errors import KafkaError


@pytest.mark.parametrize("name", ["a", "a.b_c-D9", "x" * 249, "...", "__consumer_offsets"])
def test_a_legal_name_is_taken(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "the empty string is not allowed"),
        (".", "'.' is not allowed"),
        ("..", "'..' is not allowed"),
        ("x" * 250, "longer than the max allowed length 249"),
        ("a b", "one or more characters other than ASCII alphanumerics"),
        ("tür", "one or more characters other than ASCII alphanumerics"),
        ("a\n", "one or more characters other than ASCII alphanumerics"),
    ],
)
def test_an_illegal_name_is_refused_in_kafkas_words(name: str, words: str) -> None:
    with pytest.raises(KafkaError) as raised:
        check_name(name)
    assert raised.value.code == 17
    assert words in str(raised.value)


def test_names_that_would_share_their_metrics_collide() -> None:
    check_collision("a.b", ["a.b", "a.c"])
    with pytest.raises(KafkaError, match="'a.b' collides with existing topics: a_b"):
        check_collision("a.b", ["a_b", "c"])
