"""Lists of packages are fetched, and a fetch that only half worked is a failure."""

import pytest
from tests.scripts.library.stage import Stage
from tests.scripts.library.test_apply_updates import pytestmark as pytestmark


@pytest.mark.parametrize(
    ("why", "apt", "code", "said"),
    [
        ("all is well", "exit 0", 0, "were fetched"),
        ("a source is gone", "echo 'E: Failed to fetch http://x'; exit 100", 1, "http://x"),
        ("an old apt only warns", "echo 'W: Failed to fetch http://x'; exit 0", 1, "http://x"),
        ("locked for good", "echo 'E: Could not get lock /x'; exit 100", 75, "try again"),
    ],
)
def test_a_fetch_is_believed_when_it_was_whole(
    stage: Stage, why: str, apt: str, code: int, said: str
) -> None:
    stage.play("apt-get", apt)
    ran = stage.order("refresh-package-metadata")
    assert (ran.code, said in ran.output) == (code, True), (why, ran)


def test_a_lock_that_is_let_go_is_waited_for(stage: Stage) -> None:
    stage.play(
        "apt-get", "[ -e twice ] && exit 0; touch twice; echo 'E: Could not get lock'; exit 100"
    )
    assert stage.order("refresh-package-metadata").code == 0
    assert len(stage.calls("apt-get")) == 2
