"""All charts of a report."""

from __future__ import annotations

from collections.abc import Iterator

from components.report.class_charts import by_class, confusion
from components.report.data import ReportData
from components.report.pareto import COST_TITLES, pareto
from components.report.training_charts import finalists, learning
from components.report.translator_chart import fit
from components.report.vega import Spec


def charts(data: ReportData) -> Iterator[tuple[str, Spec]]:
    """Yields all charts of a report, by name."""
    for cost in COST_TITLES:
        spec = pareto(data, cost)
        if spec:
            yield f"pareto-{cost}", spec
    if data.finalists:
        yield "finalists", finalists(data)
    translators = fit(data, [block.name for block in data.network])
    if translators:
        yield "fit", translators
    yield "learning-accuracy", learning(data, "accuracy", "accuracy", ".0%")
    yield "learning-loss", learning(data, "loss", "eval loss", ".2~f")
    yield "confusion-reference", confusion(data, "reference")
    yield "confusion-compressed", confusion(data, "compressed")
    yield "by-class", by_class(data)
