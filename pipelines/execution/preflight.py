"""What can be known to be wrong before the first node runs, beyond the config's own fields."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
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

Counts = dict[str, dict[str, int]]
"""Numbers of images, by split and class."""

_MOST_FILES = 20
"""Of so many files of TFRecords in each span the first record is read."""


@dataclass(frozen=True)
class Images:
    """The images of a data folder.

    Attributes:
        counts: Those that are used, by split and class.
        left_out: How many are not, by kind, such as ``".heic"``, the largest number first.
    """

    counts: Counts
    left_out: dict[str, int]


@dataclass(frozen=True)
class Classes:
    """The classes of the run's models.

    Attributes:
        names: In the order of the outputs.
        gone: Those of the pushed model that have no images, and keep their places.
        removed: Those that the user takes out.
        are_all: False where the push directory was not looked at: what was pushed there may add to them.
    """

    names: list[str]
    gone: list[str]
    removed: list[str]
    are_all: bool = True


@dataclass(frozen=True)
class Network:
    """The network as it is built.

    Attributes:
        parameters: Of the reference model; None where the number of classes is not known.
        macs: Multiply-adds of the reference model for an image; None where they cannot be counted.
        connections: How many connections the search may cut.
        weights: Where the weights come from, in words.
    """

    parameters: int | None
    macs: int | None
    connections: int
    weights: str


def check_installed() -> None:
    """Looks for TFX, which the base install does not bring, and which has no release for newer Pythons.

    Raises:
        CompressorError: If it is not there.
    """
    if importlib.util.find_spec("tfx") is None:
        raise CompressorError(
            "TFX is not installed, which a run needs: pip install 'auto-compressor[pipelines]', on Python 3.10 or 3.11"
        )


def check_output(output: str) -> None:
    """Looks whether a run could write into its output folder. Nothing is written.

    Args:
        output: The folder, which need not exist. One in a store is not looked at.

    Raises:
        CompressorError: If it could not.
    """
    if "://" in output:
        return
    there = Path(output)
    while not os.path.exists(there) and there != there.parent:  # Path.exists raises below a folder not to be entered
        there = there.parent
    if not os.path.isdir(there):
        raise output_error(output, f"{str(there)!r} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise output_error(output, "Permission denied")


def output_error(output: str, why: str | None) -> CompressorError:
    """The error of an output folder that takes no files."""
    return CompressorError(
        f"output {output!r} cannot be written to ({why}): give another folder by --output, or the right to write there."
    )


def check_images(config: Config) -> Images | None:
    """Looks at a folder of images, or at the first records of TFRecords. No image is decoded: the first node does that.

    Args:
        config: The run's.

    Returns:
        The images; None for TFRecords, and for data that cannot be looked at from here.

    Raises:
        CompressorError: If the folder is missing, has no layout that is known, too few images of a class or too many
            that are left out, there is no span, or TFRecords lack a feature.
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
    """Decides on the classes as Transform does: those of the pushed model, then new ones.

    Args:
        config: The run's.
        images: The data's.
        stores: Whether a push directory in a store, or on a volume of Kubeflow's, is looked at.

    Returns:
        The classes. Where the push directory is not looked at, ``backbone.classes`` stand in for what was pushed.

    Raises:
        CompressorError: If the push directory cannot be read, or a class cannot be removed.
    """
    from components.artifacts.class_list import class_list, gone_classes
    from components.warm_start.pushed_classes import pushed_classes

    directory, removed = config.serving_directory, config.data.removed_classes
    elsewhere = "://" in directory or directory.startswith(tuple(volume.prefix for volume in config.volumes))
    are_all = stores or not elsewhere or config.endpoint is not None
    if config.endpoint is not None:  # no run finds there what an earlier one has left
        known = []
    elif are_all:
        known = pushed_classes(directory)
    else:
        known = config.backbone.classes or []
    gone = gone_classes(images.counts, known, removed) if are_all else []
    return Classes(class_list(images.counts, known, removed), gone, removed, are_all)


def _counted(images: Sequence[dataset_layout.Image], shares: Mapping[str, int]) -> Counts:
    """Counts images as the first node deals them to the splits: each class folder by itself."""
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
    """Some files of TFRecords of each span that ImportExampleGen takes."""
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
    """Looks for features in a file's first record."""
    import tensorflow as tf

    records = tf.data.TFRecordDataset(file, compression_type="GZIP" if file.endswith(".gz") else "")
    try:
        first = next(records.take(1).as_numpy_iterator(), None)
        example = tf.train.Example.FromString(first) if first is not None else None
    except (tf.errors.OpError, ValueError) as error:
        raise CompressorError(f"data file {file!r} holds no TFRecords of tf.Examples: take it out.") from error
    except Exception as error:  # protobuf's own, which has another name in each release
        raise CompressorError(f"data file {file!r} holds no tf.Examples: take it out.") from error
    if example is None:
        return
    there = sorted(example.features.feature)
    for field, name in zip(("image_feature", "label_feature"), features, strict=True):
        if name not in there:
            raise CompressorError(
                f"data file {file!r} has no feature {name!r}, but {', '.join(there) or 'none'}: name it by "
                f"--set data.{field}=NAME."
            )


def check_network(config: Config, classes: Sequence[str] | None = None, *, download: bool = True) -> Network:
    """Builds the network and looks up every connection, so that no training is lost to a typing error.

    Args:
        config: The run's.
        classes: The classes of the run's models, in their order; None where they are not known.
        download: Whether ImageNet weights may be downloaded; otherwise it is enough that their server answers.

    Returns:
        What was built.

    Raises:
        CompressorError: If the weights cannot be downloaded or belong to another network, the images are too
            small for it, a model of one's own cannot be compressed or names other classes than the data, or a
            connection is unknown or cannot be made.
    """
    from compressor_lib.cuts.families import searched_connections
    from compressor_lib.cuts.surgery import without_head
    from compressor_lib.deployment.tflite import to_tflite
    from compressor_lib.networks.macs import multiply_adds
    from compressor_lib.training.reference import load_network, reference_model

    backbone, head, reference = config.backbone.model_dump(), config.head.model_dump(), None
    if config.backbone.model is not None:
        with fields_named("backbone"):
            network, weights = load_network(backbone), "own"
            if names := config.backbone.classes:
                reference = reference_model(network, backbone, head, classes or names)
        to_tflite(network)  # which takes seconds here, and fails after hours in a run
        base = without_head(network)
    else:
        network, weights = catalogued(config.backbone, download)
        base = network
    connections = searched_connections(base, config.backbone.name, config.search.connections)
    if reference is None and classes:
        reference = reference_model(network, backbone, head, classes)
    macs = None
    if reference is not None:
        with suppress(CompressorError):
            macs = multiply_adds(reference)
    return Network(None if reference is None else int(reference.count_params()), macs, len(connections), weights)


def catalogued(backbone: BackboneConfig, download: bool) -> tuple[keras.Model, str]:
    """Builds a network of the catalogue.

    Args:
        backbone: Which one.
        download: Whether ImageNet weights may be downloaded; otherwise it is enough that their server answers.

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
                return built("imagenet"), "ImageNet's, downloaded already"
        except WouldDownload as would:
            return built("none"), f"ImageNet's, which the run will download from {urlsplit(would.url).hostname}"


def planned_trials(config: Config) -> int | None:
    """How many trials the search will have, at most; None for any number."""
    import keras_tuner as kt

    from compressor_lib.search.oracles import ORACLES

    search = config.search
    epochs = {"max_epochs": search.max_epochs} if search.tuner == "hyperband" else {}
    objective = kt.Objective("score", direction="max")
    return ORACLES[search.tuner](objective=objective, max_trials=search.max_trials, **epochs).planned_trials
