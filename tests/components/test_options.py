from __future__ import annotations

import pytest

from components.options import as_parameter, from_parameter, parsed
from compressor_lib.errors import CompressorError
from compressor_lib.training.options import Augmentation, Distillation, TrainingOptions

OPTIONS = TrainingOptions(epochs=7, augmentation=Augmentation(flip=False), distillation=Distillation(0.25))


def test_options_round_trip():
    assert from_parameter(TrainingOptions, as_parameter(OPTIONS)) == OPTIONS


def test_the_text_is_the_same_for_the_same_options():
    text = as_parameter(Distillation(temperature=3.0, weight=0.25))
    assert text == '{"temperature": 3.0, "views": 8, "weight": 0.25}'


def test_missing_values_have_defaults():
    assert parsed(TrainingOptions, {"epochs": 7}) == TrainingOptions(epochs=7)


def test_a_runtime_parameter_may_be_written_in_any_form_of_its_number():
    found = from_parameter(TrainingOptions, '{"epochs": 6e1, "batch_size": 8.0, "learning_rate": 1}')
    assert (found.epochs, found.batch_size, found.learning_rate) == (60, 8, 1.0)
    assert isinstance(found.epochs, int)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"epochs": "many"}', "epochs is 'many': Input should be a valid integer"),
        ('{"learning_rate": 0}', "learning_rate is 0: Input should be greater than 0"),
        ('{"distillation": {"weight": 2}}', "distillation.weight is 2: Input should be less than or equal to 1"),
        ('{"head_epochs": 0, "epochs": 0}', "head_epochs and epochs are both 0"),
    ],
)
def test_wrong_value_is_reported(text, message):
    with pytest.raises(CompressorError, match=message):
        from_parameter(TrainingOptions, text)
