from __future__ import annotations

import dataclasses

import pytest

from components.report.data import Finalist
from components.report.front import FAMILIES, front, marked, marking, trial_of


@pytest.fixture
def trial(report_data):
    def make(cost: float, accuracy: float, **changed):
        return dataclasses.replace(report_data.trials[0], costs={"parameters": cost}, accuracy=accuracy, **changed)

    return make


def test_the_front_has_no_trial_that_a_cheaper_one_matches(trial):
    kept = [trial(1, 0.5), trial(2, 0.7), trial(4, 0.8)]
    others = [trial(1, 0.4), trial(2, 0.5), trial(3, 0.7), dataclasses.replace(trial(0, 1.0), costs={})]
    assert front([*others, *reversed(kept)], "parameters") == kept


def test_points_show_the_family_where_there_is_one_network(trial):
    encoding = marking([trial(1, 0.5, family="rejoining"), trial(1, 0.5, family="tail")])
    assert encoding["shape"] == {
        "field": "family",
        "scale": {"domain": ["tail", "rejoining"], "range": [FAMILIES["tail"], FAMILIES["rejoining"]]},
    }
    assert encoding["color"]["scale"]["range"] == ["var(--tail)", "var(--rejoining)"]


def test_points_show_backbone_and_size_where_there_is_a_choice(trial):
    trials = [trial(1, 0.5, backbone=name, input_size=size) for name in ("B", "A") for size in (224, 96)]
    encoding = marking(trials)
    assert (encoding["color"]["field"], encoding["color"]["scale"]["domain"]) == ("backbone", ["A", "B"])
    assert (encoding["shape"]["field"], encoding["shape"]["scale"]["domain"]) == ("size", ["96 px", "224 px"])
    for one in trials:
        fields = marked(one)
        assert fields["backbone"] in encoding["color"]["scale"]["domain"]
        assert fields["size"] in encoding["shape"]["scale"]["domain"]


def test_many_backbones_have_colours_too(trial):
    encoding = marking([trial(1, 0.5, backbone=f"B{number}", input_size=number) for number in range(9)])
    assert len(encoding["color"]["scale"]["range"]) == len(encoding["shape"]["scale"]["range"]) == 9


def test_a_finalists_trial_has_its_network(trial):
    trials = [trial(100, 0.5), trial(200, 0.7), trial(100, 0.4)]
    one = trials[0]
    finalist = Finalist(one.backbone, one.input_size, one.connection, 100, 0.5, 0.6, 0.6, [0.6])
    assert trial_of(finalist, trials) is one
    assert trial_of(dataclasses.replace(finalist, parameters=1), trials) is None
