"""When a batch leaves: after a little company, not too often, at once when something changed."""

import threading
from datetime import timedelta

from forewarn_agent.config import Sending
from forewarn_agent.sender import Plan, Sender, Tried

SENDING = Sending()  # settles for 2 s, leaves every 10 s at most


def test_a_batch_leaves_two_seconds_after_a_run() -> None:
    assert Plan().after_run(100.0, SENDING, urgent=False).due() == 102.0


def test_a_second_run_does_not_delay_the_first() -> None:
    plan = Plan().after_run(100.0, SENDING, urgent=False).after_run(101.5, SENDING, urgent=False)
    assert plan.due() == 102.0


def test_batches_are_ten_seconds_apart() -> None:
    plan = Plan(sent_at=100.0).after_run(103.0, SENDING, urgent=False)
    assert plan.due() == 110.0


def test_what_changed_goes_at_once() -> None:
    plan = Plan(sent_at=100.0).after_run(103.0, SENDING, urgent=False)
    assert plan.after_run(104.0, SENDING, urgent=True).due() == 104.0


def test_even_what_changed_waits_while_the_collector_asks_for_patience() -> None:
    plan = Plan().after_sending(100.0, Tried(sent=True, wait_seconds=30, more=True))
    assert plan.after_run(104.0, SENDING, urgent=True).due() == 130.0


def test_a_backlog_leaves_without_pause_and_then_it_is_quiet() -> None:
    sent = Plan().sending(100.0)
    assert sent.after_sending(101.0, Tried(sent=True, more=True)).due() == 101.0
    assert sent.after_sending(101.0, Tried(sent=True)).due() == float("inf")


def test_a_run_taken_while_a_batch_is_on_its_way_leaves_with_the_next() -> None:
    plan = Plan().sending(100.0).after_run(100.5, SENDING, urgent=False)
    assert plan.after_sending(101.0, Tried(sent=True)).due() == 110.0


def test_an_attempt_with_nothing_to_send_delays_no_batch() -> None:
    plan = Plan().sending(100.0).after_sending(100.0, Tried())
    assert plan.after_run(101.0, SENDING, urgent=False).due() == 103.0


def test_the_sender_ships_what_waits_and_once_more_when_stopped() -> None:
    shipped = threading.Semaphore(0)

    def ship() -> Tried:
        shipped.release()
        return Tried(sent=True)

    at_once = Sending(settle=timedelta(0), every=timedelta(0))
    sender = Sender(ship, lambda: at_once)
    sender.start()
    assert shipped.acquire(timeout=5), "what an earlier process left"
    sender.run_waits(urgent=False)
    assert shipped.acquire(timeout=5), "a new run"
    sender.stop(5.0)
    assert shipped.acquire(timeout=5), "the last words"
    assert not sender.is_alive()


def test_a_collector_that_asked_for_patience_is_not_bothered_with_last_words() -> None:
    shipped = threading.Semaphore(0)

    def ship() -> Tried:
        shipped.release()
        return Tried(sent=True, wait_seconds=3600, more=True)

    sender = Sender(ship, lambda: SENDING)
    sender.start()
    assert shipped.acquire(timeout=5)
    sender.stop(5.0)
    assert not shipped.acquire(blocking=False)
