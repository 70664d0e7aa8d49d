"""Runs a search: any keras-tuner tuner on a hypermodel, and reports of its trials."""

from __future__ import annotations

import gc
import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import tensorflow as tf

from compressor_lib.deployment import phrases
from compressor_lib.errors import CompressorError
from compressor_lib.objective.costs import Budgets
from compressor_lib.search.backbones import BACKBONE, INPUT_SIZE
from compressor_lib.search.family import HyperFamily
from compressor_lib.search.family_oracle import FamilyOracle, known_for
from compressor_lib.search.hypermodels import OVER_BUDGET, TRANSLATOR
from compressor_lib.search.keras_tuner_hooks import HookedTuner, failed_too_often, failure_of
from compressor_lib.search.options import SearchOptions
from compressor_lib.search.oracles import ORACLES, KnownFirst, values_in
from compressor_lib.search.place import BUDGET, without_places
from compressor_lib.search.space import SearchSpace
from compressor_lib.search.trial_runner import LightTrials
from compressor_lib.support.progress import BestTrial, Progress, log_progress

logger = logging.getLogger(__name__)

OBJECTIVE = "val_acc_comp"

MOST_FAILURES = 10
"""A search ends when this many trials have failed in a row."""

_WORKERS_PAUSE = 0.1


@dataclass(frozen=True)
class TrialReport:
    """Results of one trial.

    Attributes:
        trial_id: ID given by keras-tuner.
        backbone: Name of the backbone.
        input_size: Height and width of its images, in pixels.
        connection: The connection, by layer names.
        parameters: Number of parameters of the whole classifier, including the head.
        cost: The cost in the objective; parameters by default.
        compression: Share of the reference model's cost that was removed.
        within_budget: Whether it meets every budget.
        accuracy: Accuracy on the validation data, at the trial's best epoch.
        score: Objective at that epoch, reduced if the network exceeds a budget.
        examples: Number of validation examples; 0 if they were not counted.
        seconds: Wall-clock time of the trial's training.
        hyperparameters: All hyperparameters, by their names in a search over one network.
    """

    trial_id: str
    backbone: str
    input_size: int
    connection: str
    parameters: int
    cost: float
    compression: float
    within_budget: bool
    accuracy: float
    score: float
    examples: int
    seconds: float
    hyperparameters: dict[str, Any]


def run_search(
    hypermodel: SearchSpace,
    train: tf.data.Dataset,
    validation: tf.data.Dataset,
    options: SearchOptions,
    directory: str | Path,
    *,
    class_weights: Sequence[float] | None = None,
) -> kt.Tuner:
    """Runs a search. An interrupted search resumes after its finished trials.

    Args:
        hypermodel: The search space.
        train: Finite batches ``(images, labels)``.
        validation: Finite batches of the same kind, on which trials are ranked.
        options: Options of the search.
        directory: Folder in which keras-tuner stores the trials.
        class_weights: Weight of each class in a trial's loss, by class index; None for a weight of 1 each. Trials are
            ranked without class weights.

    Returns:
        The tuner after the search. Its best trial is the best within the hypermodel's budgets.

    Raises:
        CompressorError: If ``MOST_FAILURES`` trials failed in a row.
    """
    tuner = TUNERS[options.tuner](hypermodel, options, directory)
    tuner.save()  # only a saved search can be resumed
    weights = {} if class_weights is None else {"class_weight": dict(enumerate(class_weights))}
    # keras-tuner collects garbage around each trial; existing objects need not be scanned each time.
    gc.freeze()
    try:
        tuner.search(train, validation_data=validation, **_epochs(options), **weights, verbose=0)
    except RuntimeError as error:
        if not failed_too_often(error):
            raise
        raise CompressorError(
            f"{MOST_FAILURES} trials failed in a row, the last one with {failure_of(str(error))}; try a "
            "smaller max_learning_rate, or a smaller batch_size if memory was short."
        ) from error
    finally:
        gc.unfreeze()
    return tuner


def trial_reports(tuner: kt.Tuner, hypermodel: SearchSpace) -> list[TrialReport]:
    """Returns a report of every completed trial: the best first, those over a budget last.

    If the tuner has a ``winner``, the ID of a trial, that trial is the first.
    """
    reports = []
    for trial in _completed(tuner):
        cost = _at_best(trial, hypermodel.cost)
        backbone, input_size = hypermodel.network(trial.hyperparameters)
        reports.append(
            TrialReport(
                trial_id=trial.trial_id,
                backbone=backbone,
                input_size=input_size,
                connection=str(hypermodel.connection(trial.hyperparameters)),
                parameters=int(_at_best(trial, "parameters")),
                cost=cost,
                compression=1 - cost / hypermodel.max_cost,
                within_budget=hypermodel.budgets.within(_budgeted_costs(trial, hypermodel.budgets)),
                accuracy=_at_best(trial, "val_accuracy"),
                score=_score(trial, hypermodel),
                examples=int(_at_best(trial, "examples")),
                seconds=_at_best(trial, "seconds"),
                hyperparameters=without_places(trial.hyperparameters.values),
            )
        )
    winner = getattr(tuner, "winner", None)
    return sorted(best_first(reports, hypermodel), key=lambda report: report.trial_id != winner)


def best_first(reports: Iterable[TrialReport], hypermodel: SearchSpace) -> list[TrialReport]:
    """Sorts trials: those within budget first, then by score.

    If only accuracy counts, within budgets (``tau`` 1), the best trials that the validation data cannot tell apart
    (within one standard error of the highest accuracy) are sorted by parameters, the most first. Fewer parameters have
    no advantage here, and retraining improves larger networks more.
    """
    ordered = sorted(reports, key=lambda report: (report.within_budget, report.score), reverse=True)
    if hypermodel.tau < 1 or not hypermodel.budgets.limits or not ordered or not ordered[0].examples:
        return ordered
    best = ordered[0]
    error = math.sqrt(best.accuracy * (1 - best.accuracy) / best.examples)
    alike = [report for report in ordered if report.within_budget and report.accuracy >= best.accuracy - error]
    others = [report for report in ordered if report not in alike]
    return sorted(alike, key=lambda report: report.parameters, reverse=True) + others


def trials_within_budget(tuner: kt.Tuner, hypermodel: SearchSpace) -> list[kt.engine.trial.Trial]:
    """Returns the completed trials whose networks meet every budget, the best first.

    Raises:
        CompressorError: If there is none.
    """
    within = [report.trial_id for report in trial_reports(tuner, hypermodel) if report.within_budget]
    if within:
        return [tuner.oracle.trials[trial_id] for trial_id in within]
    budgets = hypermodel.budgets
    costs = [(trial, _budgeted_costs(trial, budgets)) for trial in _completed(tuner)]
    if not costs:
        failed = [trial for trial in tuner.oracle.trials.values() if trial.message]
        if not failed:
            raise CompressorError("no trial has finished, so there is no best trial yet: run the search first.")
        raise CompressorError(f"no trial was completed; the last one failed with {failure_of(failed[-1].message)}")
    nearest, cost = min(costs, key=lambda tried: budgets.excess(tried[1]))
    raise CompressorError(
        f"no trial meets the budgets: the closest one, {hypermodel.connection(nearest.hyperparameters)}, "
        f"has {budgets.exceeded(cost)}; raise the budget, allow more trials, or search connections that cut more."
    )


def _completed(tuner: kt.Tuner) -> list[kt.engine.trial.Trial]:
    """Returns the completed trials, by score."""
    trials = tuner.oracle.get_best_trials(len(tuner.oracle.trials))
    return [trial for trial in trials if trial.status == "COMPLETED"]  # get_best_trials lists other trials last


def _at_best(trial: kt.engine.trial.Trial, metric: str) -> float:
    """Returns a metric at the trial's best epoch."""
    (value,) = (
        observation.value for observation in trial.metrics.get_history(metric) if observation.step == trial.best_step
    )
    return float(value[0])


def _budgeted_costs(trial: kt.engine.trial.Trial, budgets: Budgets) -> dict[str, float]:
    return {name: _at_best(trial, name) for name in budgets.limits}


def _score(trial: kt.engine.trial.Trial, hypermodel: SearchSpace) -> float:
    """Returns a trial's score within the budgets, which are not those of the trial if it was for another budget."""
    own = hypermodel.budgets_of(trial.hyperparameters)
    score = float(trial.score)
    if own is hypermodel.budgets:
        return score
    was_over, is_over = (not budgets.within(_budgeted_costs(trial, budgets)) for budgets in (own, hypermodel.budgets))
    return score + OVER_BUDGET * (was_over - is_over)


def trial_costs(tuner: kt.Tuner, cost: str) -> dict[str, float]:
    """Returns a cost of the network of each completed trial, by the trial's ID.

    Args:
        tuner: The tuner after the search.
        cost: The cost in the objective, or one that is limited.
    """
    return {trial.trial_id: _at_best(trial, cost) for trial in _completed(tuner)}


def write_report(reports: list[TrialReport], path: Path) -> None:
    """Writes the reports as a JSON list."""
    path.write_text(json.dumps([asdict(report) for report in reports], indent=2))


def _epochs(options: SearchOptions) -> dict[str, int]:
    # Hyperband sets the epochs of each trial itself.
    return {} if options.tuner == "hyperband" else {"epochs": options.max_epochs}


class _Budgeted(kt.Tuner):
    """Restricts the best trials to those within the hypermodel's budgets.

    Attributes:
        winner: ID of the trial that counts as the best, such as the one that :mod:`compressor_lib.search.finalists`
            chooses; None for the one with the best score.
    """

    winner: str | None = None

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[kt.HyperParameters]:
        return [trial.hyperparameters for trial in trials_within_budget(self, self.hypermodel)[:num_trials]]

    def get_best_models(self, num_models: int = 1) -> list[keras.Model]:
        return [self.load_model(trial) for trial in trials_within_budget(self, self.hypermodel)[:num_models]]


Oracle = KnownFirst | FamilyOracle
"""An oracle of a search."""


def report_progress(oracle: Oracle, trial: kt.engine.trial.Trial | None = None) -> None:
    """Logs the progress of a search.

    Args:
        oracle: Oracle of the search.
        trial: The trial that has just ended; None at the start of the search.
    """
    done = _ended(oracle)
    detail, level = "", logging.INFO
    if trial is not None and trial.score is None:
        detail, level = f"failed: {failure_of(trial.message)}", logging.WARNING
    elif trial is not None:
        detail = f"{_cut_in_words(trial)} scores {trial.score:.4f}"
    log_progress(logger, Progress("trial", done, oracle.planned_trials, detail, _best_so_far(oracle)), level=level)


def report_end(oracle: Oracle) -> None:
    """Corrects the total number of trials if the search ended with fewer than planned."""
    done, planned = _ended(oracle), oracle.planned_trials
    if planned is not None and done < planned:
        log_progress(logger, Progress("trial", done, done, "nothing left to try", _best_so_far(oracle)))


def _ended(oracle: kt.Oracle) -> int:
    return sum(trial.status in ("COMPLETED", "FAILED", "INVALID") for trial in oracle.trials.values())


def _best_so_far(oracle: kt.Oracle) -> BestTrial | None:
    for trial in oracle.get_best_trials(1):
        if trial.score is not None:
            return BestTrial(
                _cut_in_words(trial),
                int(_at_best(trial, "parameters")),
                _at_best(trial, "val_accuracy"),
                float(trial.score),
                int(_at_best(trial, "examples")),
            )
    return None


def _cut_in_words(trial: kt.engine.trial.Trial) -> str:
    """Returns a trial's connection, and its backbone, size and budget where the search has a choice."""
    values = without_places(trial.hyperparameters.values)
    cut = phrases.cut(values[TRANSLATOR], values.get(BACKBONE), values.get(INPUT_SIZE))
    return f"{values[BUDGET]}: {cut}" if BUDGET in values else cut


class _Reporting(HookedTuner):
    """Reports the result of each trial, or leaves that to the chief if there is one."""

    def on_search_begin(self) -> None:
        super().on_search_begin()
        if not self.is_worker:
            report_progress(self.oracle)

    def on_search_end(self) -> None:
        super().on_search_end()
        if not self.is_worker:
            report_end(self.oracle)

    def pre_create_trial(self) -> None:
        super().pre_create_trial()
        if self.is_worker:
            # If no trial is ready, a worker asks again immediately, and its chief would do little else than respond.
            time.sleep(_WORKERS_PAUSE)

    def on_trial_end(self, trial: Any) -> None:
        super().on_trial_end(trial)
        if not self.is_worker:
            report_progress(self.oracle, trial)
        elif trial.message:
            logger.warning("trial %s failed: %s", trial.trial_id, trial.message)  # the chief does not know the cause


class _Tuner(_Reporting, _Budgeted, LightTrials):
    """Runs, reports and ranks the trials of any oracle."""


def _maker(name: str) -> Callable[..., kt.Tuner]:
    def make(hypermodel: SearchSpace, options: SearchOptions, directory: str | Path) -> kt.Tuner:
        given = {
            "objective": kt.Objective(OBJECTIVE, direction="max"),
            "max_consecutive_failed_trials": MOST_FAILURES,
        }
        epochs = {"max_epochs": options.max_epochs} if name == "hyperband" else {}

        def oracle_for(max_trials: int, seed: int) -> KnownFirst:
            return ORACLES[name](max_trials=max_trials, seed=seed, **given, **epochs)

        seed = options.seed + 1  # keras-tuner treats 0 as no seed
        oracle: Oracle
        if isinstance(hypermodel, HyperFamily):
            oracle = FamilyOracle([*hypermodel.members], oracle_for, max_trials=options.max_trials, seed=seed, **given)
        else:
            oracle = oracle_for(options.max_trials, seed)
        tuner = _Tuner(oracle, hypermodel, directory=str(directory), project_name="search")
        tuner.seed = options.seed
        if tuner.oracle is oracle and not oracle.start_order:  # a worker uses its chief's oracle
            _begin_with(options.first, oracle)
        return tuner

    return make


def _begin_with(known: Iterable[Mapping[str, Any]], oracle: Oracle) -> None:
    """Makes known good trials the first ones, as far as they are in the search space."""
    if isinstance(oracle, KnownFirst):
        oracle.first = _possible(known, oracle.get_space())
        return
    for budget, part in oracle.parts.items():
        own = [found for one in known if (found := known_for(budget, one, [*oracle.parts])) is not None]
        part.first = _possible(own, oracle.space_of(budget))


def _possible(known: Iterable[Mapping[str, Any]], space: kt.HyperParameters) -> list[dict[str, Any]]:
    """Returns the known trials that are in the search space."""
    declared, possible = without_places({hyperparameter.name: None for hyperparameter in space.space}), []
    for values in known:
        network = {name: value for name, value in without_places(values).items() if name in (BACKBONE, INPUT_SIZE)}
        try:
            if missing := [name for name in network if name not in declared]:
                raise CompressorError(f"{missing[0]} {network[missing[0]]!r} is not in the search space.")
            possible.append(values_in(space, values))
        except CompressorError as error:
            logger.info("a known good trial is skipped: %s", error)
        else:
            logger.info("the search begins with a known good trial: %s", without_places(possible[-1])[TRANSLATOR])
    return possible


TUNERS: dict[str, Callable[..., kt.Tuner]] = {name: _maker(name) for name in ORACLES}
"""The tuners by their names in :class:`SearchOptions`."""
