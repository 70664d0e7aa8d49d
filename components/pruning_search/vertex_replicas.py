"""A search on several machines: the replicas of one Vertex AI custom job.

It is done as TFX's own Tuner extension does it (``tfx.extensions.google_cloud_ai_platform.tuner``): the node starts a
custom job whose replicas run the same executor with the same arguments, and each finds its part in the environment.
The primary replica is keras-tuner's chief and takes trials itself, too; the others take trials from it. All write to
the pipeline root, which Vertex mounts on each of them.
"""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx import types

from components.pruning_search.job import SearchJob
from compressor_lib.errors import CompressorError

logger = logging.getLogger(__name__)

JOB_FILE = "job.json"
_EXECUTOR = "components.pruning_search.executor.Executor"
_POLL_SECONDS = 1.0
_PATIENCE_SECONDS = 3600.0


@dataclass(frozen=True)
class Replica:
    """This process' part in a job.

    Attributes:
        name: keras-tuner's id of it.
        chief: Host of the primary replica.
        port: That the primary replica is told to listen at.
        is_chief: Whether this is the primary replica.
    """

    name: str
    chief: str
    port: int
    is_chief: bool

    @classmethod
    def of_this_process(cls) -> Replica | None:
        """Reads ``CLUSTER_SPEC``.

        Its form is told at
        https://cloud.google.com/vertex-ai/docs/training/distributed-training#cluster-spec-format.

        Returns:
            The part; None where there is no job, or a job of one replica.
        """
        spec = json.loads(os.environ.get("CLUSTER_SPEC") or "{}")
        replicas = [host for pool in spec.get("cluster", {}).values() for host in pool]
        if len(replicas) < 2:
            return None
        host, _, port = spec["cluster"]["workerpool0"][0].rpartition(":")
        pool, index = spec["task"]["type"], spec["task"]["index"]
        return cls(f"{pool}-{index}", host, int(port), pool == "workerpool0")


def start_replicas(
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
) -> None:
    """Runs the executor in a custom job on Vertex AI, and waits for its end.

    Args:
        input_dict: The executor's.
        output_dict: The executor's.
        exec_properties: The executor's; ``vertex_job`` describes the job as JSON: its ``project``, its ``region``, and
            its ``job_spec`` (a CustomJobSpec).

    Raises:
        RuntimeError: If the job failed, with what Vertex tells of it.
    """
    # Google's clients take seconds to import, and hardly any search needs them.
    from tfx.extensions.google_cloud_ai_platform import runner

    job = json.loads(exec_properties["vertex_job"])
    region = job.pop("region")
    there = {**exec_properties, "vertex_job": ""}
    runner.start_cloud_training(input_dict, output_dict, there, _EXECUTOR, job, None, None, True, region)


def take_trials(replica: Replica, directory: Path) -> None:
    """Works for the chief until there are no more trials.

    Args:
        replica: This process' part.
        directory: Where keras-tuner keeps the trials; the chief puts the description of the search there.

    Raises:
        CompressorError: If the chief does not.
    """
    path = directory / JOB_FILE
    waited_from = time.monotonic()
    while not path.exists():
        if time.monotonic() - waited_from > _PATIENCE_SECONDS:
            raise CompressorError(
                f"the chief, {replica.chief}, has not described the search in {path}: check its log, and that all "
                "replicas see the same pipeline root"
            )
        time.sleep(_POLL_SECONDS)
    os.environ |= {
        "KERASTUNER_TUNER_ID": replica.name,
        "KERASTUNER_ORACLE_IP": replica.chief,
        "KERASTUNER_ORACLE_PORT": str(replica.port),
    }
    job = SearchJob.load(path)
    job.search(job.hypermodel(), directory)
    logger.info("%s: there are no more trials", replica.name)
