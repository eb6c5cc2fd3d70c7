"""Find which of many scopes cover a host, when many hosts ask at once.

Selectors are taken apart once: names without a star are looked up in a set, and a scope that
names hosts or clients is not looked at for any other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from forewarn_collector.selector import Key, Pattern, Selector, Term, fold, texts_of
from forewarn_collector.suppression.windows import Placed, Scope

_Texts = dict[Key, Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Term:
    key: Key
    names: frozenset[str]
    prefixes: tuple[str, ...]  # web*
    patterns: tuple[Pattern, ...]  # with a star elsewhere

    def picks(self, texts: _Texts) -> bool:
        for text in texts[self.key]:
            if text in self.names or text.startswith(self.prefixes):
                return True
            if self.patterns and any(one.matches(text) for one in self.patterns):
                return True
        return False


@dataclass(frozen=True, slots=True)
class _Form:
    """One scope, taken apart; `clients` are ids, None for all."""

    id: str
    clients: frozenset[str] | None
    terms: tuple[_Term, ...]

    def covers(self, host: Placed, texts: _Texts) -> bool:
        if self.clients is not None and host.client_id not in self.clients:
            return False
        return all(term.picks(texts) for term in self.terms)


class Matching:
    """Scopes by id, for one thread."""

    def __init__(self, scopes: Iterable[tuple[str, Scope]], groups: Mapping[str, Selector]) -> None:
        self._any: list[_Form] = []  # those with a star in a host's name
        self._places: list[_Form] = []  # those that ask nothing of the host but where it is
        self._by_place: dict[tuple[object, ...], list[_Form]] = {}
        self._by_name: dict[tuple[Key, str], list[_Form]] = {}
        for name, scope in scopes:
            if scope.group and scope.group not in groups:
                continue  # a group that is gone means no host
            terms = _terms(scope.selector)
            if scope.group:
                terms += _terms(groups[scope.group])
            form = _Form(name, scope.clients, terms)
            keys = _named(terms)
            if not keys:
                about_host = any(term.key is Key.HOST for term in terms)
                (self._any if about_host else self._places).append(form)
            for key in keys:
                self._by_name.setdefault(key, []).append(form)

    def covering(self, host: Placed) -> set[str]:
        """Return the ids of the scopes that cover a host."""
        texts: _Texts = {
            key: [fold(text) for text in texts_of(key, host)] for key in Key if key != Key.HEALTH
        }
        forms = list(self._any)
        for key in (Key.HOST, Key.CLIENT):
            for text in texts[key]:
                forms += self._by_name.get((key, text), ())
        covering = {form.id for form in forms if form.covers(host, texts)}
        covering.update(form.id for form in self._of_place(host, texts))
        return covering

    def _of_place(self, host: Placed, texts: _Texts) -> list[_Form]:
        """Return the forms for all hosts of this kind at this place: there are many such hosts."""
        tags = tuple(host.tags)
        place = (host.client_id, host.client, host.site, tags, host.system, host.host_class)
        found = self._by_place.get(place)
        if found is None:
            found = [form for form in self._places if form.covers(host, texts)]
            self._by_place[place] = found
        return found


def _terms(selector: Selector) -> tuple[_Term, ...]:
    return tuple(_term(term) for term in selector.terms)


def _term(term: Term) -> _Term:
    pieces = [tuple(map(fold, one.pieces)) for one in term.patterns]
    return _Term(
        term.key,
        frozenset(one[0] for one in pieces if len(one) == 1),
        tuple(one[0] for one in pieces if len(one) == 2 and not one[1]),
        tuple(Pattern(one) for one in pieces if len(one) > 2 or (len(one) == 2 and one[1])),
    )


def _named(terms: Sequence[_Term]) -> list[tuple[Key, str]]:
    """Return the names of hosts, or else clients, of which a host must have one; [] for none."""
    for key in (Key.HOST, Key.CLIENT):
        for term in terms:
            if term.key is key and not term.prefixes and not term.patterns:
                return [(key, name) for name in sorted(term.names)]
    return []
