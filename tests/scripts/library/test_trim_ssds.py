"""Which filesystems are trimmed; a real one is in the lab."""

import pytest
from tests.scripts.library.stage import Stage


@pytest.mark.parametrize(
    ("why", "filesystem", "fstrim", "code"),
    [
        ("all is well", "all", "echo '/: 1 GiB (1073741824 bytes) trimmed'", 0),
        ("nothing here takes it", "all", "exit 0", 0),
        ("some could not", "all", "exit 64", 1),
        ("one, and it can", "/", "echo '/: 1 GiB trimmed'", 0),
        ("one that cannot", "/", "echo 'the discard operation is not supported'; exit 1", 69),
        ("one that breaks", "/", "echo 'Input/output error'; exit 1", 1),
        ("nothing is mounted there", "/nowhere/at/all", "exit 0", 66),
        ("half a name", "/pro", "exit 0", 66),
    ],
)
def test_each_ending_has_its_code(
    stage: Stage, why: str, filesystem: str, fstrim: str, code: int
) -> None:
    stage.play("fstrim", fstrim)
    ran = stage.order("trim-ssds", f"--filesystem={filesystem}")
    assert ran.code == code, (why, ran)
    assert bool(stage.calls("fstrim")) == (code != 66)
