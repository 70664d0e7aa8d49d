from __future__ import annotations

import pytest

from compressor_lib.errors import CompressorError
from pipelines.config.remote_values import check_pipeline_root, check_unchanged


@pytest.mark.parametrize(
    ("root", "target"),
    [
        ("gs://bucket/root", "vertex"),
        ("gs://bucket", "kubeflow"),
        ("s3://b/r", "kubeflow"),
        ("minio://b/r", "kubeflow"),
    ],
)
def test_a_root_in_a_store_of_the_platform_is_taken(root, target):
    check_pipeline_root(root, target)


@pytest.mark.parametrize(
    ("root", "target", "message"),
    [
        ("nonsense", "vertex", "begins with gs:// and a bucket\\.$"),
        ("s3://bucket/root", "vertex", "begins with gs:// and a bucket\\.$"),
        ("/mnt/root", "kubeflow", "or omit it to use the cluster's own"),
        ("minio://", "kubeflow", "and a bucket, or omit it"),
        ("gs://bucket/$(HOME)", "kubeflow", "which Kubernetes changes on the way"),
    ],
)
def test_others_are_refused_with_the_way_out(root, target, message):
    with pytest.raises(CompressorError, match=message):
        check_pipeline_root(root, target)


def test_vertex_changes_no_texts():
    check_unchanged("data.path", "gs://bucket/cost$$", "vertex")
