"""Kubernetes' reviews of tokens and permissions, which a multi-user API server requests."""

from __future__ import annotations

import json
from typing import Any

from kubeflow_rig.messages import BYTES, TEXT, classes_of

Json = dict[str, Any]

USER, NAMESPACE = "ann@example.org", "team"
"""The user of the cluster, and her namespace."""

AGENT = "system:serviceaccount:kubeflow:ml-pipeline-persistenceagent"
AGENTS_TOKEN = "token-of-the-persistence-agent"
AUDIENCE = "pipelines.kubeflow.org"

_MAGIC = b"k8s\x00"
# The needed parts of k8s.io/apimachinery/pkg/runtime, k8s.io/api/authentication/v1 and k8s.io/api/authorization/v1.
_MESSAGES = {
    "Unknown": [(2, "raw", BYTES)],
    "TokenReview": [(2, "spec", ".review.TokenReviewSpec")],
    "TokenReviewSpec": [(1, "token", TEXT)],
    "SubjectAccessReview": [(2, "spec", ".review.SubjectAccessReviewSpec")],
    "SubjectAccessReviewSpec": [(1, "resourceAttributes", ".review.ResourceAttributes"), (3, "user", TEXT)],
    "ResourceAttributes": [(1, "namespace", TEXT), (2, "verb", TEXT), (5, "resource", TEXT)],
}


class Access:
    """The users.

    Attributes:
        namespaces: The namespace in which each user has all permissions, by user name.
        tokens: The user name of each token.
    """

    def __init__(self) -> None:
        self.namespaces = {USER: NAMESPACE}
        self.tokens = {AGENTS_TOKEN: AGENT}
        self._classes = classes_of("review", _MESSAGES)

    def review(self, kind: str, body: bytes) -> Json:
        """Responds to a ``TokenReview`` or ``SubjectAccessReview``."""
        spec = self._spec(kind, body)
        if kind == "TokenReview":
            user = self.tokens.get(spec["token"])
            status = {"authenticated": bool(user), "user": {"username": user or ""}, "audiences": [AUDIENCE]}
            group = "authentication.k8s.io"
        else:
            asked = spec["resourceAttributes"]
            reports = (spec["user"], asked.get("verb")) == (AGENT, "report")
            namespace = asked.get("namespace")
            allowed = reports or (bool(namespace) and self.namespaces.get(spec["user"]) == namespace)
            status, group = {"allowed": allowed}, "authorization.k8s.io"
        return {"kind": kind, "apiVersion": f"{group}/v1", "metadata": {}, "spec": spec, "status": status}

    def _spec(self, kind: str, body: bytes) -> Json:
        """The spec of a review, which clients before about 1.33 send as JSON, and later ones as protobuf."""
        if not body.startswith(_MAGIC):
            return dict(json.loads(body)["spec"])
        raw = self._classes["Unknown"].FromString(body.removeprefix(_MAGIC)).raw
        spec = self._classes[kind].FromString(raw).spec
        if kind == "TokenReview":
            return {"token": spec.token}
        asked = spec.resourceAttributes
        attributes = {"namespace": asked.namespace, "verb": asked.verb, "resource": asked.resource}
        return {"user": spec.user, "resourceAttributes": attributes}
