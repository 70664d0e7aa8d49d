"""Measures the accuracy of compressed networks at three sizes, and of alternatives without a search.

``make bench`` runs it. A full run takes hours on two cores. Therefore each result is recorded in a folder per seed in
``benchmarks/results/`` and not measured again: an interrupted run resumes, and seeds can run in parallel
(``python -m benchmarks.quality --full --seeds 1``). Delete those folders to measure again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Literal, ParamSpec

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")  # as the command line does

import keras
import keras_tuner as kt
from scipy.stats import spearmanr

from benchmarks.data import SPLITS, ImageSet, digits, load
from benchmarks.tables import RESULTS, show
from compressor_lib.cuts.families import searched_connections
from compressor_lib.cuts.surgery import without_head
from compressor_lib.networks.backbones import find_backbone
from compressor_lib.networks.batch_norm_folding import folded
from compressor_lib.networks.heads import attach_head
from compressor_lib.search.hypermodels import TRANSLATOR, HyperCompressor
from compressor_lib.search.options import SearchOptions
from compressor_lib.search.run import TrialReport, run_search, trial_reports, trials_within_budget
from compressor_lib.training.options import ReferenceOptions, RetrainingOptions, TrainingOptions
from compressor_lib.training.train import train

logger = logging.getLogger(__name__)

BACKBONE = "MobileNetV2"
P = ParamSpec("P")

WEIGHTS = {1.0: "mobilenet_v2_1.0_224_no_top.h5", 0.35: "mobilenet_v2_0.35_224_no_top.h5"}


@dataclass(frozen=True)
class Effort:
    """How much is computed.

    Attributes:
        limit: Maximum number of training images, with proportionally fewer in the other splits; None for all.
        size: Height and width of the images, in pixels.
        reference: Options of the reference model's training. Every other network is trained with the same compute.
        search: Options of the search.
        kept: Shares of the reference model's parameters that compressed networks may keep.
        seeds: Seeds, for each of which everything is run once.
        ranked: Number of connections to retrain, to measure how well the search ranks them.
    """

    limit: int | None
    size: int
    reference: ReferenceOptions
    search: SearchOptions
    kept: Sequence[float]
    seeds: Sequence[int]
    ranked: int


SHORT = Effort(
    1024,
    96,
    ReferenceOptions(head_epochs=2, epochs=4, learning_rate=3e-4),
    SearchOptions(max_epochs=10),
    kept=(0.25,),
    seeds=(0,),
    ranked=0,
)
FULL = Effort(
    None,
    96,
    ReferenceOptions(head_epochs=2, epochs=6, learning_rate=3e-4),
    SearchOptions(max_trials=90, max_epochs=30),
    kept=(0.40, 0.25, 0.15),
    seeds=(0, 1, 2),
    ranked=12,
)


@dataclass(frozen=True)
class Result:
    """One network, trained and tested.

    Attributes:
        method: The method that made it.
        connection: The connection that was cut; empty for an uncut network.
        parameters: Number of parameters of the classifier.
        accuracy: Accuracy on the test split.
    """

    method: str
    connection: str
    parameters: int
    accuracy: float


def main(full: bool, seeds: Sequence[int] = ()) -> None:
    """Prints the tables for one data set or, with ``full``, for two, and the search's ranking after retraining.

    Args:
        full: Whether to measure everything.
        seeds: Seeds to run; empty for all.
    """
    effort = FULL if full else SHORT
    images = load(effort.limit)
    compare(images, replace(effort, seeds=tuple(seeds) or effort.seeds))
    if full and images.name != "digits" and not seeds:
        compare(digits(), replace(effort, seeds=effort.seeds[:1], ranked=0))


def compare(images: ImageSet, effort: Effort) -> None:
    """Runs an experiment for each seed and prints the results."""
    about = (
        f"{BACKBONE}, {effort.size} px, {images.name}: {images.count('train')} training, "
        f"{images.count('validation')} validation, {images.count('test')} test images; "
        f"{effort.reference.head_epochs} + {effort.reference.epochs} epochs of the reference model, as much "
        "compute for every other network"
    )
    results = []
    for seed in effort.seeds:
        experiment = Experiment(images, effort, seed)
        results.append(list(experiment.results()))
        if effort.ranked and seed == 0:
            ranked = experiment.ranking()
            show(
                f"ranking-{images.name}",
                f"{about}; seed {seed}. Spearman's rank correlation: {rank_correlation(ranked):.2f}",
                ("connection", "parameters", "score", "accuracy in the search, %", "retrained, test, %"),
                [
                    (report.connection, report.parameters, report.score, 100 * report.accuracy, 100 * accuracy)
                    for report, accuracy in ranked
                ],
            )
        keras.backend.clear_session()
    show(
        f"quality-{images.name}",
        f"{about}; seeds {', '.join(map(str, effort.seeds))}",
        ("network", "parameters", "saved, %", "test accuracy, %", "spread", "against reference"),
        summary(results),
    )


def summary(results: Sequence[Sequence[Result]]) -> list[tuple[object, ...]]:
    """Computes rows of means over seeds, with the difference between the highest and the lowest as spread.

    Args:
        results: Results for each seed, those of the reference model first.
    """
    by_method: dict[str, list[tuple[Result, Result]]] = defaultdict(list)
    for reference, *others in results:
        for result in (reference, *others):
            by_method[result.method].append((result, reference))
    rows: list[tuple[object, ...]] = []
    for method, pairs in by_method.items():
        accuracies = [100 * result.accuracy for result, _ in pairs]
        drops = [100 * (result.accuracy - reference.accuracy) for result, reference in pairs]
        saved = [100 * (1 - result.parameters / reference.parameters) for result, reference in pairs]
        rows.append(
            (
                method,
                round(statistics.mean(result.parameters for result, _ in pairs)),
                statistics.mean(saved),
                f"{statistics.mean(accuracies):.2f}",
                f"{max(accuracies) - min(accuracies):.2f}",
                f"{statistics.mean(drops):+.2f}",
            )
        )
    return rows


class Experiment:
    """All measurements for one seed, in one process."""

    def __init__(self, images: ImageSet, effort: Effort, seed: int) -> None:
        self.images, self.effort, self.seed = images, effort, seed
        self.shuffled = images.dataset("train", effort.size, shuffle_seed=seed)
        self.train = images.dataset("train", effort.size)
        self.validation = images.dataset("validation", effort.size)
        self.test = images.dataset("test", effort.size)
        batch_norm: Literal["frozen", "train"] = "frozen" if images.weights else "train"  # learnt from scratch
        self.options = replace(effort.reference, batch_norm=batch_norm)
        self.retraining = RetrainingOptions(batch_norm=batch_norm, compute=effort.reference.compute)
        same = replace(effort, kept=(), seeds=(), ranked=0)
        digest = hashlib.sha256(repr((same, images.count(*SPLITS))).encode()).hexdigest()[:8]
        self.folder = RESULTS / f"{images.name}-{digest}-seed{seed}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._searches = tempfile.TemporaryDirectory()

    def results(self) -> Iterator[Result]:
        """Yields the reference model, the networks that the search finds within each budget, and the alternatives."""
        yield self.recorded("reference", self.whole)
        for share in self.effort.kept:
            yield self.recorded(f"searched, at least {1 - share:.0%} saved", self.compressed, share, "all")
        for share in self.effort.kept:
            yield self.recorded(
                f"plain truncation, at least {1 - share:.0%} saved", self.compressed, share, "truncation"
            )
        for alpha in WEIGHTS:
            if alpha < 1:
                yield self.recorded(f"{BACKBONE} {alpha}, retrained the same way", self.narrow, alpha)
        yield self.recorded("published procedure, tau 0.8", self.published)

    def recorded(
        self, method: str, make: Callable[P, tuple[keras.Model, str]], *given: P.args, **named: P.kwargs
    ) -> Result:
        """Returns a recorded result, or tests and records the trained model and connection that ``make`` returns."""
        record = self.folder / "results.jsonl"
        for line in record.read_text().splitlines() if record.exists() else ():
            if (result := Result(**json.loads(line))).method == method:
                return result
        model, connection = make(*given, **named)
        accuracy = model.evaluate(self.test, verbose=0, return_dict=True)["accuracy"]
        result = Result(method, connection, model.count_params(), accuracy)
        logger.info("%s", result)
        with record.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")
        return result

    def whole(self) -> tuple[keras.Model, str]:
        """The reference model, uncut."""
        return self.reference, ""

    @cached_property
    def reference(self) -> keras.Model:
        """The trained whole network, from its file if that exists."""
        file = self.folder / "reference.keras"
        if not file.exists():
            model = attach_head(self.backbone(1.0), self.images.classes, dropout=0.2)
            self.trained(model, TrainingOptions(**vars(self.options))).save(draft := file.with_suffix(".new.keras"))
            draft.rename(file)
        model = keras.models.load_model(file, safe_mode=True)
        keras.utils.set_random_seed(self.seed)  # the rest does not depend on whether the model was trained just now
        return model

    @cached_property
    def teacher(self) -> keras.Model:
        """The reference model as the pipeline's Trainer uses it."""
        return folded(self.reference)

    @cached_property
    def base(self) -> keras.Model:
        """The backbone of the reference model."""
        return without_head(self.reference)

    def backbone(self, alpha: float) -> keras.Model:
        """Builds a pretrained backbone."""
        return find_backbone(BACKBONE).build(
            input_size=self.effort.size,
            weights=self.images.weights_file(WEIGHTS[alpha]),
            alpha=alpha,
            preprocess=True,
        )

    def trained(self, model: keras.Model, options: TrainingOptions) -> keras.Model:
        """Trains a model in place."""
        keras.utils.set_random_seed(self.seed)
        teacher = self.teacher if options.distillation else None
        train(model, self.shuffled, self.validation, options, teacher=teacher, seed=self.seed)
        return model

    def compressed(self, share: float, connections: str) -> tuple[keras.Model, str]:
        """The best sub-network with a share of the reference model's parameters, retrained; and its connection."""
        tuner, hypermodel = self.searched(connections, budgets={"parameters": share * self.reference.count_params()})
        best = trials_within_budget(tuner, hypermodel)[0]
        return self.trained(tuner.load_model(best), self.retraining), best.hyperparameters.values[TRANSLATOR]

    def narrow(self, alpha: float) -> tuple[keras.Model, str]:
        """An uncut backbone of another width, trained like compressed networks, with the same teacher."""
        model = attach_head(self.backbone(alpha), self.images.classes, dropout=0.2)
        return self.trained(model, replace(self.retraining, head_epochs=self.options.head_epochs)), ""

    def published(self) -> tuple[keras.Model, str]:
        """The published procedure: the published connections and heads on a frozen pretrained backbone."""
        hypermodel = HyperCompressor(
            self.reference.count_params(),
            self.images.classes,
            backbone=self.backbone(1.0),
            connections=searched_connections(self.base, BACKBONE, "published"),
            loss="sparse_categorical_crossentropy",
        )
        tuner = self.run(hypermodel)
        best = trials_within_budget(tuner, hypermodel)[0]
        return tuner.load_model(best), best.hyperparameters.values[TRANSLATOR]

    def searched(self, connections: str, budgets: dict[str, float] | None = None) -> tuple[kt.Tuner, HyperCompressor]:
        """Searches as the pipeline does, on the reference model's backbone; with a budget, only accuracy counts."""
        hypermodel = HyperCompressor(
            self.reference.count_params(),
            self.images.classes,
            tau=1.0 if budgets else 0.9,
            backbone=self.base,
            connections=searched_connections(self.base, BACKBONE, connections),
            loss="sparse_categorical_crossentropy",
            head_units=(0,),
            dropout=0.2,
            learning_rates=(1e-3, 1e-2),
            budgets=budgets,
        )
        return self.run(hypermodel), hypermodel

    def run(self, hypermodel: HyperCompressor) -> kt.Tuner:
        """Runs a search in a folder that is deleted with this object."""
        options = replace(self.effort.search, seed=self.seed)
        folder = tempfile.mkdtemp(dir=self._searches.name)
        return run_search(hypermodel, self.train, self.validation, options, folder)

    def ranking(self) -> list[tuple[TrialReport, float]]:
        """Connections from the whole ranking of a search without budget, with their accuracies after retraining."""
        tuner, hypermodel = self.searched("all")
        best: dict[str, TrialReport] = {}
        for report in trial_reports(tuner, hypermodel):
            best.setdefault(report.connection, report)
        reports = list(best.values())
        count = min(self.effort.ranked, len(reports))
        chosen = [reports[round(place * (len(reports) - 1) / (count - 1))] for place in range(count)]
        # Half of the compute for all, to take half of the time.
        shorter = replace(self.retraining, compute=self.options.compute / 2)

        def retrained(report: TrialReport) -> tuple[keras.Model, str]:
            return self.trained(tuner.load_model(tuner.oracle.trials[report.trial_id]), shorter), report.connection

        return [
            (report, self.recorded(f"ranked, {report.connection}", retrained, report).accuracy) for report in chosen
        ]


def rank_correlation(ranked: Sequence[tuple[TrialReport, float]]) -> float:
    """Spearman's rank correlation of the accuracies before and after retraining."""
    return float(spearmanr([report.accuracy for report, _ in ranked], [accuracy for _, accuracy in ranked]).statistic)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="measure everything at full size")
    parser.add_argument("--seeds", type=int, nargs="+", default=(), help="seeds to run; default: all")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(arguments.full, arguments.seeds)
