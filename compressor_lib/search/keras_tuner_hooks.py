"""What the search takes of keras-tuner beyond its public API: here to adapt when a new release moves it.

- :class:`HookedTuner` overrides ``_run_and_update_trial``, whose exceptions keras-tuner records as a trial's failure,
  and gives the answer of ``_is_worker``.
- ``OracleServicer``, ``exit_chief`` and the generated code of ``keras_tuner.src.protos`` are what its own chief of a
  parallel search is made of.
- :func:`failed_too_often` and :func:`failure_of` read its messages.

What is overridden of its oracles stands in :mod:`compressor_lib.search.oracles` and, of their files,
:mod:`compressor_lib.search.durable`; the test of this module looks for those names too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras_tuner as kt
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer, exit_chief

__all__ = ["WRITTEN_AGAINST", "HookedTuner", "OracleServicer", "exit_chief", "failed_too_often", "failure_of", "serve"]

WRITTEN_AGAINST = "1.4.8"
"""The release of keras-tuner that this was written against; the names are the same since 1.4.7."""


class HookedTuner(kt.Tuner):
    """Mixed into a tuner, in front of it."""

    @property
    def is_worker(self) -> bool:
        """Whether this process works for the chief of a parallel search."""
        return bool(self._is_worker())

    def attempt(self, trial: kt.engine.trial.Trial, run: Callable[[], None]) -> None:
        """Runs a trial and notes what it found; to be overridden by what handles the errors of both.

        Args:
            trial: The trial.
            run: Does it. What is raised here is recorded as the trial's failure, unless it is a ``FatalError``.
        """
        run()

    def _run_and_update_trial(self, trial: Any, *args: Any, **kwargs: Any) -> None:
        stock = super()._run_and_update_trial
        self.attempt(trial, lambda: stock(trial, *args, **kwargs))


def serve(servicer: OracleServicer, server: Any) -> None:
    """Lets a server of gRPC answer the workers of a parallel search."""
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)


def failed_too_often(error: RuntimeError) -> bool:
    """Whether a search has ended because too many trials failed one after the other."""
    return str(error).startswith("Number of consecutive failures")


def failure_of(message: str | None) -> str:
    """The line of a failed trial's traceback that says why it failed."""
    lines = [line for line in (message or "").splitlines() if line and not line.startswith((" ", "Traceback"))]
    return lines[-1].removeprefix("keras_tuner.src.errors.") if lines else "nothing that is known"
