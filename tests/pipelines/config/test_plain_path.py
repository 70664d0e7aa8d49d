from __future__ import annotations

import os

import pytest

from compressor_lib.errors import CompressorError
from pipelines.config.plain_path import link_plain_path, plain_path


@pytest.mark.parametrize("path", ["/a/b c", "/a/#1 {x}|y", "gs://bucket/[a]"])
def test_other_paths_stay(path):
    assert plain_path(path) == path


@pytest.mark.parametrize("name", ["[v2]", "what?", "all*", "a]", "back\\slash"])
def test_a_link_leads_to_a_path_with_pattern_characters(tmp_path, name):
    path = str(tmp_path / name / "runs [1]" / "pipeline_root")
    link_plain_path(path)
    link = plain_path(path)
    assert os.path.dirname(link) == str(tmp_path)
    assert plain_path(link) == link
    assert os.path.samefile(link, path)
    link_plain_path(path)
    assert os.path.samefile(link, path)


def test_two_paths_have_two_links(tmp_path):
    assert plain_path(f"{tmp_path}/[a]") != plain_path(f"{tmp_path}/[b]")


def test_a_link_that_leads_elsewhere_is_made_anew(tmp_path):
    path = str(tmp_path / "[v2]")
    os.symlink(tmp_path / "gone", plain_path(path))
    link_plain_path(path)
    assert os.path.samefile(plain_path(path), path)


def test_where_no_link_can_be_made_it_is_told(tmp_path):
    path = str(tmp_path / "[v2]")
    os.mkdir(plain_path(path))  # something else is in its place
    with pytest.raises(CompressorError, match=r"\[v2\]' has characters .* choose a folder without them with --output"):
        link_plain_path(path)
