from __future__ import annotations

import io

from rich.console import Console

from pipelines.results import ModelFigures, Results, render_results


def test_table_sets_both_models_side_by_side():
    results = Results(
        reference=ModelFigures(0.95, 1_000_000, 4_000_000, 8.0),
        compressed=ModelFigures(0.94, 250_000, 1_000_000, 2.0),
        blessed=True,
        pushed_path="/served/1",
        reasons=[],
    )
    stream = io.StringIO()
    Console(file=stream, width=80).print(render_results(results))
    rows = {
        cells[0]: cells[1:]
        for line in stream.getvalue().splitlines()
        if len(cells := [cell.strip() for cell in line.strip("│").split("│")]) == 4
    }
    assert rows["accuracy"] == ["95.00%", "94.00%", "-1.00 points"]
    assert rows["parameters"] == ["1,000,000", "250,000", "-75.0%"]
    assert rows["TFLite bytes"] == ["4,000,000", "1,000,000", "-75.0%"]
    assert rows["TFLite ms a picture"] == ["8.00", "2.00", "-75.0%"]
    assert rows["compression"] == ["", "75.0%", ""]
