"""keras-tuner's private API that the search uses: the one place to change if a new release changes it.

- :class:`HookedTuner` overrides ``_run_and_update_trial``, which records exceptions as a trial's failure, and
  exposes ``_is_worker``.
- ``OracleServicer``, ``exit_chief`` and the generated code of ``keras_tuner.src.protos`` are the parts of
  keras-tuner's own chief of a parallel search.
- :func:`failed_too_often` and :func:`failure_of` parse its messages.

Overrides of oracles are in :mod:`compressor_lib.search.oracles`, and those of their files in
:mod:`compressor_lib.search.durable`. The test of this module checks those names too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras_tuner as kt
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer, exit_chief

__all__ = ["WRITTEN_AGAINST", "HookedTuner", "OracleServicer", "exit_chief", "failed_too_often", "failure_of", "serve"]

WRITTEN_AGAINST = "1.4.8"
"""The release of keras-tuner that this was written against. The names are the same since 1.4.7."""


class HookedTuner(kt.Tuner):
    """Mixin for a tuner that exposes private members."""

    @property
    def is_worker(self) -> bool:
        """Whether this process is a worker of a parallel search."""
        return bool(self._is_worker())

    def attempt(self, trial: kt.engine.trial.Trial, run: Callable[[], None]) -> None:
        """Runs a trial and records its result. Subclasses override it to handle errors.

        Args:
            trial: The trial.
            run: Function that runs the trial. Exceptions raised here are recorded as the trial's failure, unless they
                are a ``FatalError``.
        """
        run()

    def _run_and_update_trial(self, trial: Any, *args: Any, **kwargs: Any) -> None:
        stock = super()._run_and_update_trial
        self.attempt(trial, lambda: stock(trial, *args, **kwargs))


def serve(servicer: OracleServicer, server: Any) -> None:
    """Registers the servicer with a gRPC server, so that it serves the workers of a parallel search."""
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)


def failed_too_often(error: RuntimeError) -> bool:
    """Returns whether a search ended because too many trials failed in a row."""
    return str(error).startswith("Number of consecutive failures")


def failure_of(message: str | None) -> str:
    """Returns the line of a failed trial's traceback with the cause."""
    lines = [line for line in (message or "").splitlines() if line and not line.startswith((" ", "Traceback"))]
    return lines[-1].removeprefix("keras_tuner.src.errors.") if lines else "an unknown error"
