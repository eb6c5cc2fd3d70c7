"""Ask this system's package manager as the agent does, and keep every answer as a case.

    python record_patches.py FOLDER

FOLDER gets ``answers.json``: each program that was run, its status, output and errors; and
``root/`` with the log that pacman's reading needs.  What came of it goes to ``expected.json``.
"""

import json
import re
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from forewarn_checks._process import Done, execute
from forewarn_checks.base import CannotRead, NothingToRead
from forewarn_checks.linux.os_release import read_distribution
from forewarn_checks.package_managers.shape import Host, all_managers, native_first

KEPT = ("var/log/pacman.log", "etc/pacman.conf")


LOGGED = re.compile(r"^\d{4}-\d\d-\d\d .* <\d> \S+ ")


def without_log(errors: str) -> str:
    """Return what a program wrote to stderr; of libzypp's log only the line that is read."""
    lines = errors.splitlines()
    kept = [line for line in lines if not LOGGED.match(line) or " raw cache dir = " in line]
    return "".join(LOGGED.sub("", line) + "\n" for line in kept)


def main(folder: Path) -> None:
    answers: list[dict[str, object]] = []

    def run(argv: Sequence[str], seconds: float) -> Done:
        done = execute(argv, seconds)
        answers.append(
            {
                "argv": list(argv),
                "status": done.status,
                "output": done.output,
                "errors": without_log(done.errors),
            }
        )
        return done

    distribution = read_distribution()
    here = [one for one in all_managers() if one.find()]
    manager = native_first(here, distribution.id, distribution.like)[0]
    host = Host(run=run, now=datetime.now(UTC), system=distribution.id)
    expected: dict[str, object] = {}
    try:
        survey = manager.survey(manager.find() or "", host)
        expected["updates"] = [
            [one.name, one.installed, one.offered, one.security, one.severity, one.held]
            for one in survey.updates
        ]
        expected["trouble"] = list(survey.trouble)
    except (CannotRead, NothingToRead) as trouble:
        expected["fails"] = str(trouble)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    if manager.name == "pacman":
        for name in KEPT:
            (folder / "root" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("/", name), folder / "root" / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
