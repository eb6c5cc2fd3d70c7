"""A build that brings its own Python does what its parts are started as, and nothing more."""

import pytest

from forewarn_agent.child import InChild
from forewarn_agent.frozen import part_asked_for
from forewarn_checks.base.catalog import all_checks


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["-P", "-m", "forewarn_agent.child", "smart"], ("forewarn_agent.child", ["smart"])),
        (
            ["-I", "-X", "no_debug_ranges", "-m", "forewarn_agent.service_host", r"C:\a b"],
            ("forewarn_agent.service_host", [r"C:\a b"]),
        ),
        (["-m", "forewarn_agent.main"], ("forewarn_agent.main", [])),
        (["status", "--json"], None),
        ([], None),
        (["-m"], None),
        (["-m", "http.server"], None),
        (["-c", "print(1)"], None),
        (["-X"], None),
    ],
)
def test_only_parts_of_the_agent_are_run(
    arguments: list[str], asked: tuple[str, list[str]] | None
) -> None:
    """It is no Python for others: any other module is an unknown word of the command line."""
    assert part_asked_for(arguments) == asked


def test_the_children_of_checks_are_parts() -> None:
    """As the agent starts them."""
    argv = InChild(all_checks()["smart"])._argv
    assert part_asked_for(argv[1:]) == ("forewarn_agent.child", ["smart"])
