from __future__ import annotations

import copy

import pytest

from compressor_lib.errors import CompressorError, unknown


def test_unknown_name_error_suggests_the_nearest():
    error = unknown("backbone", "MobilNetV2", ["MobileNetV2", "MobileNet"])
    assert isinstance(error, CompressorError)
    assert str(error) == ("unknown backbone 'MobilNetV2'. Did you mean 'MobileNetV2'? Known: MobileNet, MobileNetV2.")


@pytest.mark.parametrize("given", ["mobilenetv2", "MOBILENETV2", "MobileNet_V2"])
def test_case_does_not_matter(given):
    assert "Did you mean 'MobileNetV2'?" in str(unknown("backbone", given, ["MobileNet", "MobileNetV2", "NASNet"]))


def test_no_suggestion_without_a_similar_name():
    assert str(unknown("tuner", "zzz", ["grid", "random"])) == ("unknown tuner 'zzz'. Known: grid, random.")


def test_no_known_names():
    assert str(unknown("schedule", "weekly", [])) == "unknown schedule 'weekly'. There are none."


def test_a_long_list_is_cut_short_but_the_suggestion_is_not():
    names = [f"layer_{number:03}" for number in range(300)]
    message = str(unknown("layer", "layer_29", names))
    assert message.endswith(", ...")
    assert "Did you mean 'layer_299'?" in message
    assert message.count("layer_") < 50


def test_it_is_a_value_error():
    with pytest.raises(ValueError, match="unknown tuner"):
        raise unknown("tuner", 3, ["grid"])


def test_the_argument_to_change_survives_a_copy():
    error = copy.copy(CompressorError("there is no such file", argument="weights"))  # as pickle does
    assert (str(error), error.argument) == ("there is no such file", "weights")
    assert CompressorError("something else").argument is None
