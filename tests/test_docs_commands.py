"""Every fenced block of the documents is executed, or every word of it held to the program.

A block of shell commands is preceded by a comment that says which:

    <!-- runs -->           run as it stands, all those of a page in one folder, one after another
    <!-- serves -->         started there, and kept until the page's last block has run
    <!-- words -->          each command, option and path exists
    <!-- lab: FILE -->      the same, and FILE does it as root
    <!-- plugin -->         a check of one's own, run as the check of that name would

PowerShell's are held by their words alone: there is none here to run them. Other languages are
held to what reads them: TOML to the collector's, the agent's and the scripts' settings, Python to
the contract of checks.
"""

import importlib.util
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from forewarn_agent.cli import app as agent_app
from forewarn_checks.base import Check, NothingToRead
from forewarn_collector.cli import app as collector_app
from forewarn_collector.config import CollectorConfig
from forewarn_collector.rule_tests import read as read_rule_tests
from forewarn_collector.rule_trial import run as try_rules
from forewarn_scripts import manifest, policy
from forewarn_scripts.cli import app as operator_app

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))
COMMANDS = {
    "forewarn-agent": agent_app,
    "forewarn-collector": collector_app,
    "forewarn": operator_app,
}
# Of the system, not ours: what they are asked is read by people.
SYSTEM = {
    "sudo",
    "curl",
    "head",
    "base64",
    "grep",
    "git",
    "cd",
    "systemctl",
    "mv",
    "install",
    "apt-get",
    "podman",
    "docker",
}
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- (runs|serves|words|plugin|check|rules|lab: (\S+)) -->\n$")


@dataclass(frozen=True)
class Block:
    """A fenced block; `mark` is the word of the comment before it, "" without one."""

    page: Path
    line: int
    language: str
    text: str
    mark: str
    lab: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text("utf-8")
        for fence in _FENCE.finditer(text):
            mark = _MARK.search(text[: fence.start()])
            line = text.count("\n", 0, fence.start()) + 1
            word, lab = (mark[1].partition(":")[0], mark[2] or "") if mark else ("", "")
            yield Block(page, line, fence[1], fence[2], word, lab)


BLOCKS = list(blocks())
SHELL = [one for one in BLOCKS if one.language == "sh"]
RUN = ("runs", "serves")


def commands(text: str) -> Iterator[list[str]]:
    """Yield every command of a block as words; pipes, redirections and comments are taken apart."""
    for line in text.replace("\\\n", " ").splitlines():
        line = re.sub(r"^\w+=\$\((.*)\)$", r"\1", line)
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if word in ("|", "&&", "||", ";"):
                yield words
                words = []
            else:
                words.append(word)
        yield words


def hold(words: list[str]) -> None:
    """Fail when a command names what does not exist."""
    while words and (words[0] in ("sudo", "-u") or re.match(r"[A-Z_]+=", words[0])):
        words = words[2:] if words[0] == "-u" else words[1:]
    for sign in ("<", ">"):
        if sign in words:
            words = words[: words.index(sign)]
    if not words:
        return
    first, rest = words[0], words[1:]
    if first in COMMANDS:
        _hold_ours(get_command(COMMANDS[first]), rest)
    elif first == "./install.sh":
        _hold_installer(rest)
    elif first == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert set(rest) <= set(targets)
    elif first == "python" and rest[0].endswith(".py"):
        assert (ROOT / rest[0]).exists(), rest[0]
    elif first == "python":
        assert rest[0] == "-m"
        assert (ROOT / rest[1].replace(".", "/")).with_suffix(".py").exists() or (
            ROOT / rest[1] / "__main__.py"
        ).exists()
    elif first == "sh":
        installer = ROOT / "collector/forewarn_collector/installer/agent.sh"
        options = [word for word in rest if re.match(r"--[a-z]", word)]
        assert all(option in installer.read_text("utf-8") for option in options)
    else:
        assert first in SYSTEM, f"nobody knows what {first} is: run it, or add it"


def _hold_ours(command: object, words: list[str]) -> None:
    """Take the words as the program would, down to options and the number of arguments."""
    context = typer.Context(command)  # type: ignore[arg-type]
    while isinstance(command, typer.core.TyperGroup):
        assert words, f"{command.name} is a group: name one of {sorted(command.commands)}"
        assert words[0] in command.commands, f"no command {words[0]}"
        command = command.commands[words[0]]
        context = typer.Context(command, parent=context, info_name=words[0])
        words = words[1:]
    assert isinstance(command, typer.core.TyperCommand)
    given, left, _ = command.make_parser(context).parse_args(args=list(words))
    assert not left, f"too much: {left}"
    for parameter in command.params:
        if parameter.required:
            assert given.get(parameter.name or "") is not None, f"{parameter.name} is missing"


def _hold_installer(words: list[str]) -> None:
    text = (ROOT / "install.sh").read_text("utf-8")
    text += (ROOT / "collector/forewarn_collector/installer/collector.sh").read_text("utf-8")
    assert re.search(rf"^ *{words[0]}\)", text, re.MULTILINE), words[0]
    for word in words[1:]:
        if word.startswith("--"):
            assert word in text, word
        elif "/" in word and "://" not in word:
            assert (ROOT / word).exists(), word


def test_every_block_says_how_it_is_held() -> None:
    """No shell block without a mark, no language nobody reads, nothing indented instead."""
    assert len(SHELL) > 20
    for block in BLOCKS:
        if block.language == "sh":
            assert block.mark, f"{block}: put <!-- runs --> or <!-- words --> before it"
        else:
            assert block.language in ("powershell", "toml", "python", "text", "json"), str(block)
    for page in PAGES:
        text = _FENCE.sub("", page.read_text("utf-8"))
        indented = re.search(r"\n\n {4}(?![-*\d ])\S.*", text)
        assert indented is None, f"{page.name}: fence {indented and indented[0].strip()!r}"


@pytest.mark.parametrize("block", [b for b in SHELL if b.mark in ("words", "lab", *RUN)], ids=str)
def test_every_word_of_a_command_exists(block: Block) -> None:
    for words in commands(block.text):
        hold(words)


@pytest.mark.parametrize("block", [b for b in SHELL if b.mark == "lab"], ids=str)
def test_a_lab_does_what_the_document_shows(block: Block) -> None:
    """The file that is named, or what it is built on, gives the same command."""
    folder = (ROOT / block.lab).parent
    done = "".join((folder / name).read_text("utf-8") for name in (Path(block.lab).name, "site.py"))
    for words in commands(block.text):
        ours = [place for place, word in enumerate(words) if word in (*COMMANDS, "./install.sh")]
        for place in ours:
            named = words[place + 1 :]
            if words[place] in COMMANDS:
                named = [word for word in named[:2] if re.fullmatch("[a-z]+", word)]
            wanted = named if words[place] in COMMANDS else named[:1]
            assert all(word in done for word in wanted), (
                f"{block}: {block.lab} does no {words[place:]}"
            )


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "powershell"], ids=str)
def test_every_word_of_a_command_for_windows_exists(block: Block) -> None:
    """Of commands that are ours; the rest is PowerShell's own."""
    for words in commands(block.text.replace("\\", "/")):
        if words and words[0] in (*COMMANDS, "python"):
            hold(words)


@pytest.mark.parametrize(
    "wrong",
    [
        "forewarn-collector tokens create",
        "forewarn-collector token create --customer acme",
        "forewarn ticket ack",
        "forewarn-agent once now",
        "./install.sh colector",
        "./install.sh collector --port 1",
        "make everything",
        "frewarn hosts",
    ],
)
def test_a_word_that_does_not_exist_is_found(wrong: str) -> None:
    with pytest.raises(Exception):  # noqa: B017 - click's or ours
        for words in commands(wrong):
            hold(words)


def free_ports(count: int) -> list[str]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [str(one.getsockname()[1]) for one in sockets]


@pytest.mark.parametrize(
    "page", sorted({b.page for b in SHELL if b.mark in RUN}), ids=lambda page: str(page.name)
)
def test_what_runs_runs(page: Path, tmp_path: Path) -> None:
    """All blocks of the page that need no root, in their order, in one folder."""
    ports = dict(zip(("18440", "18441"), free_ports(2), strict=True))
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    with ExitStack() as stack:
        for block in (b for b in SHELL if b.page == page and b.mark in RUN):
            text = re.sub(r"\b(18440|18441)\b", lambda port: ports[port[1]], block.text)
            if block.mark == "serves":
                _serve(stack, text, tmp_path, environment)
                continue
            argv = ["/bin/sh", "-eu", "-c", text]
            done = subprocess.run(
                argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
            )
            assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"


def _serve(stack: ExitStack, text: str, folder: Path, environment: dict[str, str]) -> None:
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            shlex.split(text), cwd=folder, env=environment, stdout=log, stderr=log
        )
    stack.callback(process.wait, 30)
    stack.callback(process.terminate)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        told = (folder / "serve.log").read_text("utf-8")
        if "ready:" in told:
            return
        assert process.poll() is None, told
        time.sleep(0.1)
    raise AssertionError((folder / "serve.log").read_text("utf-8"))


# -- what is no command ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [b for b in BLOCKS if b.language == "toml" and b.page.name not in ("settings.md", "rules.md")],
    ids=str,
)
def test_settings_in_the_documents_can_be_read(block: Block, tmp_path: Path) -> None:
    """As the program reads them: the collector's, the agent's, a script's or tests of rules."""
    table = tomllib.loads(block.text)
    reader = next(read for key, read in READERS.items() if key in table)
    file = tmp_path / "file.toml"
    file.write_text(block.text, "utf-8")
    reader(file)


def _as_collector(file: Path) -> None:
    table = tomllib.loads(file.read_text("utf-8"))
    table.pop("destinations", None)  # theirs hold secrets in files; held by their own tests
    CollectorConfig.model_validate(table)


def _as_agent(file: Path) -> None:
    done = subprocess.run(
        [str(BIN / "forewarn-agent"), "config", "check", "--file", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _as_manifest(file: Path) -> None:
    manifest.parse(file.read_text("utf-8"))


def _as_policy(file: Path) -> None:
    policy.parse(file.read_text("utf-8"))


def _as_rule_tests(file: Path) -> None:
    for case in read_rule_tests(file, {}):
        assert try_rules(case) == []


READERS: dict[str, Callable[[Path], None]] = {
    "tests": _as_rule_tests,
    "mode": _as_policy,
    "checks": _as_agent,
    "arguments": _as_manifest,
    "rules": _as_collector,
    "destinations": _as_collector,
    "groups": _as_collector,
}


def test_settings_of_the_collector_that_nobody_knows_are_found() -> None:
    with pytest.raises(ValueError, match="Extra inputs"):
        CollectorConfig.model_validate({"ruels": {}})


def test_the_check_that_is_shown_keeps_the_contract(tmp_path: Path) -> None:
    """The example is a whole check: it loads, declares and reads."""
    (block,) = [b for b in BLOCKS if b.language == "python"]
    file = tmp_path / "battery.py"
    file.write_text(block.text, "utf-8")
    spec = importlib.util.spec_from_file_location("battery", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    check = module.CHECK
    assert isinstance(check, Check)
    assert check.read_linux is not None
    try:
        readings = list(check.read_linux({}))
    except NothingToRead:
        return  # most servers have none
    assert {one.metric for one in readings} <= {metric.name for metric in check.metrics}  # type: ignore[union-attr]


@pytest.mark.parametrize(("waiting", "ends"), [(0, 0), (60, 1), (501, 2)])
def test_the_plugin_that_is_shown_says_how_things_are(
    waiting: int, ends: int, tmp_path: Path
) -> None:
    (block,) = [b for b in SHELL if b.mark == "plugin"]
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for number in range(waiting):
        scan = inbox / str(number)
        scan.touch()
        os.utime(scan, (0, 0))
    file = tmp_path / "plugin"
    file.write_text(block.text.replace("/srv/inbox", str(inbox)), "utf-8")
    done = subprocess.run(["/bin/sh", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == ends
    assert done.stdout == f"{waiting} scans wait | waiting={waiting};50;500;0\n"
