"""The Beam flags that a configuration may set: those that import, install and start nothing.

Some flags of Beam name a module to import, a command to run or a file to install, and Beam accepts abbreviations.
Flags are therefore allowed one by one, by their full names, each with its value in one item.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

ALLOWED = (
    "job_name",
    # DirectRunner.
    "direct_num_workers",
    "direct_running_mode",
    # Dataflow: machines, network and accounts.
    "autoscaling_algorithm",
    "dataflow_kms_key",
    "dataflow_service_options",
    "default_sdk_harness_log_level",
    "disk_size_gb",
    "enable_hot_key_logging",
    "flexrs_goal",
    "labels",
    "machine_type",
    "max_cache_memory_usage_mb",
    "min_cpu_platform",
    "network",
    "no_use_public_ips",
    "num_workers",
    "number_of_worker_harness_threads",
    "service_account_email",
    "subnetwork",
    "worker_disk_type",
    "worker_region",
    "worker_zone",
    # Flink and Spark: job server and parallelism.
    "artifact_endpoint",
    "environment_cache_millis",
    "flink_submit_uber_jar",
    "job_endpoint",
    "job_server_timeout",
    "max_parallelism",
    "sdk_worker_parallelism",
    "spark_rest_url",
    "spark_submit_uber_jar",
)
"""The Beam flags that a configuration may set."""
HOST_AND_PORT = r"\w[\w.-]*:\d+"
"""Pattern of ``host:port``."""
_ENDPOINTS = ("artifact_endpoint", "job_endpoint")
_INSTEAD = {
    "runner": "set beam.runner instead",
    "environment_type": "set beam.environment instead",
    "environment_config": "set beam.environment_config instead",
}
_IN_THE_IMAGE = "install what workers need in their image (beam.image, or beam.environment_config with docker)"


def _checked(argument: str) -> str:
    """Refuses an argument that is not an allowed flag with its value."""
    flag, _, value = argument.partition("=")
    if not flag.startswith("--"):
        raise ValueError("is not a flag: write each flag with its value in one item, as --name=value.")
    name = flag.removeprefix("--")
    if name not in ALLOWED:
        raise ValueError(
            f"is {flag}, which a configuration may not set, because flags of Beam can run code: "
            f"{_INSTEAD.get(name, _IN_THE_IMAGE)}. Allowed, by their full names: {', '.join(ALLOWED)}."
        )
    # "embed" would make Beam start a server in this process.
    if name in _ENDPOINTS and not re.fullmatch(HOST_AND_PORT, value):
        raise ValueError(f"is {flag}, which needs an address: write host:port.")
    return argument


BeamArg = Annotated[str, AfterValidator(_checked)]
"""An allowed flag with its value."""
