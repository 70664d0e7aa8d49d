"""The executor of PruningSearch: a keras-tuner search on cached features."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
from tfx import types
from tfx.components.tuner.executor import write_best_hyperparameters
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.artifacts.device_latencies import DeviceLatencies
from components.artifacts.file_names import FINALISTS_FILE, SEARCH_REPORT_FILE
from components.options import from_parameter
from components.pruning_search.job import Searched, SearchJob, networks_in, spaces_by_budget, views_by_budget
from components.pruning_search.parallel import search_in_parallel
from components.pruning_search.vertex_replicas import Replica, start_replicas, take_trials
from components.resumable import mark_done, sweep, work_key
from components.storage.examples import split_patterns
from components.storage.gcs_mount import mounted_artifacts
from compressor_lib.deployment.export import TEACHER_FILE, keras_path
from compressor_lib.deployment.family import keras_file
from compressor_lib.deployment.latency_table import DeviceYardstick
from compressor_lib.errors import CompressorError
from compressor_lib.pretraining.bank import fingerprint
from compressor_lib.search.backbones import in_words
from compressor_lib.search.finalists import write_finalists
from compressor_lib.search.options import PruningSearchOptions
from compressor_lib.search.run import trial_costs, trial_reports, trials_within_budget, write_report
from compressor_lib.search.tensorboard import write_summaries
from compressor_lib.training.options import TrainingOptions

logger = logging.getLogger(__name__)

SUMMARIES = "tensorboard"
PREVIOUS = "previous_hyperparameters"

_HYPERPARAMETERS_FILE = "best_hyperparameters.txt"  # as in the stock Tuner
_FAMILY = "family"
"""Key of that file under which a family has the hyperparameters of every member; the others are the first one's."""


class Executor(base_executor.BaseExecutor):
    """Searches the sub-networks of a classifier's backbone and writes the best one, or that of each budget."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See :class:`components.pruning_search.component.PruningSearch`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        if exec_properties["vertex_job"]:
            start_replicas(input_dict, output_dict, exec_properties)
            return
        with mounted_artifacts(input_dict, output_dict):
            _search(input_dict, output_dict, exec_properties)


def _search(
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
) -> None:
    """Runs a search, or takes part in one, and writes the results."""
    examples = artifact_utils.get_single_instance(input_dict["examples"])
    reference_dir = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["base_model"]))
    bank_dir = artifact_utils.get_single_uri(input_dict["translators"])
    results_dir = Path(artifact_utils.get_single_uri(output_dict["tuner_results"]))
    model_dir = path_utils.serving_model_dir(artifact_utils.get_single_uri(output_dict["model"]))
    job = SearchJob(
        reference_dir=reference_dir,
        bank_dir=bank_dir,
        train=split_patterns(examples, "train"),
        validation=split_patterns(examples, "eval"),
        backbone=exec_properties["backbone"],
        label=exec_properties["label"],
        options=from_parameter(PruningSearchOptions, exec_properties["options"]),
        retraining=_retraining(exec_properties["retraining"]),
        precision=exec_properties["precision"],
        dropout=exec_properties["dropout"],
        batch_size=exec_properties["batch_size"],
        class_weights=exec_properties["class_weights"],
        seed=exec_properties["seed"],
        known=_known(input_dict.get(PREVIOUS)),
    )
    hypermodel = job.hypermodel()
    # The folder is named by everything that determines the result, and is next to the outputs, so that an interrupted
    # search finds its finished trials. It outlives the search, because the node may run again until its end is
    # recorded.
    bases = [network.hypermodel.base for network in networks_in(hypermodel).values()]
    key = _key(exec_properties, bases, examples.uri, bank_dir, *job.known)
    trials_dir = results_dir.parent.parent / ".trials" / key
    replica = Replica.of_this_process()
    if replica is not None and not replica.is_chief:
        take_trials(replica, trials_dir)
        return
    sweep(trials_dir)
    tuner = _run(job, hypermodel, trials_dir)
    hypermodel.release_features()
    best_hyperparameters: dict[str, kt.HyperParameters] = {}
    for budget, space in views_by_budget(hypermodel).items():
        tuner.winner = None
        with _named(budget):
            # A finalist for several budgets is retrained once: the others find its checkpoint.
            finalists, best = job.retrain_finalists(tuner, space, trials_dir / "finalists")
        reports = trial_reports(tuner, space)
        best_hyperparameters[budget] = trials_within_budget(tuner, space)[0].hyperparameters
        own_results = results_dir / budget
        own_results.mkdir(parents=True, exist_ok=True)
        write_report(reports, own_results / SEARCH_REPORT_FILE)
        write_summaries(reports, own_results / SUMMARIES)
        if finalists:
            write_finalists(finalists, own_results / FINALISTS_FILE)
        best_path = keras_path(model_dir, keras_file(budget))
        best_path.parent.mkdir(parents=True, exist_ok=True)
        best.save(best_path)
    write_best_hyperparameters(tuner, output_dict)
    if "" not in best_hyperparameters:
        folder = artifact_utils.get_single_uri(output_dict["best_hyperparameters"])
        _write_hyperparameters(best_hyperparameters, Path(folder, _HYPERPARAMETERS_FILE))
    if isinstance(hypermodel.yardstick, DeviceYardstick):
        device, trials = hypermodel.yardstick, trial_costs(tuner, "latency")
        DeviceLatencies(device.table.name, device.precision, device.milliseconds, trials).write(str(results_dir))
    shutil.copyfile(keras_path(reference_dir), keras_path(model_dir, TEACHER_FILE))
    mark_done(trials_dir)


@contextmanager
def _named(budget: str) -> Iterator[None]:
    """Says which budget of a family an error is about."""
    try:
        yield
    except CompressorError as error:
        if not budget:
            raise
        raise CompressorError(f"budget {budget!r}: {error}") from error


def _write_hyperparameters(best: Mapping[str, kt.HyperParameters], path: Path) -> None:
    """Writes the best hyperparameters of each member to one file, because the stock Trainer takes only one."""
    content = next(iter(best.values())).get_config()
    content[_FAMILY] = {budget: hyperparameters.values for budget, hyperparameters in best.items()}
    path.write_text(json.dumps(content))


def _run(job: SearchJob, hypermodel: Searched, directory: Path) -> kt.Tuner:
    """Runs the search in one process or several."""
    networks = [in_words(network) for network in networks_in(hypermodel)]
    spaces = spaces_by_budget(hypermodel).values()
    connections = sum(len(member.hypermodel.connections) for space in spaces for member in space.members.values())
    logger.info("searching %d connections of %s with %s", connections, "; ".join(networks), job.options.tuner)
    workers, replica = job.options.parallel_trials, Replica.of_this_process()
    if replica is not None:
        return search_in_parallel(job, hypermodel, directory, 1, port=replica.port)
    if workers > 1:
        return search_in_parallel(job, hypermodel, directory, workers)
    return job.search(hypermodel, directory)


def _retraining(parameter: str) -> TrainingOptions | None:
    return from_parameter(TrainingOptions, parameter) if parameter else None


def _known(given: list[types.Artifact] | None) -> list[dict[str, Any]]:
    """Returns the best hyperparameters of an earlier search, if there are any."""
    path = Path(artifact_utils.get_single_uri(given), _HYPERPARAMETERS_FILE) if given else None
    if path is None or not path.exists():
        return []
    try:
        content = json.loads(path.read_text())
        found = [*content[_FAMILY].values()] if _FAMILY in content else [content["values"]]
        return [{**values} for values in found]  # fails if one is not a mapping
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("%s cannot be read (%r): the search starts without known hyperparameters", path, error)
        return []


def _key(exec_properties: dict[str, Any], bases: Iterable[keras.Model], *inputs: Any) -> str:
    return work_key(exec_properties, [fingerprint(base) for base in bases], inputs)
