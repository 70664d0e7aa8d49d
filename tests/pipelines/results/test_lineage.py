from __future__ import annotations

import json
import subprocess
import sys

import pytest
from metadata_store import EXECUTION, Store

from compressor_lib.errors import CompressorError
from pipelines.results.lineage import Lineage
from pipelines.results.run_json import verdict


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "metadata.sqlite")
    examples = store.artifact("/examples", span="7")
    model = store.artifact("/model")
    store.run("2026-11-26T08:00:00.100001")  # it ended before its first node
    store.run(
        "2026-11-26T09:00:00.200002",
        ("ExampleGen", EXECUTION.COMPLETE, {}, {"examples": examples}, {"splits": "train"}),
        ("Trainer", EXECUTION.COMPLETE, {"examples": examples}, {"model": model}, {}),
        ("Evaluator", EXECUTION.COMPLETE, {"model": model}, {"blessing": store.artifact("/b", blessed=1)}, {}),
        ("Pusher", EXECUTION.CACHED, {}, {"pushed_model": store.artifact("/p", pushed=1, pushed_destination="/1")}, {}),
        ("Report", EXECUTION.COMPLETE, {}, {}, {}),
    )
    store.run(
        "2026-11-26T10:00:00.300003",
        ("ExampleGen", EXECUTION.CACHED, {}, {"examples": examples}, {}),
        ("Trainer", EXECUTION.FAILED, {"examples": examples}, {}, {}),
    )
    store.run("2026-11-26T11:00:00.400004")
    return store


def test_runs_are_listed_with_what_became_of_them(store):
    good, bad = Lineage(store.path).runs()
    assert (good.id, good.pipeline, good.state, good.span) == ("2026-11-26T09:00:00.200002", "p", "done", 7)
    assert (good.blessed, good.pushed_path_of("")) == (True, "/1")
    assert (bad.state, bad.span, bad.blessed, bad.pushed_path_of("")) == ("failed", 7, None, None)
    assert good.started < bad.started


@pytest.mark.parametrize(("pattern", "span"), [("span-0/*/*", 0), ("*/*", None)])
def test_span_0_is_told_from_data_without_spans(tmp_path, pattern, span):
    store = Store(tmp_path / "metadata.sqlite")
    parameters = {"input_config": json.dumps({"splits": [{"name": "images", "pattern": pattern}]})}
    examples = store.artifact("/examples", span="0")
    store.run("2026-11-26T08", ("ImageExampleGen", EXECUTION.COMPLETE, {}, {"examples": examples}, parameters))
    assert Lineage(store.path).run().span == span


def test_a_run_tells_what_its_nodes_took_and_gave(store):
    run = Lineage(store.path).run("2026-11-26T09:00:00.200002")
    assert list(run.nodes) == ["ExampleGen", "Trainer", "Evaluator", "Pusher", "Report"]
    assert run["Trainer"].inputs["examples"].id == run["ExampleGen"].outputs["examples"].id
    assert run["Trainer"].outputs["model"].uri == "/model"
    assert run["ExampleGen"].parameters == {"splits": "train"}
    assert run["Pusher"].state == "cached"
    assert run["Trainer"].seconds >= 0
    assert run["Trainer"].started >= run.started


@pytest.mark.parametrize("id", ["latest", "300003", "2026-11-26T10", "2026-11-26T10:00:00.300003"])
def test_a_run_goes_by_part_of_its_id(store, id):
    assert Lineage(store.path).run(id).id == "2026-11-26T10:00:00.300003"


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("2026", "matches 2026-11-26T08.* and 2026-11-26T09.*: give more"),
        ("latst", "unknown run.*Did you mean 'latest'"),
    ],
)
def test_no_run_and_several_are_told(store, id, message):
    with pytest.raises(CompressorError, match=message):
        Lineage(store.path).run(id)


def test_a_node_that_did_not_end_well_is_told(store):
    with pytest.raises(CompressorError, match=r"node Trainer of run .*300003 is failed"):
        Lineage(store.path).run()["Trainer"]


def test_results_are_kept_with_their_run(store):
    lineage = Lineage(store.path)
    lineage.keep_results(lineage.run("200002"), '{"accuracy": 1}')
    assert [run.results for run in Lineage(store.path).runs()] == ['{"accuracy": 1}', ""]


def test_a_folder_without_runs_is_told(tmp_path):
    with pytest.raises(CompressorError, match="there are no runs in"):
        Lineage(tmp_path / "metadata.sqlite")


def test_a_file_that_is_no_store_is_told(tmp_path):
    (tmp_path / "metadata.sqlite").write_text("no database" * 100)
    with pytest.raises(CompressorError, match=r"metadata\.sqlite is damaged \(.*'compressor repair"):
        Lineage(tmp_path / "metadata.sqlite")


def test_reading_imports_nothing_heavy(store):
    script = (
        "import sys; from pipelines.results.lineage import Lineage; Lineage(sys.argv[1]).run();"
        "print({'tensorflow', 'tfx', 'keras', 'apache_beam'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(store.path)], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_family_is_blessed_if_all_its_models_are(tmp_path):
    store = Store(tmp_path / "metadata.sqlite")
    pushed = store.artifact("/p", pushed=1, pushed_destination="/serving/tiny/1")
    store.run(
        "2026-11-26T09:00:00.200002",
        ("PruningSearch", EXECUTION.COMPLETE, {}, {}, {}),
        ("Evaluator-tiny", EXECUTION.COMPLETE, {}, {"blessing": store.artifact("/b", blessed=1)}, {}),
        ("Evaluator-small-one", EXECUTION.COMPLETE, {}, {"blessing": store.artifact("/c", blessed=0)}, {}),
        ("Pusher-tiny", EXECUTION.COMPLETE, {}, {"pushed_model": pushed}, {}),
        ("Pusher-small-one", EXECUTION.COMPLETE, {}, {"pushed_model": store.artifact("/q", pushed=0)}, {}),
        ("Report", EXECUTION.COMPLETE, {}, {}, {}),
    )
    run = Lineage(store.path).run()
    assert run.models == ["tiny", "small-one"]
    assert run.blessed is False
    assert [run.blessed_of(model) for model in run.models] == [True, False]
    assert [run.pushed_path_of(model) for model in run.models] == ["/serving/tiny/1", None]
    assert verdict(run) == "tiny: blessed, pushed; small-one: not blessed, not pushed"
    assert verdict(run, "tiny") == "blessed, pushed"
