"""Checks that a library still has the names that an adapter uses."""

from __future__ import annotations

from importlib.metadata import version
from types import ModuleType
from typing import Any


def check_hooks(package: str, adapter: ModuleType, owner: Any, *names: str) -> None:
    """Fails, naming the release and the adapter, if names are missing.

    Args:
        package: Name of the installed library.
        adapter: The module that uses the names.
        owner: The class, module or object that has the names.
        names: The names.
    """
    missing = [name for name in names if not hasattr(owner, name)]
    assert not missing, (
        f"{package} {version(package)} has no {', '.join(missing)} in {getattr(owner, '__name__', owner)}: adapt "
        f"{adapter.__name__}, which was written against {adapter.WRITTEN_AGAINST}"
    )
