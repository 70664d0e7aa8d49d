"""Parallel trials: keras-tuner's chief in this process, and workers in separate processes."""

from __future__ import annotations

import dataclasses
import logging
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import keras_tuner as kt

from components.pruning_search.job import Searched, SearchJob
from components.pruning_search.vertex_replicas import JOB_FILE
from components.pruning_search.worker import STOPPED
from compressor_lib.errors import CompressorError
from compressor_lib.search.keras_tuner_hooks import OracleServicer, exit_chief, serve
from compressor_lib.search.run import TUNERS, report_end, report_progress
from compressor_lib.support.control_groups import usable_threads
from compressor_lib.support.processes import module_command

logger = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_EVERYWHERE = "0.0.0.0"
_RESTARTS = 3
_POLL_SECONDS = 0.5
_LOG_LINES = 15


def search_in_parallel(
    job: SearchJob, hypermodel: Searched, directory: Path, workers: int, *, port: int | None = None
) -> kt.Tuner:
    """Runs a search with several worker processes on this machine.

    A worker that dies is restarted a few times and repeats its trial. After that, the trial counts as failed and the
    other workers continue. Errors that are not caused by a trial, such as a full disk, end the search. Each worker logs
    to ``worker-<number>.log`` next to the trials. The workers end when this process ends, for any reason.

    Args:
        job: The search.
        hypermodel: The hypermodel of the job.
        directory: Folder in which keras-tuner stores the trials. Finished trials are not repeated.
        workers: Number of trials to run at a time on this machine.
        port: Port on which workers on other machines can connect; None for this machine only.

    Returns:
        The tuner after the search.

    Raises:
        CompressorError: If all workers died, a worker cannot continue, or too many trials failed in a row.
    """
    job = job.narrowed(hypermodel)
    tuner = TUNERS[job.options.tuner](hypermodel, job.run_options, directory)
    tuner.save()
    report_progress(tuner.oracle)
    # All workers use the chief's measurement, because a latency measured in another process would differ.
    dataclasses.replace(job, max_cost=hypermodel.max_cost).save(directory / JOB_FILE)
    with ExitStack() as stack:
        chief = _Chief(tuner.oracle) if port is None else _Chief(tuner.oracle, _EVERYWHERE, port)
        stack.callback(chief.stop)
        processes = [
            _Worker(f"worker-{number}", directory, chief.port, threads=max(1, usable_threads() // workers))
            for number in range(workers)
        ]
        for worker in processes:
            worker.start()
            stack.callback(worker.stop)
        _watch(chief, processes)
    report_end(tuner.oracle)
    return tuner


def _watch(chief: _Chief, processes: Sequence[_Worker]) -> None:
    """Waits until every worker has finished or has been given up."""
    working, finished = list(processes), False
    while working:
        time.sleep(_POLL_SECONDS)
        if chief.failure is not None:
            log_lines = "\n".join(worker.log_tail() for worker in working)
            raise CompressorError(
                f"the search stopped: {str(chief.failure).splitlines()[0]}\n{log_lines}"
            ) from chief.failure
        for worker in [worker for worker in working if worker.has_ended]:
            if worker.has_finished:
                finished = True
                working.remove(worker)
            elif worker.has_stopped:
                raise CompressorError(f"the search stopped\n{worker.log_tail()}")
            elif worker.starts <= _RESTARTS:
                logger.warning("%s died: restarting it", worker.name)
                worker.start()
            else:
                logger.warning("%s died %d times: the search continues without it", worker.name, worker.starts)
                working.remove(worker)
                chief.give_up(worker.name)
    if finished:
        while not exit_chief(chief.oracle):  # remote workers finish their trials first
            time.sleep(_POLL_SECONDS)
    else:
        raise CompressorError(
            "all workers of the search died; run again to resume, with fewer search.parallel_trials if memory "
            f"was short.\n{processes[-1].log_tail()}"
        )


class _Chief(OracleServicer):
    """Serves an oracle to workers.

    keras-tuner's own ``search()`` would wait forever for a worker that does not come back.
    """

    def __init__(self, oracle: kt.Oracle, host: str = _HOST, port: int = 0) -> None:
        super().__init__(oracle)
        self.failure: Exception | None = None
        # A single thread makes all changes to the oracle, as in keras-tuner.
        self._thread = futures.ThreadPoolExecutor(max_workers=1)
        self._server = grpc.server(self._thread)
        serve(self, self._server)
        self.port = self._server.add_insecure_port(f"{host}:{port}")
        self._server.start()

    def CreateTrial(self, request: Any, context: Any) -> Any:
        """Returns a worker's next trial."""
        with self._failure_recorded():
            return super().CreateTrial(request, context)

    def UpdateTrial(self, request: Any, context: Any) -> Any:
        """Records the results of a worker's trial."""
        with self._failure_recorded():
            return super().UpdateTrial(request, context)

    def EndTrial(self, request: Any, context: Any) -> Any:
        """Ends a worker's trial."""
        with self._failure_recorded():
            response = super().EndTrial(request, context)
        report_progress(self.oracle, self.oracle.trials[request.trial.trial_id])
        return response

    def give_up(self, worker: str) -> None:
        """Marks the trial of a dead worker as failed; otherwise Hyperband would wait for it."""
        futures.wait([self._thread.submit(self._fail_trial_of, worker)])

    def stop(self) -> None:
        """Stops the server."""
        self._server.stop(grace=None).wait()
        self._thread.shutdown()

    def _fail_trial_of(self, worker: str) -> None:
        self.oracle.tuner_ids.discard(worker)
        trial = self.oracle.ongoing_trials.get(worker)
        if trial is not None:
            trial.status, trial.message = "FAILED", f"it killed {worker} repeatedly"
            with self._failure_recorded():
                self.oracle.end_trial(trial)

    @contextmanager
    def _failure_recorded(self) -> Iterator[None]:
        """Records exceptions of the oracle, such as too many failed trials in a row or a full disk.

        After an exception, the oracle is no longer used: a worker without a response counts its trial as failed.
        """
        if self.failure is not None:
            raise self.failure
        try:
            yield
        except Exception as error:
            self.failure = error
            raise


class _Worker:
    """A process that runs trials. It can be restarted."""

    def __init__(self, name: str, directory: Path, port: int, threads: int) -> None:
        self.name = name
        self.starts = 0
        self._log = directory / f"{name}.log"
        self._job = directory / JOB_FILE
        self._environment = {
            **os.environ,
            "KERASTUNER_TUNER_ID": name,
            "KERASTUNER_ORACLE_IP": _HOST,
            "KERASTUNER_ORACLE_PORT": str(port),
            "no_grpc_proxy": _HOST,
            "TF_NUM_INTRAOP_THREADS": str(threads),
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        }

    def start(self) -> None:
        self.starts += 1
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.PIPE,  # closes when this process ends, which ends the worker
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C only reaches this process, which then stops its workers
            )

    def stop(self) -> None:
        """Stops the process. The chief already has its finished trials."""
        self._process.kill()
        self._process.communicate()

    @property
    def _command(self) -> list[str]:
        return [*module_command("components.pruning_search.worker"), str(self._job)]

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def has_finished(self) -> bool:
        return self._process.returncode == 0

    @property
    def has_stopped(self) -> bool:
        return self._process.returncode == STOPPED

    def log_tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join([f"{self._log} ends with:", *lines])
