from __future__ import annotations

import dataclasses

from components.report.charts import charts
from components.report.data import DeviceLatency
from components.report.pareto import pareto


def points(spec: dict) -> list[dict]:
    return spec["layer"][0]["data"]["values"]


def milestones(spec: dict) -> dict[str, tuple[float, float]]:
    return {mark["label"]: (mark["cost"], mark["accuracy"]) for mark in spec["layer"][-1]["data"]["values"]}


def test_every_trial_is_a_point(report_data):
    spec = pareto(report_data, "parameters")
    assert [point["connection"] for point in points(spec)] == [trial.connection for trial in report_data.trials]
    best = 0.9 - 0.4 / 6
    assert milestones(spec) == {
        "reference": (360_000, best), "winner": (60_000, 0.9), "retrained": (36_771, best),
    }  # fmt: skip


def test_only_what_was_measured_has_its_point(report_data):
    assert len(points(pareto(report_data, "latency"))) == 4
    assert milestones(pareto(report_data, "latency"))["reference"][0] == 2.0


def test_the_latencies_of_reference_and_winner_are_the_cards(report_data):
    found = milestones(pareto(report_data, "latency"))
    assert found["reference"][0] == report_data.reference.latency.median
    assert found["retrained"][0] == report_data.compressed.latency.median


def test_memory_of_reference_and_winner_is_in_kib(report_data):
    data = dataclasses.replace(report_data, trials=[dataclasses.replace(report_data.trials[0], costs={"memory": 12.0})])
    found = milestones(pareto(data, "memory"))
    assert (found["reference"][0], found["retrained"][0]) == (240, 12)


def test_the_reference_is_said_to_be_in_float32_where_the_trials_are_not(report_data):
    data = dataclasses.replace(report_data, config={**report_data.config, "export": {"formats": ["int8"]}})
    found = milestones(pareto(data, "bytes"))
    assert found["reference, float32"][0] == report_data.reference.bytes
    assert found["retrained"][0] == report_data.trials[0].costs["bytes"]


def test_latencies_of_a_devices_table_are_those_of_reference_and_winner(report_data):
    device = DeviceLatency("the latency table phone.csv (int8)", 30.0, 7.0)
    config = {**report_data.config, "export": {"formats": ["int8"]}}
    found = milestones(pareto(dataclasses.replace(report_data, device=device, config=config), "latency"))
    assert (found["reference"][0], found["retrained"][0]) == (30.0, 7.0)


def test_the_front_and_the_finalists_are_drawn(report_data):
    first, *_ = report_data.trials
    finalists = [dataclasses.replace(report_data.finalists[0], accuracy=0.91, parameters=60_000)]
    spec = pareto(dataclasses.replace(report_data, finalists=finalists), "parameters")
    assert spec["layer"][1]["data"]["values"] == [{"cost": 60_000, "accuracy": first.accuracy}]
    assert [(one["cost"], one["accuracy"]) for one in spec["layer"][2]["data"]["values"]] == [(60_000, 0.91)]
    assert spec["layer"][2]["data"]["values"][0]["network"] == first.network


def test_validation_accuracies_have_their_counts(report_data):
    spec = pareto(report_data, "parameters")
    assert points(spec)[0]["counted"] == "54 of 60, 79.9 to 95.3 %"
    assert {mark["counted"] for mark in spec["layer"][-1]["data"]["values"]} >= {"54 of 60, 79.9 to 95.3 %"}
    unknown = dataclasses.replace(report_data, data=dataclasses.replace(report_data.data, totals={}))
    assert points(pareto(unknown, "parameters"))[0]["counted"] == ""


def test_a_cost_that_nobody_took_has_no_chart(report_data):
    trials = [dataclasses.replace(trial, costs={"parameters": 1.0}) for trial in report_data.trials]
    names = [name for name, _ in charts(dataclasses.replace(report_data, trials=trials))]
    assert [name for name in names if name.startswith("pareto")] == ["pareto-parameters"]
