"""A search on several machines: the replicas of a custom job on Vertex AI.

It works like TFX's own Tuner extension (``tfx.extensions.google_cloud_ai_platform.tuner``): the node starts a custom
job whose replicas run the same executor with the same arguments, and each replica finds its role in the environment.
The primary replica is keras-tuner's chief and also runs trials; the others get trials from it. All replicas write to
the pipeline root, which Vertex AI mounts on each of them.
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
    """This process's role in a job.

    Attributes:
        name: ID of the replica for keras-tuner.
        chief: Host of the primary replica.
        port: Port on which the primary replica listens.
        is_chief: Whether this is the primary replica.
    """

    name: str
    chief: str
    port: int
    is_chief: bool

    @classmethod
    def of_this_process(cls) -> Replica | None:
        """Reads ``CLUSTER_SPEC``.

        Its format is described at
        https://cloud.google.com/vertex-ai/docs/training/distributed-training#cluster-spec-format.

        Returns:
            The role; None without a job, or in a job with one replica.
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
    """Runs the executor in a custom job on Vertex AI and waits for it to finish.

    Args:
        input_dict: Inputs of the executor.
        output_dict: Outputs of the executor.
        exec_properties: Parameters of the executor. ``vertex_job`` describes the job as JSON: its ``project``,
            ``region`` and ``job_spec`` (a CustomJobSpec).

    Raises:
        RuntimeError: If the job failed, with Vertex AI's message.
    """
    # Imported here, because Google's clients take seconds to import and most searches do not need them.
    from tfx.extensions.google_cloud_ai_platform import runner

    job = json.loads(exec_properties["vertex_job"])
    region = job.pop("region")
    there = {**exec_properties, "vertex_job": ""}
    runner.start_cloud_training(input_dict, output_dict, there, _EXECUTOR, job, None, None, True, region)


def take_trials(replica: Replica, directory: Path) -> None:
    """Runs trials for the chief until there are no more.

    Args:
        replica: Role of this process.
        directory: Folder in which keras-tuner stores the trials. The chief writes the description of the search to it.

    Raises:
        CompressorError: If the chief does not write the description.
    """
    path = directory / JOB_FILE
    waited_from = time.monotonic()
    while not path.exists():
        if time.monotonic() - waited_from > _PATIENCE_SECONDS:
            raise CompressorError(
                f"the chief, {replica.chief}, has not written {path}: check its log, and that all "
                "replicas use the same pipeline root."
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
