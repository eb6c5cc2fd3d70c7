"""collector.toml: taken whole, or refused with file, line, key and mend."""

import re
import tomllib
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from forewarn_checks.base import Severity, Threshold
from forewarn_collector.config import ConfigError, book_of, load, split_address
from forewarn_collector.rules.book import RuleBook, declared
from forewarn_collector.sample_config import sample_config
from forewarn_collector.state.hosts import KnownHost

SECRET = "whsec_bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4="
DESK = """\
[[destinations]]
name = "desk"
kind = "webhook"
url = "https://desk.example.com/t0ken"
secret_file = "desk.secret"
"""


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    for name in ("desk.secret", "phone.secret"):
        secret = tmp_path / name
        secret.write_text(SECRET + "\n")
        secret.chmod(0o600)
    (tmp_path / "rules.d").mkdir()
    return tmp_path


def write(instance: Path, text: str, name: str = "collector.toml") -> Path:
    (instance / name).write_text(text)
    return instance


def host(**fields: object) -> KnownHost:
    values = {"number": 1, "id": "h1", "client_id": "c1", "site_id": "s1", "name": "web1"}
    known = {"public_key": b"", "client": "acme", "site": "hq", "system": "linux"}
    return KnownHost(**{**values, **known, **fields})  # type: ignore[arg-type]


def disk_full(instance: Path, **fields: object) -> Threshold | None:
    """Return DiskAlmostFull as it holds on a host."""
    booked = book_of(load(instance)).effective("DiskAlmostFull", host(**fields))
    assert booked is None or isinstance(booked.rule, Threshold)
    return None if booked is None else booked.rule  # type: ignore[return-value]


def test_an_empty_file_is_all_defaults(instance: Path) -> None:
    config = load(write(instance, ""))
    assert config.agents_address == ("0.0.0.0", 8440)
    assert config.operators_address == ("127.0.0.1", 8441)
    assert config.retention.raw == timedelta(days=30)
    assert config.destinations == ()
    assert config.ticket_url == "https://127.0.0.1:8441/tickets/"


def test_a_destination_with_its_secret_and_networks(instance: Path) -> None:
    config = load(write(instance, DESK + 'allow_networks = ["10.0.0.0/8", "::1"]'))
    (desk,) = config.destinations
    assert desk.allow_networks == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert config.warnings == () or all("desk.secret" not in one for one in config.warnings)
    assert "t0ken" not in repr(config)
    assert SECRET not in repr(config)


def test_a_secret_others_can_read_is_worth_a_warning(instance: Path) -> None:
    (instance / "desk.secret").chmod(0o644)
    warnings = load(write(instance, DESK)).warnings
    assert any("chmod 600" in warning for warning in warnings)


def test_a_time_shorter_than_the_interval_is_worth_a_warning_once_it_was_chosen(
    instance: Path,
) -> None:
    """What stands in a default is as it was meant, and a new instance starts without a word."""
    assert load(write(instance, "")).warnings == ()
    (warning,) = load(write(instance, '[rules.DriveHot]\nhold_for = "20m"\n')).warnings
    assert "rules.DriveHot.hold_for is 20m, but smart is read every 1h" in warning


def test_a_rule_is_changed_by_name(instance: Path) -> None:
    write(
        instance,
        """
        [rules.DiskAlmostFull]
        above = 0.5
        clear_at = 0.4
        hold_for = "5s"
        clear_for = "5s"
        and = {metric = "disk_free_bytes", below = 1e15}
        [rules.DiskAlmostFull.levels.critical]
        above = 0.99
        """,
    )
    rule = disk_full(instance)
    assert rule is not None
    assert (rule.above, rule.clear_at, rule.hold_for) == (0.5, 0.4, timedelta(seconds=5))
    assert rule.and_ is not None
    assert rule.and_.below == 1e15
    assert rule.levels[Severity.CRITICAL].above == 0.99
    assert rule.levels[Severity.CRITICAL].and_ is not None


def test_the_second_condition_and_a_level_can_be_taken_away(instance: Path) -> None:
    write(
        instance,
        "[rules.DiskAlmostFull]\nand = false\nlevels.critical = {enabled = false}\n",
    )
    rule = disk_full(instance)
    assert rule is not None
    assert rule.and_ is None
    assert Severity.CRITICAL not in rule.levels


def test_the_most_specific_scope_holds_and_of_equals_the_last(instance: Path) -> None:
    write(
        instance,
        """
        [groups.big]
        select = "tag:big"
        [rules.DiskAlmostFull]
        hold_for = "1m"
        [[rules.DiskAlmostFull.scopes]]
        select = "host:web9"
        enabled = false
        [[rules.DiskAlmostFull.scopes]]
        select = "client:acme"
        hold_for = "2m"
        [[rules.DiskAlmostFull.scopes]]
        group = "big"
        hold_for = "4m"
        [[rules.DiskAlmostFull.scopes]]
        select = "site:hq"
        hold_for = "3m"
        [[rules.DiskAlmostFull.scopes]]
        select = "site:hq,branch"
        hold_for = "5m"
        """,
    )
    minutes = [
        None if rule is None else rule.hold_for / timedelta(minutes=1)
        for rule in (
            disk_full(instance, client="other", site="x"),
            disk_full(instance, site="x"),
            disk_full(instance),
            disk_full(instance, tags=("big",)),
            disk_full(instance, tags=("big",), name="web9"),
        )
    ]
    assert minutes == [1, 2, 5, 4, None]


def test_a_silent_workstation_is_nobodys_business_until_somebody_says_so(instance: Path) -> None:
    book = RuleBook(declared())
    assert book.effective("HostSilent", host()) is not None
    assert book.effective("HostSilent", host(host_class="workstation")) is None
    write(
        instance,
        '[[rules.HostSilent.scopes]]\nselect = "class:workstation"\nafter = "7d"\n',
    )
    booked = book_of(load(instance)).effective("HostSilent", host(host_class="workstation"))
    assert booked is not None


def test_what_a_page_saved_wins_over_everything(instance: Path) -> None:
    write(instance, '[rules.DiskAlmostFull]\nhold_for = "1m"\nclear_for = "9m"\n')
    write(instance, '[rules.DiskAlmostFull]\nhold_for = "2m"\n', "rules.d/zz.toml")
    write(instance, '[rules.DiskAlmostFull]\nhold_for = "3m"\n', "rules.d/page.toml")
    rule = disk_full(instance)
    assert rule is not None
    assert (rule.hold_for, rule.clear_for) == (timedelta(minutes=3), timedelta(minutes=9))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("url = ", 1, "mend the TOML there"),
        ("\nurll = 1", 2, "urll: is not known here; did you mean url?"),
        ("url = 5", 1, "url: "),
        ('url = "monitor"', 1, "write an address such as"),
        ('agents = "8440"', 1, "no address to listen on"),
        ('[retention]\n\nraw = "30"', 3, "retention.raw: '30' is no duration; write 30s"),
        ("[retention]\nraw = 30", 2, "write a duration in quotes"),
        (
            "[rules.DiskAlmostFul]\nabove = 1",
            1,
            "there is no rule DiskAlmostFul; did you mean Disk",
        ),
        ("[rules.DiskAlmostFull]\nabov = 1", 2, "abov: is not known here; did you mean above?"),
        ("[rules.DiskAlmostFull]\nabove = nan", 2, "rules.DiskAlmostFull.above: "),
        ('[rules.DiskAlmostFull]\nabove = "1"', 2, "rules.DiskAlmostFull.above: "),
        ("[rules.DiskAlmostFull]\nabove = 0.8", 1, "clear_at: 0.85 is past above = 0.8"),
        ("[rules.DiskAlmostFull]\nbelow = 0.8", 2, "is judged the other way: set above instead"),
        ("[rules.DiskAlmostFull]\nafter = '5m'", 2, "has no such field; it has above, and, below"),
        ("[rules.DiskAlmostFull]\nabove = 0.99", 1, "levels."),
        (
            "[rules.DiskAlmostFull]\nand = {metric = 'disk_fre_bytes', below = 1}",
            2,
            "is no metric of the check disk; did you mean disk_free_bytes?",
        ),
        ("[rules.DiskAlmostFull.levels.fatal]\nabove = 1", 1, "rules.DiskAlmostFull.levels.fatal"),
        ("[rules.DiskAlmostFull.levels.info]\nabove = 1", 1, "a new level needs a clear_at"),
        ("[[rules.DiskAlmostFull.scopes]]\nabove = 0.95", 1, 'takes either select = "…" or group'),
        (
            (
                "[[rules.DiskAlmostFull.scopes]]\nselect = 'client:a'\n"
                "[[rules.DiskAlmostFull.scopes]]\nselect = 'clint:a'"
            ),
            4,
            "'clint' is no key",
        ),
        ("[[rules.DiskAlmostFull.scopes]]\ngroup = 'x'", 2, "there is no [groups.x]"),
        ("[[rules.DiskAlmostFull.scopes]]\nselect = 'health:ok'", 2, "cannot depend on it"),
        ("[groups.x]\nselect = 'health:ok'", 2, "a group cannot depend on it"),
        ("[rules.HostSilent]\nafter = '1s'", 2, "write 30s or more"),
        ("destinations = 1", 1, "write each as a table"),
        (DESK.replace("webhook", "webook"), 3, "did you mean webhook?"),
        (DESK.replace("desk.secret", "other.secret"), 5, "cannot be read"),
        (DESK.replace('secret_file = "desk.secret"', ""), 1, "secret_file: is missing"),
        (DESK.replace("https://", "ftp://"), 4, "write https://host/path"),
        (DESK + "colour = 1", 6, "destinations[0].colour: is not known here"),
        (DESK + 'allow_networks = ["10.0.0.0/33"]', 6, "destinations[0].allow_networks"),
        (DESK + DESK, 7, "desk is there twice"),
        (DESK.replace('"desk"', '"a desk"'), 2, "destinations[0].name"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_would_mend_it(
    instance: Path, text: str, line: int, said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(write(instance, text))
    message = str(refused.value)
    assert "collector.toml" in message
    assert said in message
    assert f"line {line}" in message
    assert "t0ken" not in message


def test_a_mistake_in_rules_d_names_that_file(instance: Path) -> None:
    write(instance, "")
    write(instance, "\n[rules.DiskAlmostFull]\nabov = 1\n", "rules.d/page.toml")
    with pytest.raises(ConfigError, match=r"page\.toml, line 3: rules\.DiskAlmostFull\.abov"):
        load(instance)
    write(instance, 'url = "https://x"\n', "rules.d/page.toml")
    with pytest.raises(ConfigError, match=r"page\.toml, line 1: url: belongs into collector\.toml"):
        load(instance)


def test_no_file_says_how_to_make_one(instance: Path) -> None:
    with pytest.raises(ConfigError, match="forewarn-collector init"):
        load(instance)


def test_the_sample_is_valid_as_it_is(instance: Path) -> None:
    config = load(write(instance, sample_config("https://m:1", "0.0.0.0:1", "127.0.0.1:2")))
    assert (config.url, config.agents, config.operators) == (
        "https://m:1",
        "0.0.0.0:1",
        "127.0.0.1:2",
    )


def test_the_sample_shows_nothing_but_what_holds(instance: Path) -> None:
    """With every line in force, all rules and defaults are as without."""
    shown = [
        line
        for line in sample_config().splitlines()
        if re.match(r"# (\[|\w+ = )", line) and "NAME" not in line
    ]
    text = "\n".join(line.removeprefix("# ") for line in shown)
    text = text.replace("enabled = false", "").replace('select = "client:acme class:server"', "", 1)
    tomllib.loads(text)
    write(instance, text)
    config = load(instance)
    assert config.retention == load(write(instance, "")).retention
    write(instance, text)
    plain = {booked.name: booked.rule for booked in RuleBook(declared()).rules()}
    assert {booked.name: booked.rule for booked in book_of(load(instance)).rules()} == plain


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:8440", ("0.0.0.0", 8440)),
        ("[::1]:1", ("::1", 1)),
        ("m.example:0", ("m.example", 0)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert split_address(text) == address


@pytest.mark.parametrize("text", ["", "8440", ":8440", "a:b", "::1:80", "a:65536", "a b:1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        split_address(text)


REDMINE = """\
[[destinations]]
name = "tracker"
kind = "redmine"
url = "https://redmine.example.com"
project = "operations"
"""


def test_a_ticket_system_with_its_options_and_the_names_of_its_priorities(instance: Path) -> None:
    text = REDMINE + 'secret_file = "desk.secret"\nmaps = {priority_id = {P1 = 7}}\n'
    (entry,) = load(write(instance, text)).destinations
    assert entry.config.model_dump(exclude={"url", "secret"}) == {
        "project": "operations",
        "tracker": None,
        "open_status": 2,
        "closed_status": 5,
        "rejected_status": 6,
        "maps": {"priority_id": {"P1": 7}},
        "states": {},
    }
    assert SECRET not in repr(entry)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", "secret_file: is missing; name a file"),
        ('secret = "x"', "secret: belongs into a file of its own; write secret_file"),
        ('secret_file = "desk.secret"\nqueue = "x"', "queue: is not known here"),
        ('secret_file = "desk.secret"\nmaps = {priority = {}}', "there are: priority_id"),
        ('secret_file = "desk.secret"\nmaps = {priority_id = {P9 = 1}}', "may only hold P1"),
        ('secret_file = "desk.secret"\nclosed_status = "five"', "closed_status: "),
    ],
)
def test_a_mistake_in_a_ticket_system_is_named(instance: Path, more: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        load(write(instance, REDMINE + more))


def test_every_secret_of_a_ticket_system_has_a_file_of_its_own(instance: Path) -> None:
    (instance / "app.secret").write_text("app-token")
    (instance / "app.secret").chmod(0o604)
    text = """
    [[destinations]]
    name = "glpi"
    kind = "glpi"
    url = "https://glpi.example.com"
    secret_file = "desk.secret"
    app_token_file = "app.secret"
    """
    config = load(write(instance, text))
    assert "app-token" not in repr(config)
    assert any("app.secret can be read by others" in one for one in config.warnings)


def test_priorities_that_differ_everywhere_must_be_given(instance: Path) -> None:
    text = """
    [[destinations]]
    name = "psa"
    kind = "autotask"
    url = "https://webservices5.autotask.net/ATServicesRest"
    user = "api@example.com"
    company = 175
    secret_file = "desk.secret"
    integration_code_file = "desk.secret"
    """
    with pytest.raises(ConfigError, match="autotask_priority must say what P1, P2, P3, P4, P5"):
        load(write(instance, text))
