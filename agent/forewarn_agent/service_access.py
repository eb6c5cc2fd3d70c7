"""Who may use the agent's folders on Windows: access lists written, read and judged.

The words are those of Windows' security descriptor language: ``D:P(A;OICI;FA;;;SY)`` is a list
that inherits nothing and gives SYSTEM everything, here and below.
"""

import hashlib
import re
import struct
import sys
from collections.abc import Collection
from pathlib import Path

NAME = "forewarn"
HELPER = "forewarn-helper"
ACCOUNT = rf"NT SERVICE\{NAME}"
"""The account of the service: without a password, and without rights but those given to it."""

SYSTEM = "SY"
ADMINISTRATORS = "BA"
# Stand for whoever made or owns a thing; they say nothing of who may come by.
_NOBODY_IN_PARTICULAR = frozenset({"CO", "OW", "S-1-3-0", "S-1-3-4"})
_TRUSTED_INSTALLER = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
MACHINE = frozenset(
    {SYSTEM, ADMINISTRATORS, "S-1-5-18", "S-1-5-32-544", _TRUSTED_INSTALLER} | _NOBODY_IN_PARTICULAR
)
"""Who may change a program that all users run."""

_MODIFY = 0x1301BF  # read, write, run, delete; not: change the list or the owner
_READ_AND_RUN = 0x1200A9
_BITS = {
    "GA": 1 << 28, "GX": 1 << 29, "GW": 1 << 30, "GR": 1 << 31,
    "RC": 0x20000, "SD": 0x10000, "WD": 0x40000, "WO": 0x80000,
    "CC": 0x1, "DC": 0x2, "LC": 0x4, "SW": 0x8, "RP": 0x10, "WP": 0x20, "DT": 0x40,
    "LO": 0x80, "CR": 0x100,
    "FA": 0x1F01FF, "FR": 0x120089, "FW": 0x120116, "FX": 0x1200A0,
}  # fmt: skip
# Put a file in, delete one, delete the folder, change its list or owner.  Not: make a folder in
# it, which every user may in the root of a drive.
CHANGES = 0x2 | 0x40 | 0x10000 | 0x40000 | 0x80000 | _BITS["GA"] | _BITS["GW"]
ANYTHING = 0xFFFFFFFF
_ENTRY = re.compile(r"\(([A-Z]+);([A-Z]*);([^;]*);[^;]*;[^;]*;([^;)]+)[^)]*\)")


def service_sid(service: str) -> str:
    """Return the SID of the virtual account ``NT SERVICE\\<service>``; it exists by its name."""
    digest = hashlib.sha1(service.upper().encode("utf-16-le"), usedforsecurity=False).digest()
    return "S-1-5-80-" + "-".join(map(str, struct.unpack("<5I", digest)))


def root_list(service: str) -> str:
    """Return the access list of the folder that holds all of forewarn's: no user looks in."""
    through = f"(A;OICI;{_READ_AND_RUN:#x};;;{service_sid(service)})"
    return f"D:P(A;OICI;FA;;;{SYSTEM})(A;OICI;FA;;;{ADMINISTRATORS}){through}"


def state_list(service: str) -> str:
    """Return the access list of a folder that `service` keeps its things in."""
    its_own = f"(A;OICI;{_MODIFY:#x};;;{service_sid(service)})"
    return f"D:P(A;OICI;FA;;;{SYSTEM})(A;OICI;FA;;;{ADMINISTRATORS}){its_own}"


def system_list() -> str:
    """Return the access list of a folder for SYSTEM and administrators alone."""
    return f"D:P(A;OICI;FA;;;{SYSTEM})(A;OICI;FA;;;{ADMINISTRATORS})"


def helper_service_list(service: str) -> str:
    """Return the access list of the helper's service: what any has, and `service` may start it."""
    anybody = "(A;;CCLCSWLOCRRC;;;IU)(A;;CCLCSWLOCRRC;;;SU)"
    ours = "(A;;CCLCSWRPWPDTLOCRRC;;;SY)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;BA)"
    return f"D:{ours}{anybody}(A;;LCRP;;;{service_sid(service)})"


def strangers(descriptor: str, known: Collection[str], rights: int) -> tuple[str, ...]:
    """Return who, besides `known`, a descriptor allows any of `rights`, as it names them.

    A descriptor without a list allows everybody everything: ``everybody``.
    """
    _, found, entries = descriptor.partition("D:")
    if not found or "NO_ACCESS_CONTROL" in entries:
        return ("everybody",)
    allowed = [
        trustee
        for kind, flags, mask, trustee in _ENTRY.findall(entries)
        if kind in ("A", "XA") and "IO" not in flags and _mask(mask) & rights
    ]
    return tuple(dict.fromkeys(one for one in allowed if one not in known))


def _mask(text: str) -> int:
    """Return rights as a number; letters that nobody knows count as all of them."""
    if text.startswith("0x"):
        return int(text, 16)
    pairs = [text[at : at + 2] for at in range(0, len(text), 2)]
    mask = 0
    for pair in pairs:
        mask |= _BITS.get(pair, ANYTHING)
    return mask


if sys.platform == "win32":
    import win32api
    import win32security

    _WANTED = win32security.OWNER_SECURITY_INFORMATION | win32security.DACL_SECURITY_INFORMATION

    def descriptor_of(path: Path) -> str:
        """Return owner and access list of a file or folder.  Raises OSError."""
        try:
            found = win32security.GetFileSecurity(str(path), _WANTED)
        except win32security.error as failure:
            raise OSError(f"the access list of {path} cannot be read: {failure.strerror}") from None
        text = win32security.ConvertSecurityDescriptorToStringSecurityDescriptor(
            found, win32security.SDDL_REVISION_1, _WANTED
        )
        return str(text)

    def own_sid() -> str:
        """Return the SID of whoever runs this."""
        token = win32security.OpenProcessToken(
            win32api.GetCurrentProcess(), win32security.TOKEN_QUERY
        )
        user, _ = win32security.GetTokenInformation(token, win32security.TokenUser)
        return str(win32security.ConvertSidToStringSid(user))

    def open_to(folder: Path) -> tuple[str, ...]:
        """Return who may use the agent's folder and is not meant to.  Raises OSError."""
        return strangers(descriptor_of(folder), MACHINE | {service_sid(NAME), own_sid()}, ANYTHING)

    def changed_by(program: Path) -> tuple[str, ...]:
        """Return who may change a program and is not meant to.  Raises OSError."""
        return strangers(descriptor_of(program), MACHINE | {own_sid()}, CHANGES)

    def protect(folder: Path, access_list: str) -> None:
        """Make `folder` and give it, and all that is in it, just this list.  Raises OSError.

        One that somebody else made is refused: what lies in it would be theirs.
        """
        if folder.exists():
            _demand_owner(folder)
        folder.mkdir(parents=True, exist_ok=True)
        wanted = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(
            access_list, win32security.SDDL_REVISION_1
        )
        for path in (folder, *folder.rglob("*")):
            try:
                win32security.SetFileSecurity(
                    str(path), win32security.DACL_SECURITY_INFORMATION, wanted
                )
            except win32security.error as failure:
                raise OSError(
                    f"the access list of {path} cannot be set: {failure.strerror}; run this as "
                    "administrator"
                ) from None

    def _demand_owner(folder: Path) -> None:
        owner = descriptor_of(folder).partition("D:")[0].removeprefix("O:").partition("G:")[0]
        if owner not in {*MACHINE, own_sid()}:
            raise OSError(f"{folder} was made by {owner}, not by an administrator; remove it first")
else:

    def open_to(_folder: Path) -> tuple[str, ...]:
        """Return nobody: elsewhere the bits of the files say it."""
        return ()

    def changed_by(_program: Path) -> tuple[str, ...]:
        """Return nobody: elsewhere the bits of the files say it."""
        return ()
