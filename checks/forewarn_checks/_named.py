"""Read what an option lists: entries with a name of their own, ``shop = https://shop.example``."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from forewarn_checks.base import CannotRead, NothingToRead, Option, Options

_LONGEST_NAME = 80

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Named(Generic[Thing]):
    """One entry: `name` becomes a label, `thing` is what to look at."""

    name: str
    thing: Thing


@dataclass(frozen=True, slots=True)
class Entries(Generic[Thing]):
    """What could be read of an option, and what is wrong with the rest, in words."""

    good: tuple[Named[Thing], ...]
    bad: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Named[Thing]]:
        return iter(self.good)

    def complain(self) -> None:
        """Raise CannotRead when entries were left out: to be called after the others are read."""
        if self.bad:
            raise CannotRead("; ".join(self.bad[:5]))


def read_entries(
    options: Options,
    option: Option,
    parse: Callable[[str], Thing],
    *,
    check: str,
    most: int,
    name_of: Callable[[Thing], str] = str,
) -> Entries[Thing]:
    """Return the entries of `option`, each ``NAME = REST`` or a bare ``REST``.

    `parse` reads the rest and raises ValueError with the mend; `name_of` names what came without
    a name.  A name given twice, or more than `most` entries, is a complaint, not a guess.
    """
    where = f"[checks.{check}.options] {option.name}"
    stated = options.get(option.name, option.default)
    assert isinstance(stated, tuple | list)
    good: dict[str, Named[Thing]] = {}
    bad: list[str] = []
    for place, text in enumerate(stated[:most], 1):
        name, rest = split_name(text)
        try:
            thing = parse(rest)
        except ValueError as error:
            # not the text itself: somebody may have put a password into it
            bad.append(f"{where}: entry {place}{f' ({name})' if name else ''}: {error}")
            continue
        name = name or name_of(thing)[:_LONGEST_NAME]
        if name in good:
            bad.append(f"{where}: two are called {name!r}; write another name before the =")
        else:
            good[name] = Named(name, thing)
    if len(stated) > most:
        bad.append(f"{where}: has {len(stated)} entries; only the first {most} are looked at")
    return Entries(tuple(good.values()), tuple(bad))


def split_name(text: str) -> tuple[str, str]:
    """Return name and rest of ``name = rest``; the name is "" when there is none."""
    name, sign, rest = text.partition(" = ")
    return (name.strip()[:_LONGEST_NAME], rest.strip()) if sign else ("", text.strip())


def nothing_named(option: Option, check: str, example: str) -> NothingToRead:
    """Return what to raise when an option lists nothing."""
    return NothingToRead(
        f"none is named; name some: [checks.{check}.options] {option.name} = [{example!r}]"
    )
