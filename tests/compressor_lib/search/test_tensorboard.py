from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util import tensor_util

from compressor_lib.search.run import TrialReport
from compressor_lib.search.tensorboard import METRICS, write_summaries


def report(number: int, **hyperparameters: object) -> TrialReport:
    return TrialReport(
        trial_id=f"{number:04}", backbone="a network", input_size=96, connection="a->head",
        parameters=100 * number, cost=1.0, compression=0.5,
        within_budget=True, accuracy=0.25 * number, score=0.3, examples=9, seconds=1.0,
        hyperparameters={"translator": "a->head", "lr": 0.01, "tuner/epochs": 3, **hyperparameters},
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    write_summaries([report(1), report(2, tail_units=128)], folder)
    return folder


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_each_trial_is_a_run_with_its_metrics(written):
    assert sorted(path.name for path in written.iterdir() if path.is_dir()) == ["0001", "0002"]
    events = read(written / "0002")
    values = {metric: float(tensor_util.make_ndarray(events.Tensors(metric)[0].tensor_proto)) for metric in METRICS}
    assert values == pytest.approx({"accuracy": 0.5, "parameters": 200, "compression": 0.5, "score": 0.3})


def test_the_hyperparameters_are_compared(written):
    for trial, widths in (("0001", {}), ("0002", {"tail_units": 128.0})):
        content = read(written / trial).summary_metadata["_hparams_/session_start_info"].plugin_data.content
        found = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
        assert found["translator"].string_value == "a->head"
        assert {name: one.number_value for name, one in found.items() if name != "translator"} == {"lr": 0.01, **widths}
    content = read(written).summary_metadata["_hparams_/experiment"].plugin_data.content
    experiment = plugin_data_pb2.HParamsPluginData.FromString(content).experiment
    assert [one.name for one in experiment.hparam_infos] == ["translator", "lr", "tail_units"]
    assert {one.name.tag for one in experiment.metric_infos} == set(METRICS)
