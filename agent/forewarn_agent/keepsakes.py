"""Two things beside the runs: room to give back when the disk is full, and bytes gone bad."""

from contextlib import suppress
from pathlib import Path

from forewarn_agent.limits import Bounds, Limits


class Reserve:
    """A file of zeros that is unlinked first when the disk is full."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fill(self, bounds: Bounds, free_bytes: int) -> None:
        """Make it, if it is not there and the disk has more than it must keep."""
        with suppress(OSError):
            room = bounds.leave_free_bytes + bounds.reserve_bytes
            if free_bytes <= room or self._path.exists():
                return
            try:
                self._path.write_bytes(bytes(bounds.reserve_bytes))
            except OSError:
                self._path.unlink()

    def release(self) -> bool:
        """Give it back; False when there was none."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


def keep_corrupt(folder: Path, name: str, data: bytes, limits: Limits) -> None:
    """Leave `data` in `folder` for whoever wants to know why; the newest few files are kept."""
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / name).write_bytes(data[: limits.corrupt_bytes])
        kept = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        room = limits.corrupt_bytes
        for place, path in enumerate(kept):
            room -= path.stat().st_size
            if place >= limits.corrupt_files or room < 0:
                path.unlink(missing_ok=True)
