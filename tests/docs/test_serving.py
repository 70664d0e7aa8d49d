"""The page on the pushed model and the report show the same command, and it works with any `base64`."""

from __future__ import annotations

import pathlib

from components.report.usage import snippets

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "serving.md"


def test_the_command_to_a_server_is_that_of_the_report():
    code = {one.title: one.code for one in snippets("runs/pictures/serving/7", "pictures", {}, is_version=True)}["REST"]
    shown = code.replace("=runs/", "=$PWD/runs/").replace("image.jpg", "cat.jpg")
    assert f"```\n{shown}```\n" in PAGE.read_text(encoding="utf-8")


def test_no_page_has_a_flag_that_only_gnu_knows():
    pages = [*PAGE.parent.rglob("*.md"), PAGE.parents[1] / "README.md"]
    assert [page.name for page in pages if "base64 -w" in page.read_text(encoding="utf-8")] == []
