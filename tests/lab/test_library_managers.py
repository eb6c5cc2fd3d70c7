"""The bodies that deal with packages, on real dnf 4, dnf 5, zypper and pacman.

Each runs in a throw-away copy of a tree that `patches_lab.sh` builds; apt is in
`test_library_line.py`.  The reading of the check `patches` afterwards is what is believed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forewarn_scripts import library

pytestmark = pytest.mark.lab

HERE = Path(__file__).parent
LAB = HERE / "patches_lab.sh"
FOLDER = Path(library.__file__).parent
UPDATES = FOLDER / "apply-updates/linux.sh"
REFRESH = FOLDER / "refresh-package-metadata/linux.sh"
CLEAN = FOLDER / "clean-temporary-files/linux.sh"
MANAGERS = ("dnf", "dnf5", "zypper", "pacman")
TELL_SECURITY = MANAGERS[:3]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the trees once; skip, saying why, where that cannot be done."""
    given = os.environ.get("FOREWARN_PATCHES_LAB")
    if given:
        return Path(given)
    folder = tmp_path_factory.mktemp("library")
    done = subprocess.run([LAB, "build", folder], capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"the lab of package managers cannot be built here: {done.stderr[-500:]}")
    return folder


def played(lab: Path, tree: str, script: str) -> tuple[str, dict[str, float]]:
    """Run a script in a copy of the tree; return its output and what the agent reads then."""
    if not (lab / tree).exists():
        pytest.skip(f"there is no tree of {tree}; the lab said why when it was built")
    agent = f"{sys.prefix}/bin/forewarn-agent once --check patches --json"
    whole = f"chmod 755 /root; cd /; {{\n{script}\n}} 2>&1 </dev/null; echo @@@; {agent}"
    done = subprocess.run(
        [LAB, "try", lab, tree, "sh", "-c", whole],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said, _, told = done.stdout.partition("@@@\n")
    print(f"\n-- {tree}\n{said}")
    (reading,) = json.loads(told)["runs"]
    values = {one["labels"]["kind"]: one["value"] for one in reading["samples"]
              if one["metric"] == "patches_missing"}  # fmt: skip
    return said, values


def body(path: Path, words: str) -> str:
    return f"sh {path} {words}; echo code $?"


@pytest.mark.parametrize("tree", TELL_SECURITY)
def test_a_simulation_changes_nothing(lab: Path, tree: str) -> None:
    said, missing = played(lab, tree, body(UPDATES, "--which=security"))
    assert "updates (security): 2" in said
    assert "code 0" in said
    assert missing == {"security": 2, "other": 2}


@pytest.mark.parametrize("tree", TELL_SECURITY)
def test_updates_of_security_are_applied_and_no_others(lab: Path, tree: str) -> None:
    """The kernel's among them: SUSE leaves out patches with a restart unless they are asked for."""
    script = body(UPDATES, "--which=security --yes")
    said, missing = played(lab, tree, f"{script}; {script}")
    assert "installed: 2" in said
    assert "a restart is needed; none was ordered" in said
    assert "no updates (security) to install" in said
    assert said.count("code 0") == 2
    assert missing == {"security": 0, "other": 2}


@pytest.mark.parametrize("tree", MANAGERS)
def test_all_updates_are_applied(lab: Path, tree: str) -> None:
    said, missing = played(lab, tree, body(UPDATES, "--which=all --yes"))
    assert f"installed: {3 if tree == 'pacman' else 4}" in said
    assert "code 0" in said
    assert set(missing.values()) == {0}


def test_pacman_is_not_asked_for_updates_of_security(lab: Path) -> None:
    """It cannot tell them: a guess would be worse than a word."""
    said, missing = played(lab, "pacman", body(UPDATES, "--which=security --yes"))
    assert "code 69" in said
    assert missing == {"unsorted": 3}


def bare(tree: str) -> str:
    """Return what takes the advisories out of the repository of a tree."""
    place = "/etc/zypp/repos.d" if tree == "zypper" else "/etc/yum.repos.d"
    fetch = "zypper -q --no-gpg-checks refresh -f" if tree == "zypper" else "true"
    return (
        "cp -r /lab/rpms /srv/bare; cd /srv/bare; rm repodata/*updateinfo*;"
        " sed -i '/<data type=.updateinfo/,/<.data>/d' repodata/repomd.xml; cd /;"
        f" sed -i s,/lab/rpms,/srv/bare, {place}/lab.repo; {fetch}"
    )


@pytest.mark.parametrize("tree", TELL_SECURITY)
def test_without_advisories_no_updates_of_security_is_no_good_news(lab: Path, tree: str) -> None:
    script = f"{bare(tree)} >/dev/null 2>&1\n{body(UPDATES, '--which=security --yes')}"
    said, _ = played(lab, tree, script)
    assert "says which updates are of security" in said
    assert "code 69" in said


HOLD = {
    "dnf": "sleep 6 & echo $! > /var/cache/dnf/metadata_lock.pid",
    "zypper": "(sleep 6; rm /run/zypp.pid) & echo $! > /run/zypp.pid",
    "pacman": "touch /var/lib/pacman/db.lck; (sleep 6; rm /var/lib/pacman/db.lck) &",
}


@pytest.mark.parametrize("tree", HOLD)
def test_a_lock_is_waited_for(lab: Path, tree: str) -> None:
    """Another one is at it for six seconds."""
    said, missing = played(lab, tree, f"{HOLD[tree]}\n{body(UPDATES, '--which=all --yes')}")
    assert "code 0" in said
    assert set(missing.values()) == {0}


LOCKED = {
    "dnf": "sleep 100 & echo $! > /var/cache/dnf/metadata_lock.pid",
    "zypper": "sleep 100 & echo $! > /run/zypp.pid",
    "pacman": "touch /var/lib/pacman/db.lck",
}


@pytest.mark.parametrize("tree", LOCKED)
def test_a_lock_that_stays_ends_in_try_again(lab: Path, tree: str) -> None:
    """The body's own bound is cut to ten seconds."""
    script = f"sed s/LOCK_SECONDS=300/LOCK_SECONDS=10/ {UPDATES} > /tmp/short.sh"
    said, missing = played(
        lab, tree, f"{LOCKED[tree]}\n{script}\n{body(Path('/tmp/short.sh'), '--which=all --yes')}"
    )
    assert "code 75" in said
    assert 0 not in missing.values()


@pytest.mark.parametrize("tree", TELL_SECURITY)
def test_lists_are_fetched_and_a_dead_one_is_told_of(lab: Path, tree: str) -> None:
    place = "/etc/zypp/repos.d" if tree == "zypper" else "/etc/yum.repos.d"
    dead = (
        "printf '[dead]\\nname=Dead\\nenabled=1\\nautorefresh=1\\nbaseurl=file:///gone\\n"
        f"gpgcheck=0\\n' > {place}/dead.repo"
    )
    said, _ = played(lab, tree, f"{body(REFRESH, '')}; {dead}; {body(REFRESH, '')}")
    assert "the lists of packages were fetched" in said
    assert said.index("code 0") < said.index("code 1")
    assert "dead" in said.casefold()


@pytest.mark.parametrize("tree", TELL_SECURITY)
def test_a_dead_repository_does_not_hold_back_the_others(lab: Path, tree: str) -> None:
    place = "/etc/zypp/repos.d" if tree == "zypper" else "/etc/yum.repos.d"
    dead = (
        "printf '[dead]\\nname=Dead\\nenabled=1\\nautorefresh=1\\nbaseurl=file:///gone\\n"
        f"gpgcheck=0\\nskip_if_unavailable=1\\n' > {place}/dead.repo"
    )
    said, _ = played(
        lab, tree, f"{dead}; {body(UPDATES, '--which=security --yes')}; rpm -q lab-tls"
    )
    assert "installed: 2" in said
    assert "there may be more updates" in said
    assert "lab-tls-3.0.7" in said


def test_what_cannot_be_installed_is_named_and_the_rest_is_applied(lab: Path) -> None:
    """A newer package needs something that is nowhere: dnf takes the one below it."""
    spec = (
        "Name: lab-tls\\nVersion: 9\\nRelease: 1\\nSummary: s\\nLicense: MIT\\nBuildArch: noarch\\n"
        "Requires: no-such-thing\\n%%description\\nlab\\n%%files\\n"
    )
    make = (
        f"cp -r /lab/rpms /srv/broken; printf '{spec}' > /tmp/s.spec; rpmbuild -bb --quiet"
        " --define '_topdir /tmp/b' /tmp/s.spec; cp /tmp/b/RPMS/noarch/*.rpm /srv/broken;"
        " createrepo_c -q --update /srv/broken;"
        " sed -i s,/lab/rpms,/srv/broken, /etc/yum.repos.d/lab.repo"
    )
    script = f"{make} >/dev/null 2>&1\n{body(UPDATES, '--which=all --yes')}; rpm -q lab-shell"
    said, _ = played(lab, "dnf", script)
    assert "still on offer" in said
    assert "lab-tls.noarch" in said.partition("still on offer")[2]
    assert "lab-shell-5.2" in said


CACHES = {
    "dnf": "/var/cache/dnf/lab-1/packages/x.rpm",
    "pacman": "/var/cache/pacman/pkg/x.pkg.tar.zst",
}


@pytest.mark.parametrize("tree", CACHES)
def test_downloads_are_shown_and_then_cleaned(lab: Path, tree: str) -> None:
    """By the manager itself, which knows what it still needs."""
    fill = f"mkdir -p $(dirname {CACHES[tree]}); head -c 3000000 /dev/zero > {CACHES[tree]}"
    script = body(CLEAN, "--older-than-days=10")
    said, _ = played(lab, tree, f"{fill}\n{script}; {script.replace('10;', '10 --yes;')}")
    assert said.count("downloaded packages: 2 MiB in") == 2
    assert "Nothing was changed" in said
    assert said.count("code 0") == 2
