from __future__ import annotations

import os

import pytest

from components.storage import listing
from compressor_lib.errors import CompressorError

ODD = ["pics [v2]", "what?", "all*", "a|b", "{SPAN}", "back\\slash", "50% #1"]


@pytest.fixture(params=ODD)
def folder(request, tmp_path):
    folder = tmp_path / request.param
    (folder / "cat" / "more").mkdir(parents=True)
    for name in ("cat/1.jpg", "cat/more/2.jpg", "readme.txt", ".DS_Store", "cat/.hidden.jpg"):
        (folder / name).write_bytes(name.encode())
    (folder / "__MACOSX" / "cat").mkdir(parents=True)
    (folder / "__MACOSX" / "cat" / "1.jpg").touch()
    return str(folder)


def test_paths_are_literal(folder):
    assert listing.listed(folder) == ["cat", "readme.txt"]
    assert list(listing.files_under(folder)) == ["cat/1.jpg", "cat/more/2.jpg", "readme.txt"]
    assert listing.is_folder(folder)
    before = listing.fingerprint(folder, ["cat/1.jpg"])
    assert listing.fingerprint(folder, ["cat/1.jpg"]) == before
    assert listing.fingerprint(folder, ["cat/1.jpg", "readme.txt"]) != before
    with open(os.path.join(folder, "cat/1.jpg"), "a") as file:
        file.write("more")
    assert listing.fingerprint(folder, ["cat/1.jpg"]) != before


def test_names_and_times_are_in_the_fingerprint(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    for name in "ab":
        os.utime(tmp_path / name, (1, 1))
    base = str(tmp_path)
    assert listing.fingerprint(base, ["a"]) != listing.fingerprint(base, ["b"])
    before = listing.fingerprint(base, ["a"])
    os.utime(tmp_path / "a", (2, 2))
    assert listing.fingerprint(base, ["a"]) != before


def test_broken_link_is_reported(tmp_path):
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(CompressorError, match=r"gone\.jpg; No such file.* broken link, delete it"):
        listing.fingerprint(str(tmp_path), ["gone.jpg"])


def test_circular_link_is_not_followed_forever(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.jpg").touch()
    (tmp_path / "cat" / "back").symlink_to(tmp_path)
    assert list(listing.files_under(str(tmp_path))) == ["cat/1.jpg"]


def test_bytes_that_are_not_text_are_escaped(tmp_path):
    os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.jpg", os.O_CREAT))
    (name,) = listing.listed(str(tmp_path))
    assert not listing.is_text(name)
    assert listing.is_text("café.jpg")
    assert listing.printable(name) == r"caf\xe9.jpg"
    assert listing.fingerprint(str(tmp_path), [name]).startswith("files:1,")


def test_missing_folder_has_no_files(tmp_path):
    assert list(listing.files_under(str(tmp_path / "nowhere"))) == []
