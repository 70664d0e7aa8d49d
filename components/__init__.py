"""TFX components that wrap the method of compressor_lib."""

from typing import Any

from components.storage import object_store

# Here, so that whatever process works for a component has it.
object_store.register()


def __getattr__(name: str) -> Any:
    """Gives the artifact types by the names that compiled packages have for them."""
    if name == "RunReport":
        from components.report.artifact import RunReport

        return RunReport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
