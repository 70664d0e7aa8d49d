"""The executor of TranslatorPretrainer: fits the translators by least squares, with the sums computed on Beam."""

import functools
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import apache_beam as beam
import keras
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.options import from_parameter
from components.storage.examples import count_examples, decode_images, split_patterns
from components.storage.gcs_mount import fetched, stored
from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.families import searched_connections
from compressor_lib.cuts.surgery import without_head
from compressor_lib.deployment.export import EXTRA, KERAS_FILE, load_keras
from compressor_lib.errors import CompressorError
from compressor_lib.pretraining.bank import TranslatorBank
from compressor_lib.pretraining.bank_files import ARRAYS, MANIFEST
from compressor_lib.pretraining.options import TranslatorOptions
from compressor_lib.pretraining.taps import tapped
from compressor_lib.pretraining.translator_fit import TranslatorSums, regressions_of
from compressor_lib.support.progress import Progress, log_progress

logger = logging.getLogger(__name__)

PREVIOUS = "previous_translators"


class Executor(base_beam_executor.BaseBeamExecutor):
    """Fits every translator in one Beam pipeline and writes them as one bank."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reads ``examples`` and ``base_model``, writes ``translators`` (see ``compressor_lib.pretraining.bank``).

        If ``previous_translators`` are what this run would fit (the backbone's weights and the options are the same,
        and no connection is missing), they are copied, and ``examples`` are not read.

        Raises:
            CompressorError: If a connection is unknown or not possible.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        model = artifact_utils.get_single_instance(input_dict["base_model"])
        model_dir = path_utils.serving_model_path(model.uri)
        pattern = split_patterns(artifact_utils.get_single_instance(input_dict["examples"]), exec_properties["split"])
        output = artifact_utils.get_single_uri(output_dict["translators"])
        wanted = json.loads(exec_properties["connections"])
        options = from_parameter(TranslatorOptions, exec_properties["options"])
        batch_size = exec_properties["batch_size"]

        load_base = functools.partial(_base, model_dir, exec_properties["backbone"])
        base = load_base()
        connections = searched_connections(base, exec_properties["backbone"], wanted)
        if previous := _previous(input_dict.get(PREVIOUS), base, connections, options):
            with stored(output) as folder:
                previous.save(folder)
            logger.info(
                "reused %d translators of the previous run: same backbone and options", len(previous.translators)
            )
            return
        # Counting reads every image once more, so it is only done if progress, which is logged as DEBUG, is shown.
        total = count_examples(pattern) if logger.isEnabledFor(logging.DEBUG) else None
        with self._make_beam_pipeline() as pipeline:
            sums = (
                pipeline
                | "Read" >> beam.io.ReadFromTFRecord(pattern)
                | "Batch" >> beam.BatchElements(batch_size, batch_size)
                | "SumUp" >> beam.ParDo(_SumUp(load_base, connections, options.held_out, total))
                | "Combine" >> beam.CombineGlobally(_Merge(options.held_out))
            )
            _ = sums | "Solve" >> beam.ParDo(_Solve(load_base, connections, options.ridge, output))
        fitted = len(regressions_of(base, connections))
        logger.info("fitted %d translators in one pass over the images", fitted)


class _SumUp(beam.DoFn):
    """Runs the tapped backbone on batches of Examples and yields one :class:`TranslatorSums` per bundle."""

    def __init__(
        self,
        load_base: Callable[[], keras.Model],
        connections: Sequence[Connection],
        held_out: float,
        total: int | None,
    ) -> None:
        self._load_base = load_base
        self._connections = [connection for connection in connections if connection.rejoins]
        self._held_out = held_out
        self._total = total
        self._seen = 0

    def setup(self) -> None:
        base = self._load_base()
        self._size = base.input_shape[1]
        self._regressions = list(regressions_of(base, self._connections).values())
        self._tapped = tapped(base, self._connections, targets=True) if self._connections else None

    def start_bundle(self) -> None:
        self._sums = TranslatorSums(self._held_out)

    def process(self, records: list[bytes]) -> None:
        if self._tapped is not None:
            self._sums.add(self._tapped, decode_images(records, self._size), self._regressions)
            self._seen += len(records)
            log_progress(logger, Progress("image", self._seen, self._total))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        window = GlobalWindow()
        yield WindowedValue(self._sums, window.max_timestamp(), [window])


class _Merge(beam.CombineFn):
    """Merges the sums of all bundles into one."""

    def __init__(self, held_out: float) -> None:
        self._held_out = held_out

    def create_accumulator(self) -> TranslatorSums:
        return TranslatorSums(self._held_out)

    def add_input(self, accumulator: TranslatorSums, element: TranslatorSums) -> TranslatorSums:
        return accumulator.merge(element)

    def merge_accumulators(self, accumulators: Iterable[TranslatorSums]) -> TranslatorSums:
        merged = self.create_accumulator()
        for accumulator in accumulators:
            merged.merge(accumulator)
        return merged

    def extract_output(self, accumulator: TranslatorSums) -> TranslatorSums:
        return accumulator


class _Solve(beam.DoFn):
    """Solves for the translators from the sums of all images and writes the bank."""

    def __init__(
        self,
        load_base: Callable[[], keras.Model],
        connections: Sequence[Connection],
        ridge: float,
        output: str,
    ) -> None:
        self._load_base = load_base
        self._connections = connections
        self._ridge = ridge
        self._output = output

    def process(self, sums: TranslatorSums) -> None:
        with stored(self._output) as folder:
            sums.solve(self._load_base(), self._connections, self._ridge).save(folder)


def _previous(
    given: list[types.Artifact] | None, base: keras.Model, connections: Sequence[Connection], options: TranslatorOptions
) -> TranslatorBank | None:
    """Returns the translators of the previous run; None if there are none, or they cannot be reused."""
    uri = artifact_utils.get_single_uri(given) if given else ""
    if not uri or not fileio.exists(os.path.join(uri, MANIFEST)):
        return None
    try:
        with fetched(uri, ARRAYS, MANIFEST) as folder:
            return TranslatorBank.load(folder).reused(base, connections, asdict(options))
    except CompressorError as error:
        logger.info("the previous run's translators are not reused: %s", error)
        return None


def _base(model_dir: str, backbone: str) -> keras.Model:
    """Loads the reference model without its head."""
    with fetched(model_dir, f"{EXTRA}/{KERAS_FILE}") as folder:
        return without_head(load_keras(folder), name=backbone)
