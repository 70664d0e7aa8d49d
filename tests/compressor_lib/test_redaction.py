from __future__ import annotations

import logging
import sys
import time

import pytest

from compressor_lib.redaction import HIDDEN, RedactingFormatter, redact

# Made up, and put together here, so that no scanner takes them for real ones.
WORD = "hunter2" + "-and-more"
AWS_ID = "AKIA" + "Q3EXAMPLE7EXAMPL"
JWT = "eyJ" + "hbGciOiJSUzI1NiJ9" + "." + "eyJzdWIiOiJ4In0" + "." + "c2lnbmF0dXJl"
SECRETS = {
    "password in a URL": (f"proxy http://me:{WORD}@proxy:3128/ is down", WORD),
    "password with an at sign": (f"https://me:a@{WORD}@host/x", WORD),
    "AWS signature": (f"https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature={WORD}", WORD),
    "AWS session": (f"https://b.s3.amazonaws.com/k?X-Amz-Security-Token={WORD}&X-Amz-Date=1", WORD),
    "Google signature": (f"https://storage.googleapis.com/b/k?X-Goog-Signature={WORD}", WORD),
    "older signature": (f"https://host/k?Expires=1&Signature={WORD}", WORD),
    "signature in HTML": (f'<a href="https://host/k?Expires=1&amp;Signature={WORD}">', WORD),
    "shared access signature": (f"https://host/k?sv=1&sig={WORD}", WORD),
    "API key": (f"https://host/v1?key={WORD}", WORD),
    "header": (f"Authorization: Basic {WORD}", WORD),
    "header as JSON": (f'{{"Authorization": "Bearer {WORD}"}}', WORD),
    "bearer token": (f"refused bearer {WORD}=", WORD),
    "environment": (f"AWS_SECRET_ACCESS_KEY={WORD}", WORD),
    "field of JSON": (f'{{"client_secret": "{WORD}", "id": 1}}', WORD),
    "field of YAML": (f"registry_password: {WORD}", WORD),
    "AWS key": (f"key {AWS_ID} is not active", AWS_ID),
    "Google key": ("AIza" + "b" * 35, "b" * 35),
    "Google token": ("got ya29." + WORD, WORD),
    "GitHub token": ("ghp_" + "x" * 36, "x" * 36),
    "JSON Web Token": (f"token is {JWT}.", JWT),
    "private key": (f"-----BEGIN RSA PRIVATE KEY-----\n{WORD}\n-----END RSA PRIVATE KEY-----", WORD),
    "private key in JSON": (
        f'{{"key": "-----BEGIN PRIVATE KEY-----\\n{WORD}\\n-----END PRIVATE KEY-----", "x": 1}}',
        WORD,
    ),
    "private key, cut off": (f"-----BEGIN PRIVATE KEY-----\\n{WORD}", WORD),
}
HARMLESS = [
    "registry.example.org:5000/auto-compressor@sha256:0123456789abcdef",
    "gs://bucket/folder@2024/key=1",
    "http://localhost:8888/pipeline is not there",
    "no token: log in first, or set a token",
    "s3: {endpoint: http://minio:9000, secret: mlpipeline-minio-artifact}",
    "bearer of bad news",
    '{"host":"http://localhost:8888","mail":"me@example.org"}',
    "ssh://git@host/name",
    "search.tau=0.4, keys: 3, signature serving_default",
    "block_5_add->Conv_1 (516,000 parameters, accuracy 82.70%)",
]


@pytest.mark.parametrize("kind", SECRETS)
def test_no_credential_is_left(kind):
    text, secret = SECRETS[kind]
    assert secret in text
    redacted = redact(text)
    assert secret not in redacted
    assert HIDDEN in redacted
    assert redact(redacted) == redacted


def test_what_is_around_it_stays():
    text = f"GET https://me:{WORD}@host/a.jpg?X-Amz-Date=1&X-Amz-Signature={WORD}&x=2 failed: 403"
    assert redact(text) == "GET https://me:***@host/a.jpg?X-Amz-Date=1&X-Amz-Signature=***&x=2 failed: 403"


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_stays_as_it_is(text):
    assert redact(text) == text


def test_a_long_line_takes_no_long_time():
    begun = time.process_time()
    for text in ("a_" * 50_000, "://" * 50_000, "eyJ" * 50_000, "a" * 100_000, "-----BEGIN PRIVATE KEY-----" * 2_000):
        redact(text)
    assert time.process_time() - begun < 20  # one that tries all ends for all beginnings takes minutes


def test_a_traceback_is_formatted_without_them():
    secret = f"https://me:{WORD}@host"
    try:
        raise ValueError(secret)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "for %s", (f"Bearer {WORD}",), sys.exc_info())
    formatted = RedactingFormatter("%(message)s").format(record)
    assert WORD not in formatted
    assert formatted.count(HIDDEN) == 2
    assert "ValueError" in formatted
