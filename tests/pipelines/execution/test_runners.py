# No `from __future__ import annotations`: TFX's decorator reads the annotations themselves.
import json
import signal
import threading

import apache_beam as beam
import pytest
from apache_beam.runners.portability.prism_runner import PrismRunner
from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration.portable.launcher import Launcher
from tfx.types.standard_artifacts import Model

from compressor_lib.errors import CompressorError
from pipelines.execution.runners import NodeFailure, NodeListener, explain, run
from pipelines.results.lineage import Lineage


@component
def First(model: OutputArtifact[Model]):
    (tfx.dsl.io.fileio.open(f"{model.uri}/file", "w")).close()


def _refuse(_: int) -> None:
    raise CompressorError("the image 'x.jpg' is bad: take it out")


@component
def Second(model: InputArtifact[Model], out: OutputArtifact[Model], how: Parameter[str]):
    with tfx.dsl.io.fileio.open(f"{out.uri}/half", "w") as file:
        file.write("half")
    if how == "refuse":
        _refuse(0)
    if how == "refuse in beam":
        with beam.Pipeline() as pipeline:
            _ = pipeline | beam.Create([1]) | beam.Map(_refuse)
    if how == "break":
        raise KeyError("missing")
    if how == "stop":
        signal.raise_signal(signal.SIGTERM)
    if how == "stop by keyboard":
        signal.raise_signal(signal.SIGINT)
    if how == "stop in beam":
        with beam.Pipeline() as pipeline:
            _ = pipeline | beam.Create([signal.SIGINT]) | beam.Map(signal.raise_signal)


class Record(NodeListener):
    def __init__(self):
        self.events: list[tuple[str, ...]] = []

    def started(self, node):
        self.events.append((node,))

    def finished(self, node, outcome):
        self.events.append((node, outcome))

    def failed(self, node, reason):
        self.events.append((node, "failed", reason))

    def stopped(self):
        self.events.append(("stopped",))


@pytest.fixture(params=["local", "beam"])
def run_with(request, tmp_path):
    def _run(how: str = "", **options) -> list[tuple[str, ...]]:
        first = First()
        pipeline = tfx.dsl.Pipeline(
            pipeline_name="small",
            pipeline_root=str(tmp_path / "root"),
            components=[first, Second(model=first.outputs["model"], how=how)],
            enable_cache=True,
            metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
                str(tmp_path / "metadata.sqlite")
            ),
        )
        record = Record()
        _run.events = record.events
        run(pipeline, request.param, record, **options)
        return record.events

    return _run


def test_nodes_are_told_as_done_then_cached(run_with):
    launch = Launcher.launch
    assert run_with() == [("First",), ("First", "done"), ("Second",), ("Second", "done")]
    assert run_with() == [("First",), ("First", "cached"), ("Second",), ("Second", "cached")]
    assert Launcher.launch is launch


def test_beam_starts_the_nodes_in_python(run_with, monkeypatch):
    """Beam's default is to download Prism, a runner written in Go, and to fall back to Python if that fails."""
    jobs = []
    monkeypatch.setattr(PrismRunner, "run_pipeline", lambda *arguments: jobs.append(arguments))
    assert run_with()[-1] == ("Second", "done")
    assert not jobs


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("refuse", "node Second failed: the image 'x.jpg' is bad: take it out"),
        ("refuse in beam", "node Second failed: the image 'x.jpg' is bad: take it out"),
        ("break", "node Second failed: KeyError: 'missing'"),
    ],
)
def test_a_failure_names_the_node_and_the_cause(run_with, how, message):
    with pytest.raises(NodeFailure) as caught:
        run_with(how)
    assert str(caught.value) == message
    assert caught.value.node == "Second"
    assert run_with.events[-1] == ("Second", "failed", message.removeprefix("node Second failed: "))


@pytest.mark.survives("Ctrl-C inside an executor or a function of Beam")
@pytest.mark.parametrize("how", ["stop", "stop by keyboard", "stop in beam"])
def test_stopping_leaves_nothing_half_written_and_the_next_run_goes_on(run_with, tmp_path, how):
    with pytest.raises(KeyboardInterrupt):
        run_with(how)
    assert run_with.events[-1] == ("stopped",)
    assert list((tmp_path / "root" / "Second").rglob("half")) == []
    stopped = Lineage(tmp_path / "metadata.sqlite").run()
    assert (stopped.state, stopped.nodes["Second"].state) == ("interrupted", "stopped")
    assert run_with() == [("First",), ("First", "cached"), ("Second",), ("Second", "done")]


def test_what_a_node_has_made_is_read_from_what_it_recorded(run_with, monkeypatch):
    made: list[tuple[str, str]] = []
    monkeypatch.setattr(Record, "made", lambda self, node, result: made.append((node, result)))
    told = lambda outputs, cached: f"{sorted(outputs)} {cached}"  # noqa: E731
    monkeypatch.setattr("pipelines.execution.runners.result_of", told)
    run_with()
    run_with()
    assert made == [("First", "['model'] False"), ("Second", "['out'] False"),
                    ("First", "['model'] True"), ("Second", "['out'] True")]  # fmt: skip


def test_a_node_is_checked_before_it_starts_and_after_it_failed(run_with):
    def gone():
        raise CompressorError("the output is gone")

    with pytest.raises(NodeFailure, match="node First failed: the output is gone"):
        run_with(check=gone)
    checks = iter([None, None, "gone"])
    with pytest.raises(NodeFailure, match="node Second failed: the output is gone"):
        run_with("break", check=lambda: next(checks) and gone())


@pytest.mark.survives("a node fails while the output is being deleted")
def test_an_output_that_is_still_being_deleted_when_a_node_fails_is_told(run_with):
    gone = threading.Event()
    before = iter(["First", "Second"])

    def whole():
        if gone.is_set():
            raise CompressorError("the output is gone")
        if next(before, "") == "Second":
            threading.Timer(0.6, gone.set).start()

    with pytest.raises(NodeFailure, match="node Second failed: the output is gone"):
        run_with("break", check=whole)


def test_artifacts_are_recorded_before_they_are_published(run_with, tmp_path):
    run_with()
    records = {path.parent.parent.name: path for path in (tmp_path / "root").rglob(".*.sha256.json")}
    assert set(records) == {"First", "Second"}
    assert list(json.loads(records["Second"].read_text())) == ["half"]


def test_unknown_runner_is_refused():
    with pytest.raises(CompressorError, match=r"unknown runner 'loacl'\. Did you mean 'local'"):
        run(None, "loacl")


def test_explain_finds_the_cause_behind_wrappers():
    wrapper = RuntimeError("wrapped")
    wrapper.__cause__ = CompressorError("bad: fix it [while running 'Map(f)']")
    assert explain(wrapper) == "bad: fix it"
    text = "Traceback (most recent call last):\n  File\ncompressor_lib.errors.CompressorError: bad"
    assert explain(RuntimeError(text)) == "bad"
    assert explain(RuntimeError("Traceback (most):\n  x\nOSError: disk")) == ("RuntimeError: OSError: disk")
    assert explain(ValueError("one\ntwo")) == "ValueError: one"
    assert explain(ValueError()) == "ValueError: no message"
