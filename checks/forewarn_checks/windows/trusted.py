"""Whether only administrators could have put a program where it lies, by the lists of who may."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PureWindowsPath

from forewarn_checks.base import WrongSystem

_ADMINISTRATORS = frozenset(
    {
        "S-1-5-18",  # the system itself
        "S-1-5-32-544",  # Administrators
        "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",  # TrustedInstaller
        "S-1-3-0",  # whoever owns it, and the owner is looked at
        "S-1-3-4",
    }
)
_INHERIT_ONLY = 0x08
_ALLOW = (0x00, 0x05, 0x09)  # ACCESS_ALLOWED_ACE, _OBJECT_ACE, _CALLBACK_ACE
# DELETE, WRITE_DAC, WRITE_OWNER, GENERIC_ALL, and to delete what is in a folder
_REPLACES = 0x00010000 | 0x00040000 | 0x00080000 | 0x10000000 | 0x00000040
# and GENERIC_WRITE, to write data (to a folder: to add files)
_WRITES = _REPLACES | 0x40000000 | 0x00000002


@dataclass(frozen=True, slots=True)
class Grant:
    """One entry of a list of who may do what."""

    kind: int
    flags: int
    mask: int
    sid: str


def distrust_of(place: str, owner: str, grants: Iterable[Grant] | None, *, near: bool) -> str:
    """Return why `place` cannot be trusted, "" when it can.

    `grants` is None where everybody may do everything.  `near` is the program and its own
    folder, where also nothing may be added: Windows loads libraries from beside a program.
    """
    if owner not in _ADMINISTRATORS:
        return f"{place}: its owner {owner} is neither Administrators nor SYSTEM"
    if grants is None:
        return f"{place}: everybody may do everything with it"
    harm = _WRITES if near else _REPLACES
    for grant in grants:
        counts = grant.kind in _ALLOW and not grant.flags & _INHERIT_ONLY
        if counts and grant.mask & harm and grant.sid not in _ADMINISTRATORS:
            return f"{place}: {grant.sid} may change it; see icacls, and take that right away"
    return ""


def distrust(path: str) -> str:
    """Return why the program at `path` may not be run, "" when it may."""
    if sys.platform != "win32":
        raise WrongSystem
    import pywintypes  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import win32security  # type: ignore[import-not-found, import-untyped, unused-ignore]

    program = PureWindowsPath(path)
    if not program.is_absolute():
        return f"{path}: is no whole path, from the drive on"
    wanted = win32security.OWNER_SECURITY_INFORMATION | win32security.DACL_SECURITY_INFORMATION
    for place in (program, *program.parents):
        try:
            found = win32security.GetNamedSecurityInfo(
                str(place), win32security.SE_FILE_OBJECT, wanted
            )
        except pywintypes.error as error:
            return f"{place}: {error.strerror}"
        owner = win32security.ConvertSidToStringSid(found.GetSecurityDescriptorOwner())
        dacl = found.GetSecurityDescriptorDacl()
        grants = None
        if dacl is not None:
            grants = [
                Grant(kind, flags, mask & 0xFFFFFFFF, win32security.ConvertSidToStringSid(sid))
                for (kind, flags), mask, sid in (
                    dacl.GetAce(number)[:3] for number in range(dacl.GetAceCount())
                )
            ]
        near = place in (program, program.parent)
        if why := distrust_of(str(place), owner, grants, near=near):
            return why
    return ""
