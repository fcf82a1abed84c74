"""From views to events: who led before, which cells changed, when the clock of a timeline starts."""

from tests.tui.canned import NOON, WHOLE, WITHOUT_TWO, view
from tui.history import HIGHLIGHT_MS, QUIET_MS, Event, History, condensed, letter


def failed_over() -> History:
    history = History()
    history.observe(view())
    history.observe(view(brokers=(1, 3), at=NOON + 5800))
    history.observe(view(WITHOUT_TWO, (1, 3), at=NOON + 5810))
    return history


def test_the_first_view_tells_nothing() -> None:
    assert History().observe(view()) == []


def test_a_failover_is_told_in_order() -> None:
    texts = [f"{event.subject}: {event.text}" for event in failed_over().events]
    assert texts == [
        "broker 2: left the cluster (not registered any more)",
        "orders-0: leader epoch 0 → 1",
        "orders-0: ISR 1,2,3 → 1,3",
        "orders-1: leader 2 → 3 (epoch 3 → 4)",
        "orders-1: ISR 1,2,3 → 1,3",
        "orders-2: leader epoch 1 → 2",
        "orders-2: ISR 1,2,3 → 1,3",
    ]


def test_who_led_before_and_how_often_things_changed_is_remembered() -> None:
    history = failed_over()
    assert history.led_before == {"orders-1": 2}
    assert (history.leader_changes, history.isr_changes) == (1, 3)


def test_a_cell_shows_what_it_was_for_some_seconds() -> None:
    history = failed_over()
    assert history.was("orders-1", "leader", NOON + 6000) == "2"
    assert history.was("orders-1", "b2", NOON + 6000) == "L*"
    assert history.was("orders-1", "leader", NOON + 5810 + HIGHLIGHT_MS) is None
    assert history.was("audit-0", "leader", NOON + 6000) is None


def test_the_first_loss_starts_the_clock() -> None:
    history = failed_over()
    assert history.trigger is not None
    assert (history.trigger.subject, history.trigger.at) == ("broker 2", NOON + 5800)


def test_what_was_done_here_starts_the_clock_and_later_losses_belong_to_it() -> None:
    history = History()
    history.observe(view())
    history.note(Event(NOON + 100, "trigger", "broker 2", "kill (by you)"))
    history.observe(view(brokers=(1, 3), at=NOON + 5800))
    assert history.trigger is not None and history.trigger.text == "kill (by you)"
    assert [event.at - history.trigger.at for event in history.timeline(10)] == [0, 5700]


def test_a_loss_after_a_time_of_quiet_starts_a_new_clock() -> None:
    history = failed_over()
    history.observe(view(brokers=(1, 2, 3), at=NOON + 10_000))
    history.observe(view(brokers=(2, 3), at=NOON + 5800 + QUIET_MS + 1))
    assert history.trigger is not None and history.trigger.subject == "broker 1"


def test_a_broker_that_comes_back_says_for_how_long_it_was_away() -> None:
    history = failed_over()
    history.observe(view(WITHOUT_TWO, (1, 2, 3), at=NOON + 7800))
    assert history.events[-1].text == "registered after 2.0 s"


def test_a_process_that_ended_is_away_though_it_is_still_registered() -> None:
    killed = view(stopped=(2,))
    assert letter(WHOLE[2], 2, view().present) == "L*"
    assert letter(WHOLE[2], 2, killed.present) == "x*"


def test_what_happens_to_many_partitions_at_once_takes_one_line() -> None:
    lines = [f"{event.subject}: {event.text}" for event in condensed(failed_over().events)]
    assert lines == [
        "broker 2: left the cluster (not registered any more)",
        "orders-0 and 1 more: leader epoch 0 → 1",
        "orders-0 and 2 more: ISR 1,2,3 → 1,3",
        "orders-1: leader 2 → 3 (epoch 3 → 4)",
    ]


def test_what_happens_to_one_partition_twice_takes_two_lines() -> None:
    twice = [Event(NOON + n, "leader", "orders-0", text) for n, text in enumerate(("1 → none", "none → 2"))]
    assert condensed(twice) == twice


def test_topics_that_come_and_go_are_told() -> None:
    history = History()
    history.observe(view(WHOLE[:1]))
    history.observe(view(WHOLE[:2], at=NOON + 1))
    history.observe(view(WHOLE[1:2], at=NOON + 2))
    assert [(event.subject, event.text) for event in history.events] == [
        ("orders-0", "created: leader 1, ISR 1,2,3"),
        ("audit-0", "deleted"),
    ]
