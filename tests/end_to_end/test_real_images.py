"""A run on photographs of clothing with ImageNet weights, by an example's configuration."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pipelines.config.config import load_config
from pipelines.results.lineage import Lineage
from pipelines.results.outcome import collect

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("COMPRESSOR_TEST_DATA", ROOT / "../shared/data")).resolve()
PHOTOGRAPHS = DATA / "clothing" / "train"
WEIGHTS = DATA / "weights" / "mobilenet_v2_0.35_224_no_top.h5"
CLASSES = ("dress", "hat", "pants", "shoes")
PER_CLASS = 25
SMALL = (
    "data.splits={train: 3, eval: 1, test: 1}",
    "backbone.input_size=96",
    "backbone.alpha=0.35",
    f"backbone.weights={WEIGHTS}",
    "reference.head_epochs=10",
    "reference.head_learning_rate=1.0e-2",
    "reference.epochs=0",
    "search.tuner=random",
    "search.max_trials=4",
    "search.max_epochs=8",
    "retrain.head_epochs=0",
    "retrain.epochs=4",
    "retrain.learning_rate=3.0e-4",
    "gate.min_accuracy=0.5",
    "gate.max_drop=0.25",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.real_data,
    pytest.mark.skipif(
        not (PHOTOGRAPHS.is_dir() and WEIGHTS.is_file()),
        reason=f"no clothing images and weights under {DATA}: set COMPRESSOR_TEST_DATA",
    ),
]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """A few photographs of a few classes, not split."""
    folder = tmp_path_factory.mktemp("clothing")
    for name in CLASSES:
        (folder / name).mkdir()
        for file in sorted((PHOTOGRAPHS / name).iterdir())[:PER_CLASS]:
            shutil.copy(file, folder / name)
    return folder


def test_photographs_give_a_smaller_model_and_a_verdict_on_it(make_runs, photographs, monkeypatch):
    runs = make_runs("real", ROOT / "examples" / "pictures.yaml", *SMALL)

    result = runs.command(monkeypatch, "--data", str(photographs))

    assert result.exit_code == 0, result.output
    places = (f"output={runs.output}", f"data.path={photographs}")
    figures = collect(Lineage(load_config(runs.config_file, [*SMALL, *places]).metadata_path).run())[""]
    reference, compressed = figures.reference, figures.compressed
    # 20 images are judged, 5 a class. Guessing names a quarter of them.
    assert reference.accuracy >= 0.6
    assert compressed.accuracy >= 0.4
    assert compressed.parameters < reference.parameters
    assert compressed.bytes < reference.bytes
    passes = compressed.accuracy >= 0.5 and compressed.accuracy >= reference.accuracy - 0.25
    assert figures.blessed == passes
    assert len(runs.pushed) == passes
    assert (f" to {figures.pushed_path}" in result.output) == passes
