"""Whether a library still has the names that an adapter hooks into."""

from __future__ import annotations

from importlib.metadata import version
from types import ModuleType
from typing import Any


def check_hooks(package: str, adapter: ModuleType, owner: Any, *names: str) -> None:
    """Fails, naming the release and the adapter, where names are gone.

    Args:
        package: The library, as it is installed.
        adapter: The module that hooks into it.
        owner: The class, module or object that has the names.
        names: They.
    """
    missing = [name for name in names if not hasattr(owner, name)]
    assert not missing, (
        f"{package} {version(package)} has no {', '.join(missing)} in {getattr(owner, '__name__', owner)}: adapt "
        f"{adapter.__name__}, which was written against {adapter.WRITTEN_AGAINST}"
    )
