"""The executor of PruningSearch: a keras-tuner search on cached features."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable
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
from components.pruning_search.job import SearchJob
from components.pruning_search.parallel import search_in_parallel
from components.pruning_search.vertex_replicas import Replica, start_replicas, take_trials
from components.resumable import mark_done, sweep, work_key
from components.storage.examples import split_patterns
from components.storage.gcs_mount import mounted_artifacts
from compressor_lib.deployment.export import TEACHER_FILE, keras_path
from compressor_lib.deployment.latency_table import DeviceYardstick
from compressor_lib.pretraining.bank import fingerprint
from compressor_lib.search.backbones import HyperBackbones, in_words
from compressor_lib.search.finalists import write_finalists
from compressor_lib.search.options import PruningSearchOptions
from compressor_lib.search.run import trial_costs, trial_reports, write_report
from compressor_lib.search.tensorboard import write_summaries
from compressor_lib.training.options import TrainingOptions

logger = logging.getLogger(__name__)

SUMMARIES = "tensorboard"
PREVIOUS = "previous_hyperparameters"

_HYPERPARAMETERS_FILE = "best_hyperparameters.txt"  # as in the stock Tuner


class Executor(base_executor.BaseExecutor):
    """Searches the sub-networks of a classifier's backbone and writes the best one."""

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
    bases = [member.hypermodel.base for member in hypermodel.members.values()]
    key = _key(exec_properties, bases, examples.uri, bank_dir, *job.known)
    trials_dir = results_dir.parent.parent / ".trials" / key
    replica = Replica.of_this_process()
    if replica is not None and not replica.is_chief:
        take_trials(replica, trials_dir)
        return
    sweep(trials_dir)
    tuner = _run(job, hypermodel, trials_dir)
    hypermodel.release_features()
    finalists, best = job.retrain_finalists(tuner, hypermodel, trials_dir / "finalists")
    reports = trial_reports(tuner, hypermodel)

    write_best_hyperparameters(tuner, output_dict)
    write_report(reports, results_dir / SEARCH_REPORT_FILE)
    write_summaries(reports, results_dir / SUMMARIES)
    if isinstance(hypermodel.yardstick, DeviceYardstick):
        device, trials = hypermodel.yardstick, trial_costs(tuner, "latency")
        DeviceLatencies(device.table.name, device.precision, device.milliseconds, trials).write(str(results_dir))
    if finalists:
        write_finalists(finalists, results_dir / FINALISTS_FILE)
    best_path = keras_path(model_dir)
    best_path.parent.mkdir(parents=True, exist_ok=True)
    best.save(best_path)
    shutil.copyfile(keras_path(reference_dir), keras_path(model_dir, TEACHER_FILE))
    mark_done(trials_dir)


def _run(job: SearchJob, hypermodel: HyperBackbones, directory: Path) -> kt.Tuner:
    """Runs the search in one process or several."""
    networks = [in_words(network) for network in hypermodel.members]
    connections = sum(len(member.hypermodel.connections) for member in hypermodel.members.values())
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
        return [{**json.loads(path.read_text())["values"]}]  # fails if it is not a mapping
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("%s cannot be read (%r): the search starts without known hyperparameters", path, error)
        return []


def _key(exec_properties: dict[str, Any], bases: Iterable[keras.Model], *inputs: Any) -> str:
    return work_key(exec_properties, [fingerprint(base) for base in bases], inputs)
