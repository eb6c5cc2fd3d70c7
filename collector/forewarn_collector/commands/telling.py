"""Where tickets go: `destination test`, and `outbox list / replay / drop`."""

from typing import Annotated, assert_never

import typer

from forewarn_collector import clock
from forewarn_collector.commands.entry import ACTOR
from forewarn_collector.commands.frame import (
    HERE,
    NOT_WELL,
    WRONG_USE,
    AsJson,
    Directory,
    fail,
    print_json,
    print_table,
    say,
    tells_trouble,
)
from forewarn_collector.destinations import all_destinations, all_profiles, asked_for
from forewarn_collector.instance import find, opened_state, read_settings
from forewarn_collector.outbox import Courier
from forewarn_collector.state import audit, retelling
from forewarn_collector.state import outbox as rows
from forewarn_collector.tickets import Delivered, Refused, TryAgain

destinations = typer.Typer(help="Where tickets go.", no_args_is_help=True)
outbox = typer.Typer(help="What is still to be told.", no_args_is_help=True)

STATES = ("queued", "dead", "delivered", "dropped")
Ids = Annotated[list[str], typer.Argument(help="Ids from `outbox list`.")]


@destinations.command("test")
@tells_trouble
def try_out(
    name: Annotated[str, typer.Argument(help="Its name in collector.toml.")],
    as_json: AsJson = False,
    directory: Directory = HERE,
) -> None:
    """Send one made-up ticket to a destination and tell what it answered.

    Exit code 1: it was not taken.
    """
    directory = find(directory)
    entries = read_settings(directory).config.destinations
    wanted = [entry for entry in entries if entry.name == name]
    if not wanted:
        known = ", ".join(entry.name for entry in entries) or "none"
        fail(f"there is no destination {name!r} in collector.toml; there are: {known}", WRONG_USE)
    with opened_state(directory) as database:
        courier = Courier(database, wanted)
        try:
            delivery = courier.try_out(name, clock.now())
        finally:
            courier.close()
    match delivery:
        case Delivered(reference):
            told, well = f"{name} took it" + (f" as {reference}" if reference else ""), True
        case TryAgain(reason):
            told, well = f"{name} could not be reached or was busy: {reason}", False
        case Refused(reason):
            told, well = f"{name} refused it: {reason}", False
        case _:
            assert_never(delivery)
    if as_json:
        print_json({"name": name, "delivered": well, "told": told})
    elif well:
        say(told)
    if not well:
        fail(told, NOT_WELL)


@destinations.command()
@tells_trouble
def kinds(
    kind: Annotated[str | None, typer.Argument(help="Tell what this kind asks for.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the kinds of places tickets can go, or what one of them asks for."""
    if kind is None:
        profiles = all_profiles()
        told = [
            (name, profiles[name].name, profiles[name].proven or "not yet proven")
            if name in profiles
            else (name, "Any address, by Standard Webhooks 1.0", "its verifier")
            for name in all_destinations()
        ]
        if as_json:
            print_json({"kinds": [dict(zip(_KIND, one, strict=True)) for one in told]})
        else:
            print_table(("kind", "system", "proven against"), told)
        return
    if kind not in all_destinations():
        fail(f"there is no kind {kind!r}; there are: {', '.join(all_destinations())}", WRONG_USE)
    asked = list(asked_for(all_destinations()[kind].config))
    if as_json:
        print_json({"kind": kind, "keys": [dict(zip(_KEY, one, strict=True)) for one in asked]})
    else:
        print_table(("key", "default", "what"), asked)


_KIND = ("kind", "system", "proven")
_KEY = ("key", "default", "help")


@outbox.command("list")
@tells_trouble
def list_rows(
    state: Annotated[
        list[str] | None,
        typer.Option(help="queued, dead, delivered or dropped; may be repeated."),
    ] = None,
    destination: Annotated[str | None, typer.Option(help="Only of this destination.")] = None,
    as_json: AsJson = False,
    directory: Directory = HERE,
) -> None:
    """List messages, the oldest first; without --state what is queued or was given up."""
    for wanted in state or ():
        if wanted not in STATES:
            fail(f"--state is one of {', '.join(STATES)}", WRONG_USE)
    with opened_state(find(directory)) as database, database.read() as connection:
        found = rows.find(
            connection, states=tuple(state or ("queued", "dead")), destination=destination
        )
    if as_json:
        print_json(
            {
                "rows": [
                    {
                        "id": row.id,
                        "destination": row.destination,
                        "ticket": row.ticket_number,
                        "kind": str(row.kind),
                        "state": row.state,
                        "attempts": row.attempts,
                        "created_at": clock.rfc3339(row.created_at),
                        "next_at": clock.rfc3339(row.next_at),
                        "last_answer": row.last_answer,
                    }
                    for row in found
                ]
            }
        )
        return
    print_table(
        ("id", "destination", "ticket", "kind", "state", "attempts", "last answer"),
        [
            (
                row.id,
                row.destination,
                f"#{row.ticket_number}",
                str(row.kind),
                row.state,
                str(row.attempts),
                row.last_answer,
            )
            for row in found
        ],
    )


@outbox.command()
@tells_trouble
def replay(ids: Ids, directory: Directory = HERE) -> None:
    """Queue messages again that were given up or dropped, under their old ids."""
    now = clock.now()
    with opened_state(find(directory)) as database, database.write() as connection:
        done = rows.replay(connection, ids, now)
        audit.record(connection, now, ACTOR, "outbox.replay", "", {"ids": [*ids], "done": done})
    _report(done, len(ids), "queued again", "given up or dropped")


@outbox.command()
@tells_trouble
def drop(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids from `outbox list`.")] = None,
    destination: Annotated[
        str | None, typer.Option(help="All of this one, also when it is not configured any more.")
    ] = None,
    directory: Directory = HERE,
) -> None:
    """Give up messages that are queued or dead: they will not be sent."""
    if not ids and destination is None:
        fail("name the ids to drop, or --destination NAME for all of one", WRONG_USE)
    now = clock.now()
    with opened_state(find(directory)) as database, database.write() as connection:
        ids = [*(ids or ()), *(retelling.ids_of(connection, destination) if destination else ())]
        done = rows.drop(connection, ids, now)
        audit.record(connection, now, ACTOR, "outbox.drop", "", {"ids": [*ids], "done": done})
    _report(done, len(ids), "dropped", "queued or given up")


def _report(done: int, asked: int, verb: str, needed: str) -> None:
    if done < asked:
        fail(f"{done} of {asked} were {verb}; the others are not {needed}", NOT_WELL)
    say(f"{done} {verb}")
