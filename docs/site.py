"""Bring pages that lie elsewhere in the repository into the site, and turn links to them round.

What is read in the repository keeps links that work there; the site has the same pages under the
names of `ELSEWHERE`, and names other files of the repository without a link.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
ELSEWHERE = {
    "benchmarks/README.md": "measured.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "STYLE.md": "style.md",
    "scripts/README.md": "scripts.md",
}
# The same table is in the site already, with links that lead to its own pages.
_SAME = {"checks/README.md": "checks.md"}
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]+)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from elsewhere."""
    for source, name in ELSEWHERE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page with its links as the site has them."""
    source = {name: one for one, name in ELSEWHERE.items()}.get(page.file.src_uri)
    folder = (ROOT / source).parent if source else ROOT / "docs"

    def turned(link: re.Match[str]) -> str:
        text, target, place = link[1], link[2], link[3] or ""
        path = (folder / target).resolve()
        if not path.is_relative_to(ROOT):
            return link[0]
        inside = path.relative_to(ROOT).as_posix()
        name = (ELSEWHERE | _SAME).get(inside)
        if name is not None:
            return f"[{text}]({name}{place})"
        if inside.startswith("docs/"):
            return f"[{text}]({inside.removeprefix('docs/')}{place})"
        return f"{text} (`{inside}`)" if text != inside else f"`{inside}`"

    return _LINK.sub(turned, markdown)
