"""What a host is, since when it runs, and whether it waits for a restart."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET, AF_INET6

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_checks.base import Fact, Sample
from forewarn_checks.linux.kernels import flavour, newest_like, order, read_installed
from forewarn_checks.linux.os_release import Distribution, parse_os_release
from forewarn_checks.linux.reboot import Reboot, judge
from forewarn_checks.uptime import CHECK, Address, addresses, booted_at, parse_uptime

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("case", "distribution"),
    [
        ("debian_12", Distribution("debian", "Debian GNU/Linux", "12", codename="bookworm")),
        ("debian_testing", Distribution("debian", "Debian GNU/Linux", "trixie", codename="trixie")),
        ("arch", Distribution("arch", "Arch Linux", "")),
    ],
)
def test_distribution_of_a_captured_host(case: str, distribution: Distribution) -> None:
    """A release without a number at least has a code name."""
    assert parse_os_release((HERE / case / "os-release").read_text()) == distribution


def test_what_os_release_does_not_say_is_plain_linux() -> None:
    """Comments, empty values, rubbish and quotes without a partner say nothing."""
    text = '# NAME=no\nNAME=\nID=\'un\nnonsense\nVERSION_ID="7.5 \\"x\\""\n'
    assert parse_os_release(text) == Distribution("linux", "Linux", '7.5 "x"')


@given(st.text(max_size=60))
def test_any_os_release_is_parsed(text: str) -> None:
    """Never raises, and a host always has a name."""
    assert parse_os_release(text).name
    assert parse_os_release(f"NAME={text}").name


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("6.1.0-18-amd64", "6.1.0-21-amd64"),
        ("6.1.0-9-amd64", "6.1.0-18-amd64"),
        ("6.8.0-9-generic", "6.8.0-31-generic"),
        ("5.14.0-427.el9.x86_64", "5.14.0-427.13.1.el9_4.x86_64"),
        ("5.14.0-362.8.1.el9_3.x86_64", "5.14.0-427.el9_4.x86_64"),
        ("6.8.9-300.fc40.x86_64", "6.8.10-300.fc40.x86_64"),
        ("6.8.9-300.fc39.x86_64", "6.8.9-300.fc40.x86_64"),
        ("6.9.1-arch1-1", "6.9.1-arch1-2"),
        ("6.9.1-arch1-2", "6.10.0-arch1-1"),
        ("6.4.0-150600.21-default", "6.4.0-150600.23.7-default"),
    ],
)
def test_kernels_sort_as_their_distribution_means(older: str, newer: str) -> None:
    """Numbers as numbers, and what comes before the first letter first."""
    assert order(older) < order(newer)
    assert flavour(older) == flavour(newer)


def test_kernels_of_another_flavour_do_not_count() -> None:
    """A host that boots the cloud kernel does not wait for the plain one beside it."""
    installed = ["6.1.0-18-cloud-amd64", "6.1.0-21-amd64"]
    assert newest_like("6.1.0-18-cloud-amd64", installed) == "6.1.0-18-cloud-amd64"
    assert newest_like("6.18.44-fc", installed) is None


REBOOTS = [
    (
        "the flag, with who set it",
        "linux-image-6.1.0-21-amd64\nlibc6\nlibc6\n",
        [],
        True,
        "libc6, linux",
    ),
    ("the flag alone", "", [], True, "asked for by a package"),
    ("a newer kernel", None, ["6.1.0-18-amd64", "6.1.0-21-amd64"], True, "kernel 6.1.0-21-amd64"),
    ("the running kernel was removed", None, ["6.1.0-16-amd64"], True, "no longer installed"),
    ("the newest kernel runs", None, ["6.1.0-18-amd64", "6.1.0-9-amd64"], False, "is the newest"),
    ("a container with a kernel of its host", None, [], False, "nothing on this host would"),
    (
        "a hypervisor's kernel beside the tree's",
        None,
        ["6.1.0-18-cloud-amd64"],
        False,
        "nothing on this host",
    ),
]


@pytest.mark.parametrize(
    ("why", "flag", "installed", "pending", "reason"), REBOOTS, ids=[row[0] for row in REBOOTS]
)
def test_restart_pending(
    why: str, flag: str | None, installed: list[str], pending: bool, reason: str
) -> None:
    """Decided by the packages' flag first, by the kernels else."""
    found = judge(flag=flag, flag_is_kept=False, running="6.1.0-18-amd64", installed=installed)
    assert found.pending is pending
    assert reason in found.reason


def test_a_kept_flag_that_is_not_set_is_an_answer() -> None:
    """Told apart from a host on which nothing would set it."""
    found = judge(flag=None, flag_is_kept=True, running="6.1.0-18-amd64", installed=[])
    assert found == Reboot(False, "no package asks for it")


def test_installed_kernels_come_from_images_and_modules(tmp_path: Path) -> None:
    """Rescue images, unversioned names and leftovers of a removed kernel are none."""
    boot, modules = tmp_path / "boot", tmp_path / "modules"
    boot.mkdir()
    for name in ("vmlinuz-6.1.0-18-amd64", "vmlinuz-linux", "vmlinuz-0-rescue-1f", "vmlinuz.old"):
        (boot / name).touch()
    for release in ("6.9.1-arch1-1", "6.1.0-18-amd64", "5.10.0-1-amd64"):
        (modules / release / "updates").mkdir(parents=True)
    for release in ("6.9.1-arch1-1", "6.1.0-18-amd64"):
        (modules / release / "modules.builtin").touch()
    assert sorted(read_installed(boot, modules)) == ["6.1.0-18-amd64", "6.9.1-arch1-1"]
    assert read_installed(tmp_path / "none", tmp_path / "none") == []


@dataclass(frozen=True)
class Given:
    """An address as psutil gives it."""

    family: int
    address: str


def test_addresses_are_those_by_which_others_reach_the_host() -> None:
    """Loopback, link-local, hardware addresses and interfaces with nothing else are left out."""
    interfaces: dict[str, Sequence[Address]] = {
        "lo": [Given(AF_INET, "127.0.0.1"), Given(AF_INET6, "::1")],
        "veth12ab": [Given(17, "02:00:00:00:00:01"), Given(AF_INET6, "fe80::1%veth12ab")],
        "eth0": [
            Given(17, "02:00:00:00:00:02"),
            Given(AF_INET, "192.0.2.2"),
            Given(AF_INET6, "fd00::2"),
            Given(AF_INET6, "fe80::2%eth0"),
            Given(AF_INET, "no address"),
        ],
    }
    assert addresses(interfaces) == [
        {"interface": "eth0", "family": "ipv4", "address": "192.0.2.2"},
        {"interface": "eth0", "family": "ipv6", "address": "fd00::2"},
    ]


def test_uptime_is_the_first_number() -> None:
    """The second is idle time."""
    assert parse_uptime("1040.46 2047.65\n") == 1040.46
    for text in ("", " \n", "soon"):
        with pytest.raises(ValueError, match="could not convert"):
            parse_uptime(text)


def test_a_clock_corrected_by_seconds_does_not_change_when_it_booted() -> None:
    """The fact would be sent again and again otherwise."""
    assert booted_at(1_795_304_349.0) == booted_at(1_795_304_351.5) == "2026-11-21T23:39:00Z"


def test_this_host_is_up() -> None:
    """The reader itself, on whatever the tests run on."""
    assert CHECK.read_linux is not None
    found = list(CHECK.read_linux({}))
    samples = {each.metric: each.value for each in found if isinstance(each, Sample)}
    assert samples["uptime_seconds"] > 0
    assert samples["uptime_reboot_pending"] in {0, 1}
    facts = {each.name for each in found if isinstance(each, Fact)}
    assert facts >= {"os_name", "os_version", "os_id", "kernel", "hostname", "addresses"}
