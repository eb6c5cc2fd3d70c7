"""The Windows Update Agent's objects, as documented, read without Windows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from forewarn_checks.base import CannotRead
from forewarn_checks.package_managers.windows_update import explain, survey_session

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SECURITY = "0FA1201D-4330-4FA8-8AE9-B877473B6441"
DEFINITIONS = "E0789628-CE08-4437-BE74-2495B842F43B"


class Collection:
    def __init__(self, *items: object) -> None:
        self.items = items
        self.Count = len(items)

    def Item(self, index: int) -> object:  # noqa: N802 - as COM has it
        return self.items[index]


def update(title: str, category: str, grade: str | None = None, **more: object) -> object:
    return SimpleNamespace(
        Title=title,
        MsrcSeverity=grade,
        KBArticleIDs=Collection("5031234"),
        Categories=Collection(SimpleNamespace(Name="Sicherheitsupdates", CategoryID=category)),
        **more,
    )


class Session:
    """A session whose search finds `updates`; it notes whether the server was asked."""

    def __init__(self, updates: Sequence[object] = (), code: int = 2) -> None:
        self.searcher = SimpleNamespace(Online=True, Search=self.search)
        self.updates, self.code, self.asked = updates, code, ""

    def CreateUpdateSearcher(self) -> object:  # noqa: N802 - as COM has it
        return self.searcher

    def search(self, criteria: str) -> object:
        self.asked = criteria
        return SimpleNamespace(ResultCode=self.code, Updates=Collection(*self.updates))


def results(searched: datetime) -> object:
    return SimpleNamespace(LastSearchSuccessDate=searched, LastInstallationSuccessDate=NOW - DAY)


def test_security_is_told_by_id_and_grade_not_by_the_name_in_some_language() -> None:
    found = [
        update("a", SECURITY, "Critical"),
        update("b", SECURITY),
        update("c", "other"),
        update("d", "other", "Important"),
        update("definitions", DEFINITIONS),
    ]
    survey = survey_session(Session(found), None, NOW, 7 * DAY)
    assert [(one.security, one.severity) for one in survey.updates] == [
        (True, "critical"),
        (True, "unrated"),
        (False, ""),
        (True, "important"),
        (False, ""),
    ]


def test_a_fresh_search_of_windows_spares_the_server() -> None:
    session = Session()
    survey = survey_session(session, results(NOW - DAY), NOW, 7 * DAY)
    assert session.searcher.Online is False
    assert survey.sources[0].checked == NOW - DAY
    assert survey.last_install == NOW - DAY


@pytest.mark.parametrize(
    "told", [None, results(NOW - 40 * DAY), results(datetime(1899, 12, 30, tzinfo=UTC))]
)
def test_an_old_or_unknown_search_is_done_anew(told: object) -> None:
    session = Session()
    survey = survey_session(session, told, NOW, 7 * DAY)
    assert session.searcher.Online is True
    assert survey.sources[0].checked == NOW


def test_what_a_person_hid_is_missing_and_held() -> None:
    session = Session([update("a", SECURITY, IsHidden=True)])
    (one,) = survey_session(session, None, NOW, 7 * DAY).updates
    assert one.held
    assert "IsHidden" not in session.asked


def test_what_is_only_offered_to_those_who_look_is_not_missing() -> None:
    assert not survey_session(
        Session([update("preview", "x", BrowseOnly=True)]), None, NOW, 7 * DAY
    ).updates


@pytest.mark.parametrize("code", [0, 1, 4, 5, None])
def test_a_search_that_failed_is_never_all_patched(code: int | None) -> None:
    session = Session(code=code or 0)
    with pytest.raises(CannotRead, match="the search ended with result"):
        survey_session(session, None, NOW, 7 * DAY)


def test_a_search_with_errors_is_trouble() -> None:
    assert survey_session(Session(code=3), None, NOW, 7 * DAY).trouble


def test_an_error_of_com_is_told_with_its_mend() -> None:
    """The code that counts is the last of the details; the first only says "exception"."""
    details = (0, "x", "y", None, 0, 0x80072EFD - 2**32)
    assert "could not be reached" in explain(-2147352567, "Exception occurred.", details, None)
    assert "0x80070422" in explain(0x80070422 - 2**32, "disabled")
