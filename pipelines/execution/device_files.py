"""The TFLite files that a device must time for a latency table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from components.pruning_search.job import SearchJob
from compressor_lib.cuts.surgery import without_head
from compressor_lib.deployment.precision import smallest
from compressor_lib.search.device_operators import files_to_measure
from compressor_lib.training.reference import load_network, reference_model
from pipelines.config.config import Config


def device_files(config: Config, classes: Sequence[str]) -> dict[str, bytes]:
    """Returns the files for the networks of a run, in the smallest format that ships, by the names of the table's rows.

    Args:
        config: The run's configuration. Nothing is downloaded: times do not depend on the weights.
        classes: Names of the run's classes.

    Raises:
        CompressorError: If a network cannot be built or does not convert to TFLite.
    """
    search, backbone = config.search, config.backbone.model_dump()
    if config.backbone.model is None:
        backbone["weights"] = "none"
    reference = reference_model(load_network(backbone), backbone, asdict(config.head), classes)
    further = tuple(replace(one, weights="none") for one in search.backbones or ())
    name = config.backbone.name or ""
    job = SearchJob(
        reference_dir="",
        bank_dir="",
        train="",
        validation="",
        backbone=name,
        label=config.backbone.label,
        options=replace(search, backbones=further),
        dropout=config.head.dropout,
        batch_size=config.retrain.batch_size,
        class_weights=config.data.class_weights,
        seed=config.seed,
    )
    return files_to_measure(
        reference,
        ((base, connections) for _, base, connections in job.networks(without_head(reference, name=name))),
        tail_units=search.tail_units,
        head_units=search.head_units or (config.head.units,),
        precision=smallest(config.export.formats),
    )
