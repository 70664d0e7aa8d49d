"""Measures the time of translators and searches, in units of one forward pass of the backbone (F)."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any

import keras
import keras_tuner as kt
import tensorflow as tf

from benchmarks.data import ImageSet, load
from benchmarks.tables import show
from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.families import searched_connections
from compressor_lib.cuts.translators import TranslatorSpec
from compressor_lib.networks.backbones import find_backbone
from compressor_lib.networks.batch_norm_folding import folded
from compressor_lib.networks.heads import attach_head
from compressor_lib.pretraining.taps import source_tap, tapped, target_tap
from compressor_lib.pretraining.translator_fit import fit_translators
from compressor_lib.search.hypermodels import HyperCompressor
from compressor_lib.search.options import SearchOptions
from compressor_lib.search.run import run_search

BACKBONE = "MobileNetV2"
PUBLISHED_EPOCHS = 5
"""Epochs of gradient descent for a translator."""


def main(full: bool) -> None:
    """Prints the table of speeds: for some images at 96 px or, with ``full``, for all images at 224 px."""
    size, limit, rounds = (224, None, 3) if full else (96, 512, 3)
    images = load({} if limit is None else {"train": limit, "validation": limit // 8, "test": limit // 8})
    keras.utils.set_random_seed(0)
    rows = Speed(images, size, rounds).rows(measure_plain=full)
    show(
        "speed",
        f"{BACKBONE} 1.0, {size} px, {images.name}: {images.count('train')} + {images.count('validation')} "
        f"images; F and translators: medians of {rounds} rounds, searches: one run each",
        ("work", "seconds", "ratio to F"),
        rows,
    )


class Speed:
    """All measurements on one set of images, in one process."""

    def __init__(self, images: ImageSet, size: int, rounds: int) -> None:
        self.images, self.rounds = images, rounds
        backbone = find_backbone(BACKBONE)
        self.base = backbone.build(
            input_size=size, weights=images.weights_file("mobilenet_v2_1.0_224_no_top.h5"), preprocess=True
        )
        self.connections = searched_connections(self.base, backbone.name, "published")
        self.train = images.dataset("train", size)
        self.validation = images.dataset("validation", size)

    def rows(self, *, measure_plain: bool) -> list[tuple[str, float, float]]:
        """Measures the rows ``(work, seconds, ratio to F)``.

        Args:
            measure_plain: Whether to run the plain search of 5 epochs completely, instead of computing its time from
                one epoch.
        """
        forward, forward_folded = (
            tf.function(lambda x, model=model: model(tf.cast(x, tf.float32), training=False))
            for model in (self.base, folded(self.base))
        )
        everything = self.train.concatenate(self.validation).map(lambda x, _: x)
        only_train = self.train.map(lambda x, _: x)
        one = self.connections[len(self.connections) // 2]

        def one_pass(step: Callable[[Any], Any]) -> None:
            for batch in everything:
                step(batch)

        def decode() -> None:
            for _ in everything:
                pass

        for step in (forward, forward_folded):
            one_pass(step)  # traces the functions
        timed = self._in_turns(
            {
                "one forward pass over train + eval (F)": lambda: one_pass(forward),
                "the same, with batch norms folded": lambda: one_pass(forward_folded),
                "only reading and decoding": decode,
                f"all {len(self.connections)} translators, closed form": lambda: fit_translators(
                    self.base, self.connections, only_train
                ),
                "one translator, one epoch of gradient descent": lambda: _descend(self.base, one, only_train),
            }
        )
        seconds = dict(timed)
        (*_, epoch) = timed[-1]
        published = f"all {len(self.connections)} translators, {PUBLISHED_EPOCHS} epochs each (computed)"
        seconds[published] = epoch * PUBLISHED_EPOCHS * len(self.connections)
        plain_epoch = self._plain_epoch()
        seconds["one epoch of a plain trial"] = plain_epoch
        for epochs in (5, 50):
            name = f"search, Hyperband max_epochs={epochs}"
            seconds[f"{name}, with translators"], run = self._search(epochs)
            seconds[f"{name}, median pause between two trials"] = run.gap
            if measure_plain and epochs == 5:
                seconds[f"{name}, plain"] = self._plain_search(epochs)
            else:
                seconds[f"{name}, plain (computed from its epoch)"] = run.epochs * plain_epoch
        unit = timed[0][1]
        return [(name, taken, taken / unit) for name, taken in seconds.items()]

    def _in_turns(self, work: dict[str, Callable[[], object]]) -> list[tuple[str, float]]:
        times: dict[str, list[float]] = {name: [] for name in work}
        for _ in range(self.rounds):
            for name, do in work.items():
                times[name].append(_seconds(do))
        return [(name, statistics.median(taken)) for name, taken in times.items()]

    def _hypermodel(self, kind: type[HyperCompressor] = HyperCompressor, **changed: Any) -> HyperCompressor:
        """The published search space."""
        whole = attach_head(self.base, self.images.classes)
        return kind(
            whole.count_params(),
            self.images.classes,
            backbone=self.base,
            connections=self.connections,
            loss="sparse_categorical_crossentropy",
            **changed,
        )

    def _search(self, epochs: int) -> tuple[float, _Run]:
        hypermodel = self._hypermodel(_Clocked)
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            options = SearchOptions("hyperband", max_trials=1000, max_epochs=epochs)  # all trials that Hyperband plans
            tuner = run_search(hypermodel, self.train, self.validation, options, folder)
            taken = time.perf_counter() - started
        return taken, _Run.of(tuner, hypermodel)

    def _plain_search(self, epochs: int) -> float:
        hypermodel = self._hypermodel(cache_features=False, translators=self._bank())
        objective = kt.Objective("val_acc_comp", "max")
        with tempfile.TemporaryDirectory() as folder:
            tuner = kt.Hyperband(hypermodel, objective, max_epochs=epochs, seed=1, directory=folder)
            return _seconds(lambda: tuner.search(self.train, validation_data=self.validation, verbose=0))

    def _plain_epoch(self) -> float:
        """Seconds of a plain epoch after the first; median over connections at the front, middle and back."""
        hypermodel = self._hypermodel(cache_features=False, translators=self._bank())
        count = len(self.connections)
        return statistics.median(
            self._later_epoch(hypermodel, self.connections[place]) for place in (count // 6, count // 2, count * 5 // 6)
        )

    def _later_epoch(self, hypermodel: HyperCompressor, connection: Connection) -> float:
        hp = kt.HyperParameters()
        hp.Fixed("translator", str(connection))
        clock = _Epochs()
        hypermodel.fit(
            hp,
            hypermodel.build(hp),
            self.train,
            validation_data=self.validation,
            epochs=2,
            verbose=0,
            callbacks=[clock],
        )
        return clock.ends[1] - clock.ends[0]

    def _bank(self) -> Any:
        return fit_translators(self.base, self.connections, self.train.take(2).map(lambda x, _: x))


def _descend(base: keras.Model, connection: Connection, images: Iterable[Any]) -> None:
    """Trains one translator for one epoch, as published (Camacho et al., Appl. Sci. 12(10) 4945, 2022)."""
    spec = TranslatorSpec.of(base, connection)
    activation = spec.activation()
    translator = keras.Sequential(
        [
            keras.Input((*spec.target[:2], spec.source[2])),
            keras.layers.Conv2D(spec.target[2], 1),
            *([] if activation is None else [activation]),
        ]
    )
    translator.compile("adam", "mse")
    tap_model = tapped(base, [connection], targets=True)
    source, target = source_tap(base, connection), target_tap(connection)
    for batch in images:
        taps = tap_model.predict_on_batch(batch)
        translator.train_on_batch(taps[source], taps[target])


class _Epochs(keras.callbacks.Callback):
    """Records the times at which training starts and ends, and at which epochs end."""

    def __init__(self) -> None:
        super().__init__()
        self.begins: list[float] = []
        self.ends: list[float] = []
        self.stops: list[float] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.begins.append(time.perf_counter())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.ends.append(time.perf_counter())

    def on_train_end(self, logs: Any = None) -> None:
        self.stops.append(time.perf_counter())


class _Clocked(HyperCompressor):
    """Records the times at which each trial's training starts and ends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.clock = _Epochs()

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs["callbacks"] = [*kwargs.get("callbacks", ()), self.clock]
        return super().fit(hp, model, *args, **kwargs)


class _Run:
    """Figures of a search: the epochs of all trials, and the median pause between two trials."""

    def __init__(self, epochs: int, gap: float) -> None:
        self.epochs, self.gap = epochs, gap

    @classmethod
    def of(cls, tuner: kt.Tuner, hypermodel: HyperCompressor) -> _Run:
        assert isinstance(hypermodel, _Clocked)
        values = [trial.hyperparameters.values for trial in tuner.oracle.trials.values()]
        clock = hypermodel.clock
        gaps = [begin - stop for begin, stop in zip(clock.begins[1:], clock.stops, strict=False)]
        return cls(sum(v["tuner/epochs"] - v["tuner/initial_epoch"] for v in values), statistics.median(gaps))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
