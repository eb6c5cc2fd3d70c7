"""What the Windows Update Agent says about updates, through its COM interface; search only.

Windows searches by itself about once a day.  While the last such search is fresh its result is
asked for again, offline, in a second.  Only where it is old, or Windows does not say, is the
update server asked, which takes up to a minute or two.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from forewarn_checks.base import CannotRead, NothingToRead, WrongSystem
from forewarn_checks.package_managers.shape import SEVERITIES, Source, Survey, Update

_CRITERIA = "IsInstalled=0 and Type='Software'"  # hidden ones too: a person hid them, they miss
_SUCCEEDED, _WITH_ERRORS = 2, 3  # OperationResultCode
_NAME = "Windows Update"

# CategoryID: names of categories are in the language of the system.
_SECURITY = "0fa1201d-4330-4fa8-8ae9-b877473b6441"
_DEFINITIONS = "e0789628-ce08-4437-be74-2495b842f43b"

_HINTS = {
    0x80070005: "access was denied; the agent must run as a service or as an administrator",
    0x80070422: "the service wuauserv is disabled; mend: sc config wuauserv start= demand",
    0x8024001E: "the service wuauserv was stopped meanwhile; it is asked again at the next reading",
    0x80240438: "no way to the update server; look at the proxy and at WSUS in the policies",
    0x8024402C: "the update server's name is not known; look at DNS, the proxy and WSUS",
    0x80072EE2: "the update server did not answer in time; look at the network and the proxy",
    0x80072EFD: "the update server could not be reached; look at the network and the proxy",
    0x80072F8F: "the update server's certificate was refused; is the clock right?",
}


def survey(now: datetime, max_age: timedelta) -> Survey:
    """Return what Windows Update knows.  Raises CannotRead when it cannot tell."""
    if sys.platform != "win32":
        raise WrongSystem
    try:
        import pythoncom  # type: ignore[import-not-found, import-untyped, unused-ignore]
        import win32com.client  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise NothingToRead(
            f"Windows Update is asked through pywin32, which is missing ({error}); install it "
            "into the agent's Python: pip install pywin32"
        ) from error
    pythoncom.CoInitialize()
    try:
        with _said_plainly(pythoncom.com_error):
            session = win32com.client.Dispatch("Microsoft.Update.Session")
            results = _results(win32com.client.Dispatch, pythoncom.com_error)
            return survey_session(session, results, now, max_age)
    finally:
        pythoncom.CoUninitialize()


def _results(dispatch: Callable[[str], object], com_error: type[Exception]) -> object:
    """Return when Windows itself last searched and installed; None where it does not say."""
    try:
        return attribute(dispatch("Microsoft.Update.AutoUpdate"), "Results")
    except com_error:
        return None


@contextmanager
def _said_plainly(com_error: type[Exception]) -> Iterator[None]:
    """Turn a COM error into CannotRead with what to do about it."""
    try:
        yield
    except com_error as error:
        raise CannotRead(explain(*error.args)) from error


def explain(code: int = 0, text: object = "", details: object = None, *_: object) -> str:
    """Return a COM error in words; the code that counts is often inside `details`."""
    inner = details[5] if isinstance(details, tuple) and len(details) > 5 else None
    number = (inner if isinstance(inner, int) and inner else code) & 0xFFFFFFFF
    hint = _HINTS.get(number, "look the code up, and at %windir%\\WindowsUpdate.log")
    return f"Windows Update: error 0x{number:08X} ({text}): {hint}"


def survey_session(session: object, results: object, now: datetime, max_age: timedelta) -> Survey:
    """Return what a ``Microsoft.Update.Session`` finds, with AutoUpdate's `results`.

    Raises CannotRead when the search failed.
    """
    session.ClientApplicationID = "forewarn"  # type: ignore[attr-defined]
    searcher = call(session, "CreateUpdateSearcher")
    searched = _moment(attribute(results, "LastSearchSuccessDate"))
    fresh = searched is not None and now - searched <= max_age
    if fresh:
        searcher.Online = False  # type: ignore[attr-defined]
    found = call(searcher, "Search", _CRITERIA)
    code = attribute(found, "ResultCode")
    if code not in (_SUCCEEDED, _WITH_ERRORS):
        raise CannotRead(
            f"Windows Update: the search ended with result {code}; look for updates in the "
            "settings and read the error there"
        )
    trouble: tuple[str, ...] = ()
    if code == _WITH_ERRORS:
        trouble = ("Windows Update: the search was not complete; look for updates in the settings",)
    items = [one for one in _items(attribute(found, "Updates")) if not _is_optional(one)]
    return Survey(
        updates=tuple(_update(one) for one in items),
        sources=(Source(_NAME, checked=searched if fresh else now, security=True),),
        tells_security=True,
        tells_severity=True,
        last_install=_moment(attribute(results, "LastInstallationSuccessDate")),
        trouble=trouble,
    )


def _is_optional(update: object) -> bool:
    """Return whether it is only offered to those who look: previews, and the like."""
    return attribute(update, "BrowseOnly") is True


def _update(update: object) -> Update:
    categories = [
        (str(attribute(one, "CategoryID")).strip("{}").lower(), str(attribute(one, "Name")))
        for one in _items(attribute(update, "Categories"))
    ]
    definitions = any(id_ == _DEFINITIONS or "Definition" in name for id_, name in categories)
    grade = str(attribute(update, "MsrcSeverity") or "").lower()
    security = not definitions and bool(grade or any(id_ == _SECURITY for id_, _ in categories))
    articles = [f"KB{one}" for one in _items(attribute(update, "KBArticleIDs"))]
    return Update(
        name=str(attribute(update, "Title"))[:200],
        offered=_revision(update),
        security=security,
        severity=(grade if grade in SEVERITIES else "unrated") if security else "",
        held=attribute(update, "IsHidden") is True,
        since=_moment(attribute(update, "LastDeploymentChangeTime")),
        advisory=", ".join(articles[:5]),
    )


def _revision(update: object) -> str:
    """Return what tells this update from its next revision; "" where Windows does not say."""
    identity = attribute(update, "Identity")
    number = attribute(identity, "RevisionNumber")
    return f"{attribute(identity, 'UpdateID')}.{number}" if number is not None else ""


def attribute(thing: object, name: str) -> object:
    """Return an attribute of a COM object; None where it has none, or nothing in it."""
    return getattr(thing, name, None)


def call(thing: object, name: str, *arguments: str) -> object:
    """Call a method of a COM object."""
    method = getattr(thing, name)
    result: object = method(*arguments)
    return result


def _items(collection: object) -> Iterator[object]:
    """Yield what a COM collection holds."""
    count = attribute(collection, "Count")
    for index in range(count if isinstance(count, int) else 0):
        item = getattr(collection, "Item", None)
        yield item(index) if callable(item) else None


def _moment(value: object) -> datetime | None:
    """Return a COM date, which the agent gives in UTC; None for none and for its zero of 1899."""
    if not isinstance(value, datetime) or value.year < 2000:
        return None
    return datetime(
        value.year, value.month, value.day, value.hour, value.minute, value.second, tzinfo=UTC
    )
