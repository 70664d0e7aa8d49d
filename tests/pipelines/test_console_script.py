import sys

import pytest

from pipelines import cli, console_script


def test_it_is_the_command_line(monkeypatch):
    called = []
    monkeypatch.setattr(cli, "main", lambda: called.append(True))
    console_script.main()
    assert called == [True]


@pytest.mark.parametrize("module", ["typer", "cronsim", "pydantic"])
def test_without_the_extra_it_says_what_to_install(monkeypatch, module):
    monkeypatch.setattr(console_script, "find_spec", lambda name: None if name == module else sys.__spec__)
    with pytest.raises(SystemExit) as end:
        console_script.main()
    assert str(end.value).startswith("error: the command compressor needs the extra [pipelines]")
    assert f"(no {module}): run 'make setup'" in str(end.value)
    assert "\n" not in str(end.value)
