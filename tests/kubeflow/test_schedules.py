"""``compressor schedule`` on Kubeflow's own API server, with one user and with many."""

from __future__ import annotations

import re
from itertools import count

import pytest
import robfig_cron
from kubeflow_rig.access import USER
from kubeflow_runs import scheduled

from compressor_lib.errors import CompressorError
from pipelines.platforms import kubeflow as kubeflow_module
from pipelines.platforms.cron import Cron
from pipelines.platforms.kubeflow import Kubeflow

pytestmark = pytest.mark.kubeflow

RECURRING = "/apis/v2beta1/recurringruns"
_NUMBERS = count(1)


@pytest.fixture
def kubeflow(server, stored) -> Kubeflow:
    return Kubeflow(server.url, namespace=server.namespace)


@pytest.fixture
def name() -> str:
    """Of a schedule that no other test has."""
    return f"weekly-{next(_NUMBERS)}"


@pytest.fixture
def resource(server):
    """The ScheduledWorkflow of a schedule, which Kubeflow's controller starts runs by."""
    resources = server.services.kubernetes.resources

    def find(uid: str) -> dict:
        (found,) = (one for one in resources.all("scheduledworkflows") if one["metadata"]["uid"] == uid)
        return found

    return find


def test_one_goes_through_its_life(server, compressor, resource, package, name):
    cron = ("--cron", "0 3 * * 1", "--name", name, "--any-version")
    made = compressor("schedule", "create", package, *cron, "--param", "max_trials=3")
    assert (made.exit_code, made.stderr) == (0, "")
    assert made.stdout.startswith(f"{name}: 0 3 * * 1, UTC (")
    uid = made.stdout.partition("(")[2].partition(")")[0]
    assert made.stdout.count("\nnext  Mon ") == 3
    assert resource(uid)["spec"]["trigger"]["cronSchedule"]["cron"] == "0 0 3 * * 1"
    assert resource(uid)["metadata"]["namespace"] == (server.namespace or "kubeflow")
    assert f"{name}  0 3 * * 1 UTC  Mon " in compressor("schedule", "list").stdout
    assert compressor("schedule", "pause", name).stdout == f"{name} is paused\n"
    assert not resource(uid)["spec"].get("enabled")
    assert compressor("schedule", "show", name).stdout.endswith("paused\n")
    assert compressor("schedule", "resume", name).stdout == f"{name} is resumed\n"
    assert resource(uid)["spec"]["enabled"]
    run_id = compressor("schedule", "run-now", name).stdout.split()[1]
    run = server.ask("GET", f"/apis/v2beta1/runs/{run_id}", user=USER)
    assert run["runtime_config"]["parameters"] == {"max_trials": 3, "only_new_data": 1}
    assert compressor("schedule", "delete", name).stdout == f"{name} is deleted\n"
    assert name not in compressor("schedule", "list").stdout


@pytest.mark.parametrize(
    "fields",
    [
        "0 3 * * 7", "*/15 * * * *", "0 3 1,15 JAN-MAR *", "30 6 * * MON-FRI", "5-59/10 */2 */10 */3 5-7",
        "0 3 * * */2", "0 3 ? * 1", "30 0 3 * * 1", "@weekly", "@every 1h30m",
    ],
)  # fmt: skip
def test_what_we_take_kubeflow_takes(kubeflow, package, name, fields):
    made = scheduled(kubeflow, package, name, Cron.parse(fields))
    (found,) = (one for one in kubeflow.schedules() if one.name == name)
    assert found == made
    assert found.cron.next_runs(3) == Cron.parse(fields).next_runs(3)


@pytest.mark.parametrize(
    "cron",
    [
        "0 0 3 * * 1", "0 0 3 * *", "0 */7 1-5/2 1,15 jan-MAR mon", "@hourly", "0 0 3 * * 7", "0 0 3 L * *",
        "0 0 3 * * 5L", "0 0 3 * * 1#2", "* * * *", "60 * * * * *", "0 5-1 * * * *", "0 1/0 * * * *", "@often",
        "TZ=UTC 0 0 3 * * 1",
    ],
)  # fmt: skip
def test_the_parser_of_our_tests_takes_what_kubeflow_takes(kubeflow, package, name, cron, monkeypatch):
    monkeypatch.setattr(Cron, "for_kubeflow", lambda _: cron)
    try:
        robfig_cron.parse(cron)
    except robfig_cron.WrongCron as error:
        with pytest.raises(CompressorError, match=rf"responds with 400 to package .* Error: {re.escape(str(error))}$"):
            scheduled(kubeflow, package, name)
    else:
        scheduled(kubeflow, package, name)


@pytest.mark.parametrize("cron", ["@daily", "@every 1h30m", "0 0 3 ? * MON", "0 0 3 1 *"])
def test_one_that_somebody_else_has_made_is_listed(server, kubeflow, package, name, cron):
    made = scheduled(kubeflow, package, name)
    copied = ("experiment_id", "pipeline_version_reference", "runtime_config", "max_concurrency", "mode")
    ours = server.ask("GET", f"{RECURRING}/{made.id}", user=USER)
    theirs = {key: ours[key] for key in copied} | {
        "display_name": f"their {name}", "trigger": {"cron_schedule": {"cron": cron}},
    }  # fmt: skip
    server.ask("POST", RECURRING, theirs, user=USER)
    (found,) = (one for one in kubeflow.schedules() if one.name == f"their {name}")
    assert (found.next_run is None) == cron.startswith("@every")


def test_a_time_zone_is_refused(server, compressor, package):
    """The API knows none: its answer to one is that there are too many fields."""
    refused = compressor("schedule", "create", package, "--cron", "0 3 * * 1", "--time-zone", "Asia/Tokyo",
                         "--any-version")  # fmt: skip
    assert refused.exit_code == 2
    assert "Kubeflow does not support time zones for schedules: omit --time-zone" in refused.stderr


def test_its_name_is_its_own_alone(server, kubeflow, package, name):
    """It has spaces and capitals; pipeline and experiment are those of the package's runs."""
    made = scheduled(kubeflow, package, f"Every Monday, {name}")
    recurring = server.ask("GET", f"{RECURRING}/{made.id}", user=USER)
    pipeline = recurring["pipeline_version_reference"]["pipeline_id"]
    assert server.ask("GET", f"/apis/v2beta1/pipelines/{pipeline}", user=USER)["display_name"] == package.stem
    experiment = server.ask("GET", f"/apis/v2beta1/experiments/{recurring['experiment_id']}", user=USER)
    assert experiment["display_name"] == package.stem


def test_names_are_new(kubeflow, package, name):
    scheduled(kubeflow, package, name)
    with pytest.raises(CompressorError, match=f"schedule '{name}' already exists"):
        scheduled(kubeflow, package, name)


def test_more_than_a_page_of_them_is_found(kubeflow, package, name, monkeypatch):
    monkeypatch.setattr(kubeflow_module, "_PAGE", 2)
    names = [f"{name}-{number}" for number in range(3)]
    for one in names:
        scheduled(kubeflow, package, one)
    found = [schedule.name for schedule in kubeflow.schedules()]
    assert set(names) <= set(found)
    assert len(found) == len(set(found))
    kubeflow.pause(names[0])
    assert [schedule.name for schedule in kubeflow.schedules() if schedule.paused] == [names[0]]


@pytest.mark.parametrize("action", ["pause", "resume", "delete", "run_now"])
def test_an_unknown_one_is_told(kubeflow, action):
    with pytest.raises(CompressorError, match="^unknown schedule 'what'"):
        getattr(kubeflow, action)("what")
