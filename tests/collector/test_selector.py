"""The selector line: what it picks, what it refuses, and that SQL agrees with `matches`."""

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, insert, literal, select

from forewarn_collector.selector import BadSelector, Health, Selector, parse
from forewarn_collector.state.tables import clients, hosts, metadata, sites


@dataclass(frozen=True)
class Host:
    id: str = "0193-aaaa"
    name: str = "web1"
    client: str = "Acme"
    site: str = "HQ Nord"
    tags: tuple[str, ...] = ("db", "prod")
    system: str = "linux"
    host_class: str = "server"


@pytest.mark.parametrize(
    ("why", "text", "picked"),
    [
        ("an empty selector picks every host", "", True),
        ("case of ASCII letters is ignored", "client:acme", True),
        ("terms are ANDed", "client:acme site:elsewhere", False),
        ("values are ORed", "client:other,acme", True),
        ("the same key twice asks for both", "tag:db tag:prod", True),
        ("the same key twice asks for both", "tag:db tag:test", False),
        ("quotes keep spaces", 'site:"HQ Nord"', True),
        ("a star stands for any characters", "host:web*", True),
        ("a star may stand for none", "host:*web1*", True),
        ("a star inside quotes is itself", 'host:"web*"', False),
        ("stars between pieces keep their order", "host:*1*w*", False),
        ("overlapping pieces do not match twice", "host:web1*1", False),
        ("a host is also picked by its id", "host:0193-aaaa", True),
        ("percent is no wildcard", "host:web%", False),
        ("class and os are choices", "class:server os:linux,windows", True),
        ("health defaults to ok", "health:ok", True),
        ("an ok host does not fire", "health:firing", False),
    ],
)
def test_what_is_picked(why: str, text: str, picked: bool) -> None:
    assert parse(text).matches(Host()) is picked, why


@pytest.mark.parametrize("health", [h for h in Health if h is not Health.OK])
def test_firing_is_every_health_but_ok(health: Health) -> None:
    assert parse("health:firing").matches(Host(), health)
    assert parse(f"health:{health}").matches(Host(), health)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("web1", "character 1: 'web1' has no key before it; the keys are client, site"),
        ("client:a colour:red", "character 10: 'colour' is no key; the keys are client"),
        ("os:linux os:beos", "character 13: os: is one of linux, windows"),
        ("client:", "character 8: client: has no value there"),
        ("tag:a,", "character 7: tag: has no value there"),
        ('site:"HQ', "character 6: the quote is not closed"),
        ("host:a\x00", "character 7: a control character"),
        ("host:\ud800", "character 6: a control character"),
        ("host:" + "*a" * 9, "more than 8 stars"),
        ("x" * 1001, "longer than 1000"),
    ],
)
def test_what_is_refused_says_where_and_what_would_do(text: str, complaint: str) -> None:
    with pytest.raises(BadSelector, match="selector") as refused:
        parse(text)
    assert complaint in str(refused.value)


def test_a_rule_scope_can_see_that_a_selector_asks_for_health() -> None:
    assert parse("health:ok").asks_health
    assert not parse("client:acme").asks_health


@given(st.text(max_size=80))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with contextlib.suppress(BadSelector):
        assert isinstance(parse(text), Selector)


_NAMES = st.text(alphabet='aA%_*\\é" ,', min_size=1, max_size=4)


def _written(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


_VALUES = st.lists(st.one_of(_NAMES.map(_written), st.just("*")), min_size=1, max_size=4)
_TERMS = st.tuples(st.sampled_from(["client", "site", "tag", "host"]), _VALUES)


@given(
    terms=st.lists(_TERMS, max_size=3),
    host=st.builds(
        Host, name=_NAMES, client=_NAMES, site=_NAMES, tags=st.lists(_NAMES, max_size=2).map(tuple)
    ),
    health=st.sampled_from(list(Health)),
)
def test_sql_picks_the_same_hosts_as_matches(
    terms: list[tuple[str, list[str]]], host: Host, health: Health
) -> None:
    selector = parse(" ".join(f"{key}:{''.join(values)}" for key, values in terms))
    engine = create_engine("sqlite://")
    metadata.create_all(engine, tables=[clients, sites, hosts])
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with engine.connect() as connection:
        connection.execute(insert(clients).values(id="c", name=host.client, created_at=at))
        connection.execute(
            insert(sites).values(id="s", client_id="c", name=host.site, created_at=at)
        )
        connection.execute(
            insert(hosts).values(
                id=host.id,
                number=1,
                client_id="c",
                site_id="s",
                name=host.name,
                system=host.system,
                tags=list(host.tags),
                public_key=b"k",
                enrolled_at=at,
            )
        )
        query = (
            select(hosts.c.id)
            .join(clients, clients.c.id == hosts.c.client_id)
            .join(sites, sites.c.id == hosts.c.site_id)
            .where(selector.condition(literal(str(health))))
        )
        found = connection.execute(query).first() is not None
    engine.dispose()
    assert found is selector.matches(host, health)
