"""The pages of the documentation, and their code blocks."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "build/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "components").rglob("README.md")),
]


@dataclass(frozen=True)
class Block:
    """A fenced code block of a page."""

    page: str
    language: str
    text: str


def blocks(*languages: str) -> Iterator[Block]:
    """Yields the blocks in some languages on all pages."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for indent, language, body in re.findall(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE):
            if language in languages:
                lines = [line.removeprefix(indent) for line in body.splitlines()]
                yield Block(str(page.relative_to(ROOT)), language, "\n".join(lines))
