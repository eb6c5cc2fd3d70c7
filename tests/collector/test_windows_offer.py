"""What Windows hosts are installed from: a build, a script that names it, a line for the script."""

import hashlib
import re
from pathlib import Path

import pytest

from forewarn_collector.packages import CannotBuild, Offer, add, read_offer, windows_line

URL = "https://forewarn.example:8440"
STRING = "fw1.https://forewarn.example:8440.fwe_abcdefghijklmnopqrst." + "0" * 64
BUILD = "forewarn-agent-0.1.0-windows-x86_64.zip"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that offers one build for Windows."""
    made = tmp_path / "release" / BUILD
    made.parent.mkdir()
    made.write_bytes(b"program")
    assert add(tmp_path / "packages", made) == "windows-x86_64"
    return tmp_path / "packages"


def test_the_script_names_the_build_by_hash_and_size(folder: Path) -> None:
    """So that what it fetches is what was added, whoever stands between."""
    digest = hashlib.sha256(b"program").hexdigest()
    script = read_offer(folder).windows_installer.decode("ascii")
    assert f"$Offer = '{digest} 7 {BUILD}'" in script.splitlines()


def test_the_line_names_the_script_by_its_hash(folder: Path) -> None:
    """The hash is of the very bytes that are served."""
    offer = read_offer(folder, "windows-*.txt")
    line = windows_line(offer, URL, STRING)
    (digest,) = re.findall("'([0-9A-F]{64})'", line)
    assert digest == hashlib.sha256(offer.windows_installer).hexdigest().upper()
    assert f"'{URL}/install.ps1'" in line
    assert line.endswith(f" '{STRING}'")
    assert "\n" not in line


def test_nothing_for_windows_is_no_line_and_no_script(tmp_path: Path) -> None:
    """As in a collector that serves Linux alone."""
    assert Offer().windows_installer == b""
    assert windows_line(read_offer(tmp_path), URL, STRING) == ""


def test_a_newer_build_takes_the_place_of_the_older(folder: Path, tmp_path: Path) -> None:
    """There is one for each kind of host."""
    newer = tmp_path / "forewarn-agent-0.2.0-windows-x86_64.zip"
    newer.write_bytes(b"newer")
    add(folder, newer)
    assert {path.name for path in folder.iterdir()} == {newer.name, "windows-x86_64.txt"}
    assert newer.name in read_offer(folder).files


@pytest.mark.parametrize(
    "name",
    [
        "agent.zip",
        "forewarn-agent-0.1.0-windows-x86_64.exe",
        "forewarn-agent-0.1.0-windows-mips.zip",
        "forewarn-agent-'; calc; '-windows-x86_64.zip",
        "forewarn-agent-0.1.0-windows-x86_64.zip.txt",
    ],
)
def test_a_file_of_another_name_is_not_added(tmp_path: Path, name: str) -> None:
    """The name becomes part of a script."""
    made = tmp_path / name
    made.write_bytes(b"program")
    with pytest.raises(CannotBuild, match="do not rename"):
        add(tmp_path / "packages", made)


@pytest.mark.parametrize("listed", ["", "two"])
def test_a_list_of_none_or_of_two_builds_offers_no_script(folder: Path, listed: str) -> None:
    """Such a list was written by somebody else."""
    path = folder / "windows-x86_64.txt"
    path.write_text("" if not listed else path.read_text() * 2)
    assert read_offer(folder).windows_installer == b""


def test_a_damaged_build_is_not_offered(folder: Path) -> None:
    """A host would refuse it anyway, after 20 MB."""
    (folder / BUILD).write_bytes(b"progra!")
    assert read_offer(folder).windows_installer == b""


def test_quotes_cannot_leave_the_words_of_the_line(folder: Path) -> None:
    """An address comes from a file that a person wrote."""
    line = windows_line(read_offer(folder), "https://a'b", "fw1'; calc; '")
    assert "'https://a''b/install.ps1'" in line
    assert line.endswith("'fw1''; calc; '''")
