"""The figures of an exported model."""

import json

import pytest

from compressor_lib.deployment.model_metrics import (
    Latency,
    ModelMetrics,
    Speedup,
    figures_path,
    read_figures,
    write_figures,
)
from compressor_lib.errors import CompressorError


@pytest.fixture
def folder(tmp_path):
    figures_path(tmp_path).parent.mkdir()
    return tmp_path


def test_figures_round_trip(folder):
    metrics = ModelMetrics(
        1234,
        {"reference": Latency(2.0, 1.9, 2.2), "int8": Latency(1.0, 0.9, 1.1)},
        {"int8": Speedup(2.0, 1.8, 2.2)},
        memory={"reference": 4096, "int8": 2048},
        input_size=96,
    )
    write_figures(folder, metrics)
    assert read_figures(folder) == metrics
    assert json.loads(figures_path(folder).read_text())["speedup"] == {"int8": {"ratio": 2.0, "low": 1.8, "high": 2.2}}


def test_memory_is_that_of_the_network_whatever_formats_are_left_out():
    metrics = ModelMetrics(7, bytes={"float32": 9, "int8": 3}, memory={"int8": 2048})
    assert metrics.without(["int8"]) == ModelMetrics(7, bytes={"float32": 9}, memory={"int8": 2048})


def test_figures_of_an_older_export_have_no_latency(folder):
    figures_path(folder).write_text('{"parameters": 7}\n')
    assert read_figures(folder) == ModelMetrics(7, {}, {}, input_size=None)


def test_without_some_precisions_the_others_are_kept():
    metrics = ModelMetrics(7, bytes={"float32": 4, "int8": 1}, not_converted={"float16": "no"}, input_size=96)
    assert metrics.without(["int8"]) == ModelMetrics(
        7, bytes={"float32": 4}, not_converted={"float16": "no"}, input_size=96
    )


@pytest.mark.parametrize(
    ("low", "high", "is_measurable"), [(1.1, 1.3, True), (0.6, 0.9, True), (0.9, 1.2, False), (1.0, 1.2, False)]
)
def test_difference_is_measurable_if_interval_excludes_one(low, high, is_measurable):
    assert Speedup((low + high) / 2, low, high).is_measurable == is_measurable


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"parameters": 1, "latency": {"int8": {"median": 1}}}'])
def test_invalid_content_is_rejected_with_the_path(folder, content):
    figures_path(folder).write_text(content)
    with pytest.raises(CompressorError, match=r"figures\.json does not hold a model's figures"):
        read_figures(folder)


def test_missing_file_is_reported(tmp_path):
    with pytest.raises(CompressorError, match=r"figures\.json is missing"):
        read_figures(tmp_path)
