"""Who may use the agent's folders on Windows: lists as they are written, and as they are judged."""

import pytest

from forewarn_agent.service_access import (
    ANYTHING,
    CHANGES,
    MACHINE,
    NAME,
    root_list,
    service_sid,
    state_list,
    strangers,
)

# What Windows shows for its own: `sc showsid TrustedInstaller`.
TRUSTED_INSTALLER = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
# Of %ProgramFiles% and %ProgramData%, as a fresh Windows 10 has them.
PROGRAM_FILES = (
    "O:S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464D:PAI"
    "(A;;FA;;;S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464)"
    "(A;CIIO;GA;;;S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464)"
    "(A;;0x1301bf;;;SY)(A;OICIIO;GA;;;SY)(A;;0x1301bf;;;BA)(A;OICIIO;GA;;;BA)"
    "(A;;0x1200a9;;;BU)(A;OICIIO;GXGR;;;BU)(A;OICIIO;GA;;;CO)(A;;0x1200a9;;;AC)"
)
PROGRAM_DATA = (
    "O:SYD:AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)(A;OICIIOID;GA;;;CO)"
    "(A;OICIID;0x1200a9;;;BU)(A;CIID;DCLCRPCR;;;BU)"
)


def test_the_account_of_a_service_follows_from_its_name() -> None:
    """Letters of either size."""
    assert service_sid("TrustedInstaller") == service_sid("TRUSTEDINSTALLER") == TRUSTED_INSTALLER


@pytest.mark.parametrize("written", [root_list(NAME), state_list(NAME)])
def test_our_folders_are_for_the_service_and_administrators_alone(written: str) -> None:
    """And take nothing over from the folder above."""
    assert written.startswith("D:P(")
    assert strangers(written, MACHINE, ANYTHING) == (service_sid(NAME),)
    assert strangers(written, MACHINE | {service_sid(NAME)}, ANYTHING) == ()


def test_the_service_may_write_its_own_folder_and_no_other() -> None:
    """Nor can it let anybody else in: changing a list is no part of what it may."""
    assert strangers(root_list(NAME), MACHINE, CHANGES) == ()
    assert strangers(state_list(NAME), MACHINE, CHANGES) == (service_sid(NAME),)
    assert strangers(state_list(NAME), MACHINE, 0x40000 | 0x80000) == ()


@pytest.mark.parametrize(
    ("told", "descriptor", "rights", "who"),
    [
        ("a program below Program Files is safe", PROGRAM_FILES, CHANGES, ()),
        ("every user may read Program Files", PROGRAM_FILES, 0x1, ("BU", "AC")),
        ("a folder made in ProgramData is open to users", PROGRAM_DATA, CHANGES, ("BU",)),
        ("no list at all lets everybody in", "O:SY", ANYTHING, ("everybody",)),
        ("a null list too", "O:SYD:NO_ACCESS_CONTROL", ANYTHING, ("everybody",)),
        ("an empty list lets nobody in", "O:SYD:P", ANYTHING, ()),
        ("what is denied is not allowed", "D:P(D;;FA;;;WD)", ANYTHING, ()),
        ("a condition does not make an entry harmless", "D:(XA;;FA;;;WD;(x))", CHANGES, ("WD",)),
        ("letters that nobody knows count", "D:(A;;ZZ;;;WD)", CHANGES, ("WD",)),
        ("each is named once", "D:(A;;FR;;;WD)(A;;FW;;;WD)", ANYTHING, ("WD",)),
    ],
)
def test_strangers_are_found(told: str, descriptor: str, rights: int, who: tuple[str, ...]) -> None:
    """`told` says what holds."""
    assert strangers(descriptor, MACHINE, rights) == who, told
