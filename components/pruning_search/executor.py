"""PruningSearch's work: a keras-tuner search over cached features."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import keras
from tfx import types
from tfx.components.tuner.executor import write_best_hyperparameters
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.examples import split_patterns
from components.pruning_search.job import SearchJob
from components.pruning_search.parallel import search_in_parallel
from compressor_lib.bank import fingerprint
from compressor_lib.export import TEACHER_FILE, keras_path
from compressor_lib.search import trial_reports, write_report

logger = logging.getLogger(__name__)

REPORT_FILE = "search_report.json"


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
            parameters=exec_properties,
        )
        hypermodel = job.hypermodel()
        base, workers = hypermodel.base, exec_properties["parallel_trials"]
        logger.info("searching %d connections of %s with %s", len(hypermodel.connections), base.name, job.options.tuner)
        # Named after all that decides the result, and beside the outputs: a search that was cut short finds
        # its finished trials there.
        trials_dir = results_dir.parent.parent / ".trials" / _key(exec_properties, base, examples.uri, bank_dir)
        if workers > 1:
            tuner = search_in_parallel(job, hypermodel, trials_dir, workers)
        else:
            tuner = job.search(hypermodel, trials_dir)

        # Hyperband leaves this open, and the stock writer needs to know how many results there can be.
        tuner.oracle.max_trials = len(tuner.oracle.trials)
        write_best_hyperparameters(tuner, output_dict)
        write_report(trial_reports(tuner, hypermodel), results_dir / REPORT_FILE)
        best = tuner.get_best_models(1)[0]
        best_path = keras_path(model_dir)
        best_path.parent.mkdir(parents=True)
        best.save(best_path)
        shutil.copyfile(keras_path(reference_dir), keras_path(model_dir, TEACHER_FILE))
        shutil.rmtree(trials_dir)


def _key(exec_properties: dict[str, Any], base: keras.Model, *inputs: str) -> str:
    described = json.dumps([exec_properties, fingerprint(base), inputs], sort_keys=True, default=str)
    return hashlib.sha256(described.encode()).hexdigest()[:16]
