"""Plays for sessions: time-outs to the millisecond, passwords, ids."""

from __future__ import annotations

from broker.zookeeper.sessions import Sessions


def sessions() -> Sessions:
    return Sessions(b"k" * 32, 4000, 40_000)


def test_time_outs_are_kept_within_bounds() -> None:
    assert [sessions().negotiate(asked) for asked in (1, -5, 10**9, 6000)] == [4000, 4000, 40_000, 6000]


def test_a_session_ends_after_its_time_out_and_not_before() -> None:
    all_of_them = sessions()
    all_of_them.open(1, 4000, now=100.0)
    assert all_of_them.due(103.999) == []
    assert all_of_them.due(104.0) == [1]


def test_a_packet_puts_the_end_off() -> None:
    all_of_them = sessions()
    session = all_of_them.open(1, 4000, now=100.0)
    all_of_them.touch(session, 103.0)
    assert all_of_them.due(104.0) == []
    assert all_of_them.next_deadline() == 107.0
    assert all_of_them.due(107.0) == [1]


def test_a_closed_session_is_never_due() -> None:
    all_of_them = sessions()
    all_of_them.open(1, 4000, now=0.0)
    all_of_them.close(1)
    assert all_of_them.due(1000.0) == []
    assert all_of_them.next_deadline() is None


def test_coming_back_with_a_shorter_time_out_counts() -> None:
    all_of_them = sessions()
    all_of_them.open(1, 40_000, now=0.0)
    all_of_them.open(1, 4000, now=1.0)
    assert all_of_them.due(5.0) == [1]
    all_of_them.close(1)
    assert all_of_them.due(100.0) == []


def test_passwords_survive_a_restart_and_belong_to_one_session() -> None:
    before, after, other = sessions(), sessions(), Sessions(b"x" * 32, 4000, 40_000)
    password = before.password(7)
    assert len(password) == 16
    assert after.is_password(7, password)
    assert not after.is_password(8, password)
    assert not other.is_password(7, password)
    assert not after.is_password(7, None)


def test_ids_never_repeat_even_if_the_clock_goes_back() -> None:
    before = sessions()
    first, second = before.next_id(1_000_000), before.next_id(1_000_000)
    assert second == first + 1
    assert first >> 56 == 1
    after = sessions()
    after.seen(second)
    assert after.next_id(5) == second + 1
    assert after.next_id(2_000_000) > second + 1
