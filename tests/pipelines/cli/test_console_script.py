import subprocess
import sys

import pytest

from pipelines.cli import console_script
from pipelines.cli import main as cli
from pipelines.cli.exit_status import WRONG_INPUT


def test_it_is_the_command_line(monkeypatch):
    called = []
    monkeypatch.setattr(cli, "main", lambda: called.append(True))
    console_script.main()
    assert called == [True]


@pytest.mark.parametrize("module", ["typer", "cronsim", "pydantic", "jinja2", "sklearn", "vl_convert", "tfx"])
def test_without_the_extra_it_says_what_to_install(monkeypatch, capsys, module):
    monkeypatch.setattr(console_script, "find_spec", lambda name: None if name == module else sys.__spec__)
    with pytest.raises(SystemExit) as end:
        console_script.main()
    assert end.value.code == WRONG_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the command compressor needs the extra [pipelines]")
    assert f"(no {module}): run 'make setup'" in line


def test_what_is_needed_is_looked_for_and_not_imported():
    script = (
        "import sys\nfrom pipelines.cli import console_script\nfrom pipelines.cli import main as cli\n"
        "before = set(sys.modules)\n"
        "cli.main = lambda: None\nconsole_script.main()\n"
        "assert not {'tfx', 'sklearn', 'vl_convert', 'PIL'} & (set(sys.modules) - before)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
