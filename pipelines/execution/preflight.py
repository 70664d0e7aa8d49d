"""Checks made before the first node runs, beyond those of each field of the configuration."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from compressor_lib.errors import CompressorError
from pipelines.config.config import BackboneConfig, Config
from pipelines.config.errors import fields_named

if TYPE_CHECKING:
    import keras

    from components.image_example_gen import dataset_layout
    from compressor_lib.cuts.connections import Connection
    from compressor_lib.search.options import BackboneOptions

Counts = dict[str, dict[str, int]]
"""Numbers of images, by split and class."""

_MOST_FILES = 20
"""In each span, the first record of at most this many TFRecord files is read."""


@dataclass(frozen=True)
class Images:
    """The images of a data folder.

    Attributes:
        counts: Number of used images, by split and class.
        left_out: Number of images that are not used, by kind, such as ``".heic"``; the most frequent first.
    """

    counts: Counts
    left_out: dict[str, int]


@dataclass(frozen=True)
class Classes:
    """The classes of the run's models.

    Attributes:
        names: Names, in the order of the models' outputs.
        gone: Classes of the pushed model that have no images any more; they keep their outputs.
        removed: Classes that the configuration removes.
        are_all: Whether the list is complete. False if the push directory was not read, because a model in it may have
            more classes.
    """

    names: list[str]
    gone: list[str]
    removed: list[str]
    are_all: bool = True


@dataclass(frozen=True)
class Network:
    """The network that was built.

    Attributes:
        parameters: Parameters of the reference model; None if the number of classes is unknown.
        macs: MACs (multiply-adds) of the reference model per image; None if they cannot be counted.
        connections: Number of connections that the search chooses from, in all networks.
        weights: Where the weights come from, in words.
        searched: Number of networks that the search chooses from: backbones at image sizes.
        passes: Cost of running all of them once over the images, in passes of the reference model's backbone.
        left_out: Why further backbones are left out, by their names.
    """

    parameters: int | None
    macs: int | None
    connections: int
    weights: str
    searched: int
    passes: float
    left_out: Mapping[str, str]


def check_installed() -> None:
    """Checks that TFX is installed. The base install omits it, and it has no release for newer Pythons.

    Raises:
        CompressorError: If it is not installed.
    """
    if importlib.util.find_spec("tfx") is None:
        raise CompressorError(
            "a run needs TFX, which is not installed: pip install 'auto-compressor[pipelines]', on Python 3.10 or 3.11."
        )


def check_output(output: str) -> None:
    """Checks that a run could write to its output folder, without writing anything.

    Args:
        output: The folder, which need not exist. A remote folder is not checked.

    Raises:
        CompressorError: If a run could not write to it.
    """
    if "://" in output:
        return
    nearest = Path(output)
    # Path.exists would raise an error below a folder without permission.
    while not os.path.exists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    if not os.path.isdir(nearest):
        raise output_error(output, f"{str(nearest)!r} is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise output_error(output, "Permission denied")


def output_error(output: str, why: str | None) -> CompressorError:
    """Returns the error for an output folder that cannot be written to, for the reason ``why``."""
    return CompressorError(
        f"output {output!r} cannot be written to ({why}): choose another folder with --output, or grant write "
        "permission."
    )


def check_images(config: Config) -> Images | None:
    """Checks a folder of images, or the first records of TFRecords. Images are not decoded: the first node does that.

    Args:
        config: The run's configuration.

    Returns:
        The images; None for TFRecords.

    Raises:
        CompressorError: If the folder is missing or has an unknown layout, a class has too few images, too many images
            are skipped, there is no span, or TFRecords lack a feature.
    """
    from components.image_example_gen import dataset_layout

    data, path = config.data, config.data_path
    if data.source == "digits":
        return Images(_digits(data.splits.model_dump()), {})
    if data.source == "tfrecord":
        for file in _record_files(config):
            _check_record(file, [data.image_feature, data.label_feature])
        return None
    shares = data.splits.model_dump()
    patterns = dataset_layout.newest_spans(path, data.span_pattern, data.span_window)
    listing = dataset_layout.list_images(path, [dataset_layout.layout(path, pattern, shares) for pattern in patterns])
    dataset_layout.check_left_out(path, listing.left_out, listing.total, data.max_bad_share)
    dataset_layout.check_counts(listing.images, shares)
    return Images(_counted(listing.images, shares), dict(Counter(one.kind for one in listing.left_out).most_common()))


def check_classes(config: Config, images: Images, *, stores: bool = True) -> Classes:
    """Determines the classes as Transform does: those of the pushed model, then new ones.

    Args:
        config: The run's configuration.
        images: The images.
        stores: Whether to read the push directory even if it is in an object store or on a Kubeflow volume.

    Returns:
        The classes. If the push directory is not read, ``backbone.classes`` take the place of the pushed classes.

    Raises:
        CompressorError: If the push directory cannot be read, or a class cannot be removed.
    """
    from components.artifacts.class_list import class_list, gone_classes
    from components.warm_start.pushed_classes import pushed_classes

    directory, removed = config.serving_directory, config.data.removed_classes
    elsewhere = "://" in directory or directory.startswith(tuple(volume.prefix for volume in config.volumes))
    are_all = stores or not elsewhere or config.endpoint is not None
    if config.endpoint is not None:  # a run cannot read the pushed model from an endpoint
        known = []
    elif are_all:
        known = pushed_classes(directory)
    else:
        known = config.backbone.classes or []
    gone = gone_classes(images.counts, known, removed) if are_all else []
    return Classes(class_list(images.counts, known, removed), gone, removed, are_all)


def _counted(images: Sequence[dataset_layout.Image], shares: Mapping[str, int]) -> Counts:
    """Counts images by split and class. Like the first node, it splits each class folder separately."""
    from components.storage.stratified_split import split_counts

    counts: Counts = {split: {} for split in shares}
    in_folder = Counter((image.class_folder, image.label, image.split) for image in images)
    for (_, label, split), count in in_folder.items():
        for name, part in ({split: count} if split else split_counts(count, shares)).items():
            counts[name][label] = counts[name].get(label, 0) + part
    return counts


def _digits(shares: Mapping[str, int]) -> Counts:
    from sklearn.datasets import load_digits

    from components.storage.stratified_split import split_counts

    by_class = {
        str(label): split_counts(count, shares) for label, count in Counter(load_digits().target.tolist()).items()
    }
    return {split: {label: by_class[label][split] for label in sorted(by_class)} for split in shares}


def _record_files(config: Config) -> Iterator[str]:
    """Yields some TFRecord files of each span that ImportExampleGen reads."""
    from tfx.proto import example_gen_pb2

    from components.import_example_gen.record_files import record_files
    from components.storage import spans

    data = config.data
    split = example_gen_pb2.Input.Split(name="examples", pattern=f"{data.span_pattern}/*" if data.span_pattern else "*")
    processor = spans.InputProcessor(config.data_path, [split], spans.rolling_range(data.span_window))
    span = processor.resolve_span_and_version()
    files, _ = record_files(config.data_path, processor.get_pattern_for_span_version(split.pattern, *span))
    for _, of_span in groupby(files, key=itemgetter(0)):
        yield from (path for _, path in islice(of_span, _MOST_FILES))


def _check_record(file: str, features: Sequence[str]) -> None:
    """Checks that a file's first record has the features."""
    import tensorflow as tf

    records = tf.data.TFRecordDataset(file, compression_type="GZIP" if file.endswith(".gz") else "")
    try:
        first = next(records.take(1).as_numpy_iterator(), None)
        example = tf.train.Example.FromString(first) if first is not None else None
    except (tf.errors.OpError, ValueError) as error:
        raise CompressorError(f"data file {file!r} holds no TFRecords of tf.Examples: remove it.") from error
    except Exception as error:  # protobuf's own error, which has a different name in each release
        raise CompressorError(f"data file {file!r} holds no tf.Examples: remove it.") from error
    if example is None:
        return
    there = sorted(example.features.feature)
    for field, name in zip(("image_feature", "label_feature"), features, strict=True):
        if name not in there:
            raise CompressorError(
                f"data file {file!r} has no feature {name!r} (it has {', '.join(there) or 'none'}): name the feature "
                f"with --set data.{field}=NAME."
            )


def check_network(config: Config, classes: Sequence[str] | None = None, *, download: bool = True) -> Network:
    """Builds the network and looks up every connection, so that a typo does not surface only after hours of training.

    Args:
        config: The run's configuration.
        classes: The classes of the run's models, in order; None if they are unknown.
        download: Whether to download ImageNet weights; if not, only checks that their server responds.

    Returns:
        The network.

    Raises:
        CompressorError: If the weights cannot be downloaded or belong to another network; if the images are too small
            for it; if the user's own model cannot be compressed, or its classes differ from the data's; if it cannot
            take images of another size that is searched; if a connection is unknown or not possible; or if none meets
            the budgets that can be counted.
    """
    from compressor_lib.cuts.families import connections_as_in, searched_connections
    from compressor_lib.cuts.surgery import without_head
    from compressor_lib.deployment.tflite import to_tflite
    from compressor_lib.networks.macs import multiply_adds
    from compressor_lib.networks.resizing import resized
    from compressor_lib.training.reference import load_network, reference_model

    backbone, head, reference = config.backbone.model_dump(), asdict(config.head), None
    if config.backbone.model is not None:
        with fields_named("backbone"):
            network, weights = load_network(backbone), "own"
            if names := config.backbone.classes:
                reference = reference_model(network, backbone, head, classes or names)
        to_tflite(network)  # takes seconds here; in a run, it would fail only after hours
        base = without_head(network)
    else:
        network, weights = catalogued(config.backbone, download)
        base = network
    wanted, own = config.search.connections, base.input_shape[1]
    sizes = config.search.input_sizes or (own,)
    found = searched_connections(base, config.backbone.name, wanted)
    connections = len(found) * len(sizes)
    with fields_named("search"):
        at_sizes = [resized(base, size) for size in sizes]
    macs_of_all = sum(map(multiply_adds, at_sizes))
    searched, left_out = len(sizes), {}
    cuts: list[tuple[Iterable[keras.Model], Sequence[Connection]]] = [(at_sizes, found)]
    for place, other in enumerate(config.search.backbones or ()):
        try:
            # Its other sizes have the same layers; only the weights may differ.
            further = _further(other, sizes[0], place, download)
        except _NoWeightsError as error:
            left_out[other.label] = str(error)
            continue
        found = connections_as_in(base, wanted, further, other.name)
        cuts.append((map(functools.partial(resized, further), sizes), found))  # none is built before it is needed
        connections += len(found) * len(sizes)
        macs_of_all += round(multiply_adds(further) * sum(size**2 for size in sizes) / sizes[0] ** 2)
        searched += len(sizes)
    _check_budgets(config, cuts, len(classes or ()))
    if reference is None and classes:
        reference = reference_model(network, backbone, head, classes)
    macs = None
    if reference is not None:
        with suppress(CompressorError):
            macs = multiply_adds(reference)
    parameters = None if reference is None else int(reference.count_params())
    passes = macs_of_all / multiply_adds(base)
    return Network(parameters, macs, connections, weights, searched, passes, left_out)


def _check_budgets(
    config: Config, cuts: Iterable[tuple[Iterable[keras.Model], Sequence[Connection]]], classes: int
) -> None:
    """Counts the costs of all cuts for each budget, as the search does before it trains anything.

    Args:
        config: The run's configuration.
        cuts: Each backbone at all sizes that are searched, and its connections.
        classes: Number of classes; 0 if it is unknown.

    Raises:
        OverBudgetError: If none meets the budgets, or one of a family.
    """
    from compressor_lib.objective.costs import COUNTED
    from compressor_lib.search.hypermodels import HyperCompressor, OverBudgetError

    search = config.search
    over: dict[str, list[OverBudgetError]] = {
        name: [] for name, budget in search.family.items() if not budget.limits.keys().isdisjoint(COUNTED)
    }
    for base, connections in ((base, connections) for at_sizes, connections in cuts for base in at_sizes):
        for name in list(over):
            hypermodel = HyperCompressor(
                base.count_params(),
                max(2, classes),
                backbone=base,
                connections=connections,
                head_units=search.head_units or (config.head.units,),
                tail_units=search.tail_units,
                budgets=search.family[name].limits,
            )
            try:
                _ = hypermodel.connections
            except OverBudgetError as error:
                over[name].append(error)
            else:
                del over[name]
        if not over:
            return
    for name, errors in over.items():
        nearest = min(errors, key=lambda error: error.excess)
        raise OverBudgetError(f"search.budgets.{name}: {nearest}", nearest.excess) if name else nearest


class _NoWeightsError(CompressorError):
    """ImageNet weights of a further backbone cannot be downloaded."""


def _further(backbone: BackboneOptions, size: int, place: int, download: bool) -> keras.Model:
    """Builds a further backbone of the search.

    Args:
        backbone: The backbone.
        size: Height and width of its images, in pixels.
        place: Its position in ``search.backbones``.
        download: Whether to download ImageNet weights; if not, only checks that their server responds.

    Raises:
        _NoWeightsError: If its ImageNet weights cannot be downloaded.
        CompressorError: If its weights file belongs to another network, or the images are too small for it.
    """
    from compressor_lib.networks.weights_download import WouldDownload, without_downloads

    try:
        if download or backbone.weights != "imagenet":
            return backbone.build(size)
        with without_downloads():
            return backbone.build(size)
    except WouldDownload:
        return replace(backbone, weights="none").build(size)
    except CompressorError as error:
        if backbone.weights == "imagenet" and error.argument == "weights":
            raise _NoWeightsError(str(error)) from error
        field = (
            "search.input_sizes" if error.argument == "input_size" else f"search.backbones[{place}].{error.argument}"
        )
        raise CompressorError(f"{field}: {error}") from error


def catalogued(backbone: BackboneConfig, download: bool) -> tuple[keras.Model, str]:
    """Builds a network from the catalogue.

    Args:
        backbone: The section of the configuration that names it.
        download: Whether to download ImageNet weights; if not, only checks that their server responds.

    Returns:
        The network, and where its weights come from, in words.

    Raises:
        CompressorError: If the weights cannot be downloaded, or belong to another network.
    """
    from compressor_lib.networks.weights_download import WouldDownload, without_downloads
    from compressor_lib.training.reference import load_network

    def built(weights: str) -> keras.Model:
        return load_network({**backbone.model_dump(), "weights": weights})

    with fields_named("backbone"):
        if backbone.weights != "imagenet":
            return built(backbone.weights), {"none": "random"}.get(backbone.weights, f"of {backbone.weights}")
        if download:
            return built("imagenet"), "ImageNet's"
        try:
            with without_downloads():
                return built("imagenet"), "ImageNet's, already downloaded"
        except WouldDownload as would:
            return built("none"), f"ImageNet's, which the run will download from {urlsplit(would.url).hostname}"


def planned_trials(config: Config) -> int | None:
    """Returns the maximum number of trials of the search; None for no limit."""
    import keras_tuner as kt

    from compressor_lib.search.options import shared_out
    from compressor_lib.search.oracles import ORACLES

    search = config.search
    epochs = {"max_epochs": search.max_epochs} if search.tuner == "hyperband" else {}
    objective = kt.Objective("score", direction="max")
    planned = [
        ORACLES[search.tuner](objective=objective, max_trials=share, **epochs).planned_trials
        for share in shared_out(search.max_trials, len(search.family))
    ]
    return None if None in planned else sum(filter(None, planned))
