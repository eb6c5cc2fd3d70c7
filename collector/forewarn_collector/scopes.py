"""Scopes of settings: for which hosts something else holds, and which of several wins."""

import difflib
from collections.abc import Iterable, Mapping, Sequence

from forewarn_collector import selector
from forewarn_collector.selector import BadSelector, Key, Selector


class BadScope(Exception):
    """A scope makes no sense.  `path` is where it stands in the file."""

    def __init__(self, path: Sequence[str | int], text: str) -> None:
        super().__init__(text)
        self.path = tuple(path)


def picked(
    select: str | None, group: str | None, groups: Mapping[str, str], path: Sequence[str | int]
) -> Selector:
    """Return which hosts a scope is for, by its own selector or by a named group.

    `path` is where the scope stands.  Raises BadScope.
    """
    if (select is None) == (group is None):
        raise BadScope(path, 'takes either select = "…" or group = "…"')
    if group is not None and group not in groups:
        raise BadScope((*path, "group"), f"there is no [groups.{group}]{meant(group, groups)}")
    if select is not None and not select.strip():
        raise BadScope(
            (*path, "select"), "picks every host; write it into the table the scope is in"
        )
    try:
        found = selector.parse(select or groups[group or ""])
    except BadSelector as bad:
        raise BadScope((*path, "select"), str(bad)) from None
    if found.asks_health:
        raise BadScope(
            (*path, "select"), "health is what rules decide; what is set here cannot depend on it"
        )
    return found


def rank(chosen: Selector, *, by_group: bool) -> int:
    """Return how specific a scope is: all 0, client 1, site 2, group 3, host 4."""
    if by_group:
        return 3
    return max((_RANKS[term.key] for term in chosen.terms), default=0)


_RANKS = {
    Key.CLIENT: 1,
    Key.SITE: 2,
    Key.TAG: 3,
    Key.OS: 3,
    Key.CLASS: 3,
    Key.HOST: 4,
    Key.HEALTH: 0,
}


def meant(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` or, without anything alike, nothing."""
    alike = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {alike[0]}?" if alike else ""
