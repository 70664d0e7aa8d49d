"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def complete_field(incomplete: str) -> list[str]:
    """Shell completion: the fields of a configuration that start with a text."""
    from pipelines.config.config import Config
    from pipelines.config.errors import all_fields

    return [f"{field}=" for field in all_fields(Config) if field.startswith(incomplete)]


ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="The run's YAML file.")]
DataFolder = Annotated[str | None, typer.Option("--data", metavar="DIR", help="Replaces data.path.")]
OutputFolder = Annotated[str | None, typer.Option("--output", metavar="DIR", help="Replaces output.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replaces one value, such as search.tau=0.9.",
        autocompletion=complete_field,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
ModelName = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="One model of a family, by its name in search.budgets.")
]
