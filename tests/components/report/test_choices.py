from __future__ import annotations

import dataclasses

import pytest

from components.report.choices import choices

OWN, OTHER = "MobileNetV2", "MobileNetV2 0.35"


@pytest.fixture
def report(report_data):
    """A report with trials, best first: their network, family and number of parameters."""

    def make(*trials: tuple[str, int, str, float]):
        made = [
            dataclasses.replace(
                report_data.trials[0], backbone=backbone, input_size=size, family=family,
                costs={"parameters": parameters},
            )
            for backbone, size, family, parameters in trials
        ]  # fmt: skip
        return dataclasses.replace(
            report_data,
            trials=made,
            reference=dataclasses.replace(report_data.reference, input_size=224),
            config={"search": {"backbones": [{"name": OWN, "alpha": 0.35, "weights": "none"}]}},
        )

    return make


def shown(data) -> dict[str, int]:
    """The place of each choice's trial."""
    return {choice.name: [one is choice.trial for one in data.trials].index(True) for choice in choices(data)}


def test_each_choice_alone_is_compared_with_the_winner(report):
    data = report(
        (OTHER, 96, "tail", 10),
        (OWN, 96, "truncation", 50),
        (OWN, 224, "tail", 40),
        (OWN, 224, "truncation", 30),
        (OWN, 224, "truncation", 200),
        (OWN, 128, "truncation", 20),
        (OWN, 96, "truncation", 150),
        (OTHER, 224, "truncation", 60),
        (OTHER, 224, "truncation", 80),
        (OTHER, 96, "truncation", 90),
    )
    assert shown(data) == {
        "a cut alone": 3,  # the best, whatever its size
        "image size alone": 5,  # of each size, the one that cuts least; of these, the best
        "another backbone alone": 8,
        "all choices: the winner": 0,
    }


def test_rows_without_a_trial_are_left_out(report):
    data = report((OWN, 224, "tail", 10), (OWN, 224, "rejoining", 50), (OTHER, 224, "truncation", 50))
    assert list(shown(data)) == ["another backbone alone", "all choices: the winner"]
    assert choices(report((OWN, 224, "tail", 10))) == []
    assert choices(report()) == []
