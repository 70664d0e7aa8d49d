"""Turns links from ``docs/`` into the repository into links to pages of the site that show the files.

Pages link to source files and READMEs by relative paths, as forges do. Linked files are shown below ``repository/``:
Markdown as a page, whose own links are followed; notebooks cell by cell; everything else as code.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_LINK = re.compile(r"(?P<before>\]\()(?P<path>[^)#\s:]+)(?P<anchor>#[^)\s]*)?(?=\))")
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", "Dockerfile": "dockerfile"}
_FOLDER = "repository"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for every file outside ``docs/`` that a page links to."""
    from mkdocs.structure.files import File

    root = Path(config.docs_dir).parent
    waiting = [f"docs/{file.src_uri}" for file in files.documentation_pages() if file.generated_by is None]
    seen = set(waiting)
    while waiting:
        page = waiting.pop()
        if not page.endswith(".md"):
            continue
        for match in _LINK.finditer((root / page).read_text(encoding="utf-8")):
            path = _file(_resolved(page, match["path"]), root)
            if path in seen or path.startswith("docs/") or not (root / path).is_file():
                continue
            seen.add(path)
            waiting.append(path)
            files.append(File.generated(config, _page_of(path), content=_shown(root / path, path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Redirects a page's links to the pages that show the linked files."""
    root = Path(config.docs_dir).parent
    here = page.file.src_uri
    path = _path_of(here)
    if path is None:
        return markdown

    def pointed(match: re.Match[str]) -> str:
        target = _file(_resolved(path, match["path"]), root)
        uri = target.removeprefix("docs/") if target.startswith("docs/") else _page_of(target)
        if files.get_file_from_path(uri) is None:
            return match[0]  # MkDocs reports it
        return f"{match['before']}{posixpath.relpath(uri, posixpath.dirname(here) or '.')}{match['anchor'] or ''}"

    return _LINK.sub(pointed, markdown)


def _path_of(uri: str) -> str | None:
    """The repository's file that a page of the site shows; None for a page that exists only on the site."""
    if not uri.startswith(f"{_FOLDER}/"):
        return None if uri.startswith("reference/") else f"docs/{uri}"
    path = uri.removeprefix(f"{_FOLDER}/")
    return path if Path(path).exists() else path.removesuffix(".md")


def _page_of(path: str) -> str:
    return f"{_FOLDER}/{path}" if path.endswith(".md") else f"{_FOLDER}/{path}.md"


def _resolved(page: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def _file(path: str, root: Path) -> str:
    """The path itself or, for a folder, its README."""
    return posixpath.join(path, "README.md") if os.path.isdir(root / path) else path


def _shown(file: Path, path: str) -> str:
    """A page with a file's content."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        return text
    if file.suffix == ".ipynb":
        cells = (("".join(cell["source"]), cell["cell_type"]) for cell in json.loads(text)["cells"])
        return "\n\n".join(source if kind == "markdown" else f"```python\n{source}\n```" for source, kind in cells)
    language = _LANGUAGES.get(file.suffix or file.name, "text")
    return f"# {path}\n\n````{language}\n{text}\n````\n"
