"""A Windows Update Agent that offers what a scene says, under the real one's class ids.

Runs on Windows' Python: ``python fake_windows_update.py --register`` makes it the agent of this
(Wine) prefix.  The scene is named by the environment, FOREWARN_SCENE: current, stale, silent,
failed, partial, unreachable.
"""

# The stubs of pywin32 name less than it takes.
# mypy: disable-error-code="import-untyped, import-not-found, arg-type"

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pythoncom
import pywintypes
import win32com.server.register
from win32com.server.exception import COMException
from win32com.server.util import wrap

SCENE = os.environ.get("FOREWARN_SCENE", "current")
SECURITY = "0FA1201D-4330-4FA8-8AE9-B877473B6441"
DEFINITIONS = "E0789628-CE08-4437-BE74-2495B842F43B"
UPDATES = "CD5FFD1E-E932-4E3A-BF74-18BF0B1BBD83"
DAY = timedelta(days=1)


def ago(age: timedelta) -> object:
    return pywintypes.Time(datetime.now(UTC) - age)


class Thing:
    """An object with fixed attributes."""

    _public_methods_: Sequence[str] = ()

    def __init__(self, **attributes: object) -> None:
        self._public_attrs_ = list(attributes)
        self.__dict__.update(attributes)


class Collection:
    _public_methods_ = ("Item",)
    _public_attrs_ = ("Count",)

    def __init__(self, items: Sequence[object]) -> None:
        self.items = items
        self.Count = len(items)

    def Item(self, index: int) -> object:  # noqa: N802 - as COM has it
        return self.items[index]


def update(title: str, grade: str | None, article: str, category: str, **more: object) -> object:
    """Return an update; the names of its categories are German, as Windows gives them there."""
    categories = [wrap(Thing(Name="Sicherheitsupdates", CategoryID=category))]
    attributes: dict[str, object] = {
        "Title": title,
        "MsrcSeverity": grade,
        "KBArticleIDs": wrap(Collection([article])),
        "Categories": wrap(Collection(categories)),
        "IsHidden": False,
        "BrowseOnly": False,
        "LastDeploymentChangeTime": ago(12 * DAY),
        "Identity": wrap(Thing(UpdateID=f"id-{article}", RevisionNumber=201)),
    }
    return wrap(Thing(**attributes | more))


def offered() -> list[object]:
    return [
        update("Cumulative Update (KB5031234)", "Critical", "5031234", SECURITY),
        update("Runtime (KB5031300)", None, "5031300", SECURITY, IsHidden=True),
        update("Defender definitions", None, "2267602", DEFINITIONS),
        update("Feature update", None, "5040000", UPDATES, LastDeploymentChangeTime=ago(90 * DAY)),
        update("Preview", None, "5050000", UPDATES, BrowseOnly=True),
    ]


class Searcher:
    _public_methods_ = ("Search",)
    _public_attrs_ = ("Online",)
    Online = True

    def Search(self, criteria: str) -> object:  # noqa: N802
        if "IsInstalled=0" not in criteria:
            raise COMException(desc="criteria", scode=-2145124302)
        if SCENE == "unreachable" and self.Online:
            raise COMException(desc="no way", scode=0x80072EFD - 2**32)
        code = {"failed": 4, "partial": 3}.get(SCENE, 2)
        return wrap(Thing(ResultCode=code, Updates=wrap(Collection(offered()))))


class Session:
    _public_methods_ = ("CreateUpdateSearcher",)
    _public_attrs_ = ("ClientApplicationID",)
    _reg_progid_ = "Microsoft.Update.Session"
    _reg_desc_ = "Windows Update, made up"
    _reg_clsid_ = "{4CB43D7F-7EEE-4906-8698-60DA1C38F2FE}"
    _reg_clsctx_ = pythoncom.CLSCTX_INPROC_SERVER
    ClientApplicationID = ""

    def CreateUpdateSearcher(self) -> object:  # noqa: N802
        return wrap(Searcher())


class AutoUpdate:
    _public_methods_: Sequence[str] = ()
    _public_attrs_ = ("Results",)
    _reg_progid_ = "Microsoft.Update.AutoUpdate"
    _reg_desc_ = "Automatic updates, made up"
    _reg_clsid_ = "{BFE18E9C-6D87-4450-B37C-E02F0B373803}"
    _reg_clsctx_ = pythoncom.CLSCTX_INPROC_SERVER

    def __init__(self) -> None:
        if SCENE == "silent":
            raise COMException(desc="no such thing", scode=-2147467263)
        searched = ago(40 * DAY) if SCENE in {"stale", "unreachable"} else ago(DAY / 4)
        self.Results = wrap(
            Thing(LastSearchSuccessDate=searched, LastInstallationSuccessDate=ago(3 * DAY))
        )


if __name__ == "__main__":
    win32com.server.register.UseCommandLine(Session, AutoUpdate)
