"""What new hosts fetch: exactly what was listed at the start, by exact name, and nothing else."""

import asyncio
import hashlib
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from forewarn_collector.http.downloads import download_routes
from forewarn_collector.packages import Offer, add, read_list, read_offer

WHEEL = "forewarn-0.1.0-py3-none-any.whl"
LIST = "linux-x86_64-cp311.txt"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that serves one kind of host, beside a secret."""
    made = tmp_path / "packages"
    made.mkdir()
    (tmp_path / "ca.key").write_text("secret")
    (made / WHEEL).write_bytes(b"wheel")
    digest = hashlib.sha256(b"wheel").hexdigest()
    (made / LIST).write_text(f"{digest} 5 {WHEEL}\n")
    return made


def get(offer: Offer, path: str) -> httpx.Response:
    """Ask once."""

    async def ask() -> httpx.Response:
        app = Starlette(routes=list(download_routes(offer)))
        app.router.redirect_slashes = False
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://c.example") as client:
            return await client.get(path)

    return asyncio.run(ask())


def test_list_wheel_and_script_are_served(folder: Path) -> None:
    """The three things that an installation asks for."""
    offer = read_offer(folder)
    assert get(offer, f"/packages/{WHEEL}").content == b"wheel"
    assert get(offer, f"/packages/{LIST}").text.endswith(f" 5 {WHEEL}\n")
    assert get(offer, "/install.sh").text.startswith("#!/bin/sh\n")


def test_the_script_for_windows_is_there_once_a_build_is(folder: Path) -> None:
    """And is served byte for byte, for its hash is in the line that fetches it."""
    assert get(read_offer(folder), "/install.ps1").status_code == 404
    build = folder.parent / "forewarn-agent-0.1.0-windows-x86_64.zip"
    build.write_bytes(b"program")
    add(folder, build)
    offer = read_offer(folder)
    assert get(offer, "/install.ps1").content == offer.windows_installer
    assert get(offer, f"/packages/{build.name}").content == b"program"


@pytest.mark.parametrize(
    "path",
    [
        "/packages/",
        "/packages/../ca.key",
        "/packages/..%2fca.key",
        "/packages/%2e%2e/ca.key",
        "/packages//etc/passwd",
        "/packages/forewarn-0.1.0-py3-none-any.whl/",
        "/packages/FOREWARN-0.1.0-py3-none-any.whl",
        "/packages/forewarn-0.1.0-py3-none-any.whl%00",
        "/packages/other.whl",
    ],
)
def test_whatever_was_not_listed_is_not_there(folder: Path, path: str) -> None:
    """However it is written."""
    assert get(read_offer(folder), path).status_code == 404


def test_what_came_after_the_start_is_not_served(folder: Path) -> None:
    """The list is read once."""
    offer = read_offer(folder)
    (folder / "late.whl").write_bytes(b"late")
    assert get(offer, "/packages/late.whl").status_code == 404


def test_a_damaged_wheel_takes_its_list_out(folder: Path) -> None:
    """A host would refuse it half-way; better to say at once that there is nothing."""
    (folder / WHEEL).write_bytes(b"whee1")
    offer = read_offer(folder)
    assert not offer
    assert get(offer, "/install.sh").status_code == 404


def test_a_list_that_cannot_be_read_does_not_stop_the_collector(folder: Path) -> None:
    """Others are served all the same."""
    (folder / "linux-x86_64-cp312.txt").write_text("nonsense\n")
    assert set(read_offer(folder).files) == {LIST, WHEEL}


def test_no_folder_offers_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    """As out of a checkout."""
    answer = get(read_offer(tmp_path / "none"), "/install.sh")
    assert answer.status_code == 404
    assert "packages build" in answer.json()["error"]


@pytest.mark.parametrize(
    "line",
    [
        "",
        f"{'0' * 64} 5 ../ca.key",
        f"{'0' * 64} 5 a/b.whl",
        f"{'0' * 63} 5 a.whl",
        f"{'0' * 64} -5 a.whl",
        f"{'0' * 64} 5 .whl",
        f"{'0' * 64} 5 a.whl extra",
    ],
)
def test_a_line_that_names_no_wheel_is_refused(tmp_path: Path, line: str) -> None:
    """A list is data for two programs; neither guesses."""
    path = tmp_path / LIST
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match="no line of a list"):
        read_list(path)
