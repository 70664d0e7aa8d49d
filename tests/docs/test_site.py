"""The documentation as a site: it builds strictly, asks for nothing from elsewhere, and a broken link fails."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
SELF_CONTAINED = re.compile(
    r"<(?:script|img|iframe|source)[^>]*\ssrc=[\"']?(?:https?:)?//|<link[^>]*stylesheet[^>]*//|@import"
)


def build(config: pathlib.Path, site: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Builds a site strictly, as `make docs` does."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", site]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_site_builds_and_asks_for_nothing_from_elsewhere(tmp_path):
    built = build(ROOT / "mkdocs.yml", tmp_path)

    assert built.returncode == 0, built.stdout + built.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        assert not (found := SELF_CONTAINED.search(page.read_text(encoding="utf-8"))), f"{page}: {found}"


@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ("[a page](missing.md)", "missing.md"),
        ("[a file](../pipelines/missing.py)", "missing.py"),
        ("[a heading](index.md#missing)", "#missing"),
    ],
)
def test_a_link_that_leads_nowhere_fails(link, complaint, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text(f"# A page\n\n{link}\n")
    wanted = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    config = {
        "site_name": "small",
        "docs_dir": str(docs),
        "hooks": [str(ROOT / "docs/hooks/repository_pages.py")],
        "validation": wanted["validation"],
        "plugins": [],
    }
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(config))

    built = build(tmp_path / "mkdocs.yml", tmp_path / "site")

    assert built.returncode != 0
    assert complaint in built.stdout + built.stderr
