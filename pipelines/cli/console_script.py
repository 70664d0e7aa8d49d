"""What the installed command ``compressor`` calls: the command line, if what it needs is installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import NoReturn

from pipelines.cli.exit_status import WRONG_INPUT

_NEEDED = (
    "cronsim", "jinja2", "pydantic", "requests", "rich", "sklearn", "tfx", "typer", "vl_convert", "yaml"
)  # fmt: skip


def main() -> None:
    """Runs the command line, or says what to install."""
    missing = [module for module in _NEEDED if find_spec(module) is None]
    if missing:
        _refuse(
            "the command compressor needs the extra [pipelines], which is not installed "
            f"(no {', '.join(missing)}): run 'make setup' in a checkout, or there, with pip on Python 3.10, "
            "pip install '.[pipelines]'; the library compressor_lib works without it"
        )
    try:
        import compressor_lib  # noqa: F401  - refuses settings of Keras under which nothing here works
    except ValueError as refused:
        _refuse(str(refused))
    from pipelines.cli.main import main as run

    run()


def _refuse(message: str) -> NoReturn:
    """Ends as the command does on wrong input, where what that needs cannot be imported."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(WRONG_INPUT)
