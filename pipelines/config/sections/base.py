"""The base class of all sections, and helpers for paths."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base class of all sections: unknown fields are refused, and values are read-only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def absolute(path: str) -> str:
    """Makes a local path absolute, relative to the current directory; leaves ``gs://...`` unchanged.

    Raises:
        ValueError: If the path is not UTF-8, which TensorFlow and Beam require.
    """
    shown = os.fsencode(path).decode("utf-8", "backslashreplace")
    if shown != path:
        raise ValueError(f"is '{shown}', which is not UTF-8: rename it.")
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))


def existing_file(path: str, advice: str) -> str:
    """Makes a path absolute; refuses a local path that is not a file."""
    path = absolute(path)
    if "://" not in path and not os.path.isfile(path):
        raise ValueError(f"is {path!r}, which is not a file: {advice}.")
    return path
