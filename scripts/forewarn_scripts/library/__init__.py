"""Maintenance scripts that come with forewarn: one folder each, and here what finds them.

    NAME/manifest.toml      what it does, its arguments, its risk (forewarn_scripts.manifest)
    NAME/linux.sh           the body for POSIX sh
    NAME/windows.ps1        the body for Windows PowerShell 5.1; either may be missing

A body stands alone: these very bytes are what operators sign and endpoints run.

    NoSuchScript    there is none of that name, or none for that system
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final

from forewarn_scripts import manifest as manifests
from forewarn_scripts.manifest import Manifest
from forewarn_scripts.order import script_hash

POWERSHELL: Final = "C:/Windows/System32/WindowsPowerShell/v1.0/powershell.exe"
_BODIES: Final = (
    ("linux", "linux.sh", "/bin/sh"),
    ("windows", "windows.ps1", POWERSHELL),
)

EXITS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "done, or nothing was left to do; the output says which",
        1: "it was tried and failed; the output says where",
        64: "the arguments are not taken; nothing was done",
        66: "what was named is not on this host; nothing was done",
        69: "this host has no program, or no data, for it; nothing was done",
        70: "a package is half installed, and a person must look; the output says what to run",
        75: "another program was at it for too long; nothing was done, try again later",
    }
)
"""What the exit codes of every script of the library mean."""


class NoSuchScript(ValueError):
    """There is no script of this name, or none for this system."""


@dataclass(frozen=True, slots=True)
class Body:
    """What runs on one system."""

    script: bytes
    interpreter: str

    @property
    def sha256(self) -> str:
        """The address of the script."""
        return script_hash(self.script)


@dataclass(frozen=True, slots=True)
class LibraryScript:
    """One script: what it says of itself, and its bodies by system (``linux``, ``windows``)."""

    name: str
    manifest: Manifest
    bodies: Mapping[str, Body]

    def body(self, system: str) -> Body:
        """Return what runs on `system`.  Raises NoSuchScript."""
        try:
            return self.bodies[system]
        except KeyError:
            has = " and ".join(self.bodies)
            raise NoSuchScript(f"{self.name} is for {has}, not for {system}") from None


@cache
def all_scripts() -> Mapping[str, LibraryScript]:
    """Return every script of the library by name.

    Raises BadManifest for a folder whose manifest cannot be used.
    """
    folders = sorted(
        (one for one in files(__name__).iterdir() if one.joinpath("manifest.toml").is_file()),
        key=lambda one: one.name,
    )
    return MappingProxyType({one.name: _script(one) for one in folders})


def find(name: str) -> LibraryScript:
    """Return one script.  Raises NoSuchScript."""
    try:
        return all_scripts()[name]
    except KeyError:
        raise NoSuchScript(
            f"there is no {name} in the library; it has {', '.join(all_scripts())}"
        ) from None


def of_hash(sha256: str) -> LibraryScript | None:
    """Return the script that has a body of this hash, None when none has."""
    scripts = all_scripts().values()
    return next((one for one in scripts if sha256 in {b.sha256 for b in one.bodies.values()}), None)


def for_rule(rule: str) -> tuple[LibraryScript, ...]:
    """Return the scripts that may help with what a rule tells of."""
    return tuple(one for one in all_scripts().values() if rule in one.manifest.helps_with)


def _script(folder: Traversable) -> LibraryScript:
    manifest = manifests.parse(
        folder.joinpath("manifest.toml").read_text("utf-8"), f"{folder.name}/manifest.toml"
    )
    bodies = {
        system: Body(folder.joinpath(file).read_bytes(), interpreter)
        for system, file, interpreter in _BODIES
        if folder.joinpath(file).is_file()
    }
    return LibraryScript(folder.name, manifest, MappingProxyType(bodies))
