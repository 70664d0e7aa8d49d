"""Checks of values for platforms: pipeline roots in their stores, and texts that Kubernetes would change."""

from __future__ import annotations

import re

from compressor_lib.errors import CompressorError

STORES = {"kubeflow": ("gs://", "s3://", "minio://"), "vertex": ("gs://",)}
"""Prefixes of the paths that each platform's nodes can reach."""

# References to variables (kubernetes/kubernetes, third_party/forked/golang/expansion).
_EXPANDED = re.compile(r"\$\$|\$\(.*\)")


def check_pipeline_root(root: str, target: str) -> None:
    """Refuses a pipeline root that the nodes could not write to.

    Args:
        root: As given on the command line.
        target: ``"kubeflow"`` or ``"vertex"``.

    Raises:
        CompressorError: If it is not in a store that the platform can reach, or Kubernetes would change it.
    """
    store = next((store for store in STORES[target] if root.startswith(store)), None)
    if store is None or not root.removeprefix(store).strip("/"):
        own = ", or omit it to use the cluster's own" if target == "kubeflow" else ""
        raise CompressorError(
            f"--pipeline-root {root!r} is not in a store that the nodes can reach: give one that begins with "
            f"{' or '.join(STORES[target])} and a bucket{own}."
        )
    check_unchanged("--pipeline-root", root, target)


def check_unchanged(name: str, text: str, target: str) -> None:
    """Refuses a text that would not reach the nodes unchanged.

    Args:
        name: Name of the text, for the message.
        text: The text.
        target: ``"kubeflow"`` or ``"vertex"``.

    Raises:
        CompressorError: If Kubernetes would change it.
    """
    if target == "kubeflow" and _EXPANDED.search(text):
        raise CompressorError(
            f"{name} contains $$ or $(...), which Kubernetes changes on the way to the nodes: use another name."
        )
