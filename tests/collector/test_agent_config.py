"""What agents are told to do otherwise: the most specific scope wins, and only plain data goes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from forewarn_agent import config as agents
from forewarn_collector.agent_config import AgentSettings
from forewarn_collector.config import ConfigError, agent_settings_of, load


@dataclass(frozen=True)
class Host:
    """A host as selectors see it."""

    name: str = "web1"
    client: str = "acme"
    site: str = "hq"
    system: str = "linux"
    host_class: str = "server"
    tags: tuple[str, ...] = ()
    health: str = "ok"
    id: str = field(default="h1")


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    (tmp_path / "rules.d").mkdir()
    return tmp_path


def write(instance: Path, text: str) -> None:
    (instance / "collector.toml").write_text(text)


def settings(instance: Path, text: str) -> AgentSettings:
    write(instance, text)
    return agent_settings_of(load(instance))


def told(found: AgentSettings, host: Host) -> Mapping[str, object]:
    document = json.loads(found.document(host).body)
    assert document["version"] == found.document(host).version
    checks = document["checks"]
    assert isinstance(checks, dict)
    return checks


TEXT = """
[checks.disk]
every = "1m"
options = {exclude = ["/media/*"]}
[[checks.disk.scopes]]
select = "client:acme"
every = "2m"
[[checks.disk.scopes]]
select = "host:web1"
enabled = false
[checks.memory]
every = "30s"
"""


def test_the_most_specific_scope_holds_over_the_table(instance: Path) -> None:
    found = settings(instance, TEXT)
    exclude = {"exclude": ["/media/*"]}
    assert told(found, Host(name="db", client="zeta")) == {
        "disk": {"every": "1m", "options": exclude},
        "memory": {"every": "30s"},
    }
    assert told(found, Host(name="db"))["disk"] == {"every": "2m", "options": exclude}
    named = {"every": "1m", "enabled": False, "options": exclude}
    assert told(found, Host())["disk"] == named


def test_hosts_that_are_told_the_same_share_a_version(instance: Path) -> None:
    found = settings(instance, TEXT)
    one, same, other = Host(name="a"), Host(name="b"), Host(name="c", client="zeta")
    assert found.document(one) is found.document(same)
    assert found.document(one).version != found.document(other).version
    assert found.document(one).version == settings(instance, TEXT).document(same).version


def test_without_settings_everybody_is_told_that_nothing_is_set() -> None:
    """Else what was set once would hold for ever."""
    found = AgentSettings({}, {})
    assert told(found, Host()) == {}
    assert found.document(Host()).version


def test_what_is_told_is_what_agents_take(instance: Path) -> None:
    found = settings(instance, TEXT)
    changes, skipped = agents.read_remote(json.loads(found.document(Host(name="db")).body))
    assert skipped == ()
    read = agents.load(None, changes)
    assert read.checks["disk"].every == timedelta(minutes=2)
    assert read.checks["disk"].options["exclude"] == ("/media/*",)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("[checks.dsik]\nevery = '1m'\n", 1, "did you mean disk?"),
        ("[checks.disk]\nevery = '1s'\n", 2, "10s to 7d"),
        ("[checks.disk]\nevery = '8d'\n", 2, "10s to 7d"),
        ("[checks.disk]\nevery = 60\n", 2, "duration"),
        ("[checks.disk]\nruns = 3\n", 2, "is not known here"),
        ("[checks.disk.options]\nexclud = ['/x']\n", 2, "did you mean exclude?"),
        ("[checks.disk.options]\nexclude = '/x'\n", 2, "a list of texts"),
        ('[checks.disk.options]\nexclude = ["a\\u001b"]\n', 2, "plain texts"),
        ("[checks.smart.options]\nsmartctl = '/x'\n", 2, "own agent.toml alone"),
        ("[checks.own.options]\nfolder = '/x'\n", 2, "own agent.toml alone"),
        ("[checks.http.options]\ntargets = ['http://x']\n", 2, "own agent.toml alone"),
        ("[checks.disk]\n[[checks.disk.scopes]]\nevery = '1m'\n", 2, "select"),
        ("[checks.disk]\n[[checks.disk.scopes]]\ngroup = 'x'\n", 3, "there is no [groups.x]"),
        ("[checks.disk]\n[[checks.disk.scopes]]\nselect = 'health:ok'\n", 3, "cannot depend"),
    ],
)
def test_a_mistake_is_named_where_it_stands(
    instance: Path, text: str, line: int, told: str
) -> None:
    write(instance, text)
    with pytest.raises(ConfigError) as refused:
        load(instance)
    assert told in str(refused.value)
    assert f"line {line}:" in str(refused.value)
