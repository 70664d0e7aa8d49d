"""``s3://`` and ``minio://`` for TFX's file functions, which read images and push models.

TensorFlow reads ``gs://`` itself, but has not supported these two since 2.6. Endpoint, region and credentials come from
the standard settings of S3 clients (https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html), such as
``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``. Without an endpoint, ``s3://`` means Amazon
S3, and ``minio://`` is not available.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tfx.dsl.io import filesystem
from tfx.dsl.io.filesystem_registry import DEFAULT_FILESYSTEM_REGISTRY

from compressor_lib.errors import CompressorError

if TYPE_CHECKING:
    import s3fs

_PRIORITY = 5  # before TensorFlow's, which is registered for s3:// with priority 10
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")

Method = TypeVar("Method", bound=Callable[..., Any])


class Stat(NamedTuple):
    """The file status that TFX needs.

    Attributes:
        length: Size in bytes.
        mtime_nsec: Time of the last change, in nanoseconds since 1970.
    """

    length: int
    mtime_nsec: int


def _with_clear_errors(method: Method) -> Method:
    """Wraps a method to report a store's errors in one message, without the details of the request."""

    @functools.wraps(method)
    def wrapped(path: str, *given: Any, **options: Any) -> Any:
        try:
            return method(path, *given, **options)
        except FileNotFoundError as error:
            raise filesystem.NotFoundError(f"{path!r} does not exist") from error
        except PermissionError as error:
            raise CompressorError(
                f"the store refuses {path!r}: check that the credentials are valid, not expired, and allow reading and "
                "writing there."
            ) from error
        except Exception as error:
            message = _explained(path, error)
            if message is None:
                raise
            raise CompressorError(message) from error

    return wrapped  # type: ignore[return-value]


class ObjectStore(filesystem.Filesystem):
    """A :class:`tfx.dsl.io.filesystem.Filesystem`. A folder exists as long as it contains something."""

    SUPPORTED_SCHEMES = ("s3://", "minio://")

    @staticmethod
    @_with_clear_errors
    def open(name: str, mode: str = "r") -> Any:
        """See the base class. Files are read and written as a whole, in one request."""
        if mode.strip("bt") not in ("r", "w"):
            raise ValueError(f"mode {mode!r}: files in object stores are read or written as a whole")
        store, key = _located(name)
        content = io.BytesIO(store.cat_file(key)) if "r" in mode else _Upload(name)
        return content if "b" in mode else io.TextIOWrapper(content, encoding="utf-8")

    @staticmethod
    @_with_clear_errors
    def copy(src: str, dst: str, overwrite: bool = False) -> None:
        """See the base class."""
        store, key = _located(dst)
        if not overwrite and store.exists(key):
            raise OSError(f"{dst!r} already exists")
        store.copy(_located(src)[1], key)

    @staticmethod
    @_with_clear_errors
    def exists(path: str) -> bool:
        """See the base class."""
        store, key = _located(path)
        return bool(store.exists(key))

    @staticmethod
    @_with_clear_errors
    def glob(pattern: str) -> list[str]:
        """See the base class."""
        store, key = _located(pattern)
        return [_named(found, pattern) for found in store.glob(key)]

    @staticmethod
    @_with_clear_errors
    def isdir(path: str) -> bool:
        """See the base class."""
        store, key = _located(path)
        return bool(store.isdir(key))

    @staticmethod
    @_with_clear_errors
    def listdir(path: str) -> list[str]:
        """See the base class."""
        store, key = _located(path)
        names = (found.removeprefix(key).strip("/") for found in store.ls(key, detail=False))
        return [name for name in names if name]  # an empty object may represent the folder itself

    @staticmethod
    def makedirs(path: str) -> None:
        """Does nothing: a folder exists as soon as it contains a file."""

    @staticmethod
    def mkdir(path: str) -> None:
        """Does nothing, see :meth:`makedirs`."""

    @staticmethod
    @_with_clear_errors
    def remove(path: str) -> None:
        """See the base class."""
        store, key = _located(path)
        store.rm_file(key)

    @staticmethod
    @_with_clear_errors
    def rename(src: str, dst: str, overwrite: bool = False) -> None:
        """See the base class. Copies and deletes, because object stores cannot rename."""
        ObjectStore.copy(src, dst, overwrite=overwrite)
        ObjectStore.remove(src)

    @staticmethod
    @_with_clear_errors
    def rmtree(path: str) -> None:
        """See the base class."""
        store, key = _located(path)
        store.rm(key, recursive=True)

    @staticmethod
    @_with_clear_errors
    def stat(path: str) -> Stat:
        """See the base class."""
        store, key = _located(path)
        found = store.info(key)
        changed: datetime | None = found.get("LastModified")  # folders have none
        return Stat(found["size"], int(changed.timestamp() * 1e9) if changed else 0)

    @staticmethod
    @_with_clear_errors
    def walk(
        top: str, topdown: bool = True, onerror: Callable[..., None] | None = None
    ) -> list[tuple[str, list[str], list[str]]]:
        """See the base class."""
        store, key = _located(top)
        return [
            (_named(folder, top), folders, [name for name in files if name])
            for folder, folders, files in store.walk(key, topdown=topdown)
        ]


class _Upload(io.BytesIO):
    """A file that is uploaded when it is closed."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def close(self) -> None:
        if not self.closed:
            content = self.getvalue()
            super().close()
            _put(self._path, content)


@_with_clear_errors
def _put(path: str, content: bytes) -> None:
    store, key = _located(path)
    store.pipe_file(key, content)


def register() -> None:
    """Registers object stores with TFX's file functions in this process."""
    DEFAULT_FILESYSTEM_REGISTRY.register(ObjectStore, _PRIORITY)


def _located(path: str | bytes) -> tuple[s3fs.S3FileSystem, str]:
    """Returns the store of a path, and its bucket and key."""
    try:
        import s3fs
    except ModuleNotFoundError as error:
        raise CompressorError(
            f"{os.fsdecode(path)!r} is in an object store, which requires s3fs: pip install 'auto-compressor[s3]'."
        ) from error
    scheme, _, key = os.fsdecode(path).partition("://")
    if scheme == "minio" and not any(os.environ.get(name) for name in _ENDPOINTS):
        raise CompressorError(
            f"{os.fsdecode(path)!r} is in a store with an unknown host: set AWS_ENDPOINT_URL to its URL; for nodes on "
            "Kubeflow, set s3.endpoint, such as http://seaweedfs.kubeflow:9000."
        )
    # No cached listings: other processes may write at the same time. (s3fs keeps one instance per thread.)
    return s3fs.S3FileSystem(use_listings_cache=False), key.rstrip("/")


def _named(key: str, like: str) -> str:
    """Returns the path of a bucket and key with the scheme of another path."""
    return f"{os.fsdecode(like).partition('://')[0]}://{key}"


def _explained(path: str, error: Exception) -> str | None:
    """Returns the cause if the request was not even sent; None for other errors."""
    from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return (
            f"there are no credentials for {path!r}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; "
            "for nodes on Kubeflow, name a Secret in s3.secret."
        )
    if isinstance(error, BotoCoreError | ConnectionError):
        return f"the store of {path!r} cannot be reached: check AWS_ENDPOINT_URL and the network."
    return None
