"""The whole pipeline with images, artifacts and pushed models in stores of two owners, and a node that is killed."""

from __future__ import annotations

import pytest
from kubeflow_cluster import Cluster as Volume
from kubeflow_rig.cluster import Cluster
from kubeflow_rig.workflow import SUCCEEDED, Outcome

from pipelines.config.config import load_config
from pipelines.kubeflow.package import compile_package

pytestmark = [pytest.mark.kubeflow, pytest.mark.timeout(7200)]

PROVIDERS = """
s3:
  default:
    endpoint: seaweedfs.kubeflow:9000
    region: us-east-1
    disableSSL: true
    credentials: {fromEnv: false, secretRef: {secretName: of-artifacts, accessKeyKey: key, secretKeyKey: secret}}
"""
ARTIFACTS, IMAGES = "key-of-artifacts", "key-of-images"
OVERRIDES = (
    "data.path=minio://team/images",
    "push.directory=minio://team/serving",
    "s3={endpoint: 'http://seaweedfs.kubeflow:9000', secret: of-images}",
    "retries=1",
)


@pytest.fixture(scope="module")
def done(cluster: Cluster, small_backbone) -> Outcome:
    """A run whose retraining is killed in its first epoch."""
    volume = Volume(cluster.pods.claim("work"), small_backbone, "2.17")
    kubernetes, client = cluster.services.kubernetes, cluster.services.store.client
    kubernetes.launcher["providers"] = PROVIDERS
    kubernetes.secrets["of-artifacts"] = {"key": ARTIFACTS, "secret": "1"}
    kubernetes.secrets["of-images"] = {"accesskey": IMAGES, "secretkey": "2"}
    client.create_bucket(Bucket="team")
    for file in sorted((volume.folder / "images").rglob("*.*")):
        client.upload_file(str(file), "team", str(file.relative_to(volume.folder)))
    cluster.services.store.requests.clear()
    package = compile_package(
        load_config(volume.folder / "config.yaml", OVERRIDES), "kubeflow", image="image", code_version="0"
    )
    outcome = cluster.run(package, root="s3://mlpipeline/team", killed={"retrain": "epoch 1/"})
    assert outcome.phase == SUCCEEDED, outcome.log
    return outcome


def test_a_model_is_pushed_to_the_teams_store(cluster, done):
    names = cluster.services.store.names("serving/", bucket="team")
    assert len({name.split("/")[1] for name in names if name.endswith("/saved_model.pb")}) == 1


def test_the_report_is_a_page_in_the_root(cluster, done):
    (name,) = [name for name in cluster.services.store.names("team/") if name.endswith("/report.html")]
    page = cluster.services.store.read(name).decode()
    assert "s3://mlpipeline/team/" in page
    assert "/s3/mlpipeline/" not in page


@pytest.mark.parametrize(("bucket", "key"), [("mlpipeline", ARTIFACTS), ("team", IMAGES)])
def test_each_store_is_asked_with_its_own_key(cluster, done, bucket, key):
    asked = [one for one in cluster.services.store.requests if one.path.split("/")[1] == bucket]
    assert {"GET", "PUT"} <= {one.method for one in asked}
    assert {one.key for one in asked} <= {key, "minio"}  # and these tests' own


def test_the_killed_node_is_tried_again(done):
    tries = [pod for pod in done.pods if pod.node == "root.retrain.executor"]
    assert [pod.attempt for pod in tries] == [0, 1]
    assert "signal: killed" in tries[0].log
