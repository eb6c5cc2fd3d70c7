"""The Windows reader on Windows' own Python under Wine, asking an update agent that we made up.

windows.py makes that Python from Debian's Wine and two package indexes, or says what it lacks.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.lab.windows import REPOSITORY, new_windows

pytestmark = pytest.mark.lab

HERE = Path(__file__).parent
FAKE = HERE / "fake_windows_update.py"
READ = """
import json
from forewarn_checks.base import Sample
from forewarn_checks.patches import CHECK
values, facts, end = {}, {}, ""
try:
    for one in CHECK.read_windows({}):
        if isinstance(one, Sample):
            values[" ".join((one.metric, *one.labels.values()))] = one.value
        else:
            facts[one.name] = one.value
except Exception as error:
    end = f"{type(error).__name__}: {error}"
print("ANSWER" + json.dumps([values, facts, end]))
"""
Reading = tuple[dict[str, float], dict[str, object], str]


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Return what runs Windows' Python in a prefix of its own."""
    made = new_windows(tmp_path_factory.mktemp("windows"), (REPOSITORY / "checks", HERE))
    answer = made.run(str(FAKE), "--register")
    if "Registered: Microsoft.Update.Session" not in answer:
        pytest.skip(f"pywin32 does not work in {made.python}: {answer[-300:]}")
    yield made.run
    made.end()


def read(windows: Callable[..., str], scene: str) -> Reading:
    output = windows("-c", READ, FOREWARN_SCENE=scene)
    (line,) = [line for line in output.splitlines() if line.startswith("ANSWER")]
    values, facts, end = json.loads(line.removeprefix("ANSWER"))
    return values, facts, end


@pytest.mark.parametrize("scene", ["current", "stale", "silent"])
def test_updates_are_counted_graded_and_dated(windows: Callable[..., str], scene: str) -> None:
    """Also where Windows' own last search is old, or not told: then the server is asked."""
    values, facts, end = read(windows, scene)
    assert end == ""
    assert facts["patches_status"] == "known"
    assert values["patches_missing security"] == 2
    assert values["patches_missing other"] == 2
    assert values["patches_security_missing critical"] == 1
    assert values["patches_security_missing unrated"] == 1
    assert values["patches_held"] == 1
    assert values["patches_oldest_security_age_seconds"] == pytest.approx(12 * 86400, abs=60)
    assert (values["patches_refresh_age_seconds"] < 60) == (scene != "current")
    assert ("patches_last_install_age_seconds" in values) == (scene != "silent")


@pytest.mark.parametrize(
    ("scene", "says"),
    [
        ("failed", "the search ended with result 4"),
        ("partial", "the search was not complete"),
        ("unreachable", "error 0x80072EFD (DISP_E_EXCEPTION): the update server could not be"),
    ],
)
def test_a_search_that_failed_is_never_all_patched(
    windows: Callable[..., str], scene: str, says: str
) -> None:
    values, _, end = read(windows, scene)
    assert values["patches_status_known"] == 0
    assert says in end
    assert 0 not in [value for name, value in values.items() if "missing " in name][:2]


def test_a_key_in_the_registry_asks_for_a_restart(windows: Callable[..., str]) -> None:
    key = r"SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired"
    make = "import winreg, sys; winreg.{}(winreg.HKEY_LOCAL_MACHINE, sys.argv[1])"
    windows("-c", make.format("CreateKey"), key)
    values, facts, _ = read(windows, "current")
    assert values["reboot_required"] == 1
    assert facts["reboot_reason"] == "asked for by Windows Update"
    windows("-c", make.format("DeleteKey"), key)
    assert read(windows, "current")[0]["reboot_required"] == 0
