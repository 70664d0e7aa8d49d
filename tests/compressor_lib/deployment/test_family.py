from __future__ import annotations

import pytest

from compressor_lib.deployment.family import (
    MEMBER_SEPARATOR,
    directory_of,
    input_key,
    is_member_name,
    keras_file,
    member_of,
    members_in,
    node_id,
)


def test_the_only_model_adds_nothing_to_names():
    assert node_id("retrain", "") == input_key("retrain", "") == "retrain"
    assert keras_file("") == "model.keras"
    assert directory_of("/serving", "") == "/serving"
    assert members_in({"parameters": 5, "macs": None}) == members_in({}) == [""]


@pytest.mark.parametrize("member", ["tiny", "for-phones-2", "retrain"])
def test_the_member_is_read_from_the_id_of_a_node(member):
    assert member_of(node_id("Pusher", member)) == ("Pusher", member)
    assert member_of("latest_blessed_model") == ("latest_blessed_model", "")


def test_keys_of_different_members_differ():
    keys = {input_key(key, member) for key in ("compressed", "compressed_run") for member in ("", "run", "run-x", "x")}
    assert len(keys) == 8
    assert all(key.partition(MEMBER_SEPARATOR)[0] in ("compressed", "compressed_run") for key in keys)


@pytest.mark.parametrize("name", ["tiny", "a", "t2", "for-phones", "a" * 30])
def test_names_that_are_allowed(name):
    assert is_member_name(name)


@pytest.mark.parametrize("name", ["", "Tiny", "2", "1795580424", "-a", "a-", "a_b", "a/b", "a b", ".a", "ä", "a" * 31])
def test_names_that_are_refused(name):
    assert not is_member_name(name)
