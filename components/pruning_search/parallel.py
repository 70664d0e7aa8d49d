"""Parallel trials: keras-tuner's chief in this process, its workers in processes of their own."""

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

from components.pruning_search.job import SearchJob
from components.pruning_search.vertex_replicas import JOB_FILE
from components.pruning_search.worker import STOPPED
from compressor_lib.errors import CompressorError
from compressor_lib.search.hypermodels import HyperCompressor
from compressor_lib.search.keras_tuner_hooks import OracleServicer, exit_chief, serve
from compressor_lib.search.run import TUNERS, report_end, report_progress
from compressor_lib.support.control_groups import usable_threads
from compressor_lib.support.processes import module_command

logger = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_EVERYWHERE = "0.0.0.0"
_RESTARTS = 3
_POLL_SECONDS = 0.5
_TOLD_LINES = 15


def search_in_parallel(
    job: SearchJob, hypermodel: HyperCompressor, directory: Path, workers: int, *, port: int | None = None
) -> kt.Tuner:
    """Searches with several worker processes on this machine.

    A worker that dies is started again, a few times, and gets its trial anew; after that its trial counts as failed
    and the others go on. What no trial is to blame for, such as a full disk, ends the search. Each worker writes to
    ``worker-<number>.log`` beside the trials. The workers end when this process does, in whatever way.

    Args:
        job: The search.
        hypermodel: From the job.
        directory: Where keras-tuner keeps the trials; what is finished there is not done again.
        workers: How many trials run at a time, on this machine.
        port: Where workers on other machines may join in; None for this machine alone.

    Returns:
        The tuner, searched.

    Raises:
        CompressorError: If all workers died, or one told why it cannot go on, or too many trials failed one after the
            other.
    """
    job = job.narrowed(hypermodel)
    tuner = TUNERS[job.options.tuner](hypermodel, job.run_options, directory)
    tuner.save()
    report_progress(tuner.oracle)
    # What the chief measured holds for all: a latency would be another one in each process.
    dataclasses.replace(job, max_cost=hypermodel.max_cost).save(directory / JOB_FILE)
    with ExitStack() as stack:
        chief = _Chief(tuner.oracle) if port is None else _Chief(tuner.oracle, _EVERYWHERE, port)
        stack.callback(chief.stop)
        crew = [
            _Worker(f"worker-{number}", directory, chief.port, threads=max(1, usable_threads() // workers))
            for number in range(workers)
        ]
        for worker in crew:
            worker.start()
            stack.callback(worker.stop)
        _watch(chief, crew)
    report_end(tuner.oracle)
    return tuner


def _watch(chief: _Chief, crew: Sequence[_Worker]) -> None:
    """Waits until every worker has been told that there are no more trials, or has been given up."""
    working, finished = list(crew), False
    while working:
        time.sleep(_POLL_SECONDS)
        if chief.failure is not None:
            said = "\n".join(worker.last_words() for worker in working)
            raise CompressorError(
                f"the search stopped: {str(chief.failure).splitlines()[0]}\n{said}"
            ) from chief.failure
        for worker in [worker for worker in working if worker.has_ended]:
            if worker.has_finished:
                finished = True
                working.remove(worker)
            elif worker.has_stopped:
                raise CompressorError(f"the search stopped\n{worker.last_words()}")
            elif worker.starts <= _RESTARTS:
                logger.warning("%s died; it is started again", worker.name)
                worker.start()
            else:
                logger.warning("%s died %d times; the search goes on without it", worker.name, worker.starts)
                working.remove(worker)
                chief.give_up(worker.name)
    if finished:
        while not exit_chief(chief.oracle):  # workers elsewhere end their trials, and are told that there are no more
            time.sleep(_POLL_SECONDS)
    else:
        raise CompressorError(
            "all workers of the search died; run again to go on, with fewer search.parallel_trials if memory was short."
            f"\n{crew[-1].last_words()}"
        )


class _Chief(OracleServicer):
    """Serves an oracle to workers.

    keras-tuner's own ``search()`` would wait for ever for a worker that does not come back.
    """

    def __init__(self, oracle: kt.Oracle, host: str = _HOST, port: int = 0) -> None:
        super().__init__(oracle)
        self.failure: Exception | None = None
        # All that changes the oracle is done by one thread, as in keras-tuner.
        self._thread = futures.ThreadPoolExecutor(max_workers=1)
        self._server = grpc.server(self._thread)
        serve(self, self._server)
        self.port = self._server.add_insecure_port(f"{host}:{port}")
        self._server.start()

    def CreateTrial(self, request: Any, context: Any) -> Any:
        """Gives a worker its next trial."""
        with self._failure_noted():
            return super().CreateTrial(request, context)

    def UpdateTrial(self, request: Any, context: Any) -> Any:
        """Notes what a worker's trial came to."""
        with self._failure_noted():
            return super().UpdateTrial(request, context)

    def EndTrial(self, request: Any, context: Any) -> Any:
        """Ends a trial on behalf of a worker."""
        with self._failure_noted():
            response = super().EndTrial(request, context)
        report_progress(self.oracle, self.oracle.trials[request.trial.trial_id])
        return response

    def give_up(self, worker: str) -> None:
        """Lets the trial that a worker has left fail; otherwise Hyperband would wait for it."""
        futures.wait([self._thread.submit(self._fail_trial_of, worker)])

    def stop(self) -> None:
        """Answers no more."""
        self._server.stop(grace=None).wait()
        self._thread.shutdown()

    def _fail_trial_of(self, worker: str) -> None:
        self.oracle.tuner_ids.discard(worker)
        trial = self.oracle.ongoing_trials.get(worker)
        if trial is not None:
            trial.status, trial.message = "FAILED", f"it ended {worker} again and again"
            with self._failure_noted():
                self.oracle.end_trial(trial)

    @contextmanager
    def _failure_noted(self) -> Iterator[None]:
        """Notes what the oracle raises, as it does where too many trials have failed in a row or its disk is full.

        After that it is asked nothing more: a worker that was not answered takes that for its trial's failure.
        """
        if self.failure is not None:
            raise self.failure
        try:
            yield
        except Exception as error:
            self.failure = error
            raise


class _Worker:
    """A process that takes trials; it can be started again."""

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
                stdin=subprocess.PIPE,  # closes with this process, which ends the worker
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for this process, which then stops its workers
            )

    def stop(self) -> None:
        """Ends the process; what it has finished is the chief's already."""
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

    def last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_TOLD_LINES:]
        return "\n".join([f"{self._log} ends with:", *lines])
