from __future__ import annotations

import pytest

from compressor_lib.errors import CompressorError
from pipelines.config.errors import fields_named


@pytest.mark.parametrize(
    ("argument", "option"),
    [("weights", "--set backbone.weights=FILE"), ("classes", "--set backbone.classes=VALUE")],
)
def test_a_wrong_argument_is_reported_as_its_field_and_option(argument, option):
    with pytest.raises(CompressorError) as raised, fields_named("backbone"):
        raise CompressorError("it is wrong.", argument=argument)
    assert str(raised.value) == f"backbone.{argument}: it is wrong. Use {option}."


def test_an_error_without_an_argument_is_unchanged():
    with pytest.raises(CompressorError, match="^the disk is full$"), fields_named("backbone"):
        raise CompressorError("the disk is full")
