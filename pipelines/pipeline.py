"""The pipeline."""

from __future__ import annotations

import os
from typing import Any

from tfx import v1 as tfx

from pipelines.config.beam import IN_ONE_PROCESS, has_processes
from pipelines.config.config import Config
from pipelines.config.vertex import check_not_asked_for
from pipelines.nodes import Nodes


def create_pipeline(config: Config, *, code_version: str, image: str = "") -> tfx.dsl.Pipeline:
    """Builds the nodes and connects them.

    Args:
        config: The run's configuration.
        code_version: Hash of the project's own code, which is part of the cache keys of the nodes that run it.
        image: Container image of the nodes and of the jobs that they start on Vertex AI; empty for local runs.

    Returns:
        The pipeline, for any runner.

    Raises:
        CompressorError: If there is no image, but the configuration requires such jobs.
    """
    if not image:
        check_not_asked_for(config.vertex)
    make = Nodes(config, code_version, image)
    example_gen = make.example_gen()
    examples = example_gen.outputs["examples"]
    statistics_gen = make.statistics_gen(examples=examples)
    statistics = statistics_gen.outputs["statistics"]
    schema_gen = tfx.components.SchemaGen(statistics=statistics)
    schema = schema_gen.outputs["schema"]
    # An endpoint has no folder in which a run could leave anything, but its models have classes that keep their places.
    previous_run = make.previous_run(current=statistics) if config.endpoint is None else None
    known_classes = previous_run or make.served_classes(current=statistics)
    previous_classes = known_classes.outputs["classes"]
    example_validator = make.example_validator(
        statistics=statistics,
        schema=schema,
        examples=examples,
        previous_statistics=previous_run.outputs["statistics"] if previous_run else None,
        previous_classes=previous_classes,
    )
    transform = make.transform(
        examples=examples, schema=schema, statistics=statistics, previous_classes=previous_classes
    )
    if config.data.on_anomaly == "stop":
        transform.add_upstream_node(example_validator)
    images = transform.outputs["transformed_examples"]
    training = {"examples": images, "transform_graph": transform.outputs["transform_graph"]}
    reference = make.reference(**training)
    base_model = reference.outputs["model"]
    translator_pretrainer = make.translator_pretrainer(examples=images, base_model=base_model, previous=previous_run)
    translators = translator_pretrainer.outputs["translators"]
    pruning_search = make.pruning_search(
        examples=images, base_model=base_model, translators=translators, previous=previous_run
    )
    hyperparameters = pruning_search.outputs["best_hyperparameters"]
    delivered: list[Any] = []
    evaluators, pushers = [], []
    of_members: dict[str, dict[str, Any]] = {}
    for member in config.members:
        retrain = make.retrain(
            member, base_model=pruning_search.outputs["model"], hyperparameters=hyperparameters, **training
        )
        converter = make.converter(member, base_model=retrain.outputs["model"], reference=base_model, examples=images)
        model = converter.outputs["model"]
        baseline, baseline_nodes = make.baseline(member, candidate=model, reference=base_model)
        # A node may take an artifact only once, so the reference model is not passed again if it is the baseline.
        reference_beside = None if baseline is base_model else base_model
        evaluator = make.evaluator(
            member, examples=images, model=model, baseline_model=baseline, reference=reference_beside
        )
        pusher = make.pusher(
            member,
            model=model,
            blessing=evaluator.outputs["blessing"],
            card_inputs={
                "evaluation": evaluator.outputs["evaluation"],
                "reference": base_model,
                "tuner_results": pruning_search.outputs["tuner_results"],
                "statistics": statistics,
            },
        )
        of_members[member] = {
            "compressed": model,
            "compressed_run": retrain.outputs["model_run"],
            "evaluation": evaluator.outputs["evaluation"],
            "pushed_model": pusher.outputs["pushed_model"],
        }
        evaluators.append(evaluator)
        pushers.append(pusher)
        delivered += [*baseline_nodes, retrain, converter, evaluator, pusher]
    report = make.report(
        examples=examples,
        statistics=statistics,
        anomalies=example_validator.outputs["anomalies"],
        transformed_examples=images,
        reference=base_model,
        reference_run=reference.outputs["model_run"],
        translators=translators,
        tuner_results=pruning_search.outputs["tuner_results"],
        members=of_members,
    )
    if has_processes(config.beam):
        for node in (statistics_gen, translator_pretrainer, *evaluators):
            node.with_beam_pipeline_args(IN_ONE_PROCESS)
    nodes = [
        example_gen, statistics_gen, schema_gen, example_validator, transform, reference,
        known_classes, translator_pretrainer, pruning_search, *delivered, report,
    ]  # fmt: skip
    if previous_run:
        handover = make.handover(
            examples=examples, hyperparameters=hyperparameters, translators=translators, statistics=statistics
        )
        for pusher in pushers:
            handover.add_upstream_node(pusher)
        nodes.append(handover)
    return tfx.dsl.Pipeline(
        pipeline_name=config.name,
        pipeline_root=config.pipeline_root,
        components=nodes,
        enable_cache=True,
        metadata_connection_config=_metadata(config),
        beam_pipeline_args=config.beam_flags,
    )


def _metadata(config: Config) -> Any:
    """Returns a file beside the artifacts, or None for a platform, which has its own metadata store."""
    if not os.path.isabs(config.output):  # TFX creates the file's folder, even if it only compiles
        return None
    return tfx.orchestration.metadata.sqlite_metadata_connection_config(config.metadata_path)
