"""The PreviousRun and Handover components."""

# The decorator reads the annotations as types, so no `from __future__ import annotations` here.
import logging

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types import Artifact, artifact_utils, standard_artifacts

from components.artifacts.class_list import write_class_list
from components.artifacts.pushed_versions import newest_versions
from components.warm_start.archive import NEWEST, NOTE, read_handover, write_handover
from components.warm_start.pushed_classes import pushed_classes

logger = logging.getLogger(__name__)

_SPLIT = "Split-"


def _parts(hyperparameters: Artifact, translators: Artifact, statistics: Artifact) -> dict[str, str]:
    """Returns the folders of the state's parts by their names in the archive."""
    return {"hyperparameters": hyperparameters.uri, "translators": translators.uri, "statistics": statistics.uri}


@component
def PreviousRun(
    current: InputArtifact[standard_artifacts.ExampleStatistics],
    hyperparameters: OutputArtifact[standard_artifacts.HyperParameters],
    translators: OutputArtifact[standard_artifacts.Model],
    statistics: OutputArtifact[standard_artifacts.ExampleStatistics],
    classes: OutputArtifact[standard_artifacts.Schema],
    push_directory: Parameter[str],
    code_version: Parameter[str] = "",
) -> None:
    """Reads the state that :func:`Handover` wrote to a push directory at the end of the previous run.

    If there was no run, or its state is damaged, the outputs are empty folders and ``statistics`` without splits. Like
    DeployedModel, it needs no resolver. Its results become artifacts, so downstream nodes are cached and resumed as
    usual.

    Args:
        current: Statistics of this run's data, used only as a cache key: the directory is read again for new data only.
            So a run on the same data starts from the same state and is cached as a whole.
        hyperparameters: Best hyperparameters of the previous run's search.
        translators: Translator bank of the previous run.
        statistics: Statistics of the previous run's data, with its ``span``.
        classes: Classes of the pushed model in their order, ``classes.txt``; an empty list if none was pushed.
        push_directory: Directory to which the Pusher pushes models.
        code_version: Part of the cache key. It changes with the code.

    Example:
        >>> PreviousRun(
        ...     current=statistics_gen.outputs["statistics"], push_directory="gs://models/serving"
        ... )  # doctest: +SKIP
    """
    parts = _parts(hyperparameters, translators, statistics)
    for folder in parts.values():
        fileio.makedirs(folder)
    # Taken from the pushed model, not from the previous run: if the gate rejected that run, applications never saw its
    # classes.
    write_class_list(classes.uri, pushed_classes(push_directory))
    about = read_handover(push_directory, parts)
    logger.info("%s previous run in %s", "found a" if about else "no", push_directory)
    found = [name.rstrip("/") for name in fileio.listdir(statistics.uri)]
    splits = sorted(name.removeprefix(_SPLIT) for name in found if name.startswith(_SPLIT))
    statistics.split_names = artifact_utils.encode_split_names(splits)
    statistics.span = about["span"] if about else 0


@component
def Handover(
    examples: InputArtifact[standard_artifacts.Examples],
    hyperparameters: InputArtifact[standard_artifacts.HyperParameters],
    translators: InputArtifact[standard_artifacts.Model],
    statistics: InputArtifact[standard_artifacts.ExampleStatistics],
    push_directory: Parameter[str],
    note: Parameter[str] = "",
    code_version: Parameter[str] = "",
) -> None:
    """Writes the state for the next run to a push directory and replaces the state of earlier runs.

    Place it after the last node that can reject the run (``add_upstream_node``). A run that fails then writes nothing,
    and finds its predecessor's state when it is run again.

    Args:
        examples: This run's data, whose span is stored.
        hyperparameters: Best hyperparameters of the search, in the format of the stock Tuner.
        translators: The translator bank.
        statistics: Statistics of this run's data.
        push_directory: Directory to which the Pusher pushes models.
        note: Additional data of a platform.
        code_version: Part of the cache key. It changes with the code.

    Example:
        >>> Handover(
        ...     examples=example_gen.outputs["examples"],
        ...     hyperparameters=pruning_search.outputs["best_hyperparameters"],
        ...     translators=translator_pretrainer.outputs["translators"],
        ...     statistics=statistics_gen.outputs["statistics"],
        ...     push_directory="gs://models/serving",
        ... )  # doctest: +SKIP
    """
    parts = _parts(hyperparameters, translators, statistics)
    # StatisticsGen does not pass the span on. ExampleGen's drivers store it in a custom property; the typed property of
    # the same name may stay 0.
    span = int(examples.get_int_custom_property("span") or examples.span)
    write_handover(push_directory, parts, {"span": span, NEWEST: newest_versions(push_directory), NOTE: note})
