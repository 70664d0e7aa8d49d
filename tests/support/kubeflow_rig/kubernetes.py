"""The API of Kubernetes over HTTPS: the parts that Kubeflow's drivers, launchers and API server use."""

from __future__ import annotations

import base64
import datetime
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kubeflow_rig.access import Access
from kubeflow_rig.custom_resources import KINDS, CustomResources

PORT = 6443
NAME = "kubernetes.default.svc"
NAMESPACE = "kubeflow"
SECRET = "mlpipeline-minio-artifact"
KEYS = {"accesskey": "minio", "secretkey": "minio123"}
"""The fields of the object store's Secret in the manifests."""

REVIEWS = {"tokenreviews": "TokenReview", "subjectaccessreviews": "SubjectAccessReview"}
"""Kinds of reviews, by the last part of their paths."""


class Kubernetes:
    """The API.

    Attributes:
        launcher: The data of the ConfigMap ``kfp-launcher``.
        secrets: The fields of the namespace's Secrets, by name.
        account: Folder with the service account's files, which is mounted in every pod.
        reads: Paths of the requests.
        resources: Workflows and ScheduledWorkflows.
        access: Users and their permissions.
    """

    def __init__(self, address: str, folder: Path) -> None:
        self.launcher: dict[str, str] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.account = folder / "serviceaccount"
        self.reads: list[str] = []
        self.resources = CustomResources()
        self.access = Access()
        self._server = ThreadingHTTPServer((address, PORT), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate(folder))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def found(self, path: str) -> dict[str, Any] | None:
        """The object at a path; None if it does not exist."""
        *_, plural, name = path.split("/")
        described = {"apiVersion": "v1", "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"{name}-uid"}}
        if plural == "configmaps" and name == "kfp-launcher":
            return {"kind": "ConfigMap", **described, "data": self.launcher}
        if plural == "secrets" and name in self.secrets:
            fields = {key: base64.b64encode(text.encode()).decode() for key, text in self.secrets[name].items()}
            return {"kind": "Secret", **described, "data": fields}
        if plural == "pods":
            return {"kind": "Pod", **described, "spec": {"containers": []}, "status": {}}
        return None

    def answer(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        """Responds to a request; raises a KeyError if the object does not exist."""
        if (plural := path.split("/")[-1]) in REVIEWS:
            return self.access.review(REVIEWS[plural], body)
        if any(part in KINDS for part in path.split("/")):
            return self.resources.answer(method, path, json.loads(body) if body else {})
        self.reads.append(path)
        found = self.found(path)
        if found is None:
            raise KeyError(path)
        return found

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                path = self.path.split("?")[0]
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                try:
                    status, found = 201 if self.command == "POST" else 200, api.answer(self.command, path, body)
                except KeyError:
                    status, found = 404, {
                        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
                        "message": f"{path} not found",
                    }  # fmt: skip
                content = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def _certificate(self, folder: Path) -> Path:
        """Writes the service account's files; returns the file with the server's certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        ).public_bytes(serialization.Encoding.PEM)
        self.account.mkdir()
        (self.account / "ca.crt").write_bytes(certificate)
        (self.account / "namespace").write_text(NAMESPACE)
        (self.account / "token").write_text("token-of-the-test")
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = folder / "kubernetes.pem"
        file.write_bytes(certificate + private)
        return file

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()
