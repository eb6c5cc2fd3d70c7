"""Your own checks: what plugins print, who may have written them, and the limits they run in."""

import math
import os
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks._at_once import AtOnce
from forewarn_checks._limited import Ended, Limits, run_limited
from forewarn_checks._plugin_output import Range, Said, parse_output, parse_range
from forewarn_checks.base import CannotRead, Fact, NothingToRead, Options, Reading, Unit
from forewarn_checks.linux.trusted import distrust
from forewarn_checks.own import Command, Result, judge, parse_command, perform, readings
from forewarn_checks.windows.trusted import Grant, distrust_of

CASES = Path(__file__).parent
GIB = 2**30


Figures = dict[str, tuple[float, Unit]]


def check_figures(said: Said, expected: Figures) -> None:
    found = {each.label: (each.value, each.unit) for each in said.measures}
    assert found.keys() == expected.keys()
    for label, (value, unit) in expected.items():
        assert found[label][0] == pytest.approx(value)
        assert found[label][1] is unit


@pytest.mark.parametrize(
    ("case", "text", "expected"),
    [
        (
            "disk",
            "DISK OK - free space: / 66237MiB (63% inode=95%); /dev/shm 24105MiB (99% inode=99%);",
            {"/": (39488323584, Unit.BYTES), "/dev/shm": (0, Unit.BYTES)},
        ),
        (
            "load",
            "LOAD OK - total load average: 0.61, 1.61, 1.62",
            {
                name: (value, Unit.COUNT)
                for name, value in (("load1", 0.61), ("load5", 1.61), ("load15", 1.62))
            },
        ),
        (
            "ping",
            "PING OK - Packet loss = 0%, RTA = 0.03 ms",
            {"rta": (0.000031, Unit.SECONDS), "pl": (0, Unit.RATIO)},
        ),
        ("procs", "PROCS OK: 99 processes", {"procs": (99, Unit.COUNT)}),
        (
            "swap",
            (
                "SWAP OK - 0% free (0MB out of 0MB) - "
                "Swap is either disabled, not present, or of zero size."
            ),
            {"swap": (0, Unit.BYTES)},
        ),
        (
            "file_age",
            "FILE_AGE OK: /etc/passwd is 4093 seconds old and 1221 bytes",
            {"age": (4093, Unit.SECONDS), "size": (1221, Unit.BYTES)},
        ),
        ("users", "USERS OK - 0 users currently logged in", {"users": (0, Unit.COUNT)}),
        ("http_refused", "connect to address 127.0.0.1 and port 1: Connection refused", {}),
        ("no_arguments", "check_tcp: No arguments found", {}),
        (
            "many_lines",
            "DISK OK - free space: / 3326 MB (56%);",
            {
                "/": (2643 * 2**20, Unit.BYTES),
                "/boot": (68 * 2**20, Unit.BYTES),
                "/home": (69357 * 2**20, Unit.BYTES),
                "/var/log": (818 * 2**20, Unit.BYTES),
            },
        ),
    ],
)
def test_what_real_plugins_print_is_read(case: str, text: str, expected: Figures) -> None:
    """Captured from Debian's monitoring-plugins; many_lines written from the guidelines."""
    said = parse_output((CASES / case / "output").read_text())
    assert said.text == text
    check_figures(said, expected)


@pytest.mark.parametrize(
    ("fact", "perfdata", "expected"),
    [
        ("U is a value the plugin does not know", "a=U;1;2 b=3", {"b": (3, Unit.COUNT)}),
        ("quoted, with a quote and a sign", "'it''s a=b'=1s", {"it's a=b": (1, Unit.SECONDS)}),
        ("milli, micro and nano", "a=1ms b=1us c=1ns",
         {"a": (1e-3, Unit.SECONDS), "b": (1e-6, Unit.SECONDS), "c": (1e-9, Unit.SECONDS)}),
        ("powers of 1024", "a=1KB b=1MiB c=1gb d=1TB",
         {"a": (1024, Unit.BYTES), "b": (2**20, Unit.BYTES), "c": (GIB, Unit.BYTES),
          "d": (2**40, Unit.BYTES)}),
        ("a decimal comma", "a=1,5s;2,5", {"a": (1.5, Unit.SECONDS)}),
        ("an unknown unit is none", "fan=1200rpm", {"fan": (1200, Unit.COUNT)}),
        ("signs and powers of ten", "a=-3 b=+2.5e3",
         {"a": (-3, Unit.COUNT), "b": (2500, Unit.COUNT)}),
        ("broken items are passed over", "=1 a= b=x c=4 'd=5", {"c": (4, Unit.COUNT)}),
        ("a space in a plain label", "a b=1", {"a b": (1, Unit.COUNT)}),
        ("infinity is no figure", "a=1e999 b=1", {"b": (1, Unit.COUNT)}),
        ("the last of two holds", "a=1 a=2", {"a": (2, Unit.COUNT)}),
    ],
)  # fmt: skip
def test_performance_data(fact: str, perfdata: str, expected: Figures) -> None:
    """In base units."""
    check_figures(parse_output(f"OK | {perfdata}"), expected)


@pytest.mark.parametrize(
    ("text", "fine", "alarming"),
    [
        # the table of the guidelines
        ("10", (0, 5, 10), (-1, 10.1)),
        ("10:", (10, 1e9), (9.9, -1)),
        ("~:10", (-1e9, 10), (10.1,)),
        ("10:20", (10, 20), (9, 21)),
        ("@10:20", (9, 21), (10, 15, 20)),
        ("0", (0,), (1, -1)),
    ],
)
def test_ranges_alarm_where_the_guidelines_say(
    text: str, fine: tuple[float, ...], alarming: tuple[float, ...]
) -> None:
    """Both ends belong to the range."""
    found = parse_range(text)
    assert found is not None
    assert not any(found.alarms(value) for value in fine)
    assert all(found.alarms(value) for value in alarming)


@pytest.mark.parametrize("text", ["", "@", "x", "20:10", "nan", "1:2:3", "~"])
def test_what_is_no_range_is_none(text: str) -> None:
    """As thresholds of plugins often are: words, or nothing."""
    assert parse_range(text) is None


def test_the_way_to_the_critical_mark_is_a_share() -> None:
    """In the figure's own unit; where the mark is below, or around, there is no such way."""
    said = parse_output("OK | t=50ms;80;100 free=5GB;2:;1: x=1;@1:2;@1:2 n=3;;~:6")
    assert {each.label: each.critical_ratio for each in said.measures} == {
        "t": pytest.approx(0.5),
        "free": None,
        "x": None,
        "n": pytest.approx(0.5),
    }
    assert said.measures[1].critical == Range(1 * GIB, math.inf)


@given(st.text(st.sampled_from("ab ='|;:@~U%s0129.,-e\n\t\x1b²"), max_size=80))
def test_any_output_is_read(output: str) -> None:
    """What makes no sense is passed over, and figures are finite."""
    said = parse_output(output)
    assert said.text.isprintable()
    assert all(math.isfinite(each.value) and each.label for each in said.measures)


def test_reading_output_takes_time_in_proportion_to_it() -> None:
    """A program that prints rubbish on purpose costs nothing more."""
    for rubbish in ("a" * 65000, "a=" * 32000, "'" * 65000, " a" * 32000, "=1 " * 20000):
        began = time.process_time()
        parse_output(f"OK | {rubbish}")
        assert time.process_time() - began < 2, rubbish[:4]


# who may have written it


@dataclass(frozen=True)
class Node:
    st_mode: int
    st_uid: int = 0


FOLDER, PROGRAM = Node(stat.S_IFDIR | 0o755), Node(stat.S_IFREG | 0o755)
LINK = Node(stat.S_IFLNK | 0o777)
TREE = {
    "/": FOLDER,
    "/etc": FOLDER,
    "/etc/d": FOLDER,
    "/etc/d/check": PROGRAM,
    "/etc/d/link": LINK,
    "/etc/d/far": LINK,
    "/etc/d/round": LINK,
    "/etc/d/plain": Node(stat.S_IFREG | 0o644),
    "/etc/d/open": Node(stat.S_IFREG | 0o775),
    "/etc/d/theirs": Node(stat.S_IFREG | 0o755, 1000),
    "/etc/d/theirlink": Node(stat.S_IFLNK | 0o777, 1000),
    "/tmp": Node(stat.S_IFDIR | 0o1777),
    "/tmp/check": PROGRAM,
    "/home": FOLDER,
    "/home/joe": Node(stat.S_IFDIR | 0o755, 1000),
    "/home/joe/check": PROGRAM,
}
LINKS = {
    "/etc/d/link": "../d/check",
    "/etc/d/far": "/tmp/check",
    "/etc/d/round": "round",
    "/etc/d/theirlink": "check",
}


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/etc/d/check", ""),
        ("/etc/../etc/d/./check", ""),
        ("/etc/d/link", ""),
        ("/etc/d/far", "/tmp: others than root may write"),
        ("/etc/d/round", "links without end"),
        ("/etc/d/theirs", "belongs to user 1000"),
        ("/etc/d/theirlink", "belongs to user 1000"),
        ("/etc/d/open", "others than root may write to it"),
        ("/etc/d/plain", "is no program"),
        ("/etc/d", "is no program"),
        ("/tmp/check", "/tmp: others than root may write"),
        ("/home/joe/check", "/home/joe: belongs to user 1000"),
        ("/etc/d/none", "No such file"),
        ("/etc/d/check/below", "No such file"),
        ("check", "no whole path"),
        ("/", "is no program"),
    ],
)
def test_only_what_root_alone_could_have_put_there_is_trusted(path: str, says: str) -> None:
    """The program, every folder above it, and every link on the way."""

    def lstat(path: str) -> Node:
        if path not in TREE:
            raise FileNotFoundError(2, "No such file or directory")
        return TREE[path]

    found = distrust(path, lstat, LINKS.__getitem__)
    assert says in found
    assert bool(says) == bool(found)


ADMINISTRATORS, USERS = "S-1-5-32-544", "S-1-5-32-545"


@pytest.mark.parametrize(
    ("fact", "owner", "grants", "near", "says"),
    [
        ("as installed", "S-1-5-18", (Grant(0, 0, 0x1200A9, USERS),), True, ""),
        ("a user's", "S-1-5-21-1-2-3-1001", (), True, "its owner"),
        ("users may write", ADMINISTRATORS, (Grant(0, 0, 0x2, USERS),), True, "may change it"),
        ("to add beside a folder above", ADMINISTRATORS, (Grant(0, 0, 0x2, USERS),), False, ""),
        ("to delete there", ADMINISTRATORS, (Grant(0, 0, 0x40, USERS),), False, "may change it"),
        ("only for what is made later", ADMINISTRATORS, (Grant(0, 8, 0x2, USERS),), True, ""),
        ("a refusal", ADMINISTRATORS, (Grant(1, 0, 0x2, USERS),), True, ""),
        ("no list at all", ADMINISTRATORS, None, False, "everybody"),
    ],
)
def test_windows_lists_of_who_may_what(
    fact: str, owner: str, grants: tuple[Grant, ...] | None, near: bool, says: str
) -> None:
    """The same question, asked of an access list."""
    found = distrust_of("C:\\x", owner, grants, near=near)
    assert says in found, fact
    assert bool(says) == bool(found), fact


# how it runs


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", code)


def test_a_program_is_heard_to_its_end() -> None:
    """Its status is handed on; it has no input and an environment of its own."""
    ended = run_limited(
        python("import os,sys; print(sorted(os.environ), sys.stdin.read()); sys.exit(2)"),
        Limits(20),
    )
    assert (ended.status, ended.cut) == (2, "")
    assert "LC_ALL" in ended.output
    assert "HOME" not in ended.output


def test_one_that_does_not_end_is_ended_with_all_it_started() -> None:
    """Also what it left in the background, which holds its output open."""
    began = time.monotonic()
    ended = run_limited(("/bin/sh", "-c", "sleep 60 & echo begun; wait"), Limits(0.3))
    assert ended.cut == "it did not end within 0.3 s"
    assert ended.output == "begun\n"
    left = run_limited(("/bin/sh", "-c", "sleep 60 & echo done"), Limits(20))
    assert (left.output, left.status, left.cut) == ("done\n", 0, "")
    assert time.monotonic() - began < 15


def test_one_that_prints_without_end_is_ended() -> None:
    """What it printed is cut."""
    ended = run_limited(("/bin/sh", "-c", "while :; do echo yyyyyyyyyyyyyyyyy; done"), Limits(20))
    assert ended.cut == "it printed more than 65536 bytes"
    assert len(ended.output) == 65536


def test_one_that_wants_more_memory_does_not_get_it() -> None:
    """A MemoryError ends it, with a status that is no check's or means a failure."""
    fits = run_limited(python("b = bytearray(8 * 2**20); print(1)"), Limits(20))
    big = run_limited(python("b = bytearray(600 * 2**20); print(1)"), Limits(20))
    assert fits.output == "1\n"
    assert big.output == ""
    assert big.status != 0


def test_a_program_that_cannot_be_started_is_unknown_not_fine() -> None:
    """The shell says 126 or 127."""
    ended = run_limited(("/nonexistent/check",), Limits(20))
    assert ended.status == 127
    assert judge(ended, 0.1).status == 3


@pytest.mark.parametrize(
    ("ended", "status", "why"),
    [
        (Ended("OK - x | a=1", 0), 0, ""),
        (Ended("WARNING", 1), 1, ""),
        (Ended("CRITICAL", 2), 2, ""),
        (Ended("UNKNOWN", 3), 3, ""),
        (Ended("", 2), 2, "it printed nothing"),
        (Ended("OK", 4), 3, "ended with 4"),
        (Ended("", -11), 3, "ended with -11"),
        (Ended("OK | a=1", 0, "it did not end within 30 s"), 3, "it did not end within 30 s"),
    ],
)
def test_what_an_end_means(ended: Ended, status: int, why: str) -> None:
    """Whatever is no check's status is unknown; figures of one that was cut do not count."""
    result = judge(ended, 1.0)
    assert result.status == status
    assert why in result.why
    assert not (ended.cut and result.said.measures)


def test_what_is_not_trusted_is_not_run() -> None:
    """It is unknown, and the reason is told."""

    def run(argv: object, limits: Limits) -> Ended:
        raise AssertionError("it was run")

    result = perform(Command(("/x",), Limits(1)), lambda path: "/x: belongs to joe", run)
    assert (result.status, result.why) == (3, "not run: /x: belongs to joe")


# what is told


def read(
    tmp_path: Path, options: Options, ask: Callable[[Command], Result]
) -> tuple[dict[str, object], str]:
    found: dict[str, object] = {}
    try:
        each: Reading
        for each in readings(options, tmp_path / "checks.d", AtOnce(ask)):
            if isinstance(each, Fact):
                found[each.name] = each.value
            else:
                name = " ".join([each.metric, *each.labels.values()])
                assert name not in found
                found[name] = each.value
    except (CannotRead, NothingToRead) as error:
        return found, f"{type(error).__name__}: {error}"
    return found, ""


def test_programs_of_the_folder_and_of_the_settings_are_told(tmp_path: Path) -> None:
    """What a package manager left behind and hidden files are none; arguments are told nobody."""
    folder = tmp_path / "checks.d"
    folder.mkdir()
    for name in ("raid", "raid.dpkg-old", ".hidden", "raid~", "README.md", "backup.sh"):
        (folder / name).touch()
    said = parse_output("OK - fine | t=50ms;80;100 n=7c")
    results = {
        "/p/disk": Result(1, parse_output("DISK WARNING | /=5B"), 0.5),
        str(folder / "raid"): Result(0, said, 0.25),
        str(folder / "backup.sh"): Result(3, Said("", ()), 0.0, "not run: belongs to joe"),
    }
    found, complaint = read(
        tmp_path,
        {"commands": ("disk = /p/disk -w 20% --password geheim",)},
        lambda command: results[command.argv[0]],
    )
    assert found == {
        "own_unknown disk": 0,
        "own_state disk": 1,
        "own_duration_seconds disk": 0.5,
        "own_measure_bytes disk /": 5,
        "own_unknown backup.sh": 1,
        "own_unknown raid": 0,
        "own_state raid": 0,
        "own_duration_seconds raid": 0.25,
        "own_measure_seconds raid t": pytest.approx(0.05),
        "own_critical_ratio raid t": pytest.approx(0.5),
        "own_measure_total raid n": 7,
        "own_checks_not_fine": [
            {"check": "disk", "says": "warning", "text": "DISK WARNING"},
            {"check": "backup.sh", "says": "unknown", "text": "not run: belongs to joe"},
        ],
    }
    assert not complaint


def test_nothing_floods(tmp_path: Path) -> None:
    """64 checks, 20 figures of each, texts of a bounded length."""
    (tmp_path / "checks.d").mkdir()
    for number in range(200):
        (tmp_path / "checks.d" / f"c{number}").touch()
    loud = parse_output(f"{'x' * 5000} | " + " ".join(f"m{n}={n};1;2" for n in range(500)))
    found, _ = read(tmp_path, {}, lambda command: Result(2, loud, 0.1))
    assert len(found) == 64 * (3 + 20 + 20) + 1
    told = found["own_checks_not_fine"]
    assert isinstance(told, list)
    assert all(isinstance(row, dict) and len(str(row["text"])) <= 240 for row in told)


def test_how_a_run_ends_without_checks(tmp_path: Path) -> None:
    """Nothing to read, unless the settings make no sense."""
    fine = Result(0, Said("", ()), 0.1)
    assert read(tmp_path, {}, lambda command: fine)[1].startswith("NothingToRead")
    _, said = read(tmp_path, {"commands": ("x = disk",)}, lambda command: fine)
    assert said.startswith("CannotRead: [checks.own.options] commands: entry 1 (x)")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_that_may_not_be_looked_into_is_a_failure(tmp_path: Path) -> None:
    """With the mend."""
    (tmp_path / "checks.d").mkdir(mode=0)
    assert "chmod 755" in read(tmp_path, {}, lambda command: Result(0, Said("", ()), 0.1))[1]


def test_commands_are_quoted_as_for_a_shell() -> None:
    """No shell reads them; on Windows backslashes stay."""
    assert parse_command("/p/c -a 'b c' $x") == ("/p/c", "-a", "b c", "$x")
    assert parse_command(r'C:\p\c.exe "a b"') == (r"C:\p\c.exe", "a b")
    for text in ("", "c", "./c", "'"):
        with pytest.raises(ValueError, match=r"\w"):
            parse_command(text)
