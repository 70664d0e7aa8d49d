"""Whether weights could be downloaded, found out without downloading them.

The one place that hooks into Keras beyond its public API: ``keras.utils.get_file`` offers no such question, so the
``urlretrieve`` that it calls, of ``keras.src.utils.file_utils``, is replaced meanwhile.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

WRITTEN_AGAINST = "3.15.1"
"""The release of Keras that this was written against; the names are the same since 3.12."""

TIMEOUT = 5.0
"""Seconds to wait for a server."""


class WouldDownload(BaseException):
    """Keras would download a file now, and its server answers. No error, so that nothing handles it as one.

    Attributes:
        url: The file's.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


@contextmanager
def without_downloads() -> Iterator[None]:
    """Lets Keras ask a server for a file's header, where it would download the file.

    Files in Keras' cache are used as ever.

    Raises:
        WouldDownload: If a file is not in the cache, and its server has it.
        Exception: Keras' own, if the server cannot be reached or does not have the file.
    """
    from keras.src.utils import file_utils

    def asked(url: str, *_: Any) -> None:
        ask(url)
        raise WouldDownload(url)

    retrieve = file_utils.urlretrieve
    file_utils.urlretrieve = asked
    try:
        yield
    finally:
        file_utils.urlretrieve = retrieve


def ask(url: str) -> None:
    """Asks a server for a file's header, by the way that Keras downloads: through urllib's proxies.

    Raises:
        urllib.error.URLError: If it does not answer, or does not have the file.
    """
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=TIMEOUT):
        pass
