"""Lines of prose in Markdown end at 120 characters, so that a page is easy to read as text and in a diff."""

from __future__ import annotations

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
WIDTH = 120
# Hidden folders are not ours: environments, caches.
PAGES = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *(path for room in ["build", "components", "docs"] for path in (ROOT / room).rglob("*.md")),
    )
    if path.is_file()
)
# One word, whatever its length: code, a link's or a picture's address, a tag.
ATOM = re.compile(r"`[^`]+`|\]\([^)]*\)|<[^>]+>|!\[[^\]]*\]")


def prose(text: str) -> list[tuple[int, str]]:
    """Lines by number, without code blocks and tables, and with every atom as short as can be."""
    lines, inside = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside and not line.lstrip().startswith("|"):
            lines.append((number, ATOM.sub("", line) if len(line) > WIDTH else line))
    return lines


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_of_prose_end_at_120_characters(page):
    long = [number for number, line in prose(page.read_text(encoding="utf-8")) if len(line) > WIDTH]

    assert long == []


def test_long_prose_is_found_and_code_tables_and_links_are_not():
    word, link = "word " * 40, f"[text]({'x' * 200})"

    found = prose(f"{word}\n```\n{word}\n```\n| {word} |\n{link}\n`{word}`\n![{word}](a.svg)\n")

    assert [number for number, line in found if len(line) > WIDTH] == [1]
