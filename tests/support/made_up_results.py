"""Made-up results of a run, for tests of their display."""

from __future__ import annotations

from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.gate import Thresholds, Verdict
from compressor_lib.deployment.intervals import Interval, PairedCounts
from compressor_lib.deployment.latency import Latency, Speedup
from pipelines.results.outcome import FormatFigures, ModelFigures, Results


def made_up_results(blessed: bool) -> Results:
    """Results of a network that lost 15 points, blessed or not."""
    return Results(
        reference=ModelFigures(95, 100, 1_000_000, 4_000_000, Latency(8.0, 7.8, 8.3)),
        compressed=ModelFigures(80, 100, 250_000, 1_000_000, Latency(2.0, 1.9, 2.1)),
        change=Interval(-0.15, -0.23, -0.08),
        formats={
            "float32": FormatFigures("model.tflite", 1_000_000, Latency(2.0, 1.9, 2.1), Speedup(4.0, 3.8, 4.2)),
        },
        verdict=Verdict(
            Thresholds(0.5, 0.02),
            EvalResult.from_counts("", images=100, right=80, pairs=PairedCounts(80, 0, 15, 5)),
            [],
            "0",
            [] if blessed else ["accuracy fell by 15 points, 2 at most"],
        ),
        has_reference_as_baseline=True,
        pushed_path="/served/7" if blessed else None,
        advice=[] if blessed else ["Compression costs more than gate.max_drop allows: raise search.tau."],
    )
