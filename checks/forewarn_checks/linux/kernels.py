"""Compare the running kernel with the installed ones."""

import re
from collections.abc import Iterable
from pathlib import Path

_LETTER = re.compile(r"[A-Za-z]")
_WORD = re.compile(r"[a-z]+")
_NUMBER = re.compile(r"\d{1,12}")
_RELEASE = re.compile(r"\d+\.\d+")

Order = tuple[tuple[int, ...], tuple[int, ...]]


def flavour(release: str) -> frozenset[str]:
    """Return the words of a release: ``cloud`` and ``amd`` of ``6.1.0-21-cloud-amd64``.

    Only kernels of one flavour replace each other.
    """
    return frozenset(_WORD.findall(release.lower()))


def order(release: str) -> Order:
    """Return a key by which releases of one flavour sort.

    The numbers before the first letter decide, then those after it: ``-427.el9`` comes before
    ``-427.13.1.el9_4``, and ``-arch1-1`` before ``-arch1-2``.
    """
    letter = _LETTER.search(release)
    cut = letter.start() if letter else len(release)
    return _numbers(release[:cut]), _numbers(release[cut:])


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBER.findall(text))


def newest_like(running: str, installed: Iterable[str]) -> str | None:
    """Return the newest installed kernel of the running one's flavour; None if there is none.

    None also when the host did not install its own kernel, as in a container or where the
    hypervisor brings it: then the installed ones say nothing about a reboot.
    """
    alike = [release for release in installed if flavour(release) == flavour(running)]
    return max(alike, key=order, default=None)


def read_installed(boot: Path = Path("/boot"), modules: Path = Path("/lib/modules")) -> list[str]:
    """Return the releases of the kernels installed here, in no order.

    Both places are asked: some distributions name the image without its release, and a hardened
    unit cannot see the modules.
    """
    found = {path.name.removeprefix("vmlinuz-") for path in _listed(boot, "vmlinuz-*")}
    # A removed kernel may leave a directory with modules built on this host, never its own.
    found |= {path.parent.name for path in _listed(modules, "*/modules.builtin")}
    return [name for name in found if _RELEASE.match(name) and "rescue" not in name]


def _listed(directory: Path, pattern: str) -> list[Path]:
    try:
        return list(directory.glob(pattern))
    except OSError:
        return []
