from __future__ import annotations

import logging
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor_lib.support.redaction import HIDDEN, RedactingFormatter, redact

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
    "cookies of the environment": (f"KFP_COOKIES={WORD}", WORD),
    "cookies, named, of the environment": (f"KFP_COOKIES=authservice_session=a; b={WORD}", WORD),
    "cookie": (f"Cookie: a=b; authservice_session={WORD}; c=d", WORD),
    "cookie of an answer": (f"Set-Cookie: session={WORD}; Path=/; HttpOnly", WORD),
    "cookie as JSON": (f'{{"Cookie": "a=b; session={WORD}", "x": 1}}', WORD),
    "cookies of a client": (f"get(url, cookies={{'session': '{WORD}'}})", WORD),
    "signature version 4": (
        f"Authorization: AWS4-HMAC-SHA256 Credential={AWS_ID}/2026/s3/aws4_request, SignedHeaders=x, Signature={WORD}",
        WORD,
    ),
    "signature version 2": (f"Authorization: AWS id:{WORD}", WORD),
    "digest": (f'Authorization: Digest username="me", realm="x", response="{WORD}"', WORD),
    "proxy's header": (f"Proxy-Authorization: Basic {WORD}", WORD),
    "token": (f"token: {WORD}", WORD),
    "token in a sentence": (f"the token: {WORD} was refused", WORD),
    "token without digits": ("token: correcthorse", "correcthorse"),
    "token without digits, among others": ("{token: correcthorse, id: 1}", "correcthorse"),
    "password": (f"password: {WORD}", WORD),
    "password in YAML": (f"a: 1\npassword: {WORD}\nb: 2", WORD),
    "token as JSON": (f'{{"token": "{WORD}", "id": 1}}', WORD),
    "token as JSON in JSON": (f'"{{\\"token\\": \\"{WORD}\\"}}"', WORD),
    "token of Python": (f"{{'token': b'{WORD}'}}", WORD),
    "password with spaces": (f'{{"password": "correct {WORD} battery"}}', WORD),
    "flag": (f"--token={WORD}", WORD),
    "flag with a hyphen": (f"--api-key={WORD}", WORD),
    "MinIO's variable": (f"MINIO_SECRET_KEY={WORD}", WORD),
    "Kubernetes' field": (f"secretkey: {WORD}", WORD),
    "header with a key": (f"x-api-key: {WORD}", WORD),
    "header with a key, tight": (f"X-Api-Key:{WORD}", WORD),
    "AWS' field": (f'{{"SecretAccessKey": "{WORD}"}}', WORD),
    "AWS' token": (f'{{"SessionToken": "{WORD}"}}', WORD),
    "token for a user in a URL": (f"git+https://{WORD}@host/x", WORD),
    "token for a user, no password": (f"https://{WORD}:@host/x", WORD),
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
    "tokenizer: bert, tokens: 512, max_tokens=512",
    "the token was refused, and the password is wrong",
    "the token: see docs/kubeflow.md",
    "wrong password: try again",
    "set a token or cookies: KFP_TOKEN or KFP_COOKIES",
    "the fields accesskey and secretkey",
    "if token == expected: secret: known",
    "std::token::kind",
    "the cookie: crumbs",
    '{"host":"http://localhost:8888","mail":"me@example.org"}',
    "ssh://git@host/name",
    "search.tau=0.4, keys: 3, signature serving_default",
    "block_5_add->Conv_1 (516,000 parameters, accuracy 82.70%)",
]


@pytest.mark.survives("a credential in what is logged")
@pytest.mark.parametrize("kind", SECRETS)
def test_credentials_are_removed(kind):
    text, secret = SECRETS[kind]
    assert secret in text
    redacted = redact(text)
    assert secret not in redacted
    assert HIDDEN in redacted
    assert redact(redacted) == redacted


@given(st.from_regex(r"[A-Za-z0-9_.-]{16,40}[0-9]", fullmatch=True))
def test_random_credentials_are_removed(secret):
    for text in (text for text, word in SECRETS.values() if word == WORD):
        assert secret not in redact(text.replace(WORD, secret))


def test_surrounding_text_is_kept():
    text = f"GET https://me:{WORD}@host/a.jpg?X-Amz-Date=1&X-Amz-Signature={WORD}&x=2 failed: 403"
    assert redact(text) == "GET https://me:***@host/a.jpg?X-Amz-Date=1&X-Amz-Signature=***&x=2 failed: 403"


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_is_kept(text):
    assert redact(text) == text


def test_long_line_is_fast():
    begun = time.process_time()
    for text in (
        "a_" * 50_000,
        "://" * 50_000,
        "eyJ" * 50_000,
        "a" * 100_000,
        "-----BEGIN PRIVATE KEY-----" * 2_000,
        "token:" * 20_000,
        "token:" * 20_000 + " x",
        "token: " * 20_000,
        "token=" * 20_000,
        'token="' * 20_000,
        "cookie:" * 20_000,
        "token\\" * 20_000,
        "authorization=" * 10_000,
        'authorization:="' * 10_000,
        "https://" * 20_000,
        "https://" + "a" * 100_000,
        "token" * 20_000,
        "-" * 100_000,
        "cookie={" * 20_000,
    ):
        redact(text)
    assert time.process_time() - begun < 20  # one that tries all ends for all beginnings takes minutes


def test_credentials_are_removed_from_tracebacks():
    secret = f"https://me:{WORD}@host"
    try:
        raise ValueError(secret)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "for %s", (f"Bearer {WORD}",), sys.exc_info())
    formatted = RedactingFormatter("%(message)s").format(record)
    assert WORD not in formatted
    assert formatted.count(HIDDEN) == 2
    assert "ValueError" in formatted
