"""Read how a Linux host is guarded: firewall, antivirus, encryption of its disk, administrators."""

import re
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from forewarn_checks._posture_seen import Posture
from forewarn_checks._process import Execute
from forewarn_checks.base import WrongSystem

# unit: name of the product
_FIREWALLS = {
    "firewalld.service": "firewalld",
    "nftables.service": "nftables",
    "ufw.service": "ufw",
    "iptables.service": "iptables",
    "netfilter-persistent.service": "netfilter-persistent",
    "shorewall.service": "shorewall",
    "ferm.service": "ferm",
    "csf.service": "csf",
}
_ANTIVIRUSES = {
    "clamav-daemon.service": "ClamAV",
    "clamd@scan.service": "ClamAV",
    "falcon-sensor.service": "CrowdStrike Falcon",
    "mdatp.service": "Microsoft Defender",
    "sentinelone.service": "SentinelOne",
    "sophos-spl.service": "Sophos",
    "eea.service": "ESET",
    "efs.service": "ESET",
    "ds_agent.service": "Trend Micro",
    "cbagentd.service": "Carbon Black",
    "traps_pmd.service": "Cortex XDR",
}
_SHOW = ("systemctl", "show", "--property=Id,LoadState,ActiveState", "--")
_PATIENCE_SECONDS = 15.0
_GROUPS = ("sudo", "wheel", "admin")
_MOST_DEEP = 8
# chassis types of SMBIOS that are carried: laptops, tablets, convertibles and their like
_PORTABLE = frozenset({"8", "9", "10", "11", "14", "30", "31", "32"})
_ENABLED = re.compile(r"^\s*ENABLED\s*=\s*['\"]?(\w+)", re.MULTILINE | re.IGNORECASE)


def read_posture(run: Execute, root: Path = Path("/")) -> Posture:
    """Return what can be told without root; `root` is where the host's files lie."""
    states = unit_states(run)
    firewall, by = firewall_of(states, _text(root / "etc/ufw/ufw.conf"))
    antivirus, antivirus_by = _any_active(states, _ANTIVIRUSES)
    return Posture(
        firewall=firewall,
        firewall_by=by,
        antivirus=antivirus,
        antivirus_by=antivirus_by,
        signatures_age_seconds=_signatures_age(root / "var/lib/clamav", time.time()),
        encrypted=root_is_encrypted(root),
        portable=_text(root / "sys/class/dmi/id/chassis_type").strip() in _PORTABLE,
        administrators=administrators(),
    )


def unit_states(run: Execute) -> dict[str, str] | None:
    """Return the state of each unit that is installed; None where systemd does not answer."""
    try:
        done = run((*_SHOW, *_FIREWALLS, *_ANTIVIRUSES), _PATIENCE_SECONDS)
    except OSError:
        return None
    if done.status != 0:
        return None
    states: dict[str, str] = {}
    for block in done.output.split("\n\n"):
        pairs = dict(line.partition("=")[::2] for line in block.splitlines())
        if pairs.get("LoadState") == "loaded":
            states[pairs.get("Id", "")] = pairs.get("ActiveState", "")
    return states


def firewall_of(states: Mapping[str, str] | None, ufw_settings: str) -> tuple[bool | None, str]:
    """Return whether a firewall is on, and which; its rules are root's to see.

    ufw's unit is active also while ufw is switched off, so that its settings count.
    """
    if states is None:
        return None, ""
    enabled = _ENABLED.search(ufw_settings)
    is_ufw = enabled is not None and enabled[1].lower() == "yes"
    active = [
        name
        for unit, name in _FIREWALLS.items()
        if states.get(unit) == "active" and (name != "ufw" or is_ufw)
    ]
    return bool(active), ", ".join(active)


def _any_active(
    states: Mapping[str, str] | None, products: Mapping[str, str]
) -> tuple[bool | None, str]:
    here = [unit for unit in products if unit in (states or {})]
    if states is None or not here:
        return None, ""
    names = ", ".join(sorted({products[unit] for unit in here}))
    return any(states[unit] == "active" for unit in here), names


def _signatures_age(folder: Path, now: float) -> float | None:
    written = []
    for name in ("daily.cld", "daily.cvd"):
        try:
            written.append((folder / name).stat().st_mtime)
        except OSError:
            continue
    return max(0.0, now - max(written)) if written else None


def root_is_encrypted(root: Path) -> bool | None:
    """Return whether the root filesystem lies on dm-crypt; None where that cannot be told.

    A drive that encrypts itself looks like any other.
    """
    for line in _text(root / "proc/1/mountinfo").splitlines():
        cells = line.split()
        if len(cells) < 10 or cells[4] != "/" or "-" not in cells[6:]:
            continue
        source = cells[cells.index("-", 6) + 2]
        device = root / "sys/dev/block" / cells[2]
        if cells[2].startswith("0:"):  # btrfs and its like have no number of their own
            found = _block_device(root, source)
            if found is None:
                return None
            device = found
        return _is_encrypted(device, 0) if device.exists() else None
    return None


def _block_device(root: Path, source: str) -> Path | None:
    """Return where sysfs has ``/dev/sda2`` or ``/dev/mapper/name``."""
    if not source.startswith("/dev/"):
        return None
    name = source.rpartition("/")[2]
    if (root / "sys/class/block" / name).exists():
        return root / "sys/class/block" / name
    for each in sorted((root / "sys/class/block").glob("dm-*")):
        if _text(each / "dm/name").strip() == name:
            return each
    return None


def _is_encrypted(device: Path, deep: int) -> bool:
    """Whether `device`, or all it is made of, is dm-crypt."""
    if _text(device / "dm/uuid").startswith("CRYPT-"):
        return True
    if deep >= _MOST_DEEP:
        return False
    try:
        below = sorted((device / "slaves").iterdir())
    except OSError:
        return False
    return bool(below) and all(_is_encrypted(each, deep + 1) for each in below)


def administrators() -> tuple[str, ...]:
    """Return who is root or may become root by a group, by what the host's users come from."""
    if sys.platform == "win32":
        raise WrongSystem
    import grp
    import pwd

    groups: list[tuple[int, Iterable[str]]] = []
    for name in _GROUPS:
        try:
            found = grp.getgrnam(name)
        except KeyError:
            continue
        groups.append((found.gr_gid, found.gr_mem))
    users = [(user.pw_name, user.pw_uid, user.pw_gid) for user in pwd.getpwall()]
    return administrators_among(users, groups)


def administrators_among(
    users: Iterable[tuple[str, int, int]], groups: Iterable[tuple[int, Iterable[str]]]
) -> tuple[str, ...]:
    """Return the names, given users (name, uid, gid) and groups (gid, members)."""
    given = list(groups)
    numbers = {gid for gid, _ in given}
    found = {name for _, members in given for name in members}
    found |= {name for name, uid, gid in users if uid == 0 or gid in numbers}
    return tuple(sorted(found))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
