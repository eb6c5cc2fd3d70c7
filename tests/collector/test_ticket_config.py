"""What collector.toml says of work on tickets: taken as meant, or refused with line and mend."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forewarn_collector.config import ConfigError, load, promises_of
from forewarn_collector.sla.calendars import business_between
from forewarn_collector.sla.policy import Waiting

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECRET = "whsec_bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4="
WHOLE = """\
[calendars.office]
zone = "Europe/Berlin"
weekdays = ["08:00-12:00", "13:00-17:00"]
friday = ["08:00-14:00"]
holidays = "DE-BE"
exceptions = {"2026-12-24" = ["08:00-10:00"], "2026-05-01" = ["10:00-11:00"]}

[sla.standard]
calendar = "office"
pause = ["customer"]
steps = [{at = 0.5, to = "storage"}, {clock = "response", at = 1.5, to = "ola", reassign = true}]
[sla.standard.targets.P1]
response = "15m"
resolution = "4h"
around_the_clock = true
[sla.standard.targets.P3]
resolution = "16h"

[sla.gold]
clients = ["acme"]
[sla.gold.targets.P1]
resolution = "2h"

[teams.storage]
members = ["mia", "ola"]
strategy = "sticky"

[[routes]]
name = "at night"
outside_hours = "office"
priorities = ["P1"]
to = "duty"
[[routes]]
team = "storage"

[inbound.phone]
client = "acme"
secret_file = "phone.secret"
"""


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    secret = tmp_path / "phone.secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    return tmp_path


def write(instance: Path, text: str) -> Path:
    (instance / "collector.toml").write_text(text)
    return instance


def test_promises_are_taken_as_written(instance: Path) -> None:
    policies, _ = promises_of(load(write(instance, WHOLE)), NOW)
    assert (policies.of("acme"), policies.of("other")) != (None, None)
    gold, standard = policies.of("acme"), policies.of("other")
    assert gold is not None
    assert standard is not None
    assert (gold.name, standard.name) == ("gold", "standard")
    assert gold.pauses == set(Waiting)
    assert standard.pauses == {Waiting.CUSTOMER}
    assert standard.targets["P1"].calendar is None
    assert [step.to for step in standard.steps] == ["storage", "ola"]
    office = standard.targets["P3"].calendar
    assert office is not None

    def hours(day: int, month: int) -> timedelta:
        since = datetime(2026, month, day, tzinfo=UTC)
        return business_between(office, since, since + timedelta(days=1))

    assert hours(2, 3) == timedelta(hours=8)
    assert hours(6, 3) == timedelta(hours=6), "fridays are short"
    assert hours(7, 3) == timedelta(0)
    assert hours(3, 4) == timedelta(0), "Good Friday"
    assert hours(1, 5) == timedelta(hours=1), "an exception outweighs a holiday"
    assert hours(24, 12) == timedelta(hours=2)


def test_routes_are_taken_in_their_order(instance: Path) -> None:
    _, routing = promises_of(load(write(instance, WHOLE)), NOW)
    assert [(route.name, route.to) for route in routing.routes] == [
        ("at night", "duty"),
        ("route 2", ""),
    ]
    assert routing.routes[0].outside
    assert routing.routes[1].team is routing.teams["storage"]


def test_a_caller_has_a_secret_that_is_shown_nowhere(instance: Path) -> None:
    config = load(write(instance, WHOLE))
    assert config.inbound["phone"].client == "acme"
    assert SECRET not in repr(config)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('zone = "Europe/Berlin"', 'zone = "Berlin"', 2, "'Berlin' is no time zone"),
        ('"DE-BE"', '"XX"', 5, "'XX' is no place with known holidays"),
        ('["08:00-14:00"]', '["8-14"]', 4, "'8-14' is no stretch of a day"),
        ('calendar = "office"', 'calendar = "ofice"', 9, "there is no calendar 'ofice'"),
        ('pause = ["customer"]', 'pause = ["godot"]', 10, '"customer", "vendor"'),
        ("at = 0.5", "at = 0", 11, "above 0"),
        ('clients = ["acme"]', "", 19, "names no clients, and neither does standard"),
        ('team = "storage"', 'team = "disks"', 34, "there is no team 'disks'"),
        ('to = "duty"', "", 28, "name a person (to) or a team"),
        ('team = "storage"', 'to = "x"\nrules = ["HostSilent"]', 33, "must ask nothing"),
        ('outside_hours = "office"\npriorities = ["P1"]', "", 28, "takes every ticket"),
        ("phone.secret", "gone.secret", 38, "cannot be read"),
        ('secret_file = "phone.secret"', f'secret = "{SECRET}"', 38, "belongs into a file"),
        ('secret_file = "phone.secret"', "", 36, "is missing; name a file with the secret"),
        ("members", "member", 25, "did you mean members"),
    ],
)
def test_a_mistake_is_named_with_its_line(
    instance: Path, old: str, new: str, line: int, says: str
) -> None:
    assert old in WHOLE
    with pytest.raises(ConfigError) as refused:
        load(write(instance, WHOLE.replace(old, new, 1)))
    assert says in str(refused.value)
    assert f"line {line}:" in str(refused.value)
    assert SECRET not in str(refused.value)
