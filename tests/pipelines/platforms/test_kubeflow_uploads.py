from __future__ import annotations

from pathlib import Path

import pytest
from kubeflow_runs import GOLDEN, submitted

from pipelines.platforms.kubeflow import Kubeflow


def used(api, kubeflow: Kubeflow, package: Path) -> tuple[str, str]:
    """Pipeline and version of a new run."""
    reference = api.runs[submitted(kubeflow, package).id]["pipeline_version_reference"]
    return reference["pipeline_id"], reference["pipeline_version_id"]


def test_a_package_is_uploaded_once(api, kubeflow, package):
    first, second = (used(api, kubeflow, package) for _ in range(2))
    assert first == second
    assert api.asked.count("pipelines/upload_version") == 1
    assert len(api.experiments) == 1


def test_a_changed_one_is_a_version(api, kubeflow, package):
    pipeline, version = used(api, kubeflow, package)
    package.write_text(GOLDEN.read_text() + "\n")
    assert used(api, kubeflow, package) == (pipeline, "pipeline-1-version-2")
    package.write_text(GOLDEN.read_text())
    assert used(api, kubeflow, package) == (pipeline, version)


def test_it_is_found_among_many_versions(api, kubeflow, package):
    pipeline, version = used(api, kubeflow, package)
    for number in range(250):
        described = {"pipeline_id": pipeline, "pipeline_version_id": f"v{number}", "name": f"{number}"}
        api.pipelines[pipeline]["versions"][f"v{number}"] = {"described": described, "package": ""}
    assert used(api, kubeflow, package) == (pipeline, version)


def test_it_is_found_when_it_is_shown_by_another_name(api, kubeflow, package):
    pipeline, version = used(api, kubeflow, package)
    api.pipelines[pipeline]["described"]["display_name"] = "Cats and dogs"
    api.pipelines[pipeline]["versions"][version]["described"]["display_name"] = "The good one"
    assert used(api, kubeflow, package) == (pipeline, version)


def test_another_that_is_shown_by_its_name_is_not_taken(api, kubeflow, package):
    other = api._pipeline("cats", None)
    other["display_name"] = "pictures"
    pipeline, _ = used(api, kubeflow, package)
    assert api.pipelines[pipeline]["described"]["name"] == "pictures"
    assert used(api, kubeflow, package)[0] == pipeline


@pytest.mark.parametrize("what", ["pipeline", "version"])
def test_what_somebody_else_uploads_meanwhile_is_taken(api, kubeflow, package, monkeypatch, what):
    expected = used(api, kubeflow, package)
    answer, hidden = api.answer, {"pipeline": "pipelines", "version": "pipelines/pipeline-1/versions"}[what]
    looks = []

    def answer_late(method, path, query, body):
        if (method, path) == ("GET", hidden):
            looks.append(path)
            if len(looks) == 1:
                return {}
        return answer(method, path, query, body)

    monkeypatch.setattr(api, "answer", answer_late)
    assert used(api, kubeflow, package) == expected
    assert len(looks) == 2
