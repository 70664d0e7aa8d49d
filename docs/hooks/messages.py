"""Reads the messages of the project's errors from its source, for the page on troubleshooting and its test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

PACKAGES = ("compressor_lib", "components", "pipelines")
PAGE = "troubleshooting.md"

_MARK = "<!-- every other message -->"
_GAP = "…"
_EXPLAINED = re.compile(r"^`(.+)`\n:   ", re.MULTILINE)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Appends the messages that the page on troubleshooting does not explain."""
    if page.file.src_uri != PAGE:
        return markdown
    lines = []
    known = explained(markdown)
    for module, messages in errors(Path(config.docs_dir).parent).items():
        others = [message for message in messages if not any(part in message for part in known)]
        if others:
            lines += ["", f"**`{module}`**", "", *(f"- {_escaped(message)}" for message in others)]
    return markdown.replace(_MARK, "\n".join(lines))


def explained(markdown: str) -> list[str]:
    """Returns the messages, or parts of messages, that the page explains."""
    return _EXPLAINED.findall(markdown)


def errors(root: Path) -> dict[str, list[str]]:
    """Returns the messages of every ``CompressorError`` by module, with a gap for each variable part.

    Args:
        root: The project's folder.
    """
    found = {}
    for module, tree in _modules(root):
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
        messages = [_text(call.args[0]) for call in calls if _name(call.func) == "CompressorError"]
        worded = [message for message in messages if message and len(message.replace(_GAP, "")) > 20]
        if worded:
            found[module] = worded
    return found


@cache
def texts(root: Path) -> set[str]:
    """Returns every string in the source, with a gap for each variable part."""
    return {text for _, tree in _modules(root) for node in ast.walk(tree) if (text := _text(node))}


def _modules(root: Path) -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            module = ".".join(path.relative_to(root).with_suffix("").parts)
            yield module, ast.parse(path.read_text(encoding="utf-8"))


def _text(node: ast.AST) -> str | None:
    """The string that an expression evaluates to, with gaps; None if it is not a string."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value) or _GAP for value in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = (_text(node.left), _text(node.right))
        return "".join(part or _GAP for part in parts) if any(parts) else None
    return None


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else ""


def _escaped(message: str) -> str:
    return re.sub(r"([*_<>\[\]{}`])", r"\\\1", " ".join(message.split()))
