from __future__ import annotations

import os

import pytest
import tensorflow as tf

from compressor_lib.deployment.literal_path import has_pattern, literal_path


@pytest.mark.parametrize("path", ["/a/b c", "/a/#1 {x}|y", "gs://bucket/[a]"])
def test_other_paths_are_unchanged(path):
    with literal_path(path) as literal:
        assert literal == path


@pytest.mark.parametrize("name", ["[v2]", "what?", "all*"])
def test_a_saved_model_is_loaded_from_a_path_with_pattern_characters(tmp_path, name):
    module = tf.Module()
    module.weight = tf.Variable([1.0, 2.0])
    tf.saved_model.save(module, str(tmp_path / "model"))
    (tmp_path / name).mkdir()
    os.rename(tmp_path / "model", tmp_path / name / "model")
    with literal_path(tmp_path / name / "model") as literal:
        assert not has_pattern(literal)
        loaded = tf.saved_model.load(literal)
    assert not os.path.lexists(literal)
    assert loaded.weight.numpy().tolist() == [1.0, 2.0]
