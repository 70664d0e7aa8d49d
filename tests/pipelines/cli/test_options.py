from __future__ import annotations

import pytest
from typer.testing import CliRunner

from pipelines.cli import main as cli
from pipelines.cli.options import complete_field
from pipelines.config.config import Config
from pipelines.config.errors import all_fields


@pytest.mark.parametrize(
    ("begun", "fields"),
    [
        ("search.ta", ["search.tau=", "search.tail_units="]),
        ("gate.min", ["gate.min_accuracy="]),
        ("search.tau=0.9", []),
        ("serach", []),
    ],
)
def test_the_fields_that_begin_so_are_completed(begun, fields):
    assert complete_field(begun) == fields


def test_from_nothing_every_field_is_completed():
    assert complete_field("") == [f"{field}=" for field in all_fields(Config)]


@pytest.mark.parametrize("command", ["run", "validate", "compile"])
def test_the_shell_is_given_the_fields_after_set(command):
    asked = {
        "_COMPRESSOR_COMPLETE": "complete_bash",
        "COMP_WORDS": f"compressor {command} --set gate.min",
        "COMP_CWORD": "3",
    }
    result = CliRunner().invoke(cli.app, [], prog_name="compressor", env=asked)
    assert result.output.split() == ["gate.min_accuracy="]
