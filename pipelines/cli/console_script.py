"""Entry point of the command ``compressor``, which checks its surroundings before it imports what it needs."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import NoReturn

from pipelines.cli.exit_status import WRONG_INPUT

_NEEDED = (
    "cronsim", "jinja2", "pydantic", "requests", "rich", "sklearn", "tfx", "typer", "vl_convert", "yaml"
)  # fmt: skip


def main() -> None:
    """Runs the command line, or prints what to change or install."""
    try:
        import compressor_lib  # noqa: F401  - raises if Keras has settings that this project cannot work with
        from pipelines.execution.surroundings import prepare

        prepare()
    except ValueError as refused:
        _refuse(str(refused))
    missing = [module for module in _NEEDED if find_spec(module) is None]
    if missing:
        _refuse(
            "the command compressor needs the extra [pipelines], which is not installed "
            f"(no {', '.join(missing)}): run 'make setup' in a checkout, or there, with pip on Python 3.10, "
            "pip install '.[pipelines]'; the library compressor_lib works without it"
        )
    from pipelines.cli.main import main as run

    run()


def _refuse(message: str) -> NoReturn:
    """Ends like the command does on wrong input, without the imports that this needs."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(WRONG_INPUT)
