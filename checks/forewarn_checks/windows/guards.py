"""Read how a Windows host is guarded: firewall, antivirus, BitLocker, administrators."""

import os
import sys
from collections.abc import Iterable, Mapping

import psutil

from forewarn_checks._posture_seen import Posture
from forewarn_checks.base import CannotRead, WrongSystem

_PROFILES = {
    "domain": "DomainProfile",
    "private": "StandardProfile",
    "public": "PublicProfile",
}
# what is set by policy goes before what is set on the host
_PLACES = (
    r"SOFTWARE\Policies\Microsoft\WindowsFirewall",
    r"SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy",
)
_ADMINISTRATORS = "S-1-5-32-544"
# System.Volume.BitLockerProtection: 1 on, 3 being encrypted, 6 locked; 2 off, 5 suspended …
_PROTECTED, _UNPROTECTED = frozenset({1, 6}), frozenset({0, 2, 3, 4, 5, 8})


def firewall_of(profiles: Mapping[str, bool | None]) -> tuple[bool | None, str]:
    """Return whether the firewall is on in every profile, and in words where it is not."""
    if any(on is None for on in profiles.values()):
        return None, ""
    off = [name for name, on in profiles.items() if not on]
    return not off, f"Windows; off for {', '.join(off)}" if off else "Windows"


def antivirus_of(products: Iterable[tuple[str, int]]) -> tuple[bool | None, str, bool | None]:
    """Return whether one is on, their names, and whether its signatures are current.

    `products` are names and the productState of Security Center: the second byte says on or
    off, the third whether the signatures are old.
    """
    given = list(products)
    if not given:
        return None, "", None
    names = ", ".join(sorted({name for name, _ in given}))
    on = [state for _, state in given if (state >> 12) & 0xF == 1]
    if not on:
        return False, names, None
    return True, names, any((state >> 4) & 0xF == 0 for state in on)


def bitlocker_of(protection: object) -> bool | None:
    """Return whether a volume is protected; None where the shell does not say."""
    if not isinstance(protection, int) or protection not in _PROTECTED | _UNPROTECTED:
        return None
    return protection in _PROTECTED


def read_posture() -> Posture:
    """Return what can be told.  Raises CannotRead without pywin32."""
    if sys.platform != "win32":
        raise WrongSystem
    try:
        import pythoncom  # type: ignore[import-not-found, import-untyped, unused-ignore]
        import win32com.client  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise CannotRead(
            f"Security Center is asked through pywin32, which is missing ({error}); install it "
            "into the agent's Python: pip install pywin32"
        ) from error
    firewall, firewall_by = firewall_of({name: _profile(key) for name, key in _PROFILES.items()})
    pythoncom.CoInitialize()
    try:
        products = _products()
        drive = os.environ.get("SYSTEMDRIVE", "C:")
        encrypted = None
        try:
            folder = win32com.client.Dispatch("Shell.Application").NameSpace(f"{drive}\\")
            protection = folder.Self.ExtendedProperty("System.Volume.BitLockerProtection")
            encrypted = bitlocker_of(protection)
        except (pythoncom.com_error, AttributeError):
            encrypted = None  # no shell here, as on Server Core
    finally:
        pythoncom.CoUninitialize()
    antivirus, antivirus_by, current = antivirus_of(products)
    return Posture(
        firewall=firewall,
        firewall_by=firewall_by,
        # one that knows nothing new guards against nothing new
        antivirus=None if antivirus is None else antivirus and current is not False,
        antivirus_by=antivirus_by + (" (signatures are old)" if current is False else ""),
        encrypted=encrypted,
        portable=psutil.sensors_battery() is not None,
        administrators=_administrators(),
    )


def _profile(key: str) -> bool | None:
    if sys.platform != "win32":
        raise WrongSystem
    import winreg

    for place in _PLACES:
        try:
            access = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, f"{place}\\{key}", 0, access) as handle:
                return bool(winreg.QueryValueEx(handle, "EnableFirewall")[0])
        except OSError:
            continue
    return None


def _products() -> list[tuple[str, int]]:
    """Return the antivirus products of Security Center, which servers do not have."""
    if sys.platform != "win32":
        raise WrongSystem
    import pythoncom  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import win32com.client  # type: ignore[import-not-found, import-untyped, unused-ignore]

    try:
        center = win32com.client.GetObject(r"winmgmts:\\.\root\SecurityCenter2")
        rows = center.ExecQuery("SELECT displayName, productState FROM AntiVirusProduct")
        return [(str(row.displayName), int(row.productState)) for row in rows]
    except pythoncom.com_error:
        return []


def _administrators() -> tuple[str, ...] | None:
    if sys.platform != "win32":
        raise WrongSystem
    import pywintypes  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import win32net  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import win32security  # type: ignore[import-not-found, import-untyped, unused-ignore]

    try:
        sid = win32security.ConvertStringSidToSid(_ADMINISTRATORS)
        group = win32security.LookupAccountSid(None, sid)[0]  # its name is translated
        rows, _, _ = win32net.NetLocalGroupGetMembers(None, group, 3, 0, 65536)
    except pywintypes.error:
        return None
    return tuple(sorted(str(row["domainandname"]) for row in rows))
