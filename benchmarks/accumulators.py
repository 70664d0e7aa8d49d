"""Measures the size of the sums that TranslatorPretrainer's workers exchange: ``python -m benchmarks.accumulators``."""

from __future__ import annotations

import keras
import numpy as np

from compressor_lib.cuts.families import searched_connections
from compressor_lib.networks.backbones import BACKBONES, Backbone
from compressor_lib.pretraining.taps import tapped
from compressor_lib.pretraining.translator_fit import TranslatorSums, regressions_of


def main() -> None:
    """Prints a Markdown row for each backbone in the catalogue."""
    print("| backbone | pixels | translators | grams, MB | crosses, MB | all, MB |")
    print("|---|---|---|---|---|---|")
    for backbone in BACKBONES.values():
        print(row(backbone))
        keras.backend.clear_session()


def row(backbone: Backbone) -> str:
    """Fills an accumulator for the published connections and measures it."""
    base = backbone.build(weights=None)
    connections = searched_connections(base, backbone.name, "published")
    regressions = list(regressions_of(base, connections).values())
    taps = tapped(base, connections, targets=True).compute_output_spec(base.input)
    one_image = {name: np.zeros((1, *tap.shape[1:]), np.float32) for name, tap in taps.items()}
    sums = TranslatorSums()
    for part in (sums.fitted, sums.scored):
        part.add(one_image, regressions)
    grams, crosses, squares = (
        sum(array.nbytes for part in (sums.fitted, sums.scored) for array in getattr(part, kind).values()) / 1e6
        for kind in ("gram", "cross", "square")
    )
    return (
        f"| {backbone.name} | {backbone.default_size} | {len(connections)} | {grams:.1f} | {crosses:.1f} | "
        f"{grams + crosses + squares:.1f} |"
    )


if __name__ == "__main__":
    main()
