"""The pipeline, in one function."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from tfx import v1 as tfx
from tfx.components import ImportExampleGen
from tfx.dsl.components.base.base_node import BaseNode

from components.deployed_model import DeployedModel
from components.image_example_gen import ImageExampleGen
from components.pruning_search import PruningSearch
from components.translator_pretrainer import TranslatorPretrainer
from pipelines.config import Config
from pipelines.vertex import check_not_asked_for, endpoint_config, search_job, training_config

MODULES = "pipelines.modules"
METRIC = "SparseCategoricalAccuracy"


def create_pipeline(config: Config, *, code_version: str, image: str = "") -> tfx.dsl.Pipeline:
    """Wires a run.

    Args:
        config: Where everything is and how everything is done.
        code_version: Hash of the project's own code; a node that runs it is not taken from the cache of another.
        image: What the nodes run in, and the jobs that they start on Vertex AI; empty: they run here.

    Returns:
        The pipeline, for any runner.

    Raises:
        CompressorError: If there is no image, and the configuration asks for such jobs.
    """
    if not image:
        check_not_asked_for(config.vertex)
    example_gen = _example_gen(config, code_version)
    statistics_gen = tfx.components.StatisticsGen(examples=example_gen.outputs["examples"])
    schema_gen = tfx.components.SchemaGen(statistics=statistics_gen.outputs["statistics"])
    example_validator = tfx.components.ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema_gen.outputs["schema"]
    )
    transform = tfx.components.Transform(
        examples=example_gen.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        preprocessing_fn=f"{MODULES}.preprocessing_fn",
        custom_config={
            "size": config.backbone.input_size,
            "image": config.data.image_feature,
            "label": config.data.label_feature,
            "code_version": code_version,
        },
    )
    data = {
        "examples": transform.outputs["transformed_examples"],
        "transform_graph": transform.outputs["transform_graph"],
        "train_args": tfx.proto.TrainArgs(splits=["train"]),
        "eval_args": tfx.proto.EvalArgs(splits=["eval"]),
        "run_fn": f"{MODULES}.run_fn",
    }
    reference = _trainer(
        config,
        image,
        "reference",
        custom_config={
            "role": "reference",
            "backbone": _backbone(config),
            "head": config.head.model_dump(),
            "training": config.reference.model_dump(),
            "formats": ["float32"],  # it is measured, not deployed; so other formats do not train it again
            "seed": config.seed,
            "code_version": code_version,
        },
        **data,
    )
    translator_pretrainer = TranslatorPretrainer(
        examples=transform.outputs["transformed_examples"],
        base_model=reference.outputs["model"],
        backbone=config.backbone.name or "",
        connections=config.search.connections,
        held_out=config.translators.held_out,
        ridge=config.translators.ridge,
        code_version=code_version,
    )
    pruning_search = PruningSearch(
        examples=transform.outputs["transformed_examples"],
        base_model=reference.outputs["model"],
        translators=translator_pretrainer.outputs["translators"],
        backbone=config.backbone.name or "",
        connections=config.search.connections,
        tuner=config.search.tuner,
        max_trials=config.search.max_trials,
        max_epochs=config.search.max_epochs,
        parallel_trials=config.search.parallel_trials,
        vertex_job=search_job(config.vertex, name=f"{config.name}-search", image=image),
        cuts=config.search.cuts,
        shortlist=config.search.shortlist,
        train_translators=config.search.train_translators,
        feature_memory_mb=config.search.feature_memory_mb,
        tau=config.search.tau,
        cost=config.search.objective.cost,
        budgets=config.search.objective.budgets,
        head_units=config.search.head_units or [config.head.units],
        tail_units=config.search.tail_units,
        dropout=config.head.dropout,
        min_learning_rate=config.search.min_learning_rate,
        max_learning_rate=config.search.max_learning_rate,
        batch_size=config.retrain.batch_size,
        seed=config.seed,
        code_version=code_version,
    )
    retrain = _trainer(
        config,
        image,
        "retrain",
        custom_config={
            "role": "compressed",
            "training": config.retrain.model_dump(),
            "formats": config.export.formats,
            "seed": config.seed,
            "code_version": code_version,
        },
        base_model=pruning_search.outputs["model"],
        hyperparameters=pruning_search.outputs["best_hyperparameters"],
        **data,
    )
    nodes: list[BaseNode] = []
    baseline = reference.outputs["model"]
    if config.gate.baseline == "blessed":
        resolver = tfx.dsl.Resolver(
            strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
            model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
            model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
        ).with_id("latest_blessed_model")
        nodes.append(resolver)
        baseline = resolver.outputs["model"]
    if config.gate.baseline == "deployed":
        deployed = DeployedModel(
            candidate=retrain.outputs["model"],
            reference=reference.outputs["model"],
            push_directory=config.serving_directory,
            code_version=code_version,
        )
        nodes.append(deployed)
        baseline = deployed.outputs["model"]
    evaluator = tfx.components.Evaluator(
        examples=transform.outputs["transformed_examples"],
        example_splits=["test"],
        model=retrain.outputs["model"],
        baseline_model=baseline,
        eval_config=_eval_config(config),
    )
    pusher = _pusher(config, model=retrain.outputs["model"], model_blessing=evaluator.outputs["blessing"])
    nodes += [
        example_gen, statistics_gen, schema_gen, example_validator, transform, reference,
        translator_pretrainer, pruning_search, retrain, evaluator, pusher,
    ]  # fmt: skip
    return tfx.dsl.Pipeline(
        pipeline_name=config.name,
        pipeline_root=config.pipeline_root,
        components=nodes,
        enable_cache=True,
        metadata_connection_config=_metadata(config),
        beam_pipeline_args=config.beam_flags,
    )


def _trainer(
    config: Config, image: str, node: str, *, custom_config: dict[str, Any], **given: Any
) -> tfx.components.Trainer:
    """A Trainer that trains in its node, or in a custom job on Vertex AI."""
    vertex = config.vertex
    if vertex is None or vertex.training is None or node not in vertex.training.nodes:
        return tfx.components.Trainer(custom_config=custom_config, **given).with_id(node)
    job = training_config(vertex, vertex.training, name=f"{config.name}-{node}", image=image)
    trainer = tfx.extensions.google_cloud_ai_platform.Trainer(custom_config={**custom_config, **job}, **given)
    return trainer.with_id(node)


def _pusher(config: Config, **given: Any) -> tfx.components.Pusher:
    """A Pusher into a folder, or to an endpoint on Vertex AI."""
    if config.vertex and config.vertex.endpoint:
        custom_config = endpoint_config(config.vertex, config.vertex.endpoint)
        return tfx.extensions.google_cloud_ai_platform.Pusher(custom_config=custom_config, **given)
    return tfx.components.Pusher(
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=config.serving_directory)
        ),
        **given,
    )


def _metadata(config: Config) -> Any:
    """A file beside the artifacts; where these are remote, the platform has a store of its own."""
    if "://" in config.output:
        return None
    return tfx.orchestration.metadata.sqlite_metadata_connection_config(config.metadata_path)


def _example_gen(config: Config, code_version: str) -> BaseNode:
    if config.data.source == "tfrecord":
        return ImportExampleGen(
            input_base=config.data_path,
            input_config=tfx.proto.Input(
                splits=[
                    tfx.proto.Input.Split(name="examples", pattern=f"{config.data.span}/*" if config.data.span else "*")
                ]
            ),
            output_config=tfx.proto.Output(
                split_config=tfx.proto.SplitConfig(
                    splits=[
                        tfx.proto.SplitConfig.Split(name=name, hash_buckets=share)
                        for name, share in config.data.splits.model_dump().items()
                    ]
                )
            ),
        )
    return ImageExampleGen(
        input_base=config.data_path,
        splits=config.data.splits.model_dump(),
        max_bad_share=config.data.max_bad_share,
        span=config.data.span,
        code_version=code_version,
    )


def _backbone(config: Config) -> dict[str, Any]:
    """The backbone's section, with the content of its files in the cache key."""
    values = config.backbone.model_dump()
    for field in ("weights", "model"):
        file = Path(values[field] or "")
        if file.is_file():
            values[field] = str(file.absolute())
            values[f"{field}_sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    return values


def _eval_config(config: Config) -> tfma.EvalConfig:
    """The gate: an accuracy to reach, and how far it may fall below the baseline's."""
    threshold = tfma.MetricThreshold(
        # Without a baseline TFMA skips the second threshold, so the first is always there.
        value_threshold=tfma.GenericValueThreshold(lower_bound={"value": config.gate.min_accuracy}),
        change_threshold=tfma.GenericChangeThreshold(
            direction=tfma.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -config.gate.max_drop}
        ),
    )
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(signature_name="serving_tf_example", label_key="label", prediction_key="probabilities")
        ],
        slicing_specs=[tfma.SlicingSpec()],
        metrics_specs=[tfma.MetricsSpec(metrics=[tfma.MetricConfig(class_name=METRIC, threshold=threshold)])],
    )
