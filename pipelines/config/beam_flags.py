"""Which further flags of Beam a configuration may give: those that import, install and start nothing.

Beam takes a module for a runner, a command for an environment, a file to install, and abbreviations of all of these. So
flags are allowed by their whole name, one by one, and each with its value in one item.
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
    # Dataflow: its machines, network and accounts.
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
    # Flink and Spark: their job server, and how much runs at once.
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
"""Flags of Beam's that a configuration may give."""
HOST_AND_PORT = r"\w[\w.-]*:\d+"
"""Pattern of an address."""
_ENDPOINTS = ("artifact_endpoint", "job_endpoint")
_INSTEAD = {
    "runner": "choose it by beam.runner",
    "environment_type": "choose it by beam.environment",
    "environment_config": "give it by beam.environment_config",
}
_IN_THE_IMAGE = "put what workers need into their image (beam.image, or beam.environment_config with docker)"


def _checked(argument: str) -> str:
    """Refuses an argument that is none of the allowed flags with its value."""
    flag, _, value = argument.partition("=")
    if not flag.startswith("--"):
        raise ValueError("is no flag: give each flag with its value in one item, as --name=value.")
    name = flag.removeprefix("--")
    if name not in ALLOWED:
        raise ValueError(
            f"is {flag}, which a configuration may not give, for flags of Beam can run code: "
            f"{_INSTEAD.get(name, _IN_THE_IMAGE)}. Allowed, by their whole names: {', '.join(ALLOWED)}."
        )
    # Beam would take "embed" for a server of its own, in this process.
    if name in _ENDPOINTS and not re.fullmatch(HOST_AND_PORT, value):
        raise ValueError(f"is {flag}, which is no address: give it host:port.")
    return argument


BeamArg = Annotated[str, AfterValidator(_checked)]
"""A flag with its value, checked."""
