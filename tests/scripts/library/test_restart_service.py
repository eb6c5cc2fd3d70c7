"""Restarting a service; with a real systemd in the lab."""

import pytest
from tests.scripts.library.stage import Stage

from forewarn_scripts import library
from forewarn_scripts.manifest import BadArgument


def test_a_service_must_be_named() -> None:
    with pytest.raises(BadArgument, match="--service must be given"):
        library.find("restart-service").manifest.argv([])


@pytest.mark.parametrize("name", ["forewarn-helper", "forewarn-helper.service"])
def test_what_runs_the_script_is_not_restarted_by_it(stage: Stage, name: str) -> None:
    """The order would end without a result."""
    assert stage.order("restart-service", f"--service={name}").code == 64


@pytest.mark.parametrize("name", ["multi-user.target", "ssh.socket", "-.mount", "tmp.mount"])
def test_only_services_are_restarted(stage: Stage, name: str) -> None:
    """A target takes half of the system with it."""
    assert stage.run("restart-service", f"--service={name}").code == 64
    assert stage.calls() == []
