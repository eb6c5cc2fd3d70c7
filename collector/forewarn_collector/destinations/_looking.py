"""Ask a ticket system how our tickets stand there, as its profile says.  Nothing is changed there.

What does not carry our key is not listened to: a number may have been given anew.
"""

from collections.abc import Iterator, Sequence

import httpx
from pydantic import JsonValue

from forewarn_collector.destinations._profile import Answers, Asking, Profile
from forewarn_collector.destinations._setting import Setting, own_words, states_of
from forewarn_collector.destinations._talk import Found, Stopped, Talk, Unreadable
from forewarn_collector.destinations._template import fill_text, read_all
from forewarn_collector.destinations._words import tag_of
from forewarn_collector.text import plain
from forewarn_collector.tickets import Known, Looked, Progress, Refused, Standing


def look(
    profile: Profile, config: Setting, known: Sequence[Known], http: httpx.Client, at: float
) -> Looked:
    """Return how those of the tickets stand that can be read."""
    answers = profile.answers
    assert answers is not None
    talk = Talk(profile, config, http, at, own_words(profile, config))
    states = states_of(profile, config)
    found: list[Standing] = []
    try:
        with talk.entered():
            for one, record in _records(talk, answers, known):
                ours = _ours(talk, one, record)
                if ours is not None:
                    progress = _progress(answers, states, profile, ours, record)
                    who = _assignee(answers, record)
                    found.append(
                        Standing(ticket_key=one.ticket_key, progress=progress, assignee=who)
                    )
    except Stopped as stopped:
        return stopped.delivery
    return tuple(found)


def _records(
    talk: Talk, answers: Answers, known: Sequence[Known]
) -> Iterator[tuple[Known, JsonValue]]:
    """Ask for every ticket, several at once where the system can; what is not there is left out."""
    if answers.many is None:
        for one in known:
            yield from ((one, record) for record in _fetched(talk, one)[:1])
        return
    by_reference = {one.reference: one for one in known}
    for start in range(0, len(known), answers.at_once):
        for record in _several(talk, answers, answers.many, known[start : start + answers.at_once]):
            reference = _reference(talk, record)
            if reference in by_reference:
                yield by_reference[reference], record


def _several(
    talk: Talk, answers: Answers, asking: Asking, batch: Sequence[Known]
) -> list[JsonValue]:
    """Ask about several tickets at once, about fewer where their texts are longer than we read."""
    named = [fill_text(answers.each, {"reference": one.reference}) for one in batch]
    try:
        return talk.saying({"references": answers.between.join(named)}).records(asking)
    except Unreadable:
        if len(batch) == 1:
            return []  # one ticket that is too long must not hide all others
        half = len(batch) // 2
        return [
            *_several(talk, answers, asking, batch[:half]),
            *_several(talk, answers, asking, batch[half:]),
        ]


def _fetched(talk: Talk, one: Known) -> list[JsonValue]:
    """Return the record of one ticket, nothing where it is gone or shut away from us."""
    fetch = talk.profile.fetch
    assert fetch is not None
    try:
        return talk.saying({"tag": tag_of(one.ticket_key)}).about(one.reference).records(fetch)
    except Stopped as stopped:
        refused = stopped.delivery
        if isinstance(refused, Refused) and refused.reason.startswith(("status 403", "status 404")):
            return []
        raise


def _ours(talk: Talk, one: Known, record: JsonValue) -> Found | None:
    """Return a record if it is the one we know, and carries our key."""
    found = talk.saying({"tag": tag_of(one.ticket_key), "key": one.ticket_key}).verified(record)
    return found if found is not None and found.reference == one.reference else None


def _reference(talk: Talk, record: JsonValue) -> str:
    how = talk.profile.record
    assert how is not None
    return next((str(one) for one in read_all(record, how.reference)), "")


def _progress(
    answers: Answers,
    states: dict[str, Progress],
    profile: Profile,
    ours: Found,
    record: JsonValue,
) -> Progress:
    assert profile.record is not None
    for state in read_all(record, answers.state or profile.record.state):
        meant = states.get(str(state).lower())
        if meant is not None:
            return meant
    return Progress.RESOLVED if ours.closed else Progress.OPEN


def _assignee(answers: Answers, record: JsonValue) -> str:
    if not answers.assignee:
        return ""
    for found in read_all(record, answers.assignee):
        if isinstance(found, str | int) and not isinstance(found, bool):
            name = plain(str(found), 100).strip()
            return "" if name in answers.nobody else name
    return ""
