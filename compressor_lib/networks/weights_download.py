"""Checks whether weights could be downloaded, without downloading them.

This is the only module that hooks into Keras' private API: ``keras.utils.get_file`` has no such check, so its
``urlretrieve`` from ``keras.src.utils.file_utils`` is replaced temporarily.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

WRITTEN_AGAINST = "3.15.1"
"""The release of Keras that this was written against; the names are the same since 3.12."""

TIMEOUT = 5.0
"""Timeout for a server's response, in seconds."""


class WouldDownload(BaseException):
    """Raised in place of a download, once the server has responded. It is not an error, so that no handler catches it.

    Attributes:
        url: URL of the file.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


@contextmanager
def without_downloads() -> Iterator[None]:
    """Makes Keras request only a file's headers where it would download the file.

    Files in Keras' cache are used as usual.

    Raises:
        WouldDownload: If a file is not in the cache and its server has it.
        Exception: Keras' own error, if the server cannot be reached or does not have the file.
    """
    from keras.src.utils import file_utils

    def check_only(url: str, *_: Any) -> None:
        request_headers(url)
        raise WouldDownload(url)

    retrieve = file_utils.urlretrieve
    file_utils.urlretrieve = check_only
    try:
        yield
    finally:
        file_utils.urlretrieve = retrieve


def request_headers(url: str) -> None:
    """Requests a file's headers the way Keras downloads it: through urllib's proxies.

    Raises:
        urllib.error.URLError: If the server does not respond or does not have the file.
    """
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=TIMEOUT):
        pass
