from __future__ import annotations

from collections.abc import Iterator

import google.auth
import pytest
from google.auth.exceptions import DefaultCredentialsError
from proxies import Proxy, set_proxy
from registry_api import RegistryApi

from compressor_lib.errors import CompressorError
from pipelines.platforms import registry as module
from pipelines.platforms.registry import Image, NotLookedAt, Registry

LABELS = {"a": "b"}


@pytest.fixture
def api() -> Iterator[RegistryApi]:
    api = RegistryApi()
    yield api
    api.close()


def registry(api: RegistryApi, reference: str = "team/image:1") -> Registry:
    return Registry(Image.parse(f"{api.host}/{reference}"))


class TestImage:
    @pytest.mark.parametrize(
        ("text", "image"),
        [
            ("python", Image("registry-1.docker.io", "library/python", "latest")),
            ("team/image:1", Image("registry-1.docker.io", "team/image", "1")),
            ("docker.io/team/image", Image("registry-1.docker.io", "team/image", "latest")),
            ("localhost:5000/image:1", Image("localhost:5000", "image", "1")),
            ("localhost/image", Image("localhost", "image", "latest")),
            ("quay.io/a/b/c:1@sha256:0f", Image("quay.io", "a/b/c", "sha256:0f")),
        ],
    )
    def test_references_are_read_as_docker_does(self, text, image):
        assert Image.parse(text) == image
        assert image.by_digest is ("@" in text)

    @pytest.mark.parametrize("text", ["", "a b", "a@b@c", "https://quay.io/a?b"])
    def test_others_are_none(self, text):
        with pytest.raises(CompressorError, match="names no image: compile the package again"):
            Image.parse(text)


class TestRegistry:
    def test_an_image_is_there_or_not(self, api):
        digest = api.push("team/image", "1", LABELS)
        assert registry(api).has_image()
        assert registry(api, f"team/image@{digest}").has_image()
        assert not registry(api, "team/image:2").has_image()

    def test_labels_are_the_configs(self, api):
        api.push("team/image", "1", LABELS)
        api.push("team/image", "2", None)
        assert registry(api).labels() == LABELS
        assert registry(api, "team/image:2").labels() == {}

    def test_of_several_images_that_for_amd64_counts(self, api):
        digests = {
            architecture: api.push("team/image", architecture, {"for": architecture})
            for architecture in ("arm64", "amd64")
        }
        api.push_index("team/image", "1", digests)
        assert registry(api).has_image()
        assert registry(api).labels() == {"for": "amd64"}

    def test_labels_that_are_not_told(self, api):
        api.push("team/image", "1", LABELS)
        api.blobs.clear()
        assert registry(api).labels() is None

    def test_a_token_is_asked_for_once_by_no_name(self, api):
        api.push("team/image", "1", LABELS)
        api.token = "everyones"
        asked = registry(api)
        assert asked.has_image()
        assert asked.labels() == LABELS
        assert [path for _, path in api.asked].count("/token") == 1

    def test_a_registry_that_wants_a_log_in(self, api):
        api.token, api.is_public = "secret", False
        with pytest.raises(NotLookedAt, match="wants a log-in, or does not have it"):
            registry(api).has_image()

    def test_google_gets_the_default_credentials_and_no_one_else(self, api, monkeypatch):
        api.push("team/image", "1", LABELS)
        api.token, api.is_public = "mine", False
        monkeypatch.setattr(module, "_google_token", lambda: "mine")
        with pytest.raises(NotLookedAt):
            registry(api).has_image()
        monkeypatch.setattr(module, "_GOOGLE", module._LOCAL)
        assert registry(api).has_image()

    def test_without_default_credentials_google_is_asked_by_no_name(self, api, monkeypatch):
        def default(**_):
            raise DefaultCredentialsError("none")

        api.push("team/image", "1", LABELS)
        api.token = "everyones"
        monkeypatch.setattr(google.auth, "default", default)
        monkeypatch.setattr(module, "_GOOGLE", module._LOCAL)
        assert registry(api).has_image()

    @pytest.mark.parametrize(
        ("host", "is_googles"),
        [
            ("gcr.io", True), ("eu.gcr.io", True), ("europe-west1-docker.pkg.dev", True), ("notgcr.io", False),
            ("pkg.dev.example.org", False), ("ghcr.io", False),
        ],
    )  # fmt: skip
    def test_googles_are_known_by_their_hosts(self, host, is_googles):
        assert Registry(Image.parse(f"{host}/a/b:1"))._is_google is is_googles

    def test_a_registry_that_fails_or_is_away(self, api):
        api.answers_with = 503
        with pytest.raises(NotLookedAt, match="the registry answers 503: try again later"):
            registry(api).has_image()
        api.close()
        with pytest.raises(NotLookedAt, match=f"{api.host} cannot be reached from here"):
            registry(api).has_image()

    def test_a_proxy_that_lets_nothing_through_is_named(self, monkeypatch):
        proxy = Proxy(status=403)
        set_proxy(monkeypatch, proxy.url)
        with pytest.raises(NotLookedAt, match=rf"quay.io cannot be reached through the proxy {proxy.url} \(.*403 "):
            Registry(Image.parse("quay.io/a/b:1")).has_image()
        proxy.close()

    def test_this_machine_s_is_asked_through_none(self, api, monkeypatch):
        set_proxy(monkeypatch, "http://127.0.0.1:1")
        assert not registry(api, "team/none:1").has_image()

    @pytest.mark.parametrize("host", ["a..b", "localhost:99999"])
    def test_a_host_that_can_be_none(self, host):
        with pytest.raises(NotLookedAt, match=f"{host} cannot be reached from here"):
            Registry(Image.parse(f"{host}/image:1")).has_image()

    def test_only_this_machines_are_asked_without_encryption(self):
        for text, scheme in (("localhost:5000/a", "http"), ("localhost.example.org/a", "https"), ("a/b", "https")):
            assert Registry(Image.parse(text))._url.startswith(f"{scheme}://")
