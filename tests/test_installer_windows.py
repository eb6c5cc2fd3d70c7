"""The script that installs the agent on Windows: no PowerShell is here, so it is read, not run.

A grammar of PowerShell says that it can be parsed, and every command that it calls is looked up.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tree_sitter import Language, Node, Parser
from tree_sitter_powershell import language

ROOT = Path(__file__).resolve().parent.parent
INSTALLERS = ROOT / "collector/forewarn_collector/installer"
SCRIPT = (INSTALLERS / "agent.ps1").read_bytes()
# What Windows PowerShell 5.1 brings, of that the script uses.
CMDLETS = {
    "Add-Type", "ConvertFrom-Json", "Copy-Item", "ForEach-Object", "Get-ChildItem", "Get-Command",
    "Get-Content", "Get-FileHash", "Get-ItemProperty", "Get-Service", "Join-Path", "Move-Item",
    "New-Item", "New-Object", "Out-Host", "Out-Null", "Out-String", "Remove-Item", "Set-Content",
    "Split-Path", "Start-Sleep", "Test-Path", "Where-Object",
}  # fmt: skip
PROGRAMS = {"curl.exe", "sc.exe", "$exe"}


def parse(script: bytes) -> Node:
    return Parser(Language(language())).parse(script).root_node


def nodes(under: Node, kind: str) -> Iterator[Node]:
    if under.type == kind:
        yield under
    for child in under.children:
        yield from nodes(child, kind)


def text(node: Node) -> str:
    assert node.text is not None
    return node.text.decode("ascii")


def test_the_grammar_reads_it_whole() -> None:
    """And would not, were a brace missing: the check can fail."""
    assert not parse(SCRIPT).has_error
    assert parse(SCRIPT.replace(b"}\n", b"\n", 1)).has_error


def test_it_is_plain_ascii() -> None:
    """Windows PowerShell reads a file without a mark as the old code page of the country."""
    assert SCRIPT.isascii()


def test_every_command_is_there() -> None:
    """One of Windows PowerShell 5.1's, a function of the script, or a program of Windows."""
    root = parse(SCRIPT)
    own = {text(name) for name in nodes(root, "function_name")}
    called = {text(name) for name in nodes(root, "command_name")}
    called |= {text(name) for name in nodes(root, "command_name_expr")}
    assert own >= {"Main", "Install-Agent", "Remove-All", "Get-Release"}
    assert called - own - CMDLETS - PROGRAMS == set()


@pytest.mark.parametrize("word", ["--string-file", "--packages", "--uninstall", "fw1."])
def test_it_knows_the_words_of_the_one_for_linux(word: str) -> None:
    """So that nobody learns two."""
    assert word in (INSTALLERS / "agent.sh").read_text("utf-8")
    assert f"'{word}" in SCRIPT.decode("ascii")


def test_its_exit_codes_are_those_of_the_one_for_linux() -> None:
    """Word for word, in both heads."""
    told = re.compile(r"# Exit codes: (.*?)\.\n", re.DOTALL)

    def codes(script: str) -> list[str]:
        found = told.search(script)
        assert found is not None
        return found[1].replace("\n# ", " ").split("; ")

    assert codes(SCRIPT.decode("ascii")) == codes((INSTALLERS / "agent.sh").read_text("utf-8"))


def test_nothing_runs_before_its_last_lines() -> None:
    """All but settings and the call of Main are functions."""
    statements = [
        child
        for block in nodes(parse(SCRIPT), "statement_list")
        for child in block.children
        if block.parent is not None and block.parent.type == "program"
    ]
    kinds = [child.type for child in statements]
    assert kinds.count("function_statement") > 8
    after = kinds[len(kinds) - 1 - kinds[::-1].index("function_statement") + 1 :]
    assert "try_statement" in after
    assert set(kinds) == {
        "comment",
        "function_statement",
        "pipeline",
        "try_statement",
        "if_statement",
    }
