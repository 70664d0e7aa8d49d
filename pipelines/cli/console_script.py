"""What the installed command ``compressor`` calls: the command line, if what it needs is installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec

_NEEDED = (
    "cronsim", "jinja2", "pydantic", "requests", "rich", "sklearn", "tfx", "typer", "vl_convert", "yaml"
)  # fmt: skip
_WRONG_INPUT = 2  # as pipelines.cli.exit_status has it, which imports typer


def main() -> None:
    """Runs the command line, or says what to install."""
    missing = [module for module in _NEEDED if find_spec(module) is None]
    if missing:
        print(
            "error: the command compressor needs the extra [pipelines], which is not installed "
            f"(no {', '.join(missing)}): run 'make setup' in a checkout, or there, with pip on Python 3.10, "
            "pip install '.[pipelines]'; the library compressor_lib works without it",
            file=sys.stderr,
        )
        sys.exit(_WRONG_INPUT)
    from pipelines.cli.main import main as run

    run()
