"""Numbers and their nouns agree."""

from kops.words import counted


def test_one_is_not_many() -> None:
    assert [counted(number, "record") for number in (0, 1, 2)] == ["0 records", "1 record", "2 records"]
    assert counted(1, "replica", "is", "are") == "1 replica is"
    assert counted(3, "replica", "is", "are") == "3 replicas are"
