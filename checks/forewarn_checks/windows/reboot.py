"""Tell whether Windows must restart for what was installed to take effect."""

import sys

from forewarn_checks.base import WrongSystem
from forewarn_checks.linux.reboot import Reboot

# Left out: PendingFileRenameOperations.  Any uninstaller leaves one, with nothing to restart for.
_REBOOT_KEYS = (
    (
        r"SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending",
        "asked for by component servicing",
    ),
    (
        r"SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired",
        "asked for by Windows Update",
    ),
)


def read_reboot() -> Reboot:
    """Return whether one of the registry keys exists that Windows sets for a restart."""
    if sys.platform != "win32":
        raise WrongSystem
    import winreg

    for path, reason in _REBOOT_KEYS:
        access = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
        try:
            winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path, 0, access).Close()
        except FileNotFoundError:
            continue
        except OSError as error:
            return Reboot(None, f"unknown: the registry could not be read: {error}")
        return Reboot(True, reason)
    return Reboot(False, "nothing asks for it")
