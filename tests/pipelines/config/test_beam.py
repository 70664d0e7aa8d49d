from __future__ import annotations

import pytest

from pipelines.config.beam import Beam, beam_flags

DIRECT_FLAGS = ["--allow_unsafe_triggers", "--sdk_container_image=none"]
CLOUD = {"project": "mine", "region": "europe-west1", "temp_location": "gs://bucket/tmp"}
CLOUD_FLAGS = ["--runner=DataflowRunner", "--project=mine", "--region=europe-west1", "--temp_location=gs://bucket/tmp"]
DOCKER = {"environment": "docker", "environment_config": "some/image"}
DOCKER_FLAGS = ["--environment_type=DOCKER", "--environment_config=some/image"]
SPARK = "spark://host:7077"

FLAGS = [
    ({}, DIRECT_FLAGS),
    ({"workers": 1}, DIRECT_FLAGS),
    ({"workers": 2}, [*DIRECT_FLAGS, "--direct_num_workers=2", "--direct_running_mode=multi_processing"]),
    ({"runner": "dataflow", **CLOUD}, CLOUD_FLAGS),
    (
        {"runner": "dataflow", **CLOUD, "workers": 9, "image": "some/image"},
        [*CLOUD_FLAGS, "--max_num_workers=9", "--sdk_container_image=some/image", "--experiments=use_runner_v2"],
    ),
    ({"runner": "flink", "master": "host:8081"}, ["--runner=FlinkRunner", "--flink_master=host:8081"]),
    (
        {"runner": "flink", "master": "host:8081", "workers": 3, **DOCKER},
        ["--runner=FlinkRunner", "--flink_master=host:8081", "--parallelism=3", *DOCKER_FLAGS],
    ),
    (
        {"runner": "spark", "master": SPARK, **DOCKER},
        ["--runner=SparkRunner", f"--spark_master_url={SPARK}", *DOCKER_FLAGS],
    ),
    (
        {"runner": "spark", "master": "local[2]", "environment": "loopback"},
        ["--runner=SparkRunner", "--spark_master_url=local[2]", "--environment_type=LOOPBACK"],
    ),
    (
        {"runner": "flink", "master": "host:8081", "environment": "process"},
        ["--runner=FlinkRunner", "--flink_master=host:8081", "--environment_type=PROCESS",
         '--environment_config={"command":"/opt/apache/beam/boot"}'],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "expected"), FLAGS)
def test_each_runner_has_its_flags(fields, expected):
    assert beam_flags(Beam(**fields)) == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_of_the_direct_runner_stay_in_python(workers, monkeypatch):
    """Beam's default is to download Prism, a runner written in Go, and to fall back to Python if that fails."""
    import apache_beam as beam
    from apache_beam.runners.portability.prism_runner import PrismRunner

    def run_in_go(*_):
        pytest.fail("Beam gave the job to Prism")

    monkeypatch.setattr(PrismRunner, "run_pipeline", run_in_go)
    with beam.Pipeline(argv=beam_flags(Beam(workers=workers))) as pipeline:
        _ = pipeline | beam.Create([1])


@pytest.mark.parametrize("flags", [flags for _, flags in FLAGS])
def test_beam_and_the_containers_entrypoint_know_them(flags):
    from apache_beam.options.pipeline_options import PipelineOptions
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    options = PipelineOptions(flags).get_all_options()
    for flag in flags:
        name, _, value = flag.removeprefix("--").partition("=")
        found = options[name]
        value = value or "True"
        assert (value in found) if isinstance(found, list) else (str(found) == value)
    arguments = ["entrypoint", "--executor_class_path", "a.B", "--json_serialized_invocation_args", "{}", *flags]
    _, rest = kubeflow_v2_run_executor._parse_flags(arguments)
    assert rest[1:] == flags
