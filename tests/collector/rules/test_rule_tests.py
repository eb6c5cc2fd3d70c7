"""Files of rule tests: what they say, and how they are refused."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from forewarn_collector.cli import app
from forewarn_collector.config import ConfigError
from forewarn_collector.rule_tests import read
from forewarn_collector.rule_trial import play
from forewarn_collector.rules.notation import BadSeries, parse_series

FULL = """
[[tests]]
name = "full"
series = [
  {metric = "disk_used_ratio", labels = {mountpoint = "/"}, values = "0.5x3 0.95x12"},
  {metric = "disk_free_bytes", labels = {mountpoint = "/"}, values = "2Gx20"},
]
EXPECT
"""


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("1", [1.0]),
        ("1x2", [1.0, 1.0, 1.0]),
        ("0+10x3", [0.0, 10.0, 20.0, 30.0]),
        ("1-1x2 _ 5", [1.0, 0.0, -1.0, None, 5.0]),
        ("_x2 2Ki 1.5k 50%", [None, None, 2048.0, 1500.0, 0.5]),
        ("-1e3", [-1000.0]),
    ],
)
def test_series_are_written_as_in_promtool(text: str, readings: list[float | None]) -> None:
    assert parse_series(text) == readings


@pytest.mark.parametrize("text", ["", "1y", "1+1", "x3", "1x99999999", "_1", "1 x 3", "0x9999999"])
def test_what_is_no_series_is_refused(text: str) -> None:
    with pytest.raises(BadSeries, match="write"):
        parse_series(text)


@given(st.text("0123456789.+-x_ kKiMe%", max_size=30))
def test_any_text_is_a_series_or_refused(text: str) -> None:
    with contextlib.suppress(BadSeries):
        assert parse_series(text)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[[tests]\n", 1, "mend the TOML"),
        ("[[tests]]\nname = 'x'\n", 1, "series: is missing; write it"),
        (FULL.replace("EXPECT", "expct = []"), 8, "did you mean expect"),
        (
            FULL.replace("EXPECT", 'expect = [{rule = "DiskAlmostful", opens = 1}]'),
            8,
            "did you mean DiskAlmostFull?",
        ),
        (
            FULL.replace("EXPECT", 'expect = [{rule = "DiskAlmostFull"}]').replace("95x", "95y"),
            4,
            "'0.95y12' is no part of a series",
        ),
        (
            FULL.replace("EXPECT", 'expect = [{rule = "DiskAlmostFull"}]').replace(
                "disk_free_bytes", "disk_fre_bytes"
            ),
            4,
            "did you mean disk_free_bytes?",
        ),
        (
            FULL.replace("EXPECT", 'expect = [{rule = "DiskAlmostFull"}]').replace(
                "mountpoint", "mount"
            ),
            4,
            "has no label mount; it has mountpoint, device, fstype",
        ),
        (
            FULL.replace("EXPECT", 'expect = [{rule = "DiskAlmostFull"}]\n')
            + "[tests.rules.DiskAlmostFull]\nclear_at = 0.99\n",
            11,
            "it would clear while it raises",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line_and_mend(
    text: str, line: int, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read(path, {})
    assert f"{path}, line {line}" in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("expect", "code", "said"),
    [
        ('{rule = "DiskAlmostFull", opens = 1, severity = "high"}', 0, "1 tests, all well"),
        ('{rule = "DiskAlmostFull", never = true}', 1, "must never open, but: high opened 35m"),
        ('{rule = "DiskAlmostFull", opens = 2}', 1, "opens 1 times, not 2"),
        (
            '{rule = "DiskAlmostFull", opened_between = ["1h", "2h"]}',
            1,
            "opened at 35m, not between 1h and 2h",
        ),
        ('{rule = "DiskAlmostFull", closed_between = ["1h", "2h"]}', 1, "closed never"),
        ('{rule = "DiskAlmostFull", title = "x"}', 1, "is titled '/ on web1"),
        ('{rule = "DiskReadOnly"}', 1, "must open, but nothing did"),
        ('{rule = "NoSuch"}', 2, "there is no rule NoSuch"),
    ],
)
def test_the_command_says_what_came_instead(
    expect: str, code: int, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "one.toml"
    path.write_text(FULL.replace("EXPECT", f"expect = [{expect}]"))
    answer = CliRunner().invoke(app, ["rules", "test", str(path)])
    assert answer.exit_code == code
    assert said in " ".join(answer.output.split())


def test_tickets_are_counted_after_grouping(tmp_path: Path) -> None:
    """Five hosts of a site at once are one ticket; the line of the number is told."""
    path = tmp_path / "tests.toml"
    names = [f"web{n}" for n in range(5)]
    series = ", ".join(
        f'{{metric = "{metric}", host = "{name}", values = "{values}"}}'
        for name in names
        for metric, values in (("disk_used_ratio", "0.5x3 0.95x12"), ("disk_free_bytes", "2Gx16"))
    )
    for tickets, code in ((1, 0), (5, 1)):
        path.write_text(
            f'[[tests]]\nname = "five"\ntickets = {tickets}\nseries = [{series}]\n'
            'expect = [{rule = "DiskAlmostFull", opens = 5}]\n'
        )
        answer = CliRunner().invoke(app, ["rules", "test", str(path)])
        assert answer.exit_code == code, answer.output
    assert "tests.toml, line 3: five" in answer.output.replace("\n", "")
    assert "makes 1 tickets, not 5" in " ".join(answer.output.split())


def test_the_rules_under_test_may_be_changed_by_a_file(tmp_path: Path) -> None:
    path, change = tmp_path / "one.toml", tmp_path / "rules.toml"
    path.write_text(FULL.replace("EXPECT", 'expect = [{rule = "DiskAlmostFull", never = true}]'))
    change.write_text("[rules.DiskAlmostFull]\nabove = 0.96\nlevels.high.enabled = false\n")
    answer = CliRunner().invoke(app, ["rules", "test", str(path), "--rule", str(change)])
    assert answer.exit_code == 0, answer.output


def fits(key: str, event: dict[str, str]) -> bool:
    """Say whether an event of this kind takes this key."""
    return key != "by" or event["do"] in ("late", "skew")


events = st.lists(
    st.fixed_dictionaries(
        {
            "at": st.sampled_from(["0s", "20m", "45m", "70m"]),
            "do": st.sampled_from(["gap", "offline", "late", "skew", "restart"]),
            "for": st.sampled_from(["1m", "20m", "3h"]),
            "by": st.sampled_from(["1m", "20m", "3h"]),
        }
    ),
    max_size=4,
)


@given(events, st.booleans())
def test_whatever_happens_on_the_line_no_episode_is_doubled(
    happened: list[dict[str, str]], holds: bool
) -> None:
    """One condition that lasts is one episode at most; none is never one."""
    written = ", ".join(
        "{" + ", ".join(f'{key} = "{value}"' for key, value in one.items() if fits(key, one)) + "}"
        for one in happened
    )
    text = FULL.replace("0.95x12", "0.95x60" if holds else "0.6x60").replace("2Gx20", "2Gx70")
    text = text.replace("EXPECT", f'events = [{written}]\nexpect = [{{rule = "DiskAlmostFull"}}]')
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        (case,) = read(Path(file.name), {})
    episodes = play(case).episodes
    assert len(episodes) <= 1 if holds else not episodes
    assert all(episode.closed_at is None for episode in episodes)
