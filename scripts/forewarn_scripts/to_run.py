"""Find what an operator wants to run: a script of the library by its name, or a file.

A name of the library always means the library, whatever lies in the current folder; a file of
the same name is written ``./NAME``.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from forewarn_checks.base.durations import parse_duration
from forewarn_scripts import library
from forewarn_scripts.library import LibraryScript, NoSuchScript
from forewarn_scripts.order import Interpreter
from forewarn_scripts.signing_desk import Wanted

_FILE_INTERPRETER = "/bin/sh"
_FILE_ACCOUNT = "root"
_FILE_TIMEOUT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for beside script and arguments; None where the script's own word holds."""

    run_as: str | None
    interpreter: str | None
    timeout: str | None
    valid_for: timedelta
    reason: str
    keyring_version: int


def pick(name: str) -> LibraryScript | Path:
    """Return the script of the library of this name, else the file.  Raises NoSuchScript."""
    if name in library.all_scripts():
        return library.find(name)
    path = Path(name)
    if path.is_file():
        return path
    raise NoSuchScript(
        f"{name} is neither a script of the library (forewarn scripts library) nor a file"
    )


def arguments(picked: LibraryScript | Path, given: Sequence[str]) -> tuple[str, ...]:
    """Return what the script is called with.

    Raises BadArgument for what the manifest of a library script does not take.
    """
    return picked.manifest.argv(given) if isinstance(picked, LibraryScript) else tuple(given)


def wanted(
    picked: LibraryScript | Path, argv: tuple[str, ...], systems: Collection[str], wishes: Wishes
) -> Wanted:
    """Return what is to be signed for hosts of these `systems` (``linux``, ``windows``).

    Raises ValueError for wishes that cannot be met, OSError when the file cannot be read.
    """
    if isinstance(picked, Path):
        script = picked.read_bytes()
        interpreter = wishes.interpreter or _FILE_INTERPRETER
        run_as, timeout = _FILE_ACCOUNT, _FILE_TIMEOUT
    else:
        if wishes.interpreter:
            raise ValueError(f"what reads {picked.name} is settled: leave --interpreter out")
        body = picked.body(_one_of(systems))
        script, interpreter = body.script, _orderable(body.interpreter)
        run_as, timeout = picked.manifest.run_as, picked.manifest.timeout
    return Wanted(
        script=script,
        argv=argv,
        interpreter=interpreter,
        run_as=wishes.run_as or run_as,
        timeout=parse_duration(wishes.timeout) if wishes.timeout else timeout,
        valid_for=wishes.valid_for,
        reason=wishes.reason,
        keyring_version=wishes.keyring_version,
    )


def _orderable(interpreter: str) -> str:
    """Return it.  Raises ValueError for one that no order may name, and so no host would run."""
    try:
        return TypeAdapter[str](Interpreter).validate_python(interpreter)
    except ValidationError:
        raise ValueError(
            f"no order can have {interpreter} run yet: Windows hosts take none"
        ) from None


def _one_of(systems: Collection[str]) -> str:
    found = sorted(set(systems))
    if len(found) != 1:
        narrower = " or ".join(f"os:{system}" for system in found)
        raise ValueError(
            f"these hosts are {' and '.join(found)}, and an order has one script; add {narrower}"
        )
    return found[0]
