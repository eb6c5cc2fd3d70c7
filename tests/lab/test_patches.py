"""Real package managers in every state in which they are known to mislead.

Each scene runs in a throw-away copy of a tree that `patches_lab.sh` builds from Debian packages.
With FOREWARN_RECORD=FOLDER every scene is kept there as a case for tests/checks/patches.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

HERE = Path(__file__).parent
LAB = HERE / "patches_lab.sh"
DIE = "head -c 8000 /dev/urandom > /var/lib/rpm/rpmdb.sqlite"
NOBODY = "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all"


@dataclass(frozen=True)
class Scene:
    """What is done to a tree before it is read, and what must come of it.

    `missing` is by kind; None where nothing may be said.  `says` is part of the text.
    """

    tree: str
    name: str
    setup: str = "true"
    known: int = 1
    missing: dict[str, int] | None = None
    held: int | None = None
    says: str = ""
    prefix: str = ""


SCENES = [
    Scene("dnf", "pending", missing={"security": 2, "other": 2}, held=0),
    Scene("dnf", "pending_nobody", prefix=NOBODY, missing={"security": 2, "other": 2}, held=0),
    Scene(
        "dnf",
        "held",
        "dnf -q -C versionlock add lab-tls; echo exclude=lab-shell >> /etc/yum.repos.d/lab.repo",
        missing={"security": 2, "other": 2},
        held=2,
    ),
    Scene("dnf", "patched", "dnf -q -y upgrade", missing={"security": 0, "other": 0}, held=0),
    Scene(
        "dnf",
        "no_advisories",
        "cp -r /lab/rpms /srv/bare; cd /srv/bare; modifyrepo_c --remove updateinfo repodata; "
        "sed -i s,/lab/rpms,/srv/bare, /etc/yum.repos.d/lab.repo; dnf -q makecache",
        missing={"unsorted": 4},
    ),
    Scene(
        "dnf",
        "never_fetched",
        "printf '[dead]\\nname=Dead\\nbaseurl=http://127.0.0.1:9/\\ngpgcheck=0\\n' "
        "> /etc/yum.repos.d/dead.repo",
        known=0,
        says="no cache for 'dead'",
    ),
    Scene("dnf", "no_cache", "rm -rf /var/cache/dnf", known=0, says="no cache for 'lab'"),
    Scene(
        "dnf",
        "stale",
        "touch -d '20 days ago' /var/cache/dnf/lab-*/repodata/*",
        known=0,
        missing={"security": 2, "other": 2},
        says="compared 20 days ago",
    ),
    Scene(
        "dnf",
        "dead_mirror_stale",
        "dnf -q -y upgrade; touch -d '20 days ago' /var/cache/dnf/lab-*/repodata/*; "
        "printf '[lab]\\nname=Lab\\nbaseurl=file:///gone\\ngpgcheck=0\\nskip_if_unavailable=1\\n' "
        "> /etc/yum.repos.d/lab.repo; dnf -q makecache",
        known=0,
        says="no cache for 'lab'",
    ),
    Scene("dnf", "corrupt_rpmdb", DIE, known=0, says="not a database"),
    Scene("dnf", "lost_rpmdb", "rm -rf /var/lib/rpm/*", known=0, says="no package installed"),
    Scene(
        "dnf",
        "locked",
        "sleep 100 & echo $! > /var/cache/dnf/metadata_lock.pid",
        known=0,
        says="locked",
    ),
    Scene(
        "dnf",
        "no_repositories",
        "sed -i s/enabled=1/enabled=0/ /etc/yum.repos.d/lab.repo",
        known=0,
        says="no repository",
    ),
    Scene("dnf5", "pending", missing={"security": 2, "other": 2}, held=0),
    Scene("dnf5", "pending_nobody", prefix=NOBODY, missing={"security": 2, "other": 2}),
    Scene(
        "dnf5",
        "patched",
        "dnf5 -q -y upgrade",
        missing={"security": 0, "other": 0},
        held=0,
    ),
    Scene(
        "dnf5",
        "held",
        "printf '[main]\\nexcludepkgs=lab-tls\\n' > /etc/dnf/dnf.conf; dnf5 -q makecache",
        missing={"security": 2, "other": 2},
        held=1,
    ),
    Scene(
        "dnf5",
        "no_advisories",
        "cp -r /lab/rpms /srv/bare; cd /srv/bare; modifyrepo_c --remove updateinfo repodata; "
        "sed -i s,/lab/rpms,/srv/bare, /etc/yum.repos.d/lab.repo; dnf5 -q makecache",
        missing={"unsorted": 4},
    ),
    Scene(
        "dnf5",
        "never_fetched",
        "printf '[dead]\\nname=Dead\\nbaseurl=http://127.0.0.1:9/\\ngpgcheck=0\\n' "
        "> /etc/yum.repos.d/dead.repo",
        known=0,
        says="dead",
    ),
    Scene("dnf5", "no_cache", "rm -rf /var/cache/libdnf5", known=0, says="lab"),
    Scene(
        "dnf5",
        "stale",
        "find /var/cache/libdnf5 -exec touch -d '20 days ago' {} +",
        known=0,
        says="compared 20 days ago",
    ),
    Scene("dnf5", "corrupt_rpmdb", DIE, known=0),
    Scene("dnf5", "lost_rpmdb", "rm -rf /var/lib/rpm/*", known=0, says="no package installed"),
    Scene(
        "dnf5",
        "locked",
        "flock /run/dnf/rpmtransaction.lock sleep 100 & sleep 1",
        missing={"security": 2, "other": 2},
    ),
    Scene(
        "dnf5",
        "no_repositories",
        "sed -i s/enabled=1/enabled=0/ /etc/yum.repos.d/lab.repo",
        known=0,
        says="no repository",
    ),
    Scene("zypper", "pending", missing={"security": 2, "other": 2}, held=0),
    Scene("zypper", "pending_nobody", prefix=NOBODY, missing={"security": 2, "other": 2}),
    Scene(
        "zypper", "held", "zypper -q addlock 'lab-t*'", missing={"security": 2, "other": 2}, held=1
    ),
    Scene(
        "zypper",
        "patched",
        "zypper -q --non-interactive --no-gpg-checks update >/dev/null 2>&1",
        missing={"security": 0, "other": 0},
        held=0,
    ),
    Scene(
        "zypper",
        "locked",
        "sleep 100 & echo $! > /run/zypp.pid",
        missing={"security": 2, "other": 2},
    ),
    Scene(
        "zypper",
        "broken_cache",
        "rm -rf /var/cache/zypp; sed -i s,/lab/rpms,/gone, /etc/zypp/repos.d/lab.repo",
        known=0,
        says="run `zypper refresh`",
    ),
    Scene("zypper", "corrupt_rpmdb", DIE, known=0, says="rpm"),
    Scene("zypper", "lost_rpmdb", "rm -rf /var/lib/rpm/*", known=0, says="no package installed"),
    Scene("zypper", "no_repositories", "rm /etc/zypp/repos.d/*", known=0, says="no repository"),
    Scene(
        "zypper",
        "stale",
        "touch -d '20 days ago' /var/cache/zypp/raw/lab/repodata/repomd.xml",
        known=0,
        missing={"security": 2, "other": 2},
        says="compared 20 days ago",
    ),
    Scene("pacman", "pending", missing={"unsorted": 3}, held=0),
    Scene("pacman", "pending_nobody", prefix=NOBODY, missing={"unsorted": 3}, held=0),
    Scene(
        "pacman",
        "held",
        "sed -i 's/^SigLevel/IgnorePkg = linux\\nSigLevel/' /etc/pacman.conf",
        missing={"unsorted": 3},
        held=1,
    ),
    Scene("pacman", "patched", "pacman -Su --noconfirm >/dev/null", missing={"unsorted": 0}),
    Scene(
        "pacman",
        "locked",
        "touch /var/lib/pacman/db.lck",
        missing={"unsorted": 3},
    ),
    Scene(
        "pacman",
        "never_fetched",
        "printf '[extra]\\nServer = file:///nowhere\\n' >> /etc/pacman.conf",
        known=0,
        missing={"unsorted": 3},
        says="never fetched the list of extra",
    ),
    Scene(
        "pacman",
        "no_lists",
        "rm /var/lib/pacman/sync/*",
        known=0,
        says="never fetched the list of lab",
    ),
    Scene(
        "pacman",
        "stale",
        "pacman -Su --noconfirm >/dev/null; "
        "sed -i -E 's/^.[0-9]{4}-[0-9-]{5}T/[2026-01-01T/' /var/log/pacman.log",
        known=0,
        says="days ago",
    ),
    Scene("pacman", "lost", "rm -rf /var/lib/pacman/local/*-*", known=0, says="is gone"),
    Scene(
        "pacman",
        "corrupt_list",
        "head -c 2000 /dev/urandom > /var/lib/pacman/sync/lab.db",
        known=0,
        says="pacman",
    ),
    Scene(
        "apt",
        "dead_source",
        "echo 'deb http://dead.invalid/debian x main' > /etc/apt/sources.list.d/dead.list",
        known=0,
        says="nothing was ever fetched from http://dead.invalid/debian/dists/x/",
    ),
    Scene("apt", "empty_lists", "rm -rf /var/lib/apt/lists/*", known=0, says="no package lists"),
    Scene(
        "apt",
        "no_security_archive",
        "uri=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages'"
        " | grep -v security | head -n 1); "
        "rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*; "
        'echo "deb $uri bookworm main" > /etc/apt/sources.list; '
        "rm -f /var/lib/apt/lists/*ecurity*",
        known=0,
        says="no archive of security updates",
    ),
]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the trees once; skip, saying why, where that cannot be done."""
    given = os.environ.get("FOREWARN_PATCHES_LAB")
    if given:
        return Path(given)
    folder = tmp_path_factory.mktemp("patches")
    done = subprocess.run([LAB, "build", folder], capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"the lab of package managers cannot be built here: {done.stderr[-500:]}")
    return folder


def run(lab: Path, tree: str, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LAB, "try", lab, tree, "sh", "-c", script], capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="session", autouse=True)
def lists_of_this_system() -> Iterator[None]:
    """The scenes of apt start from the lists of this very host."""
    if not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        subprocess.run(["apt-get", "update"], capture_output=True, timeout=300, check=False)
    yield


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: f"{scene.tree}-{scene.name}")
def test_a_scene_is_read_for_what_it_is(lab: Path, scene: Scene) -> None:
    """Above all: what cannot be known is never a zero."""
    if not (lab / scene.tree).exists() and scene.tree == "dnf5":
        pytest.skip("Debian's unstable, which alone has dnf 5, could not be had")
    agent = f"{sys.prefix}/bin/forewarn-agent once --check patches --json"
    script = f"chmod 755 /root; {{ {scene.setup}; }} >/tmp/setup.log 2>&1\n{scene.prefix} {agent}"
    recorded = os.environ.get("FOREWARN_RECORD")
    if recorded and not scene.prefix and scene.tree != "apt":
        case = f"/lab/cases/{scene.tree}/{scene.name}"
        script += f"\n{sys.executable} {HERE}/record_patches.py {case} >&2"
    done = run(lab, scene.tree, script)
    assert done.stdout, done.stderr
    (reading,) = json.loads(done.stdout)["runs"]
    values = {
        " ".join((one["metric"], *one["labels"].values())): one["value"]
        for one in reading["samples"]
    }
    text = reading["error"] + " " + str(reading["facts"].get("patches_status", ""))
    counts = {
        name.removeprefix("patches_missing "): value
        for name, value in values.items()
        if name.startswith("patches_missing ")
    }
    assert values["patches_status_known"] == scene.known, text
    assert scene.says in text
    if scene.missing is not None:
        assert counts == scene.missing
    if not scene.known:
        assert 0 not in counts.values()
        assert reading["outcome"] != "ok" or reading["facts"]["patches_status"] != "known"
    if scene.held is not None:
        assert values["patches_held"] == scene.held
    assert reading["duration_seconds"] < 60
