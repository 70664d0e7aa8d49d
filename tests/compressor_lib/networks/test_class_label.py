from __future__ import annotations

import unicodedata

import pytest

from compressor_lib.errors import CompressorError
from compressor_lib.networks.class_label import class_label


@pytest.mark.parametrize("name", ["cat", "cat\r", " cat\t", "cat\n", "cat\r\n", "\u00a0cat"])
def test_surrounding_whitespace_is_removed(name):
    assert class_label(name) == "cat"


@pytest.mark.parametrize("name", ["café", "Ångström", "감"])
def test_nfc_and_nfd_are_equal(name):
    composed, decomposed = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert class_label(composed) == class_label(decomposed) == composed


@pytest.mark.parametrize("name", ["T-shirt / top", "写真", "a  b", "x|y,z;*?[1]"])
def test_inner_characters_are_kept(name):
    assert class_label(name) == name


@pytest.mark.parametrize("name", ["", " ", "\r\n"])
def test_empty_name_is_rejected(name):
    with pytest.raises(CompressorError, match="is empty"):
        class_label(name)


@pytest.mark.parametrize(
    ("name", "shown"), [("a\rb", r"a\\rb"), ("a\x00b", r"a\\x00b"), ("a\u2028b", r"a\\u2028b"), ("caf\udce9", "caf")]
)
def test_control_characters_are_rejected_and_shown_escaped(name, shown):
    with pytest.raises(CompressorError, match=f"{shown}.* rename it"):
        class_label(name)
