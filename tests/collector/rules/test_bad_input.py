"""Whatever is wrong with rules, their tests and series: one sentence, where it is and what to do.

Each row is given to the real command.  Nothing of it is evaluated, nothing of a library shows.
"""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from forewarn_collector.cli import app
from forewarn_collector.rules.book import adjust, declared
from forewarn_collector.rules.change import RuleChange

WRONG_USE = 2
FOREIGN = re.compile(
    r"Traceback|[Pp]ydantic|Input should|validation error|Value error|valid (string|number|integer|"
    r"boolean|dictionary|list|tuple)|Extra inputs|Field required|[Dd]uck|[A-Za-z] Error:|Error\b|"
    r"NoneType|<class",
)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collector's folder, as init makes it."""
    made = tmp_path_factory.mktemp("instance") / "collector"
    result = CliRunner().invoke(
        app, ["init", "--dir", str(made), "--url", "https://c.example:8440"]
    )
    assert result.exit_code == 0, result.output
    (made / "rules.d").mkdir(exist_ok=True)
    return made


def refused(result: Result, path: Path, line: int | None) -> str:
    """Return what a command said of a file it did not take."""
    said = " ".join(result.output.split())
    assert result.exit_code == WRONG_USE, said
    assert isinstance(result.exception, SystemExit), result.exception
    where = str(path) if line is None else f"{path}, line {line}:"
    assert where in said
    assert not FOREIGN.search(said), said
    assert "all is well" not in said
    assert "all well" not in said
    return said


def table(name: str, *lines: str) -> str:
    return "\n".join((f"[rules.{name}]", *lines, ""))


PENDING = "{metric = 'smart_pending_sectors'"
LEVEL = "[rules.DiskAlmostFull.levels.critical]"

RULES = [
    # the TOML itself
    ("[rules.DiskAlmostFull\n", 1, "mend the TOML"),
    ("[rules.DiskAlmostFull]\nabove = \n", 2, "mend the TOML"),
    ("[rules.DiskAlmostFull]\nabove = 0.9\nabove = 0.8\n", 3, "mend the TOML"),
    ("rules = 3\n", 1, "write a table"),
    ("[rule.DiskAlmostFull]\nabove = 0.9\n", 1, "belongs into collector.toml"),
    # names
    (table("DiskAlmostful", "above = 0.9"), 1, "did you mean DiskAlmostFull?"),
    (table("Nonsense", "above = 0.9"), 1, "there is no rule Nonsense"),
    (table("DiskAlmostFull", "abov = 0.9"), 2, "did you mean above"),
    (table("DiskAlmostFull", "window = '7d'"), 2, "has no such field"),
    (table("DiskAlmostFull", "after = '7d'"), 2, "is a threshold rule"),
    (table("HostSilent", "above = 3.0"), 2, "is an absence rule"),
    (table("DiskWillFill", "clear_at = 0.5"), 2, "is a forecast rule"),
    # values
    (table("DiskAlmostFull", 'above = "0.9"'), 2, "write a number, without quotes"),
    (table("DiskAlmostFull", "above = nan"), 2, "write a number; nan and inf are none"),
    (table("DiskAlmostFull", "above = true"), 2, "write a number"),
    (table("DiskAlmostFull", "above = [0.9]"), 2, "write a number"),
    (table("DiskAlmostFull", "severity = 'urgent'"), 2, '"info", "warning", "high" or "critical"'),
    (table("DiskAlmostFull", "severity = 3"), 2, '"info", "warning", "high" or "critical"'),
    (table("DiskAlmostFull", "enabled = 'no'"), 2, "write true or false"),
    (table("DiskAlmostFull", "hold_for = 300"), 2, "write a duration in quotes"),
    (table("DiskAlmostFull", "hold_for = '5 minutes'"), 2, "write 30s, 5m, 6h or 7d"),
    (table("DiskAlmostFull", "hold_for = '-5m'"), 2, "write 30s, 5m, 6h or 7d"),
    (table("DiskAlmostFull", "clear_for = ''"), 2, "write 30s, 5m, 6h or 7d"),
    (table("DiskAlmostFull", "levels = []"), 2, "write a table"),
    # what cannot be meant
    (table("DiskAlmostFull", "below = 0.1"), 2, "set above instead"),
    (table("DiskAlmostFull", "above = 0.7", "clear_at = 0.8"), 3, "it would clear while it raises"),
    (table("DiskInodesAlmostFull", "below = 0.2", "clear_at = 0.1"), 3, "it would clear while"),
    (f"{LEVEL}\nabove = 0.5\nclear_at = 0.4\n", 2, "or more, as under it"),
    (f"{LEVEL}\nclear_at = 0.999\n", 2, "it would clear while it raises"),
    (f"{LEVEL}\nwithin = '2h'\n", 2, "forecasts nothing"),
    ("[rules.DiskAlmostFull.levels.urgent]\nabove = 0.99\n", 1, "write"),
    ("[rules.MemoryLow.levels.warning]\nbelow = 0.01\n", 1, ""),
    (table("DiskAlmostFull", "and = {metric = 'disk_fre_bytes', below = 1.0}"), 2, "did you mean"),
    (table("DiskAlmostFull", "and = {below = 1.0}"), 2, "is missing; write it"),
    (table("DiskAlmostFull", "and = {metric = 'disk_free_bytes'}"), 2, "either above or below"),
    (table("DiskAlmostFull", "and = 7"), 2, "write"),
    (table("HostSilent", "after = '1s'"), 2, "write 30s or more"),
    (table("DiskWillFill", "within = '60d'"), 2, "7d ahead at most"),
    (table("DriveSectorsGrowing", "window = '1s'"), 2, "takes"),
    (table("DriveSectorsGrowing", "any_of = [{metric = 'smart_x', by = 2.0}]"), 2, "is no metric"),
    (table("DriveSectorsGrowing", f"any_of = [{PENDING}, by = 0.0}}]"), 2, "above 0"),
    (table("DriveSectorsGrowing", "any_of = 'smart_pending_sectors'"), 2, "write a list"),
    # scopes and groups
    ("[[rules.DiskAlmostFull.scopes]]\nabove = 0.8\n", 1, "either select"),
    ("[[rules.DiskAlmostFull.scopes]]\nselect = 'clint:acme'\n", 2, "is no key; the keys are"),
    ("[[rules.DiskAlmostFull.scopes]]\nselect = 'health:ok'\n", 2, "cannot depend on it"),
    ("[[rules.DiskAlmostFull.scopes]]\nselect = ''\n", 2, "picks every host"),
    ("[[rules.DiskAlmostFull.scopes]]\ngroup = 'databases'\n", 2, "there is no [groups.databases]"),
    ("[[rules.DiskAlmostFull.scopes]]\nselect = 'os:linux'\ngroup = 'x'\n", 1, "either select"),
    ("[[rules.DiskAlmostFull.scopes]]\nselect = 'os:linux'\nabove = 0.5\n", 1, "it would clear"),
    ("[groups.x]\nselect = 'no such thing:'\n", 2, ""),
    ("[groups.x]\n", 1, "is missing; write it"),
    ("[groups]\nx = 'os:linux'\n", 2, "write a table"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "says"), RULES, ids=range(len(RULES)))
def test_rules_check_names_file_line_rule_and_mend(
    instance: Path, text: str, line: int, says: str
) -> None:
    path = instance / "rules.d" / "mine.toml"
    path.write_text(text)
    try:
        result = CliRunner().invoke(app, ["rules", "check", "--dir", str(instance)])
    finally:
        path.unlink()
    said = refused(result, path, line)
    assert says in said
    named = re.search(r"rules\.(\w+)", text)
    if named and "mend the TOML" not in said and "belongs into" not in said:
        assert named[1] in said, "the rule is named"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [row for row in RULES if row[0].startswith(("[rules.", "[[rules."))][:20],
)
def test_a_file_tried_by_test_or_backtest_is_refused_alike(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    path, tests, series = (tmp_path / name for name in ("rules.toml", "tests.toml", "s.csv"))
    path.write_text(text)
    tests.write_text(a_test("expect = [{rule = 'DiskAlmostFull', never = true}]"))
    series.write_text("host,metric,labels,ts,value\nweb1,disk_used_ratio,{},1772409600,0.5\n")
    for words in (
        ["rules", "test", str(tests), "--rule", str(path)],
        ["rules", "backtest", "--series", str(series), "--rule", str(path)],
    ):
        assert says in refused(CliRunner().invoke(app, words), path, line)


def a_test(*lines: str, series: str = "{metric = 'disk_used_ratio', values = '0.5x3'}") -> str:
    """Return a test: name and series on the lines 2 and 3, and more from the fourth on."""
    return "\n".join(("[[tests]]", "name = 'n'", f"series = [{series}]", *lines, ""))


EXPECT = "expect = [{rule = 'DiskAlmostFull', never = true}]"


def used(values: str) -> str:
    return f"{{metric = 'disk_used_ratio', values = '{values}'}}"


def labelled(labels: str) -> str:
    return f"{{metric = 'disk_used_ratio', labels = {labels}, values = '1'}}"


def event(text: str) -> str:
    return a_test(f"events = [{{at = '5m', {text}}}]", EXPECT)


def expected(text: str) -> str:
    return a_test(f"expect = [{{rule = 'DiskAlmostFull', {text}}}]")


TESTS = [
    ("[[tests]\n", 1, "mend the TOML"),
    ("", 1, "tests: is missing; write it"),
    ("tests = []\n", 1, "takes at least 1"),
    ("tests = {}\n", 1, "write a list"),
    ("[tests]\nname = 'n'\n", 1, "write a list"),
    ("[[tests]]\nname = 'n'\n", 1, "series: is missing; write it"),
    (a_test(), 1, "expect: is missing; write it"),
    (a_test("expct = []"), 4, "did you mean expect"),
    (a_test(EXPECT).replace("'n'", "''"), 2, "at least 1 character"),
    (a_test(EXPECT).replace("'n'", "7"), 2, "write a text in quotes"),
    (a_test("expect = []"), 4, "takes at least 1"),
    (a_test(EXPECT, series=""), 3, "takes at least 1"),
    (a_test(EXPECT, series=used("")), 3, "is empty"),
    (a_test(EXPECT, series=used("0.5y3")), 3, "is no part of a series"),
    (a_test(EXPECT, series=used("0.5+1")), 3, "says no number of steps"),
    (a_test(EXPECT, series=used("1x9999999")), 3, "write fewer"),
    (a_test(EXPECT, series=used("nan")), 3, "is no part of a series"),
    (a_test(EXPECT, series=used("1e999")), 3, "is too large"),
    (a_test(EXPECT, series=used("1").replace("'1'", "3")), 3, "write a text in quotes"),
    (a_test(EXPECT, series="{metric = 'disk_usd_ratio', values = '1'}"), 3, "did you mean"),
    (a_test(EXPECT, series="{values = '1'}"), 3, "metric: is missing; write it"),
    (a_test(EXPECT, series=labelled("{mount = '/'}")), 3, "has no label"),
    (a_test(EXPECT, series=labelled("{mountpoint = 1}")), 3, "text in quotes"),
    (a_test(EXPECT, "every = '0.5s'"), 5, "write 1s or more"),
    (a_test(EXPECT, "every = 300"), 5, "write a duration in quotes"),
    (a_test(EXPECT, "run_for = 'long'"), 5, "write 30s"),
    (a_test(EXPECT, "host_class = 'laptop'"), 5, '"server", "workstation" or "roaming"'),
    (event("do = 'explode', for = '5m'"), 4, '"gap", "offline"'),
    (event("for = '5m'"), 4, "do: is missing; write it"),
    (event("do = 'gap'"), 4, "is missing; write how long"),
    (event("do = 'late', for = '5m'"), 4, "write by how much"),
    (event("do = 'late', for = '5m', by = '-2h'"), 4, "nothing arrives before it was sent"),
    (event("do = 'skew', for = '5m', by = 'three'"), 4, "is no duration"),
    (event("do = 'gap', for = '5m', by = '2h'"), 4, "gap takes none"),
    (event("do = 'gap', for = '5m', host = 'web2'"), 4, "did you mean web1?"),
    (event("do = 'restart', host = 'web1'"), 4, "a restart is the collector's"),
    (event("do = 'gap', for = '5m', foo = 1"), 4, "is not known here"),
    (expected("opens = -1"), 4, "0 or more"),
    (expected("opens = 1.5"), 4, "write a whole number"),
    (expected("never = true, opens = 2"), 4, "of what never opens nothing else is true"),
    (expected("opens = 0, severity = 'high'"), 4, "of what never opens nothing else is true"),
    (expected("opened_between = ['2h', '1h']"), 4, "ends before it begins"),
    (expected("opened_between = ['2h']"), 4, "write"),
    (expected("severity = 'bad'"), 4, '"info"'),
    (expected("host = 'db'"), 4, "no series is of host db"),
    (expected("still_open = true, closed_between = ['1h', '2h']"), 4, "contradicts"),
    (a_test("expect = [{rule = 'DiskAlmostful'}]"), 4, "did you mean DiskAlmostFull?"),
    (a_test(EXPECT, "[tests.rules.DiskAlmostFull]", "clear_at = 0.99"), 6, "would clear while"),
    (a_test(EXPECT, "[tests.rules.NoSuch]", "clear_at = 0.99"), 5, "there is no rule NoSuch"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "says"), TESTS, ids=range(len(TESTS)))
def test_rules_test_runs_nothing_of_a_file_with_a_mistake(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(a_test("expect = [{rule = 'DiskAlmostFull', opens = 7}]"))  # would fail
    bad.write_text(text)
    said = refused(CliRunner().invoke(app, ["rules", "test", str(good), str(bad)]), bad, line)
    assert says in said
    assert "opens 0 times" not in said, "nothing was run, of the good file neither"


HEAD = "host,metric,labels,ts,value"
ROW = 'web1,disk_used_ratio,"{""mountpoint"": ""/""}",1772409600,0.5'

SERIES = [
    ("", None, "columns are host"),
    ("host,metric\nweb1,disk_used_ratio\n", None, "has no column labels, ts, value"),
    (f"{HEAD}\n", None, "holds no reading"),
    (f"{HEAD}\n{ROW}\n{ROW.replace('1772409600', 'noon')}\n", 3, "write unix seconds"),
    (f"{HEAD}\n{ROW.replace('1772409600', '1772409600000')}\n", 2, "milliseconds?"),
    (f"{HEAD}\n{ROW.replace('1772409600', '')}\n", 2, "is no number"),
    (f"{HEAD}\n{ROW.replace('0.5', 'half')}\n", 2, "is no number"),
    (f"{HEAD}\n{ROW.replace('0.5', 'inf')}\n", 2, "is infinite"),
    (f"{HEAD}\n{ROW.replace('web1', '')}\n", 2, "has no host"),
    (f"{HEAD}\n{ROW.replace('disk_used_ratio', '')}\n", 2, "has no metric"),
    (f"{HEAD}\nweb1,disk_used_ratio,mountpoint=/,1772409600,0.5\n", 2, "are no JSON"),
    (f"{HEAD}\nweb1,disk_used_ratio,[1],1772409600,0.5\n", 2, "are no JSON"),
    (f"{HEAD}\n{ROW}\nweb1,disk_used_ratio\n", 3, ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "says"), SERIES, ids=range(len(SERIES)))
def test_a_series_that_makes_no_sense_is_not_replayed_by_halves(
    tmp_path: Path, text: str, line: int | None, says: str
) -> None:
    path = tmp_path / "series.csv"
    path.write_text(text)
    result = CliRunner().invoke(app, ["rules", "backtest", "--series", str(path), "--json"])
    said = " ".join(result.output.split())
    assert result.exit_code == WRONG_USE, said
    assert isinstance(result.exception, SystemExit), result.exception
    assert str(path) in said
    assert line is None or f"line {line}" in said.lower()
    assert says in said
    assert not FOREIGN.search(said), said


@pytest.mark.parametrize("kind", ["nothing", "folder", "bytes"])
@pytest.mark.parametrize("words", [["rules", "test"], ["rules", "backtest", "--series"]])
def test_what_is_no_file_of_text_is_said_to_be_none(
    tmp_path: Path, kind: str, words: list[str]
) -> None:
    path = tmp_path / "given.csv"
    if kind == "folder":
        path.mkdir()
    elif kind == "bytes":
        path.write_bytes(bytes(range(256)) * 20)
    result = CliRunner().invoke(app, [*words, str(path)])
    said = " ".join(result.output.split())
    assert result.exit_code == WRONG_USE, said
    assert str(path) in said
    assert not FOREIGN.search(said), said


def test_a_forecast_that_looks_further_back_than_readings_are_kept_is_warned_of(
    instance: Path,
) -> None:
    file = instance / "collector.toml"
    before = file.read_text()
    file.write_text(f'{before}\n[retention]\nraw = "7d"\n')
    try:
        result = CliRunner().invoke(app, ["rules", "check", "--dir", str(instance)])
    finally:
        file.write_text(before)
    said = " ".join(result.output.split())
    assert result.exit_code == 0
    assert "warning: retention.raw is 7d, but DiskWillFill looks 15d back" in said


def test_every_rule_as_it_comes_makes_sense_and_its_texts_render() -> None:
    """What `rules check` asks of a changed rule holds of those that nobody changed."""
    for one in declared():
        adjust(one.booked, RuleChange(), ("rules", one.booked.name))


def test_rules_list_fits_a_terminal(instance: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(app, ["rules", "list", "--dir", str(instance)])
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 80
    for one in declared():
        assert f"{one.booked.name} ({one.booked.check})" in lines


def test_there_are_enough_of_them() -> None:
    assert len(RULES) + len(TESTS) + len(SERIES) >= 60
