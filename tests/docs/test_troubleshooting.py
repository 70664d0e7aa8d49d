"""The page on troubleshooting quotes what the source says, and leaves no message out."""

from __future__ import annotations

import pathlib
import re
from types import SimpleNamespace

import pytest

from docs.hooks.messages import PAGE, errors, explained, on_page_markdown, texts
from pipelines.cli import exit_status

ROOT = pathlib.Path(__file__).parents[2]
TEXT = (ROOT / "docs" / PAGE).read_text(encoding="utf-8")


def shown() -> str:
    """The page as the site has it."""
    page = SimpleNamespace(file=SimpleNamespace(src_uri=PAGE))
    config = SimpleNamespace(docs_dir=str(ROOT / "docs"))
    return on_page_markdown(TEXT, page, config, None)


@pytest.mark.parametrize("message", explained(TEXT))
def test_a_message_on_the_page_is_in_the_source(message):
    assert any(message in text for text in texts(ROOT)), f"nothing says {message!r} any more"


def test_every_message_of_the_source_is_on_the_page():
    page = shown().replace("\\", "")
    known = explained(TEXT)
    messages = [message for found in errors(ROOT).values() for message in found]

    assert len(messages) > 100
    for message in messages:
        assert any(part in message for part in known) or " ".join(message.split()) in page, message


def test_each_explained_message_has_a_way_out():
    assert len(explained(TEXT)) == TEXT.count("\n:   ")


def test_the_page_lists_every_exit_status():
    (listed,) = re.findall(r"Exit statuses of `compressor`: (.*?)\n\n", TEXT, re.DOTALL)
    statuses = {value for name, value in vars(exit_status).items() if name.isupper()}
    assert sorted(map(int, re.findall(r"\b\d+\b", listed))) == sorted({0, *statuses})
