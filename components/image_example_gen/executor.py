"""Reads, checks and splits images on Beam."""

import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx import types
from tfx.components.example_gen import base_example_gen_executor
from tfx.components.util import examples_utils
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, proto_utils

from components.custom_options import unpacked_options
from components.image_example_gen import dataset_layout
from components.image_example_gen.duplicates import Copy, FindDuplicates
from components.left_out import LEFT_OUT, describe_left_out
from components.node_options import ImageOptions
from components.options import from_parameter
from components.storage.spans import patterns_of
from components.storage.stratified_split import assign_splits
from compressor_lib.deployment import image_check
from compressor_lib.deployment.image_suffixes import kind_of
from compressor_lib.errors import CompressorError
from compressor_lib.networks.class_label import class_label

logger = logging.getLogger(__name__)

SKIPPED_FILE = "skipped.jsonl"
DUPLICATES_FILE = "duplicates.jsonl"
_RECORDS = "data_tfrecord"
_SHOWN = 20


class Executor(base_example_gen_executor.BaseExampleGenExecutor):
    """Writes a data folder's images as Examples, split by folder or by a stratified split."""

    def GetInputSourceToExamplePTransform(self) -> beam.PTransform:
        """Not used: ``GenerateExamplesByBeam`` reads all splits together."""
        raise NotImplementedError

    def GenerateExamplesByBeam(
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.pvalue.PCollection]:
        """Builds the pipeline from file names to one collection of Examples per split.

        Only readable images take part in the stratified split, so that a damaged image cannot leave a split without a
        class. Every class folder is split separately, so that an image stays in its split while a window of spans moves
        on.

        Only names are grouped and shuffled, because the runner may hold them in memory. The remaining images are read a
        second time when they are written.

        Args:
            pipeline: The Beam pipeline.
            exec_properties: The component's execution properties.

        Returns:
            A collection of ``tf.train.Example`` for every split.
        """
        input_base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
        readable, skipped = (
            pipeline
            | "List" >> beam.Create(self._images)
            | "Spread" >> beam.Reshuffle()
            | "Check" >> beam.ParDo(_Check(input_base, self._options)).with_outputs("skipped", main="readable")
        )
        _ = (
            skipped
            | "SkippedToJson" >> beam.Map(json.dumps)
            | "WriteSkipped" >> beam.io.WriteToText(self._skipped_file, num_shards=1, shard_name_template="")
        )
        assigned = (
            readable
            | "InFlatFolders" >> beam.Filter(lambda checked: not checked[0].split)
            | "NameByFolder" >> beam.Map(lambda checked: (checked[0].class_folder, checked[0].name))
            | "GroupByFolder" >> beam.GroupByKey()
            | "Deal" >> beam.FlatMap(_split_folder, self._shares)
        )
        placed = readable | "Place" >> beam.Map(
            lambda checked, splits: (
                checked[0]._replace(split=checked[0].split or splits[checked[0].name]),
                checked[1],
            ),
            beam.pvalue.AsDict(assigned),
        )
        names = list(self._shares)
        duplicates = (
            placed
            | "ByPixels" >> beam.MapTuple(lambda image, sha256: (sha256, Copy(image.name, image.label, image.split)))
            | "FindDuplicates" >> FindDuplicates(names, self._options.duplicates)
        )
        _ = (
            duplicates
            | "DuplicatesToJson" >> beam.Map(json.dumps)
            | "WriteDuplicates" >> beam.io.WriteToText(self._duplicates_file, num_shards=1, shard_name_template="")
        )
        left_out = duplicates | "LeftOut" >> beam.FlatMap(lambda one: [(name, True) for name in one["left_out"]])
        parts = (
            placed
            | "Images" >> beam.Keys()
            | "LeaveOut"
            >> beam.Filter(lambda image, left_out: image.name not in left_out, beam.pvalue.AsDict(left_out))
            | "ToSplits" >> beam.Partition(lambda image, _: names.index(image.split), len(names))
        )
        return {
            name: part
            | f"Shuffle[{name}]" >> beam.Reshuffle()
            | f"ToExample[{name}]" >> beam.ParDo(_ToExample(input_base, self._options))
            for name, part in zip(names, parts, strict=True)
        }

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the splits and reports skipped images.

        Args:
            input_dict: Empty.
            output_dict: ``examples``, the artifact to write.
            exec_properties: The stock properties of a file-based ExampleGen. ``custom_config`` holds a
                ``google.protobuf.Struct`` with the component's options.

        Raises:
            CompressorError: If the folder is not usable (see ``dataset_layout.list_images``), or too many of its images
                are unreadable. No split is left behind.
        """
        examples = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        input_base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
        self._configure(input_base, exec_properties)
        self._skipped_file = os.path.join(examples.uri, SKIPPED_FILE)
        self._duplicates_file = os.path.join(examples.uri, DUPLICATES_FILE)
        listing = dataset_layout.list_images(input_base, self._layouts)
        self._images = listing.images
        _warn_left_out(listing)
        max_bad_share = self._options.max_bad_share
        dataset_layout.check_left_out(input_base, listing.left_out, listing.total, max_bad_share)
        dataset_layout.check_counts(self._images, self._shares)
        examples.set_int_custom_property("images", len(self._images))
        examples.set_int_custom_property("classes", len({image.label for image in self._images}))

        self._write(examples, exec_properties)

        unreadable = _read_json_lines(self._skipped_file, key="file")
        duplicates = _read_json_lines(self._duplicates_file, key="files")
        copies = [name for one in duplicates for name in one["left_out"]]
        _log_duplicates(duplicates, copies)
        for one in unreadable[:_SHOWN]:
            logger.warning("skipped %s: %s", one["file"], one["reason"])
        left_out = sorted([*listing.left_out, *map(_as_left_out, unreadable)])
        if left_out:
            logger.warning("skipped %d of %d images; %s lists them", len(left_out), listing.total, SKIPPED_FILE)
        lines = [f"{json.dumps({'file': one.file, 'reason': one.reason})}\n" for one in left_out]
        io_utils.write_string_file(self._skipped_file, "".join(lines))
        try:
            dataset_layout.check_left_out(input_base, left_out, listing.total, max_bad_share)
            self._check_counts([one["file"] for one in unreadable], copies)
        except CompressorError:
            for split in self._shares:
                fileio.rmtree(artifact_utils.get_split_uri([examples], split))
            raise
        names = [one.file for one in left_out]
        examples.set_int_custom_property("skipped", len(names))
        examples.set_string_custom_property("skipped_files", json.dumps(names[:_SHOWN]))
        examples.set_string_custom_property(LEFT_OUT, describe_left_out((one.kind for one in left_out), listing.others))
        examples.set_int_custom_property("duplicates", sum(len(one["files"]) - 1 for one in duplicates))
        examples.set_int_custom_property("duplicates_left_out", len(copies))

    def _write(self, examples: types.Artifact, exec_properties: dict[str, Any]) -> None:
        """Writes like the stock executor, whose shuffle would hold the images themselves in memory."""
        examples.split_names = artifact_utils.encode_split_names(list(self._shares))
        with self._make_beam_pipeline() as pipeline:
            for name, part in self.GenerateExamplesByBeam(pipeline, exec_properties).items():
                _ = (
                    part
                    | f"Serialize[{name}]" >> beam.Map(lambda example: example.SerializeToString())
                    | f"Write[{name}]"
                    >> beam.io.WriteToTFRecord(
                        os.path.join(artifact_utils.get_split_uri([examples], name), _RECORDS), file_name_suffix=".gz"
                    )
                )
        payload_format = exec_properties[standard_component_specs.OUTPUT_DATA_FORMAT_KEY]
        examples_utils.set_payload_format(examples, payload_format)

    def _configure(self, input_base: str, exec_properties: dict[str, Any]) -> None:
        inputs, outputs = example_gen_pb2.Input(), example_gen_pb2.Output()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.INPUT_CONFIG_KEY], inputs)
        proto_utils.json_to_proto(exec_properties[standard_component_specs.OUTPUT_CONFIG_KEY], outputs)
        self._shares = {one.name: one.hash_buckets for one in outputs.split_config.splits}
        self._options = from_parameter(ImageOptions, unpacked_options(exec_properties)["options"])
        patterns = patterns_of(inputs.splits[0].pattern)  # the driver has filled in the spans
        self._layouts = [dataset_layout.layout(input_base, pattern, self._shares) for pattern in patterns]

    def _check_counts(self, unreadable: list[str], copies: list[str]) -> None:
        dataset_layout.check_counts(self._images, self._shares, unreadable)
        try:
            dataset_layout.check_counts(self._images, self._shares, [*unreadable, *copies])
        except CompressorError as error:
            raise CompressorError(
                f"{error} {len(copies)} copies of images in other splits were left out; "
                "data.duplicates: keep uses them."
            ) from error


class _Reader(beam.DoFn):
    """Reads images."""

    def __init__(self, input_base: str, options: ImageOptions) -> None:
        self._input_base, self._options = input_base, options

    def _content(self, name: str) -> bytes:
        limit, path = self._options.max_file_mb * 2**20, os.path.join(self._input_base, name)
        if "://" not in path and os.path.exists(path) and not os.path.isfile(path):  # reading a pipe would never end
            raise image_check.UnreadableImage("not a regular file")
        try:
            with fileio.open(path, "rb") as file:
                content = file.read(limit + 1)
            if len(content) > limit:
                raise image_check.UnreadableImage(f"more than max_file_mb {self._options.max_file_mb}")
            return content
        except fileio.NotFoundError as error:
            raise image_check.UnreadableImage(str(error)) from error
        except (
            tf.errors.NotFoundError,
            tf.errors.PermissionDeniedError,
            tf.errors.FailedPreconditionError,  # a folder with an image's suffix
        ) as error:
            raise image_check.UnreadableImage(error.message) from error


class _Check(_Reader):
    """Yields images with the SHA-256 of their pixels, and separates those that cannot be decoded."""

    def process(self, image: dataset_layout.Image) -> Iterator[Any]:
        try:
            if image.leads_out and not self._options.follow_external_links:
                raise image_check.UnreadableImage(
                    "a link out of the data folder, which data.follow_external_links does not allow"
                )
            read = image_check.decodable(self._content(image.name), self._options.max_pixels)
        except image_check.UnreadableImage as error:
            skipped = {"file": image.name, "reason": str(error)}
            yield beam.pvalue.TaggedOutput("skipped", skipped)
        else:
            yield image._replace(is_converted=read.is_converted), read.sha256


class _ToExample(_Reader):
    """Creates Examples from checked images."""

    def process(self, image: dataset_layout.Image) -> Iterator[tf.train.Example]:
        try:
            encoded = self._content(image.name)
            if image.is_converted:
                encoded = image_check.decodable(encoded, self._options.max_pixels).encoded
        except image_check.UnreadableImage as error:
            raise CompressorError(
                f"{image.name} was readable at first, but no longer is ({error}): "
                "run again when the data folder does not change."
            ) from error
        features = {"image": encoded, "label": image.label.encode(), "filename": image.name.encode()}
        yield tf.train.Example(
            features=tf.train.Features(
                feature={
                    name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                    for name, value in features.items()
                }
            )
        )


def _split_folder(names_in_folder: tuple[str, Iterable[str]], shares: Mapping[str, int]) -> Iterable[tuple[str, str]]:
    _, names = names_in_folder
    return assign_splits(names, shares).items()


def _log_duplicates(duplicates: list[dict[str, Any]], left_out: list[str]) -> None:
    if duplicates:
        logger.warning(
            "%d images have copies; %d copies are left out, so that each image is in only one split",
            len(duplicates), len(left_out),
        )  # fmt: skip
    for one in [one for one in duplicates if len(one["labels"]) > 1][:_SHOWN]:
        logger.warning("the same image is in classes %s: %s", one["labels"], one["files"])


def _as_left_out(unreadable: dict[str, str]) -> dataset_layout.LeftOut:
    name, reason = unreadable["file"], unreadable["reason"]
    return dataset_layout.LeftOut(name, reason, f"{kind_of(name)} unreadable", class_label(name.split("/")[-2]))


def _warn_left_out(listing: dataset_layout.Listing) -> None:
    """Logs the images that a listing leaves out, by class and kind."""
    used = Counter(image.label for image in listing.images)
    for label in sorted({one.label for one in listing.left_out}):
        lost = [one for one in listing.left_out if one.label == label]
        of_class = f"class {label!r}: {len(lost)} of {len(lost) + used[label]}" if label else f"{len(lost)}"
        logger.warning("%s images are left out (%s)", of_class, dataset_layout.by_kind(lost))
    if listing.others:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in listing.others.most_common(_SHOWN))
        logger.info("%d files that are not images are left out (%s)", listing.others.total(), counts)


def _read_json_lines(path: str, key: str) -> list[dict[str, Any]]:
    with fileio.open(path) as file:
        return sorted(map(json.loads, file.read().splitlines()), key=lambda one: one[key])
