"""Let hosts and people in: `token create` and `user create`."""

import re
import secrets
import sys
from datetime import timedelta
from typing import Annotated

import typer
from pydantic import JsonValue

from forewarn_checks.base.durations import parse_duration, write_duration
from forewarn_collector import clock, packages
from forewarn_collector.api.principal import Role
from forewarn_collector.commands.frame import (
    HERE,
    WRONG_USE,
    AsJson,
    Directory,
    fail,
    note,
    print_json,
    say,
    tells_trouble,
)
from forewarn_collector.instance import (
    enrolment_string,
    find,
    opened_state,
    read_pepper,
    read_settings,
)
from forewarn_collector.selector import HOST_CLASSES
from forewarn_collector.state import audit
from forewarn_collector.state.hosts import find_client, place
from forewarn_collector.state.people import NameTaken, create_user
from forewarn_collector.tokens import TTL, keep_token, new_token, token_hash

# Also who a change is put down to in the audit log: whoever may run this has the whole folder.
ACTOR = "command line"
LONGEST_TTL = timedelta(days=30)
SHORTEST_PASSWORD = 12
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_TTL = write_duration(TTL)
_TAG = re.compile(r"[\w.-]{1,60}")

tokens = typer.Typer(help="Strings that let hosts in.", no_args_is_help=True)
users = typer.Typer(help="People with a login.", no_args_is_help=True)


@tokens.command("create")
@tells_trouble
def create_token(
    client: Annotated[
        str, typer.Option(help="Whose hosts; made when there is none yet.")
    ] = "default",
    site: Annotated[
        str, typer.Option(help="Where they are; made when there is none yet.")
    ] = "main",
    host_class: Annotated[
        str, typer.Option("--class", help="server, workstation or roaming.")
    ] = "server",
    tag: Annotated[
        list[str] | None, typer.Option(help="A tag for the hosts; may be repeated.")
    ] = None,
    max_uses: Annotated[int, typer.Option(min=1, max=100_000, help="How many hosts.")] = 1,
    ttl: Annotated[
        str, typer.Option(metavar="DURATION", help="How long it is good, e.g. 30m, 2h, 7d.")
    ] = _TTL,
    as_json: AsJson = False,
    directory: Directory = HERE,
) -> None:
    """Print a string that enrols a host: forewarn-agent enrol STRING.

    It is a secret until it is used up or has expired; only here is it ever shown.
    """
    directory = find(directory)
    tags = tuple(dict.fromkeys(tag or ()))
    _check_names(client, site, host_class, tags)
    lasts = _lasts(ttl)
    url = read_settings(directory).config.url
    if not url:
        fail("collector.toml names no url; write where agents reach this collector", WRONG_USE)
    token, now = new_token(), clock.now()
    hashed = token_hash(read_pepper(directory), token)
    with opened_state(directory) as database, database.write() as connection:
        where = place(connection, client, site, now)
        token_id = keep_token(
            connection,
            hashed,
            where,
            now,
            host_class=host_class,
            tags=tags,
            max_uses=max_uses,
            ttl=lasts,
            created_by=ACTOR,
        )
        data: dict[str, JsonValue] = {"client": client, "site": site, "max_uses": max_uses}
        audit.record(connection, now, ACTOR, "token.create", token_id, data)
    string = enrolment_string(directory, url, token)
    offered = any(packages.default_folder().glob("*.txt"))
    line = packages.install_line(directory, url, string) if offered else ""
    expires = clock.rfc3339(now + lasts)
    if as_json:
        print_json(
            {
                "id": token_id,
                "enrolment": string,
                "install": line,
                "client": client,
                "site": site,
                "class": host_class,
                "tags": list(tags),
                "max_uses": max_uses,
                "expires_at": expires,
            }
        )
        return
    hosts = "one host" if max_uses == 1 else f"{max_uses} hosts"
    note(f"For {hosts} of {client} at {site}, good until {expires}:")
    if line:
        note("To install the agent on a Linux host and enrol it, run there:")
        typer.echo(line)
        note("To enrol an agent that is installed: forewarn-agent enrol with this string:")
    typer.echo(string)


@users.command("create")
@tells_trouble
def create_login(
    name: Annotated[str, typer.Argument(help="The name to log in with.")],
    role: Annotated[
        Role, typer.Option(help="What they may do; each may what those before may.")
    ] = Role.VIEWER,
    client: Annotated[
        list[str] | None,
        typer.Option(help="Whose hosts they see; may be repeated.  Without it: everyone's."),
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    as_json: AsJson = False,
    directory: Directory = HERE,
) -> None:
    """Make a login, and print its password, once."""
    directory = find(directory)
    if not _NAME.fullmatch(name) or name != name.strip():
        fail("a name is 1 to 100 characters without control characters", WRONG_USE)
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else secrets.token_urlsafe(15)
    if not SHORTEST_PASSWORD <= len(password) <= 1024:
        fail(f"a password has {SHORTEST_PASSWORD} to 1024 characters", WRONG_USE)
    now = clock.now()
    with opened_state(directory) as database, database.write() as connection:
        seen = {wanted: find_client(connection, wanted) for wanted in client or ()}
        for wanted, found in seen.items():
            if found is None:
                fail(f"there is no client {wanted!r}; token create makes one", WRONG_USE)
        ids = [found for found in seen.values() if found] if client else None
        try:
            create_user(connection, name, password, role, ids, now)
        except NameTaken as taken:
            fail(str(taken), 1)
        told: dict[str, JsonValue] = {"role": str(role), "clients": [*client] if client else None}
        audit.record(connection, now, ACTOR, "user.create", name, told)
    if as_json:
        shown: dict[str, JsonValue] = {} if password_stdin else {"password": password}
        print_json({"name": name, **told, **shown})
    elif password_stdin:
        say(f"{name} may log in as {role}")
    else:
        note(f"{name} may log in as {role}; the password is shown only now:")
        typer.echo(password)


def _lasts(ttl: str) -> timedelta:
    try:
        lasts = parse_duration(ttl)
    except ValueError as wrong:
        fail(f"--ttl: {wrong}", WRONG_USE)
    if not timedelta(0) < lasts <= LONGEST_TTL:
        fail(f"--ttl is more than nothing, at most {write_duration(LONGEST_TTL)}", WRONG_USE)
    return lasts


def _check_names(client: str, site: str, host_class: str, tags: tuple[str, ...]) -> None:
    for what, name in (("client", client), ("site", site)):
        if not _NAME.fullmatch(name) or name != name.strip():
            fail(f"--{what} takes 1 to 100 characters without control characters", WRONG_USE)
    if host_class not in HOST_CLASSES:
        fail(f"--class is one of {', '.join(HOST_CLASSES)}", WRONG_USE)
    for tag in tags:
        if not _TAG.fullmatch(tag):
            fail(f"--tag {tag!r}: letters, digits, '.', '-' and '_' only, at most 60", WRONG_USE)
    if len(tags) > 20:
        fail("at most 20 tags", WRONG_USE)
