"""Asking many scopes at once gives what asking each gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from forewarn_collector.selector import parse
from forewarn_collector.state.hosts import KnownHost
from forewarn_collector.suppression.matching import Matching
from forewarn_collector.suppression.windows import Scope

WORDS = st.sampled_from(["a", "B", "ab", "Äb", "äb", "web1", "straße", "STRASSE", "ΣΑΣ", "σας"])
VALUES = (
    WORDS.map(lambda word: f'"{word}"')
    | WORDS.map(lambda word: f'"{word}"*')
    | WORDS.map(lambda word: f'*"{word}"*')
)
TERMS = st.tuples(
    st.sampled_from(["client", "site", "tag", "host"]), st.lists(VALUES, min_size=1, max_size=2)
).map(lambda term: f"{term[0]}:{','.join(term[1])}")
SELECTORS = st.lists(TERMS, max_size=3).map(" ".join)
GROUPS = {"Grünes": parse('tag:"a"*'), "none": parse("host:nobody")}
SCOPES = st.builds(
    lambda clients, text, group: Scope(clients, parse(text), group),
    st.none() | st.frozensets(WORDS, max_size=3),
    SELECTORS,
    st.sampled_from(["", "", "Grünes", "none", "gone"]),
)
HOSTS = st.builds(
    lambda number, name, client, site, tags: KnownHost(
        number=number,
        id=f"id{number}",
        client_id=client,
        site_id="",
        name=name,
        public_key=b"",
        client=client,
        site=site,
        tags=tuple(tags),
    ),
    st.integers(1, 5),
    WORDS,
    WORDS,
    WORDS,
    st.lists(WORDS, max_size=3),
)


@given(st.lists(SCOPES, max_size=6), st.lists(HOSTS, min_size=1, max_size=6))
def test_many_scopes_at_once_give_what_each_alone_gives(
    scopes: list[Scope], hosts: list[KnownHost]
) -> None:
    matching = Matching([(str(n), scope) for n, scope in enumerate(scopes)], GROUPS)
    for host in hosts:
        alone = {str(n) for n, scope in enumerate(scopes) if scope.covers(host, GROUPS)}
        assert matching.covering(host) == alone
