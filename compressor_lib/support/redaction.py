"""Removes credentials from text written for people: logs, events and reports.

Credentials appear in messages from other software, such as an error for a signed URL or a proxy address with a
password. The patterns match the formats of common cloud and Git providers. Secrets in unknown formats are not detected.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any, TextIO

HIDDEN = "***"
"""Replaces each removed credential."""

_IN_QUERY = (
    "x-(?:amz|goog)-(?:signature|credential|security-token)|signature|sig|awsaccesskeyid|googleaccessid|"
    "key|api_?key|(?:access_|id_|refresh_)?token"
)
_NAME = (
    r"(?<![\w-])[\w-]*(?:passw(?:or)?d|token|(?<=[\w-])secret|(?:api|access|account|secret)[_-]?key)(?:\\*[\"'])?[ \t]*"
)
"""Names whose values are secrets in environments, flags, headers, JSON and YAML. ``secret`` alone may be a name."""
_VALUE = r"[^\s\"',;&}\\]"
_PATTERNS = [
    # URLs: user:password@host, token@host, and signatures in a query.
    (re.compile(r"(://[^\s/:@]*:)[^\s/?#\"'<>]+(?=@)"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)(\bhttps?://)[^\s/:@?#\"'<>]+(?=:?@)"), rf"\1{HIDDEN}"),
    (re.compile(rf"(?i)([?&;](?:{_IN_QUERY})=)[^\s&;#\"'<>]+"), rf"\1{HIDDEN}"),
    # Headers, to the end of the line or of the quoted text. After "=", the value may contain quotes.
    (
        re.compile(
            r"(?i)(\bauthorization[\"']?\s*[:=]\s*[\"']?(?:(?:aws4-hmac-sha256|basic|bearer|digest|token)[ \t]+)?)"
            r"(?:[^\r\n\"'\\]|(?<==)\"[^\"\r\n,]*\")+"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)(\bbearer\s+)[\w.~+/=-]{16,}"), rf"\1{HIDDEN}"),
    (
        re.compile(r"(?i)(cookies?(?:\\*[\"'])?[ \t]*[:=][ \t]*(?:\\*[\"'])?)[^\s\"'=;,]{1,99}=[^\r\n\"'\\]*"),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)(cookies?[ \t]*[:=][ \t]*\{)[^}\r\n]+"), rf"\1{HIDDEN}"),
    (re.compile(rf"(?i)(_cookies?=){_VALUE}+"), rf"\1{HIDDEN}"),
    # Assignments. After a colon, an unquoted value may be prose: "no token: log in first".
    (re.compile(rf"(?i)({_NAME}[:=][ \t]*[bru]?(\\*[\"']))(?:(?!\2)[^\r\n])+"), rf"\1{HIDDEN}"),
    (re.compile(rf"(?i)({_NAME}=(?!=)[ \t]*){_VALUE}+"), rf"\1{HIDDEN}"),
    (
        re.compile(
            rf"(?im)({_NAME}:(?!:)[ \t]*)"
            rf"(?:(?={_VALUE}{{0,99}}\d){_VALUE}+|{_VALUE}{{1,99}}(?=[ \t]*(?:\r?$|[,;&}})\]\"'\\])))"
        ),
        rf"\1{HIDDEN}",
    ),
    # Recognisable formats: private keys; AWS and Google keys; Google, GitHub and GitLab tokens; JSON Web Tokens.
    (re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[^\"']*?(?=-----END |[\"']|\Z)"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), HIDDEN),
    (re.compile(r"\bAIza[\w-]{35}"), HIDDEN),
    (re.compile(r"\bya29\.[\w.-]+"), HIDDEN),
    (re.compile(r"\b(?:gh[oprsu]_|github_pat_|glpat-)[\w-]{20,}"), HIDDEN),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*"), HIDDEN),
]


def redact(text: str) -> str:
    """Returns a text with its credentials removed.

    Args:
        text: Any text, of one or more lines.

    Example:
        >>> redact("GET https://me:word@host/a.jpg?X-Amz-Signature=4e0f&x=1")
        'GET https://me:***@host/a.jpg?X-Amz-Signature=***&x=1'
    """
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_values(values: Any) -> Any:
    """Returns nested mappings and lists with every text redacted.

    Args:
        values: Any JSON-compatible values.

    Example:
        >>> redact_values({"urls": ["https://me:word@host"], "seed": 0})
        {'urls': ['https://me:***@host'], 'seed': 0}
    """
    if isinstance(values, str):
        return redact(values)
    if isinstance(values, dict):
        return {key: redact_values(value) for key, value in values.items()}
    return [redact_values(value) for value in values] if isinstance(values, list) else values


class RedactingFormatter(logging.Formatter):
    """Formats log records, including tracebacks, with credentials removed."""

    def format(self, record: logging.LogRecord) -> str:
        """See the base class."""
        return redact(super().format(record))


class RedactedStream:
    """A text stream, such as stderr, that removes credentials from everything written to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes a text. A credential split over two calls is not detected."""
        self._stream.write(redact(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
