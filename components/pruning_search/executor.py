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

from components.examples import picture_dataset, split_patterns
from compressor_lib.bank import TranslatorBank, fingerprint
from compressor_lib.costs import measure_costs
from compressor_lib.export import TEACHER_FILE, keras_path, load_keras
from compressor_lib.families import searched_connections
from compressor_lib.hypermodels import HyperCompressor
from compressor_lib.search import SearchOptions, run_search, trial_reports, write_report
from compressor_lib.surgery import without_head

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
        seed = exec_properties["seed"]

        keras.utils.set_random_seed(seed)
        reference = load_keras(reference_dir)
        base = without_head(reference, name=exec_properties["backbone"])
        cost = exec_properties["cost"]
        hypermodel = HyperCompressor(
            max_parameters=reference.count_params(),
            num_classes=reference.output_shape[-1],
            tau=exec_properties["tau"],
            backbone=base,
            connections=searched_connections(
                base, exec_properties["backbone"], json.loads(exec_properties["connections"])
            ),
            translators=TranslatorBank.load(bank_dir, base),
            head_units=json.loads(exec_properties["head_units"]),
            tail_units=json.loads(exec_properties["tail_units"]),
            dropout=exec_properties["dropout"],
            learning_rates=(exec_properties["min_learning_rate"], exec_properties["max_learning_rate"]),
            loss="sparse_categorical_crossentropy",
            cost=cost,
            max_cost=measure_costs(reference, [cost])[cost],
            budgets=json.loads(exec_properties["budgets"]),
        )
        train, validation = (
            picture_dataset(
                split_patterns(examples, split),
                size=base.input_shape[1],
                batch_size=exec_properties["batch_size"],
                classes=hypermodel.num_classes,
            )
            for split in ("train", "eval")
        )
        options = SearchOptions(
            tuner=exec_properties["tuner"],
            max_trials=exec_properties["max_trials"],
            max_epochs=exec_properties["max_epochs"],
            seed=seed,
        )
        logger.info("searching %d connections of %s with %s", len(hypermodel.connections), base.name, options.tuner)
        # Named after all that decides the result, and beside the outputs: a search that was cut short finds
        # its finished trials there.
        trials_dir = results_dir.parent.parent / ".trials" / _key(exec_properties, base, examples.uri, bank_dir)
        tuner = run_search(hypermodel, train, validation, options, trials_dir)

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
