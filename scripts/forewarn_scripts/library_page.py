"""Write the page about the library, scripts/README.md, from the manifests."""

from collections.abc import Iterator

from forewarn_checks.base.durations import write_duration
from forewarn_scripts import library
from forewarn_scripts.library import LibraryScript
from forewarn_scripts.manifest import Flag

_HEAD = """\
# Maintenance scripts

One folder in `forewarn_scripts/library`, one script: `manifest.toml`, `linux.sh`, `windows.ps1`.
Run one by `forewarn run NAME --on SELECTOR --reason WHY -- ARGS`: the arguments are checked
against the manifest and the hosts are shown, and then it is signed. `forewarn scripts library
NAME --body linux` prints what would run, `forewarn scripts policy NAME` the entry of a host's
policy.toml that allows it. Its time must be within that policy's `max_timeout`, which is 10m
unless the host says otherwise: give those that install updates the hour they ask for, since what
is cut off in the middle leaves packages half installed.

Risks: *looks* changes nothing; *changes* goes unnoticed by people at work; *disrupts* may
interrupt them. The bodies for Linux are run against real package managers and services
(`make lab`; apk alone is not to be had there); those for Windows are parsed only, **not yet tried
on a real Windows**, and wait until Windows hosts take orders.
"""


def page() -> str:
    """Return the page in Markdown."""
    scripts = library.all_scripts().values()
    lines = [
        _HEAD,
        "| script | risk | systems | may help with | what |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in scripts:
        rules = ", ".join(f"`{rule}`" for rule in one.manifest.helps_with)
        lines.append(
            f"| [{one.name}](#{one.name}) | {one.manifest.risk} | {', '.join(one.bodies)} |"
            f" {rules} | {_cell(one.manifest.help)} |"
        )
    lines += ["", "| exit code | what it means |", "| --- | --- |"]
    lines += [f"| {code} | {_cell(meaning)} |" for code, meaning in library.EXITS.items()]
    for one in scripts:
        lines += ["", *_section(one)]
    return "\n".join(lines) + "\n"


def _section(script: LibraryScript) -> Iterator[str]:
    manifest = script.manifest
    yield f"## {script.name}\n"
    bound = write_duration(manifest.timeout)
    yield f"{manifest.help} Runs as {manifest.run_as}, for {bound} at most."
    if manifest.arguments:
        yield "\n| argument | default | takes | what |"
        yield "| --- | --- | --- | --- |"
    for one in manifest.arguments:
        default = "" if isinstance(one, Flag) else f"`{one.default}`"
        if not isinstance(one, Flag) and one.default is None:
            default = "must be given"
        yield f"| `--{one.name}` | {default} | {_cell(one.takes())} | {_cell(one.help)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
