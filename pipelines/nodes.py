"""Builds the pipeline's nodes from the configuration; :mod:`pipelines.pipeline` connects them."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode

from components.artifacts.class_counts import statistics_options
from components.converter import Converter
from components.deployed_model import DeployedModel
from components.evaluator import Evaluator
from components.evaluator.tfma_config import eval_config
from components.example_validator import ExampleValidator
from components.image_example_gen import ImageExampleGen
from components.import_example_gen import ImportExampleGen
from components.pruning_search import PruningSearch
from components.pusher import EndpointPusher, Pusher
from components.report.component import Report
from components.served_classes import ServedClasses
from components.storage.spans import rolling_range
from components.transform import Transform
from components.translator_pretrainer import TranslatorPretrainer
from components.warm_start import Handover, PreviousRun
from compressor_lib.deployment.family import keras_file, node_id
from compressor_lib.deployment.precision import smallest
from compressor_lib.search.options import PruningSearchOptions
from pipelines.config.config import Config
from pipelines.config.vertex import endpoint_config, search_job, training_config

MODULES = "pipelines.modules"


@dataclass(frozen=True)
class Nodes:
    """Makes nodes. Each method takes the node's inputs by keyword, as channels, and returns the node.

    Attributes:
        config: The run's configuration.
        code_version: Hash of the project's code, a part of the cache key of each node that runs it.
        image: Container image of custom jobs on Vertex AI.
    """

    config: Config
    code_version: str
    image: str

    def example_gen(self) -> BaseNode:
        """Reads the images."""
        data = self.config.data
        if data.source == "tfrecord":
            pattern = f"{data.span_pattern}/*" if data.span_pattern else "*"
            return ImportExampleGen(
                input_base=self.config.data_path,
                input_config=tfx.proto.Input(splits=[tfx.proto.Input.Split(name="examples", pattern=pattern)]),
                output_config=tfx.proto.Output(
                    split_config=tfx.proto.SplitConfig(
                        splits=[
                            tfx.proto.SplitConfig.Split(name=name, hash_buckets=share)
                            for name, share in data.splits.model_dump().items()
                        ]
                    )
                ),
                range_config=rolling_range(data.span_window),
                label=data.label_feature,
                code_version=self.code_version,
            )
        return ImageExampleGen(
            input_base=self.config.data_path,
            splits=data.splits.model_dump(),
            options=data.image_options,
            span_pattern=data.span_pattern,
            span_window=data.span_window,
            code_version=self.code_version,
        )

    def statistics_gen(self, **inputs: Any) -> tfx.components.StatisticsGen:
        """Counts the images, in total and by class."""
        return tfx.components.StatisticsGen(stats_options=statistics_options(), **inputs)

    def example_validator(self, **inputs: Any) -> ExampleValidator:
        """Reports anomalies in the data."""
        data = self.config.data
        return ExampleValidator(
            label=data.label_feature,
            options=data.anomaly_options,
            removed_classes=data.removed_classes,
            code_version=self.code_version,
            **inputs,
        )

    def transform(self, **inputs: Any) -> Transform:
        """Resizes images and turns class names into indices."""
        return Transform(
            preprocessing_fn=f"{MODULES}.preprocessing_fn",
            label=self.config.data.label_feature,
            removed_classes=self.config.data.removed_classes,
            custom_config={
                "sizes": self.config.image_sizes,
                "image": self.config.data.image_feature,
                "label": self.config.data.label_feature,
                "code_version": self.code_version,
            },
            **inputs,
        )

    def reference(self, **inputs: Any) -> tfx.components.Trainer:
        """Trains the reference model."""
        custom_config = {
            "role": "reference",
            "backbone": _backbone(self.config),
            "head": asdict(self.config.head),
            "training": asdict(self.config.reference),
        }
        return self._trainer("reference", custom_config, inputs)

    def retrain(self, member: str, **inputs: Any) -> tfx.components.Trainer:
        """Retrains a compressed model."""
        custom_config = {
            "role": "compressed",
            "training": asdict(replace(self.config.retrain, compute=self.config.retraining_compute)),
        }
        if member:
            custom_config["network"] = keras_file(member)
        return self._trainer("retrain", custom_config, inputs, member)

    def _trainer(
        self, trainer: str, custom_config: dict[str, Any], inputs: dict[str, Any], member: str = ""
    ) -> tfx.components.Trainer:
        """Makes a Trainer that trains in its own node or, if so configured, in a custom job on Vertex AI."""
        node = node_id(trainer, member)
        custom_config = {
            **custom_config,
            "class_weights": self.config.data.class_weights,
            "seed": self.config.seed,
            "code_version": self.code_version,
        }
        given = {
            "run_fn": f"{MODULES}.run_fn",
            "train_args": tfx.proto.TrainArgs(splits=["train"]),
            "eval_args": tfx.proto.EvalArgs(splits=["eval"]),
            **inputs,
        }
        vertex = self.config.vertex
        if vertex is None or vertex.training is None or trainer not in vertex.training.nodes:
            return tfx.components.Trainer(custom_config=custom_config, **given).with_id(node)
        job = training_config(vertex, vertex.training, name=f"{self.config.name}-{node}", image=self.image)
        made = tfx.extensions.google_cloud_ai_platform.Trainer(custom_config={**custom_config, **job}, **given)
        return made.with_id(node)

    def translator_pretrainer(self, *, previous: BaseNode | None, **inputs: Any) -> TranslatorPretrainer:
        """Fits the translators."""
        return TranslatorPretrainer(
            previous_translators=self._from_previous(previous, "translators"),
            backbone=self.config.backbone.name or "",
            connections=self.config.search.connections,
            options=self.config.translators,
            code_version=self.code_version,
            **inputs,
        )

    def pruning_search(self, *, previous: BaseNode | None, **inputs: Any) -> PruningSearch:
        """Searches for the best sub-network."""
        config, search = self.config, self.config.search
        return PruningSearch(
            previous_hyperparameters=self._from_previous(previous, "hyperparameters"),
            backbone=config.backbone.name or "",
            label=config.backbone.label,
            options=replace(search, head_units=search.head_units or (config.head.units,)),
            retraining=config.retrain,
            # Only where it matters, so that another format does not repeat every search.
            precision=smallest(config.export.formats) if _measures_files(search) else "float32",
            files_sha256=" ".join(map(_sha256, _files(search))).strip(),
            vertex_job=search_job(config.vertex, name=f"{config.name}-search", image=self.image),
            dropout=config.head.dropout,
            batch_size=config.retrain.batch_size,
            class_weights=config.data.class_weights,
            seed=config.seed,
            code_version=self.code_version,
            **inputs,
        )

    def converter(self, member: str, **inputs: Any) -> BaseNode:
        """Converts a compressed model to TFLite, and measures latencies."""
        converter = Converter(
            formats=self.config.export.formats, seed=self.config.seed, code_version=self.code_version, **inputs
        )
        return converter.with_id(node_id("Converter", member))

    def _from_previous(self, previous: BaseNode | None, key: str) -> Any:
        """Returns an output of PreviousRun; None if the run is not to start from it."""
        return previous.outputs[key] if previous and self.config.warm_start else None

    def baseline(self, member: str, *, candidate: Any, reference: Any) -> tuple[Any, list[BaseNode]]:
        """Chooses the model that the gate compares the candidate with, as ``gate.baseline`` says.

        Args:
            member: Name of the compressed model in a family.
            candidate: Channel of the compressed model.
            reference: Channel of the reference model.

        Returns:
            Channel of the baseline, and the nodes that find it; none if it is the reference model.
        """
        if self.config.gate.baseline == "blessed":
            resolver = tfx.dsl.Resolver(
                strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
                model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
                model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
            ).with_id("latest_blessed_model")
            return resolver.outputs["model"], [resolver]
        if self.config.gate.baseline == "deployed":
            deployed = DeployedModel(
                candidate=candidate,
                reference=reference,
                push_directory=self.config.serving_directory,
                code_version=self.code_version,
                **_named(member),
            ).with_id(node_id("DeployedModel", member))
            return deployed.outputs["model"], [deployed]
        return reference, []

    def evaluator(self, member: str, **inputs: Any) -> BaseNode:
        """Evaluates a model, and blesses it if it meets the thresholds: the gate."""
        gate = self.config.gate
        evaluator = Evaluator(
            example_splits=["test"],
            eval_config=eval_config(gate),
            confidence=gate.confidence,
            code_version=self.code_version,
            **inputs,
        )
        return evaluator.with_id(node_id("Evaluator", member))

    def pusher(self, member: str, *, model: Any, blessing: Any, card_inputs: dict[str, Any]) -> BaseNode:
        """Pushes to a folder, with a model card that describes the run, or to an endpoint on Vertex AI."""
        config = self.config
        if config.vertex and config.endpoint:
            custom_config = endpoint_config(config.vertex, config.endpoint)
            pusher = EndpointPusher(
                model=model,
                model_blessing=blessing,
                custom_config=custom_config,
                removed_classes=config.data.removed_classes,
            )
            return pusher.with_id("Pusher")
        return Pusher(
            model=model,
            model_blessing=blessing,
            push_directory=config.serving_directory,
            member=member,
            name=node_id(config.name, member),
            label=config.data.label_feature,
            keep=config.push.keep,
            removed_classes=config.data.removed_classes,
            code_version=self.code_version,
            **card_inputs,
        ).with_id(node_id("Pusher", member))

    def report(self, **inputs: Any) -> Report:
        """Writes the report."""
        return Report(
            config=self.config.model_dump_json(),
            cost=self.config.search.objective.cost,
            label_feature=self.config.data.label_feature,
            code_version=self.code_version,
            **inputs,
        )

    def served_classes(self, **inputs: Any) -> BaseNode:
        """Finds the classes that an endpoint on Vertex AI serves."""
        vertex, endpoint = self.config.vertex, self.config.endpoint
        assert vertex
        assert endpoint
        return ServedClasses(
            project=vertex.project,
            region=vertex.region,
            endpoint=endpoint.display_name,
            code_version=self.code_version,
            **inputs,
        )

    def previous_run(self, **inputs: Any) -> BaseNode:
        """Finds what the previous run left for this one, and the classes of the pushed model."""
        return PreviousRun(push_directory=self.config.serving_directory, code_version=self.code_version, **inputs)

    def handover(self, **inputs: Any) -> BaseNode:
        """Leaves this run's hyperparameters, translators and statistics for the next one."""
        return Handover(push_directory=self.config.serving_directory, code_version=self.code_version, **inputs)


def _named(member: str) -> dict[str, str]:
    """Returns the parameter of a node that belongs to a member of a family; none for the only model."""
    return {"member": member} if member else {}


def _measures_files(search: PruningSearchOptions) -> bool:
    """Returns whether a search measures the bytes or the latency of TFLite files."""
    return not {"bytes", "latency"}.isdisjoint(search.costs)


def _files(search: PruningSearchOptions) -> list[str]:
    """Returns the files that a search reads besides its inputs."""
    weights = [backbone.weights for backbone in search.backbones or ()]
    return [*weights, search.latency_table] if search.latency_table else weights


def _backbone(config: Config) -> dict[str, Any]:
    """Returns the section ``backbone`` with hashes of its files, so that their content is part of the cache key."""
    values = config.backbone.model_dump()
    for field in ("weights", "model"):
        if digest := _sha256(values[field] or ""):
            values[field] = str(Path(values[field]).absolute())
            values[f"{field}_sha256"] = digest
    return values


def _sha256(path: str) -> str:
    """Returns the hash of a local file; empty if there is none, as for ``imagenet``."""
    file = Path(path)
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
