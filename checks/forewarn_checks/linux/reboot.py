"""Tell whether a host must restart for what was installed to take effect."""

from dataclasses import dataclass
from pathlib import Path

from forewarn_checks.linux.kernels import newest_like, order, read_installed

# Written by packages that want a restart; the first by Debian's family, the second by SUSE's.
_FLAGS = (Path("/run/reboot-required"), Path("/run/reboot-needed"))
# Who would write the first flag.  Without any of them its absence says nothing.
_WRITERS = (
    Path("/etc/kernel/postinst.d/unattended-upgrades"),
    Path("/usr/share/update-notifier/notify-reboot-required"),
    Path("/usr/lib/zypp/plugins"),
)


@dataclass(frozen=True, slots=True)
class Reboot:
    """Whether a restart is pending; None when the host cannot be asked."""

    pending: bool | None
    reason: str


def judge(*, flag: str | None, flag_is_kept: bool, running: str, installed: list[str]) -> Reboot:
    """Decide from the packages' flag and from the kernels.

    `flag` is the text beside it, None when it is not set; `flag_is_kept` says whether something
    on this host would set it; `running` and `installed` are kernel releases.
    """
    if flag is not None:
        wanted_by = ", ".join(sorted(set(flag.split()))[:20])
        return Reboot(True, f"asked for by {wanted_by}" if wanted_by else "asked for by a package")
    newest = newest_like(running, installed)
    if newest is not None:
        if order(newest) > order(running):
            return Reboot(True, f"kernel {newest} is installed, {running} is running")
        if running not in installed:
            return Reboot(True, f"the running kernel {running} is no longer installed")
        return Reboot(False, f"kernel {running} is the newest installed")
    if flag_is_kept:
        return Reboot(False, "no package asks for it")
    # Still False: a restart clears the flag, and the alert it raised must see that.
    return Reboot(
        False,
        "nothing asks for it; but with no kernel of its own, and nothing that sets the flag, "
        "nothing on this host would",
    )


def read_reboot(running: str) -> Reboot:
    """Return `judge` of this host, whose kernel release is `running`."""
    flag = next((path for path in _FLAGS if path.exists()), None)
    return judge(
        flag=_names(flag) if flag else None,
        flag_is_kept=any(path.exists() for path in _WRITERS),
        running=running,
        installed=read_installed(),
    )


def _names(flag: Path) -> str:
    """Return the packages that asked, which Debian lists beside the flag."""
    try:
        return flag.with_name(f"{flag.name}.pkgs").read_text("utf-8", "replace")
    except OSError:
        return ""
