"""TFX components built on compressor_lib."""

from typing import Any

from components.storage import object_store

# Set here, so that every process that runs a component has it.
object_store.register()


def __getattr__(name: str) -> Any:
    """Returns the artifact types under the names that compiled packages use."""
    if name == "RunReport":
        from components.report.artifact import RunReport

        return RunReport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
