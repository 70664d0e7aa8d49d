"""What every section of a configuration is made of."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of every section: unknown fields are refused, values do not change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def absolute(path: str) -> str:
    """Makes a local path absolute, from the current directory; leaves ``gs://...`` alone.

    Raises:
        ValueError: The path is not UTF-8, which TensorFlow and Beam need.
    """
    shown = os.fsencode(path).decode("utf-8", "backslashreplace")
    if shown != path:
        raise ValueError(f"is '{shown}', which is not UTF-8: rename it.")
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))


def existing_file(path: str, advice: str) -> str:
    """Makes a path absolute; refuses a local one that is no file."""
    path = absolute(path)
    if "://" not in path and not os.path.isfile(path):
        raise ValueError(f"is {path!r}, which is no file: {advice}.")
    return path
