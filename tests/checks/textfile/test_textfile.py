"""Text files of Prometheus, held against its own parser."""

import math
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from forewarn_checks._exposition import BadText, parse
from forewarn_checks.base import CannotRead, Fact, NothingToRead, Reading
from forewarn_checks.textfile import readings

CASE = Path(__file__).parent / "node_exporter"


def collect(read: Iterable[Reading]) -> dict[str, object]:
    found: dict[str, object] = {}
    for each in read:
        if isinstance(each, Fact):
            found[each.name] = each.value
        else:
            found[" ".join([each.metric, *each.labels.values()])] = each.value
    return found


def test_what_prometheus_reads_we_read() -> None:
    """The same series and values, as far as they are finite."""
    text = (CASE / "raid.prom").read_text()
    theirs = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if math.isfinite(sample.value)
    }
    ours = {(point.name, point.labels): point.value for point in parse(text)}
    assert ours == theirs
    assert len(ours) == 8


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True),
            st.dictionaries(
                st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,5}", fullmatch=True),
                st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S"))),
                max_size=3,
            ),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
        max_size=5,
    )
)
def test_what_is_written_by_the_rules_is_read_back(
    rows: list[tuple[str, dict[str, str], float]],
) -> None:
    """Whatever the labels hold."""
    lines = []
    for name, labels, value in rows:
        quoted = (
            label + '="' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
            for label, text in labels.items()
        )
        lines.append(f"{name}{{{','.join(quoted)}}} {value}")
    points = list(parse("\n".join(lines)))
    assert [(each.name, dict(each.labels), each.value) for each in points] == rows


@pytest.mark.parametrize(
    "line", ["1a 2", "a", "a{b=1} 2", 'a{b="c" 2', 'a{b="c"', "a x", "a 1 2 3", "{} 1", "a{ 1"]
)
def test_what_is_not_of_the_format_is_named_by_its_line(line: str) -> None:
    """Half a file is no figure."""
    with pytest.raises(BadText, match="line 2"):
        list(parse(f"good 1\n{line}\n"))


@given(st.text(st.sampled_from('ab{}="\\,# \t\n0.eN:T²'), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """With a word on where."""
    try:
        assert all(math.isfinite(each.value) for each in parse(text))
    except BadText as error:
        assert "line" in str(error)


def test_only_what_is_declared_to_grow_is_a_counter() -> None:
    """By its type, that of its family, never by its name alone."""
    counters = {each.name for each in parse((CASE / "raid.prom").read_text()) if each.counter}
    assert counters == {"backup_runs_total", "job_seconds_bucket", "job_seconds_count"}
    assert not next(iter(parse("x_total 1"))).counter


def test_files_become_samples(tmp_path: Path) -> None:
    """One that is broken is told so, and the others are read."""
    (tmp_path / "a.prom").write_text('x{disk="sda",mode="read"} 5\n# TYPE y counter\ny 7\n')
    (tmp_path / "b.prom").write_text("half a li")
    (tmp_path / "c.txt").write_text("z 1\n")
    (tmp_path / "d.prom").mkdir()
    os.mkfifo(tmp_path / "e.prom")
    os.utime(tmp_path / "a.prom", (1000, 1000))
    found = collect(readings({"folder": str(tmp_path)}, 1060.0))
    troubles = found.pop("textfile_troubles")
    assert found == {
        "textfile_broken a.prom": 0,
        "textfile_age_seconds a.prom": 60,
        "textfile_value a.prom x disk=sda,mode=read": 5,
        "textfile_value_total a.prom y ": 7,
        "textfile_broken b.prom": 1,
        "textfile_broken d.prom": 1,
        "textfile_broken e.prom": 1,
    }
    assert isinstance(troubles, list)
    assert [str(each).partition(":")[0] for each in troubles] == ["b.prom", "d.prom", "e.prom"]


def test_nothing_floods(tmp_path: Path) -> None:
    """500 series, 64 files, a mebibyte each."""
    (tmp_path / "a.prom").write_text("".join(f"x{n} 1\n" for n in range(9000)))
    for number in range(100):
        (tmp_path / f"b{number:03}.prom").write_text(f"y{number} 1\n")
    (tmp_path / "aa.prom").write_text("# " + "x" * 2**20 + "\n")
    found = collect(readings({"folder": str(tmp_path)}, 0.0))
    assert sum(name.startswith("textfile_value") for name in found) == 500
    assert sum(name.startswith("textfile_broken") for name in found) == 64
    assert found["textfile_broken aa.prom"] == 1


def test_how_a_run_ends_without_files(tmp_path: Path) -> None:
    """Nothing to read; the text says what to set."""
    with pytest.raises(NothingToRead, match="folder"):
        collect(readings({}, 0.0))
    with pytest.raises(NothingToRead, match="no file"):
        collect(readings({"folder": str(tmp_path)}, 0.0))
    with pytest.raises(NothingToRead, match="no such folder"):
        collect(readings({"folder": str(tmp_path / "none")}, 0.0))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_that_may_not_be_looked_into_is_told(tmp_path: Path) -> None:
    """Not as an empty one."""
    (tmp_path / "shut").mkdir(mode=0)
    with pytest.raises(CannotRead, match="let the agent"):
        collect(readings({"folder": str(tmp_path / "shut")}, 0.0))
