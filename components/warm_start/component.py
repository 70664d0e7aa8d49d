"""The nodes PreviousRun and Handover."""

# The decorator reads the annotations themselves, so they must not become text by `from __future__ import annotations`.
import logging

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts.class_list import write_class_list
from components.artifacts.pushed_versions import newest_version
from components.warm_start.archive import NEWEST, NOTE, read_handover, write_handover
from components.warm_start.pushed_classes import pushed_classes

logger = logging.getLogger(__name__)

_SPLIT = "Split-"


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
    """Takes what :func:`Handover` left in a push destination at the end of the previous run.

    Its outputs are empty folders, ``statistics`` of no splits, where there was no run, or what it left is damaged. Like
    DeployedModel it takes no resolver. As what it finds becomes artifacts, the nodes behind it are cached, and go on
    where they were stopped, as ever.

    Args:
        current: Statistics of this run's data. They are not looked at: for new data, and for no old, the destination
            is read anew. So a run on the same data starts from the same, and is cached as a whole.
        hyperparameters: The best of the previous run's search.
        translators: Its bank.
        statistics: Of its data, with that data's ``span``.
        classes: Those of the pushed model in their order, ``classes.txt``; an empty list where none was pushed.
        push_directory: Where the Pusher puts models.
        code_version: Part of the cache key; change it when the code changes.

    Example:
        >>> PreviousRun(
        ...     current=statistics_gen.outputs["statistics"], push_directory="gs://models/serving"
        ... )  # doctest: +SKIP
    """
    parts = {"hyperparameters": hyperparameters.uri, "translators": translators.uri, "statistics": statistics.uri}
    for folder in parts.values():
        fileio.makedirs(folder)
    # Not what the previous run left: if that was refused, applications never saw its classes.
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
    """Leaves in a push destination what the next run starts from, in place of what was there.

    Place it behind the last node that decides something (``add_upstream_node``): a run that fails leaves nothing, and
    finds what its predecessor left when it is run again.

    Args:
        examples: This run's data; its span is kept.
        hyperparameters: The best of the search, as the stock Tuner writes them.
        translators: The bank.
        statistics: Of this run's data.
        push_directory: Where the Pusher puts models.
        note: What a platform wants to be kept beside them.
        code_version: Part of the cache key; change it when the code changes.

    Example:
        >>> Handover(
        ...     examples=example_gen.outputs["examples"],
        ...     hyperparameters=pruning_search.outputs["best_hyperparameters"],
        ...     translators=translator_pretrainer.outputs["translators"],
        ...     statistics=statistics_gen.outputs["statistics"],
        ...     push_directory="gs://models/serving",
        ... )  # doctest: +SKIP
    """
    parts = {"hyperparameters": hyperparameters.uri, "translators": translators.uri, "statistics": statistics.uri}
    # StatisticsGen does not hand the span on. ExampleGen's drivers tell it by a custom property; the typed one of that
    # name may stay 0.
    span = int(examples.get_int_custom_property("span") or examples.span)
    write_handover(push_directory, parts, {"span": span, NEWEST: newest_version(push_directory), NOTE: note})
