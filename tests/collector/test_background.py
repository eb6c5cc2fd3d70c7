"""Repeated work goes on after a turn that failed, and stops when it is told to."""

import threading
from datetime import timedelta

from forewarn_collector.background import Task, stop_all


def test_a_turn_that_fails_does_not_end_the_work() -> None:
    """The next turn comes all the same, and the failure is counted."""
    turns, enough = [], threading.Event()

    def turn() -> None:
        turns.append(1)
        if len(turns) == 3:
            enough.set()
        raise OSError("disk full")

    task = Task("test", timedelta(milliseconds=1), turn)
    task.start()
    assert enough.wait(10)
    stop_all([task])
    assert task.failures == len(turns)


def test_work_may_have_a_last_turn() -> None:
    """What came in until the end is still judged."""
    turns, first = [], threading.Event()

    def turn() -> None:
        turns.append(1)
        first.set()

    task = Task("test", timedelta(hours=1), turn, last_turn=True)
    task.start()
    assert first.wait(10)
    stop_all([task])
    assert len(turns) == 2


def test_stopping_interrupts_the_pause_and_not_the_turn() -> None:
    """A turn under way is waited for."""
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def turn() -> None:
        begun.set()
        go.wait(10)
        ended.set()

    task = Task("test", timedelta(hours=1), turn)
    task.start()
    assert begun.wait(10)
    task.ask_to_stop()
    assert not ended.is_set()
    go.set()
    task.wait()
    assert ended.is_set()


def test_a_turn_that_had_more_to_do_comes_again_at_once() -> None:
    """A backlog is worked off without the pause between two turns; then the pause returns."""
    turns: list[int] = []
    worked_off = threading.Event()

    def turn() -> bool:
        turns.append(len(turns))
        if len(turns) == 3:
            worked_off.set()
        return len(turns) < 3

    task = Task("test", timedelta(hours=1), turn)
    task.start()
    assert worked_off.wait(10)
    task.ask_to_stop()
    task.wait()
    assert turns == [0, 1, 2]
