"""What stands beside a value of a component that has several of the same metric."""

from datetime import UTC, datetime

from forewarn_checks import smart
from forewarn_collector.pages.panels import Judged
from forewarn_collector.pages.readings import _Layout
from forewarn_collector.queries.hosts import LatestReading

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DRIVE = {"drive": "S1", "model": "WDC", "type": "hdd"}


def test_attributes_of_a_drive_carry_their_names_and_its_model_is_said_once() -> None:
    readings = [
        LatestReading("smart_passed", DRIVE, 1, NOW),
        LatestReading("smart_attribute_raw", DRIVE | {"id": "3", "attribute": "Spin_Up"}, 16, NOW),
        LatestReading("smart_attribute_raw", DRIVE | {"id": "4", "attribute": "Starts"}, 100, NOW),
        LatestReading("smart_blind", DRIVE | {"reason": "none"}, 0, NOW),
    ]
    section = _Layout(smart.CHECK, Judged(()), {}, NOW).section(readings, None)
    (part,) = section.parts
    assert (part.name, part.about) == ("S1", "WDC · hdd")
    shown = {(one.name, one.text) for cell in part.cells for one in cell}
    assert shown == {("", "yes"), ("3 Spin_Up", "16"), ("4 Starts", "100"), ("none", "no")}
