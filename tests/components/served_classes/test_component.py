"""The classes of an endpoint's models: what a run starts from, and the last look before a deployment."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from google.auth.exceptions import DefaultCredentialsError
from tfx.types import standard_artifacts

from components.artifacts import served_classes as module
from components.artifacts.class_list import class_list, read_class_list, write_class_list
from components.artifacts.served_classes import Endpoint, endpoint_of, served_classes
from components.pusher.class_order import check_endpoint_order
from components.served_classes import ServedClasses
from compressor_lib.errors import CompressorError

CATS = Endpoint("mine", "here", "cats")


@pytest.fixture
def deploy(vertex_api, tmp_path) -> Callable[..., str]:
    """Deploys a model of some classes; its display name."""

    def deploy(*classes: str, endpoint: str = "cats", traffic: int = 100) -> str:
        folder = tmp_path / f"model-{len(vertex_api.models)}"
        write_class_list(str(folder / "assets.extra"), classes)
        return vertex_api.deploy(endpoint, str(folder), traffic=traffic)

    return deploy


@pytest.fixture
def known(vertex_api, tmp_path) -> Callable[[], list[str]]:
    """The classes that a run finds."""

    def known() -> list[str]:
        classes = standard_artifacts.Schema()
        classes.uri = str(tmp_path / "classes")
        ServedClasses.test_call(None, classes, project="mine", region="here", endpoint="cats")
        return read_class_list(classes.uri)

    return known


@pytest.fixture
def check(vertex_api, tmp_path) -> Callable[..., None]:
    """Looks at a model of some classes before it is deployed."""

    def check(*classes: str, removed: str = "") -> None:
        write_class_list(str(tmp_path / "new" / "assets.extra"), classes)
        check_endpoint_order(str(tmp_path / "new"), CATS, removed.split())

    return check


def images(*classes: str) -> dict[str, dict[str, int]]:
    return {"train": dict.fromkeys(classes, 7)}


def test_no_classes_without_a_deployed_model(deploy, known, check):
    deploy("dog", "cat", endpoint="other cats")
    assert known() == []
    check("dog", "cat")


def test_a_new_class_is_appended(deploy, known, check):
    deploy("dog", "cat")
    classes = class_list(images("aardvark", "cat", "dog"), known(), [])
    assert classes == ["dog", "cat", "aardvark"]
    check(*classes)


def test_class_without_images_keeps_its_index(deploy, known, check):
    deploy("dog", "eel", "cat")
    classes = class_list(images("cat", "dog"), known(), [])
    assert classes == ["dog", "eel", "cat"]
    check(*classes)


def test_removed_class_is_left_out(deploy, known, check):
    deploy("dog", "eel", "cat")
    classes = class_list(images("cat", "dog"), known(), ["eel"])
    assert classes == ["dog", "cat"]
    check(*classes, removed="eel")


@pytest.mark.parametrize("classes", [("cat", "dog"), ("dog",), ("dog", "aardvark", "cat")])
def test_changed_order_is_rejected(deploy, check, classes):
    deploy("dog", "cat")
    with pytest.raises(CompressorError) as refused:
        check(*classes)
    assert str(refused.value).startswith(
        f"the model's classes ({', '.join(classes)}) are in a different order from those of model 'v1', which endpoint "
        "'cats' serves, (dog, cat), so it is not pushed: applications would confuse the classes."
    )


def test_the_newest_model_with_traffic_counts(deploy, known, check):
    deploy("cat", "dog")
    deploy("ant", "cat", "dog")
    deploy("dog", "cat")
    assert known() == ["dog", "cat"]
    check("dog", "cat", "ant")


def test_moving_traffic_back_restores_the_order(deploy, known, check, vertex_api):
    before = deploy("ant", "dog", "cat")
    deploy("ant", "cat", "eel")
    vertex_api.move_traffic("cats", **{before: 100})
    assert known() == ["ant", "dog", "cat", "eel"]
    check("ant", "dog", "cat")
    with pytest.raises(CompressorError, match="a different order from those of model 'v1'"):
        check("ant", "cat", "eel")


def test_a_share_of_the_traffic_is_enough(deploy, known, vertex_api):
    before, now = deploy("dog", "cat"), deploy("dog", "cat", "eel")
    vertex_api.move_traffic("cats", **{before: 90, now: 10})
    assert known() == ["dog", "cat", "eel"]


def test_without_traffic_the_newest_counts(deploy, known):
    deploy("cat", "dog", traffic=0)
    deploy("dog", "cat", traffic=0)
    assert known() == ["dog", "cat"]


@pytest.mark.parametrize("uri", ["", "empty"])
def test_model_without_class_names_is_reported(vertex_api, tmp_path, uri):
    vertex_api.deploy("cats", str(tmp_path / uri) if uri else "")
    with pytest.raises(CompressorError, match=r"model 'v1', which endpoint 'cats' serves, has no list of its classes"):
        served_classes(CATS)


def test_refusal_error_suggests_a_fix(deploy, check, vertex_api):
    deploy("dog", "cat")
    vertex_api.answers_with = [403]
    with pytest.raises(CompressorError, match=r"endpoint 'cats' in project 'mine'.*403.*roles/aiplatform\.user"):
        check("dog", "cat")


def test_login_message_is_not_shown(monkeypatch):
    def no_clients(endpoint: Endpoint) -> None:
        raise DefaultCredentialsError("secret")

    monkeypatch.setattr(module, "_clients", no_clients)
    with pytest.raises(CompressorError, match="no valid credentials") as refused:
        served_classes(CATS)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("project", ["project", "project_id"])
def test_the_endpoint_is_the_one_that_the_extension_deploys_to(project):
    config = {
        "ai_platform_vertex_region": "here", "ai_platform_serving_args": {project: "mine", "endpoint_name": "cats"},
    }  # fmt: skip
    assert endpoint_of(json.dumps(config)) == CATS


def test_incomplete_configuration_is_reported():
    with pytest.raises(CompressorError, match="lacks the endpoint's region and name: give project_id"):
        endpoint_of(json.dumps({"ai_platform_serving_args": {"project": "mine"}}))
