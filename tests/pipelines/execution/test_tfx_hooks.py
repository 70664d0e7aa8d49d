"""A release of TFX that moves a name fails here."""

from __future__ import annotations

import inspect

from hooks import check_hooks
from tfx.orchestration.beam import beam_dag_runner
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
from tfx.orchestration.portable.launcher import Launcher

from pipelines.execution import tfx_hooks
from pipelines.execution.tfx_hooks import beam_dag_options, container_arguments, wrapped_launcher


def test_tfx_has_what_runs_and_tasks_take_of_it():
    check_hooks("tfx", tfx_hooks, Launcher, "launch", "_run_executor")
    check_hooks("tfx", tfx_hooks, kubeflow_v2_run_executor, "_parse_flags", "main")
    check_hooks("tfx", tfx_hooks, beam_dag_runner, "beam")
    assert "beam.Pipeline() as p" in inspect.getsource(beam_dag_runner.BeamDagRunner.run_with_ir)
    attributes = inspect.getsource(Launcher.__init__)
    for name in ("_pipeline_node", "_mlmd_connection"):
        assert f"self.{name} =" in attributes, f"TFX's Launcher has no {name}: adapt {tfx_hooks.__name__}"
    assert "self._run_executor(" in inspect.getsource(Launcher.launch)


def test_the_launcher_is_as_it_was_afterwards():
    before = Launcher.launch, Launcher._run_executor
    with wrapped_launcher(lambda node, launch: launch(), lambda node, info, execute: execute()):
        assert Launcher.launch is not before[0]
    assert (Launcher.launch, Launcher._run_executor) == before


def test_the_job_that_starts_the_nodes_has_the_flags():
    before = beam_dag_runner.beam
    with beam_dag_options(["--allow_unsafe_triggers"]):
        assert beam_dag_runner.beam.Pipeline().allow_unsafe_triggers
        assert beam_dag_runner.beam.ParDo is before.ParDo
    assert beam_dag_runner.beam is before


def test_what_the_entrypoint_does_not_know_is_given_back():
    given = ["--executor_class_path", "a.B", "--json_serialized_invocation_args", "{}"]
    known, others = container_arguments(["program", *given, "--direct_num_workers=1"])
    assert known.executor_class_path == "a.B"
    assert others == ["program", "--direct_num_workers=1"]
