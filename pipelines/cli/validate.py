"""``compressor validate``: runs the checks of a run without the run, and summarises what the run would do."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pipelines.cli.exit_status import wrong_input_reported
from pipelines.cli.options import AsJson, ConfigFile, DataFolder, OutputFolder, Overrides
from pipelines.cli.output_capture import captured, people_console, say

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pipelines.config.config import Config
    from pipelines.execution.preflight import Classes, Counts, Images, Network

_MOST_CLASSES = 20
"""Maximum number of classes to list, one per line."""


@dataclass(frozen=True)
class Preview:
    """What a run would start with.

    Attributes:
        images: The images; None if only the run can count them.
        classes: The classes of the run's models; None if only the run can count them.
        network: The network.
        input_size: Height and width of the reference model's images, in pixels.
        input_sizes: Those at which the network is searched.
        tuner: The search's tuner.
        trials: Maximum number of trials; None for no limit.
        models: Names of the models of a family; empty for one model.
    """

    images: Images | None
    classes: Classes | None
    network: Network
    input_size: int
    input_sizes: tuple[int, ...]
    tuner: str
    trials: int | None
    models: list[str]

    def as_json(self) -> dict[str, Any]:
        """The output of ``--json``, whose keys docs/tutorial.md lists."""
        return {
            "valid": True,
            "images": self.images and self.images.counts,
            "left_out": self.images and self.images.left_out,
            "classes": self.classes and (self.classes.names if self.classes.are_all else None),
            "reference": {
                "parameters": self.network.parameters,
                "macs": self.network.macs,
                "input_size": self.input_size,
            },
            "input_sizes": list(self.input_sizes),
            "weights": self.network.weights,
            "connections": self.network.connections,
            "networks": self.network.searched,
            "passes": round(self.network.passes, 2),
            "backbones_left_out": dict(self.network.left_out),
            "trials": self.trials,
            "models": self.models,
        }


def examine(config: Config) -> Preview:
    """Makes all checks that a run makes before it trains.

    Args:
        config: The run's configuration. Data, output and pushed models that are not on this machine are not checked.

    Raises:
        CompressorError: If a run would raise it.
    """
    from pipelines.execution.preflight import check_classes, check_images, check_network, check_output, planned_trials

    check_output(config.output)
    is_here = config.data.source == "digits" or os.path.isdir(config.data_path)
    images = check_images(config) if is_here else None
    classes = check_classes(config, images, stores=False) if images else None
    network = check_network(config, classes.names if classes else None, download=False)
    size, search = config.backbone.input_size, config.search
    models = [name for name in config.members if name]
    return Preview(
        images, classes, network, size, search.input_sizes or (size,), search.tuner, planned_trials(config), models
    )


def rendered(preview: Preview) -> list[RenderableType]:
    """Formats the preview: a table of images, and a line for everything else."""
    parts: list[RenderableType] = []
    if preview.images:
        parts.append(_images_table(preview.images.counts))
        if preview.images.left_out:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in preview.images.left_out.items())
            parts.append(f"skipped      {sum(preview.images.left_out.values()):,} images ({kinds})")
    else:
        parts.append("images       not counted: they are in TFRecords, or not on this machine")
    if preview.classes and preview.classes.gone:
        parts.append(_kept_classes(preview.classes))
    if preview.classes and not preview.classes.are_all:
        parts.append("classes      of pushed models are not included: push.directory is not on this machine")
    network = preview.network
    if network.parameters is not None:
        macs = "" if network.macs is None else f", {network.macs / 1e6:,.1f} million MACs per image"
        parts.append(f"reference    {network.parameters:,} parameters{macs}")
    searched = ", ".join(map(str, preview.input_sizes))
    parts.append(f"image size   reference model {preview.input_size} px, search {searched} px")
    parts.append(f"weights      {network.weights}")
    if network.searched > 1:
        passes = f"{network.passes:.1f} passes of the reference model in all"
        parts.append(f"networks     {network.searched} (backbones at image sizes), {passes}")
    parts += [f"left out     {name}: {why}" for name, why in network.left_out.items()]
    most = "no limit" if preview.trials is None else f"{preview.trials} at most"
    parts.append(f"trials       {most}, by {preview.tuner}, of {network.connections} connections")
    if preview.models:
        parts.append(f"models       {', '.join(preview.models)}, one for each budget")
    return parts


def _kept_classes(classes: Classes) -> str:
    from components.artifacts.class_list import how_to_remove

    names = ", ".join(classes.gone[:_MOST_CLASSES]) + (", ..." if len(classes.gone) > _MOST_CLASSES else "")
    return (
        f"classes      {len(classes.names)}, including those of the pushed model without images ({names}); "
        f"to remove them: {how_to_remove(classes.gone, classes.removed)}"
    )


def _images_table(counts: Counts) -> RenderableType:
    from rich import box
    from rich.table import Table

    table = Table("images", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for split in counts:
        table.add_column(split, justify="right")
    classes = list(dict.fromkeys(name for by_class in counts.values() for name in by_class))
    for name in classes[:_MOST_CLASSES]:
        table.add_row(name, *(f"{by_class.get(name, 0):,}" for by_class in counts.values()))
    if len(classes) > _MOST_CLASSES:
        table.add_row(f"... and {len(classes) - _MOST_CLASSES} more")
    total = f"{len(classes)} classes"
    table.add_row(total, *(f"{sum(by_class.values()):,}" for by_class in counts.values()), style="bold")
    return table


def validate(
    config: ConfigFile,
    data: DataFolder = None,
    output: OutputFolder = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Checks a configuration, its data and its network, as a run does before it trains. Nothing is run.

    Example: compressor validate --config examples/pictures.yaml --data images --set search.tau=0.9
    """
    with wrong_input_reported():
        from pipelines.config.config import load_config

        loaded = load_config(config, overrides or (), paths={"data.path": data, "output": output})
        with captured(Path(os.devnull)):  # hides TensorFlow's warnings
            preview = examine(loaded)
    if as_json:
        typer.echo(json.dumps({"config": str(config), **preview.as_json()}, indent=2))
        return
    say(f"{config} is valid.")
    console = people_console()
    for part in rendered(preview):
        if isinstance(part, str):
            say(part)
        else:
            console.print(part)
