from __future__ import annotations

from datetime import datetime

from made_up_report import made_up_report
from ml_metadata.proto.metadata_store_pb2 import Artifact

from components.report.data import NodeStep
from pipelines.results.lineage import NodeRun, Run
from pipelines.results.report import steps_of, write_report


def nodes(report: str = "/report") -> dict[str, NodeRun]:
    examples, page = Artifact(id=1, uri="/examples"), Artifact(id=3, uri=report)
    return {
        "ExampleGen": NodeRun({}, {"examples": examples}, seconds=2.0),
        "Report": NodeRun({"examples": examples, "earlier": Artifact(id=2, uri="/2")}, {"report": page}, "cached"),
    }


def test_each_node_tells_whose_outputs_it_took():
    assert steps_of(nodes()) == [
        NodeStep("ExampleGen", "done", 2.0, {}, {"examples": "/examples"}),
        NodeStep("Report", "cached", None, {"examples": "ExampleGen", "earlier": "/2"}, {"report": "/report"}),
    ]


def test_a_runs_report_knows_its_nodes(tmp_path):
    made_up_report().write(tmp_path)
    page = write_report(Run("2026", "x", datetime.now(), nodes(str(tmp_path))), tmp_path)
    assert page == tmp_path / "report.html"
    assert '<th scope="row">ExampleGen</th><td>done</td><td class="n">2.0</td>' in page.read_text()
