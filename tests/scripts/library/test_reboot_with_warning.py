"""A restart is ordered once, with its words whole, and taken back; none of this machine."""

from pathlib import Path

import pytest
from tests.scripts.library.stage import Stage

from forewarn_scripts import library
from forewarn_scripts.manifest import BadArgument

SCHEDULED = Path("/run/systemd/shutdown/scheduled")


def test_the_message_reaches_shutdown_as_one_word(stage: Stage) -> None:
    stage.play("shutdown", 'printf "%s\\n" "$#:$2:$3"')
    ran = stage.order("reboot-with-warning", "--minutes=7", "--message=Save it, please (now)!")
    assert ran.code == 0
    assert "3:+7:Save it, please (now)!" in ran.output
    assert stage.calls("shutdown") == ["shutdown -r +7 Save it, please (now)!"]


def test_there_is_always_a_minute_for_the_answer_to_leave() -> None:
    with pytest.raises(BadArgument, match="1 to 1440"):
        library.find("reboot-with-warning").manifest.argv(["--minutes=0"])


@pytest.mark.skipif(SCHEDULED.exists(), reason="this machine is about to restart")
def test_taking_back_what_was_not_ordered_is_no_trouble(stage: Stage) -> None:
    ran = stage.order("reboot-with-warning", "--cancel")
    assert (ran.code, stage.calls()) == (0, [])


def test_a_system_that_refuses_is_told_of(stage: Stage) -> None:
    stage.play("shutdown", "echo 'Failed to connect to bus'; exit 1")
    ran = stage.order("reboot-with-warning")
    assert (ran.code, "Failed to connect" in ran.output) == (1, True)
