from __future__ import annotations

import pytest

from compressor_lib.errors import CompressorError
from pipelines.config.errors import fields_named


def test_an_argument_of_the_library_is_told_as_the_field():
    with pytest.raises(CompressorError, match="^backbone.weights: there is no such file$"), fields_named("backbone"):
        raise CompressorError("there is no such file", argument="weights")


def test_an_error_of_no_argument_stays_as_it_is():
    with pytest.raises(CompressorError, match="^the disk is full$"), fields_named("backbone"):
        raise CompressorError("the disk is full")
