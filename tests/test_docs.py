"""What people read says what the code does."""

import importlib.util
import os
import re
import subprocess
import sys
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
# Fenced blocks are held whole by test_docs_commands.py.
_USE = re.compile(r"(?:^|`)(forewarn(?:-agent|-collector)?)((?: [a-z][a-z-]*)+)", re.MULTILINE)
WRITTEN = sorted(
    path
    for folder in (".", "docs", "benchmarks", "checks", "scripts", "lock")
    for path in (ROOT / folder).glob("*.md")
)


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


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    """`forewarn-collector token create` in a page is a command of that name."""
    named = _USE.findall(page.read_text("utf-8"))
    assert page.name != "README.md" or page.parent != ROOT or named
    for command, words in named:
        found: object = get_command(COMMANDS[command])
        for word in words.split():
            below = getattr(found, "commands", None)
            if below is None:
                break  # from here on it is an argument
            assert word in below, f"{page.name}: {command}{words}"
            found = below[word]


def places(page: Path) -> set[str]:
    """Return what a link may name behind #: every heading, as GitHub and the site call it."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[`*]|\]\([^)]*\)|\[", "", head).strip().lower() for head in heads)
    return {re.sub(r"[^\w\- ]", "", head).replace(" ", "-") for head in plain}


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of the repository and, where it names one, to a heading of it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, place = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name} links to {target}"
        if place and file.suffix == ".md":
            assert place in places(file), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_of_the_repository_that_is_named_exists(page: Path) -> None:
    """A reader who is sent to a test or a folder finds it; CHANGELOG.md tells of what was."""
    if page.name == "CHANGELOG.md":
        return
    tops = "agent|benchmarks|checks|collector|docs|lock|scripts|tests"
    for path in re.findall(rf"`((?:{tops})/[\w./*-]+)`", page.read_text("utf-8")):
        if not re.search(r"[A-Z]{4}|battery", path):  # a name to be chosen
            assert list(ROOT.glob(path.rstrip("/"))), f"{page.name} names {path}"


def test_no_page_asks_another_machine_for_anything() -> None:
    """Pictures are ours; a page may be read where there is no network."""
    for page in WRITTEN:
        text = page.read_text("utf-8")
        assert not re.search(r"!\[[^\]]*\]\(https?:|<(?:img|script|link|iframe)\b", text), page.name


def test_pictures_are_small() -> None:
    pictures = [*(ROOT / "docs" / "images").iterdir()]
    assert pictures
    for picture in pictures:
        assert picture.suffix in (".webp", ".png", ".svg")
        assert picture.stat().st_size < 150_000, picture.name


def test_the_site_builds_without_a_warning_and_asks_nobody(tmp_path: Path) -> None:
    """Strict: a page that is in no menu, a link or a place that is not there ends it."""
    site = tmp_path / "site"
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    done = subprocess.run(
        [*argv, "--site-dir", str(site)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = [*site.rglob("*.html")]
    assert len(pages) > 15
    asks = re.compile(
        r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//|<link\b[^>]*\bhref=["']?(?:https?:)?//"""
    )
    for page in pages:
        found = asks.search(page.read_text("utf-8"))
        assert found is None, f"{page.name}: {found and found[0]}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?https?:", sheet.read_text("utf-8")), sheet.name


def test_the_containerfile_names_what_there_is() -> None:
    """Files it copies or reads, and commands and options it runs; it is not built here."""
    text = (ROOT / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    for path in re.findall(r"(?:-r|--lock|COPY) (?!--from)([\w./-]+)", text):
        assert (ROOT / path).exists(), path
    used = re.findall(r"(forewarn-collector) ((?:[a-z]+ ?)+)((?:--[a-z]+)?)", text)
    assert len(used) >= 3
    for command, words, _ in used:
        found: object = get_command(COMMANDS[command])
        for word in words.split():
            below = getattr(found, "commands", None)
            assert below is None or word in below, words
            found = below[word] if below else found
    module = re.search(r'"-m", "([a-z_.]+)"', text)
    assert module is not None
    assert importlib.util.find_spec(module[1]) is not None
    init = re.search(r"forewarn-collector init ([^;]+);", text)
    assert init is not None
    options = {o for p in _command("forewarn-collector", "init").params for o in p.opts}
    assert set(re.findall(r"--[a-z]+", init[1])) <= options


def _command(name: str, *words: str) -> typer.core.TyperCommand:
    found: object = get_command(COMMANDS[name])
    for word in words:
        found = getattr(found, "commands", {})[word]
    assert isinstance(found, typer.core.TyperCommand)
    return found


def test_typer_apps_show_help_without_arguments() -> None:
    """A stranger who types only the command is told what there is."""
    for name, app in COMMANDS.items():
        group = get_command(app)
        assert isinstance(group, typer.core.TyperGroup), name
        assert group.no_args_is_help, name
