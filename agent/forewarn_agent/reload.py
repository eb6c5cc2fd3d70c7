"""Take up a changed agent.toml whole, or stay with the last good one and say why."""

import logging
from collections.abc import Callable
from pathlib import Path

from forewarn_agent import config
from forewarn_agent.config import AgentConfig, ConfigError, Remote

log = logging.getLogger(__name__)

Stamp = tuple[str, int, int, int] | None


class Settings:
    """The settings in force, the file they are from, and what is wrong with a newer one."""

    def __init__(
        self,
        directory: Path,
        remote: Callable[[], Remote] = dict,
        find: Callable[[Path], Path | None] = config.find,
    ) -> None:
        """Read the settings for the first time; what agent.toml names goes before `remote`.

        Raises ConfigError or OSError.
        """
        self._directory = directory
        self._remote = remote
        self._find = find
        self.path = find(directory)
        self._stamp = _stamp(self.path)
        self.current: AgentConfig = config.load(self.path, remote())
        self.problem = ""

    def look(self, *, asked: bool = False) -> bool:
        """Read the file again if it changed or somebody `asked`; say whether settings changed."""
        path = self._find(self._directory)
        stamp = _stamp(path)
        if stamp == self._stamp and not asked:
            return False
        self._stamp = stamp
        try:
            newer = config.load(path, self._remote())
        except (ConfigError, OSError) as failure:
            self.problem = str(failure)
            log.error("agent.toml is not taken up, the last good settings stay: %s", failure)
            return False
        self.path, self.problem = path, ""
        changed = newer != self.current
        self.current = newer
        log.info("read %s: %s", path or "the defaults", "changed" if changed else "nothing changed")
        return changed


def _stamp(path: Path | None) -> Stamp:
    """Return what changes with the file, None when there is none."""
    try:
        if path is None:
            return None
        seen = path.stat()
    except OSError:
        return None
    return str(path), seen.st_mtime_ns, seen.st_size, seen.st_ino
