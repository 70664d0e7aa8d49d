"""What a container gets from the configuration: volumes, a disk and a user, with a stub in it."""

from __future__ import annotations

import pytest
from kubeflow_rig.release import Refused

pytestmark = pytest.mark.kubeflow


def first_nodes(cluster, package, **options):
    outcome = cluster.run(package, at_most=5, stub={}, **options)
    assert not outcome.log
    return outcome


def test_a_disk_is_beside_a_claim_of_any_name(cluster, compiled):
    """Kubeflow gives a claim's volume the claim's name."""
    overrides = ("volumes=[{claim: work, path: /team}]", "resources={ImageExampleGen: {disk_gb: 10}}")
    spec = first_nodes(cluster, compiled(*overrides)).pod("ImageExampleGen").spec
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["work"] == {"name": "work", "persistentVolumeClaim": {"claimName": "work"}}
    assert [volume["emptyDir"] for volume in volumes.values() if volume.get("emptyDir")] == [{"sizeLimit": "10G"}]


def test_a_security_context_reaches_the_container(cluster, compiled):
    package = compiled("security_context={run_as_user: 1234, run_as_non_root: true}")
    try:
        cluster.workflow(package)
    except Refused as error:
        pytest.skip(f"releases up to 2.15 know none: {error}")
    pod = first_nodes(cluster, package).pod("ImageExampleGen")
    assert pod.main["securityContext"]["runAsUser"] == 1234
    assert pod.main["securityContext"]["runAsNonRoot"] is True
    assert '"user": 1234' in pod.log


@pytest.mark.parametrize("pattern", ["span-{SPAN:2}", "weeks/{SPAN:2}"])
def test_a_pattern_of_spans_reaches_the_node_that_finds_them(cluster, compiled, pattern):
    """Argo and Kubeflow leave its braces alone, as compiled and as a runtime parameter."""
    package = compiled(f"data.span_pattern={pattern}")
    assert f"{pattern}/*/*" in first_nodes(cluster, package).pod("NewData").log
    outcome = cluster.run(package, {"span_pattern": f"other-{pattern}"}, at_most=3, stub={})
    assert f"other-{pattern}/*/*" in outcome.pod("NewData").log
