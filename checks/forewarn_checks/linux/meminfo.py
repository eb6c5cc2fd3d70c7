"""Parse ``/proc/meminfo``, and ``/proc/vmstat`` for who was killed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory and swap of the host, in bytes.  None is what this kernel does not count."""

    total_bytes: int
    available_bytes: int
    swap_total_bytes: int
    swap_free_bytes: int
    commit_limit_bytes: int | None
    committed_bytes: int | None


def parse_meminfo(text: str) -> Memory:
    """Return what `text` says.  Raises ValueError when it does not name the total."""
    sizes = _sizes(text)
    total = sizes.get("MemTotal", 0)
    if total <= 0:
        raise ValueError("no MemTotal in /proc/meminfo")
    # Before Linux 3.14 the kernel did not estimate it; free and cache is what there was.
    guess = sizes.get("MemFree", 0) + sizes.get("Buffers", 0) + sizes.get("Cached", 0)
    return Memory(
        total_bytes=total,
        # a container may be told of more available than it has (lxcfs)
        available_bytes=min(sizes.get("MemAvailable", guess), total),
        swap_total_bytes=sizes.get("SwapTotal", 0),
        swap_free_bytes=min(sizes.get("SwapFree", 0), sizes.get("SwapTotal", 0)),
        commit_limit_bytes=sizes.get("CommitLimit"),
        committed_bytes=sizes.get("Committed_AS"),
    )


def _sizes(text: str) -> dict[str, int]:
    """Return the lines ``Name: 123 kB`` in bytes; the rest, such as ``HugePages_Total``, is not."""
    sizes: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        match rest.split():
            case [number, "kB"] if number.isascii() and number.isdecimal() and len(number) < 16:
                sizes[name] = int(number) * 1024
    return sizes


def parse_kills(text: str) -> int | None:
    """Return ``oom_kill`` of ``/proc/vmstat``; None where the kernel does not count it (< 4.13)."""
    for line in text.splitlines():
        match line.split():
            case ["oom_kill", number] if (
                number.isascii() and number.isdecimal() and len(number) < 20
            ):
                return int(number)
    return None
