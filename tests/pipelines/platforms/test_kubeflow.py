from __future__ import annotations

import pytest
import yaml
from kubeflow_runs import GOLDEN, MONDAYS, scheduled, submitted

from compressor_lib.errors import CompressorError
from pipelines.platforms.base import RemoteRun
from pipelines.platforms.cron import Cron
from pipelines.platforms.kubeflow import Kubeflow


class TestSubmit:
    def test_a_run_is_started_of_the_uploaded_package(self, api, kubeflow, package, capsys):
        run = submitted(kubeflow, package)
        assert run == RemoteRun("run-1", f"{api.url}/#/runs/details/run-1")
        body = api.runs["run-1"]
        assert body["runtime_config"] == {"parameters": {"tau": 0.5}, "pipeline_root": "gs://bucket/root"}
        (pipeline,) = api.pipelines.values()
        assert pipeline["described"]["name"] == "pictures"
        version = pipeline["versions"][body["pipeline_version_reference"]["pipeline_version_id"]]
        assert version["package"] == GOLDEN.read_text()
        assert capsys.readouterr().out == ""

    def test_the_link_is_to_the_ui_where_that_is_elsewhere(self, api, package, monkeypatch):
        monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", "https://ui.example.org/")
        assert submitted(Kubeflow(api.url), package).link == "https://ui.example.org/#/runs/details/run-1"

    def test_a_run_may_use_no_cache(self, api, kubeflow, package):
        run = submitted(kubeflow, package, caching=False)
        tasks = api.runs[run.id]["pipeline_spec"]["root"]["dag"]["tasks"]
        assert not any(task.get("cachingOptions", {}).get("enableCache") for task in tasks.values())

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"taus": 1}, r"parameter\(s\) provided are not required by pipeline: taus"),
            ({"tau": "high"}, "input parameter tau requires type double or integer"),
            ({"push_directory": 1}, "input parameter push_directory requires type string"),
        ],
    )
    def test_what_the_backend_does_not_take_is_told(self, kubeflow, package, parameters, message):
        with pytest.raises(CompressorError, match=f"responds with 400 to package [^:]*: {message}"):
            submitted(kubeflow, package, parameters=parameters)

    def test_a_package_that_the_backend_does_not_take_is_told(self, kubeflow, package):
        package.write_text(GOLDEN.read_text().replace("schemaVersion: 2.1.0", "schemaVersion: 2.0.0"))
        with pytest.raises(CompressorError, match="responds with 400 to package .*only supports schema version 2.1.0"):
            submitted(kubeflow, package)


class TestSchedules:
    def test_one_is_made_of_the_uploaded_package(self, api, kubeflow, package):
        schedule = scheduled(kubeflow, package)
        (body,) = api.recurring.values()
        assert body["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * 1"
        assert (int(body["max_concurrency"]), body["no_catchup"]) == (1, True)
        assert body["runtime_config"]["parameters"] == {"max_trials": 3}
        assert body["pipeline_version_reference"]["pipeline_version_id"]
        assert schedule.next_run == MONDAYS.next_runs(1)[0]
        assert kubeflow.schedules() == [schedule]

    @pytest.mark.parametrize("fields", ["0 3 * * 7", "*/15 * * * *", "0 3 1,15 JAN-MAR *", "30 6 * * MON-FRI"])
    def test_what_we_take_kubeflow_takes(self, api, kubeflow, package, fields):
        schedule = scheduled(kubeflow, package, cron=Cron.parse(fields))
        assert kubeflow.schedules() == [schedule]
        assert schedule.cron.next_runs(3) == Cron.parse(fields).next_runs(3)

    def test_another_time_zone_is_refused_before_anything_is_uploaded(self, api, kubeflow, package):
        with pytest.raises(
            CompressorError, match="Kubeflow does not support time zones for schedules: omit --time-zone"
        ):
            scheduled(kubeflow, package, cron=Cron("0 3 * * 1", "Europe/Berlin"))
        assert (api.pipelines, api.recurring) == ({}, {})

    def test_its_name_is_its_own_alone(self, api, kubeflow, package):
        submitted(kubeflow, package)
        scheduled(kubeflow, package, "Every Monday, weekly")
        (pipeline,) = api.pipelines.values()
        assert pipeline["described"]["name"] == "pictures"
        (experiment,) = api.experiments.values()
        assert experiment["display_name"] == "pictures"
        assert kubeflow.schedules()[0].name == "Every Monday, weekly"

    def test_names_are_new(self, kubeflow, package):
        scheduled(kubeflow, package)
        with pytest.raises(CompressorError, match="schedule 'weekly' already exists"):
            scheduled(kubeflow, package)

    def test_more_than_a_page_of_them_is_found(self, api, kubeflow, package):
        scheduled(kubeflow, package)
        (first,) = api.recurring.values()
        for number in range(2, 252):
            key = f"recurring_run-{number}"
            api.recurring[key] = {**first, "recurring_run_id": key, "display_name": f"weekly-{number}"}
        names = [schedule.name for schedule in kubeflow.schedules()]
        assert (names[0], names[-1], len(names)) == ("weekly-251", "weekly", 251)
        kubeflow.pause("weekly")
        assert first["status"] == "DISABLED"

    @pytest.mark.parametrize("cron", ["@daily", "@every 1h30m", "0 0 3 ? * MON", "0 0 3 1 *", "0 0 3 L * *"])
    def test_one_that_somebody_else_has_made_is_listed(self, api, kubeflow, package, cron):
        scheduled(kubeflow, package)
        (body,) = api.recurring.values()
        body["trigger"]["cron_schedule"]["cron"] = cron
        (schedule,) = kubeflow.schedules()
        assert (schedule.next_run is None) == cron.startswith("@every")

    def test_pause_resume_delete(self, kubeflow, package):
        scheduled(kubeflow, package)
        kubeflow.pause("weekly")
        (paused,) = kubeflow.schedules()
        assert (paused.paused, paused.next_run) == (True, None)
        kubeflow.resume("weekly")
        assert not kubeflow.schedules()[0].paused
        kubeflow.delete("weekly")
        assert kubeflow.schedules() == []

    def test_a_run_out_of_turn_is_like_the_others(self, api, kubeflow, package):
        scheduled(kubeflow, package)
        run = kubeflow.run_now("weekly")
        (recurring,) = api.recurring.values()
        for key in ("pipeline_version_reference", "runtime_config", "experiment_id"):
            assert api.runs[run.id][key] == recurring[key]

    def test_a_run_out_of_turn_of_one_without_a_version(self, api, kubeflow, package):
        scheduled(kubeflow, package)
        (recurring,) = api.recurring.values()
        recurring["pipeline_spec"] = {"pipeline_spec": next(yaml.safe_load_all(package.read_text()))}
        del recurring["pipeline_version_reference"]
        assert api.runs[kubeflow.run_now("weekly").id]["pipeline_spec"] == recurring["pipeline_spec"]

    @pytest.mark.parametrize("action", ["pause", "resume", "delete", "run_now"])
    def test_an_unknown_one_is_told(self, kubeflow, package, action):
        with pytest.raises(CompressorError, match=r"^unknown schedule 'weekl'\. There are none\.$"):
            getattr(kubeflow, action)("weekl")
        scheduled(kubeflow, package)
        with pytest.raises(CompressorError, match="unknown schedule 'weekl'. Did you mean 'weekly'"):
            getattr(kubeflow, action)("weekl")


class TestManyUsers:
    def test_everything_is_in_the_namespace(self, shared_api, package):
        api, mine = shared_api, Kubeflow(shared_api.url, namespace="mine")
        for _ in range(2):
            submitted(mine, package)
        package.write_text(GOLDEN.read_text() + "\n")
        submitted(mine, package)
        scheduled(mine, package)
        assert [one["described"]["namespace"] for one in api.pipelines.values()] == ["mine"]
        assert [one["namespace"] for one in api.experiments.values()] == ["mine"]
        assert [schedule.name for schedule in mine.schedules()] == ["weekly"]
        assert Kubeflow(api.url, namespace="theirs").schedules() == []

    def test_a_shared_pipeline_of_that_name_stays_as_it_is(self, shared_api, package):
        shared_api._pipeline("pictures", None)
        run = submitted(Kubeflow(shared_api.url, namespace="mine"), package)
        used = shared_api.runs[run.id]["pipeline_version_reference"]["pipeline_id"]
        assert shared_api.pipelines[used]["described"]["namespace"] == "mine"
        assert shared_api.pipelines["pipeline-1"]["versions"] == {}

    def test_a_namespace_must_be_named(self, shared_api):
        with pytest.raises(CompressorError, match="is a multi-user cluster: give your namespace with --namespace"):
            Kubeflow(shared_api.url)
        assert shared_api.pipelines == {}

    def test_or_be_stored_by_the_client(self, shared_api, package, stored):
        stored.write_text('{"namespace": "mine"}')
        submitted(Kubeflow(shared_api.url), package)
        assert [one["described"]["namespace"] for one in shared_api.pipelines.values()] == ["mine"]

    def test_where_there_is_one_user_a_namespace_does_no_harm(self, api, package):
        kubeflow = Kubeflow(api.url, namespace="mine")
        assert [submitted(kubeflow, package).id for _ in range(2)] == ["run-1", "run-2"]
