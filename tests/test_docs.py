"""What people read says what the code does."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import typer
from typer.main import get_command

from forewarn_agent.cli import app as agent_app
from forewarn_collector.cli import app as collector_app
from forewarn_scripts.cli import app as operator_app

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {
    "forewarn-agent": agent_app,
    "forewarn-collector": collector_app,
    "forewarn": operator_app,
}
_USE = re.compile(r"(?:^ {4}|`)(forewarn(?:-agent|-collector)?)((?: [a-z]+)+)", re.MULTILINE)


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_generated_page_is_what_the_declarations_say() -> None:
    """`make docs` would change nothing."""
    assert generator().differing() == []


def test_a_bar_in_a_text_does_not_break_a_table() -> None:
    assert generator().cell("du | sort") == "du \\| sort"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/operating.md"])
def test_every_command_that_a_page_names_exists(page: str) -> None:
    """`forewarn-collector token create` in a page is a command of that name."""
    named = _USE.findall((ROOT / page).read_text("utf-8"))
    assert page != "README.md" or named
    for command, words in named:
        found: object = get_command(COMMANDS[command])
        for word in words.split():
            below = getattr(found, "commands", None)
            if below is None:
                break  # from here on it is an argument
            assert word in below, f"{page}: {command}{words}"
            found = below[word]


def test_every_link_to_a_file_leads_somewhere() -> None:
    for page in ROOT.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (ROOT / target).exists(), f"{page.name} links to {target}"


def test_typer_apps_show_help_without_arguments() -> None:
    """A stranger who types only the command is told what there is."""
    for name, app in COMMANDS.items():
        group = get_command(app)
        assert isinstance(group, typer.core.TyperGroup), name
        assert group.no_args_is_help, name
