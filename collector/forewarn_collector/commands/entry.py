"""Let hosts and people in: `token create` and `user create`."""

import secrets
import sys
from typing import Annotated

import typer
from pydantic import JsonValue

from forewarn_checks.base.durations import write_duration
from forewarn_collector import clock
from forewarn_collector.admission import CannotLetIn, Wish, is_name, let_in, read_ttl
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
    find,
    opened_state,
    read_settings,
)
from forewarn_collector.state import audit
from forewarn_collector.state.hosts import find_client
from forewarn_collector.state.people import NameTaken, create_user
from forewarn_collector.tokens import TTL

# Also who a change is put down to in the audit log: whoever may run this has the whole folder.
ACTOR = "command line"
SHORTEST_PASSWORD = 12
_TTL = write_duration(TTL)

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
    url = read_settings(directory).config.url
    now = clock.now()
    try:
        wish = Wish(
            client=client,
            site=site,
            host_class=host_class,
            tags=tuple(dict.fromkeys(tag or ())),
            max_uses=max_uses,
            ttl=read_ttl(ttl),
        )
        with opened_state(directory) as database:
            made = let_in(directory, database, url, wish, by=ACTOR, now=now)
    except CannotLetIn as wrong:
        option = "" if wrong.field == "url" else f"--{wrong.field} "
        fail(f"{option}{wrong}", WRONG_USE)
    lines = {line.system: line.command for line in made.lines}
    expires = clock.rfc3339(made.expires_at)
    if as_json:
        print_json(
            {
                "id": made.id,
                "enrolment": made.string,
                "install": lines.get("Linux", ""),
                "install_windows": lines.get("Windows", ""),
                "client": client,
                "site": site,
                "class": host_class,
                "tags": list(wish.tags),
                "max_uses": max_uses,
                "expires_at": expires,
            }
        )
        return
    hosts = "one host" if max_uses == 1 else f"{max_uses} hosts"
    note(f"For {hosts} of {client} at {site}, good until {expires}:")
    for system, line in lines.items():
        where = " in a PowerShell started as administrator" if system == "Windows" else ""
        note(f"To install the agent on a {system} host and enrol it, run there{where}:")
        typer.echo(line)
    if lines:
        note("To enrol an agent that is installed: forewarn-agent enrol with this string:")
    typer.echo(made.string)


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
    if not is_name(name):
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
