"""A clock without a time service is told of; with one, in the lab."""

from pathlib import Path

import pytest
from tests.scripts.library.stage import Stage


@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="this machine has systemd")
def test_chrony_sets_the_clock_only_once_a_server_answered(stage: Stage) -> None:
    stage.play(
        "chronyc", 'case " $* " in *waitsync*) exit 1 ;; *sources*) echo "^? 192.0.2.1" ;; esac'
    )
    ran = stage.order("time-resync")
    assert (ran.code, "192.0.2.1" in ran.output) == (1, True)
    assert not [call for call in stage.calls("chronyc") if "makestep" in call]
    stage.play(
        "chronyc", 'case " $* " in *tracking*) echo "System time : 0.1 seconds slow" ;; esac'
    )
    ran = stage.order("time-resync")
    assert (ran.code, "the clock was set" in ran.output) == (0, True)
    assert [call for call in stage.calls("chronyc") if "makestep" in call]
