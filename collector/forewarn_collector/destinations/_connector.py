"""Tell a ticket system of tickets, as its profile says.  One engine for all of them.

What may have arrived is looked for before it is sent again, and what was found is told nothing
before it has shown our key: a search can misread a question and answer with the tickets of others.
A close is believed when the other system shows the ticket closed.
"""

import httpx

from forewarn_collector.destinations._answers import shown_address
from forewarn_collector.destinations._looking import look
from forewarn_collector.destinations._profile import Profile
from forewarn_collector.destinations._setting import Setting, mapped, own_words, setting_of
from forewarn_collector.destinations._talk import Found, Stopped, Talk
from forewarn_collector.destinations._words import ticket_words
from forewarn_collector.tickets import (
    Delivered,
    Delivery,
    Destination,
    Kind,
    Message,
    TryAgain,
)


def connector(profile: Profile) -> Destination[Setting]:
    """Return the destination a profile makes."""
    return Destination(
        kind=profile.kind,
        config=setting_of(profile),
        deliver=lambda config, message, http, at: _deliver(profile, config, message, http, at),
        describe=lambda config: {"address": shown_address(config.url), "system": profile.name},
        resend_every=profile.resend_every,
        look=None
        if profile.answers is None
        else lambda config, known, http, at: look(profile, config, known, http, at),
        at_once=profile.answers.at_once if profile.answers and profile.answers.many else 1,
    )


def _deliver(
    profile: Profile, config: Setting, message: Message, http: httpx.Client, at: float
) -> Delivery:
    """Tell one message; never raises for what the network or the other side does."""
    words = {**own_words(profile, config), **ticket_words(profile, message, at)}
    words |= mapped(profile, config, words)
    talk = Talk(profile, config, http, at, words)
    try:
        with talk.entered():
            if profile.puts:
                return _put(talk, message)
            return _tell(talk, message)
    except Stopped as stopped:
        return stopped.delivery


def _put(talk: Talk, message: Message) -> Delivery:
    """Tell a system for which the same key is the same thing, however often it hears of it."""
    profile = talk.profile
    if message.kind is Kind.CLOSED:
        talk.do(profile.close)
        if profile.find and any(not one.closed for one in talk.search()):
            return TryAgain("it is still shown as open after the close")
    elif message.kind is Kind.UPDATED and profile.comment:
        talk.do(profile.comment)
    else:
        talk.send(profile.create)
    return Delivered()


def _tell(talk: Talk, message: Message) -> Delivery:
    """Find, then create, comment, close or reopen."""
    found = talk.search()
    mine = _choose(found, message.reference) or talk.fetch(message.reference)
    if mine is None:
        # What was never opened there, or was deleted by a person, is not opened to be closed.
        if message.kind is Kind.CLOSED:
            return Delivered(message.reference)
        reference = talk.create()
        if talk.profile.withdraw:
            made = talk.search()
            mine = _choose(made, "") or Found(reference, closed=False, twin=())
            _withdraw_twins(talk, made, mine)
            return Delivered(mine.reference)
        return Delivered(reference)
    _withdraw_twins(talk, found, mine)
    there = talk.about(mine.reference)
    match message.kind:
        case Kind.CLOSED:
            return _close(there, mine)
        case Kind.OPENED if mine.closed:
            there.do(there.profile.reopen)
        case Kind.OPENED if not message.reference:
            pass  # it is there already: the answer to its creation was lost
        case _:
            if not there.has_heard():
                there.do(there.profile.comment)
    return Delivered(mine.reference)


def _close(there: Talk, mine: Found) -> Delivery:
    """Close a ticket and see that it is closed; what a person closed is left as it is."""
    if mine.closed:
        return Delivered(mine.reference)
    there.do(there.profile.close)
    after = there.fetch(mine.reference)
    if after is not None and not after.closed:
        return TryAgain(f"{mine.reference} is still open after the close")
    return Delivered(mine.reference)


def _withdraw_twins(talk: Talk, found: list[Found], mine: Found) -> None:
    """Take back what a doubled or delayed request made beside our ticket, and only that.

    A person's ticket that quotes our key differs in its text or author, and stays.
    """
    for one in found:
        if one.closed or one.reference == mine.reference or not one.twin or one.twin != mine.twin:
            continue
        try:
            talk.about(one.reference, kept=mine.reference).do(talk.profile.withdraw)
        except Stopped as stopped:
            if isinstance(stopped.delivery, TryAgain):
                raise


def _choose(found: list[Found], reference: str) -> Found | None:
    """Return the record we know, else the one that was made first."""
    known = (one for one in found if one.reference == reference)
    return next(known, min(found, key=_age, default=None))


def _age(one: Found) -> tuple[int, str]:
    return (int(one.reference) if one.reference.isdigit() else 0, one.reference)
