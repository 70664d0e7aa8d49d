from __future__ import annotations

import io
import logging
import os
import subprocess
import sys

import pytest

from pipelines.cli.output_capture import captured, say

NOISY = """
import logging, os, sys, warnings
from pathlib import Path
from pipelines.cli.output_capture import captured
print("before")
with captured(Path(sys.argv[1]), verbose=len(sys.argv) > 2) as console:
    kept = sys.__stdout__
    print("from print")
    kept.write("from a kept stream\\n")
    os.write(1, b"from descriptor 1\\n")
    os.write(2, b"from descriptor 2\\n")
    warnings.warn("from warnings")
    logging.getLogger("any").info("from logging")
    from absl import logging as absl_logging
    absl_logging.info("from absl")
    console.print("for people")
print("after")
"""
NOISE = (
    "from print",
    "from a kept stream",
    "from descriptor 1",
    "from descriptor 2",
    "from warnings",
    "from logging",
    "from absl",
)


def run_noisy(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", NOISY, *arguments], capture_output=True, text=True, check=True)


def test_noise_goes_to_the_log_and_the_screen_is_kept(tmp_path):
    done = run_noisy(str(tmp_path / "log"))
    assert done.stdout == "before\nfor people\nafter\n"
    assert done.stderr == ""
    log = (tmp_path / "log").read_text()
    assert [words for words in NOISE if words not in log] == []


FULL = """
import os, sys
from pathlib import Path
from pipelines.cli.output_capture import captured
with captured(Path("/dev/full")) as console:
    sys.__stdout__.write("from a kept stream")
    console.print("for people")
os.write(1, b"after")
"""


@pytest.mark.survives("the log's disk is full")
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is full")
def test_the_screen_comes_back_though_the_logs_disk_is_full():
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run([sys.executable, "-c", FULL], env=buffered, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("for people\nafter")


LEAKING = """
import logging, sys
from pathlib import Path
from pipelines.cli.output_capture import captured
url = "https://me:" + "hunter2@host/a.jpg?X-Goog-Signature=" + "4e0fhunter2"
with captured(Path(sys.argv[1]), verbose=len(sys.argv) > 2) as console:
    if len(sys.argv) == 2:
        print(url)
        sys.stderr.writelines([url + "\\n"])
    logging.getLogger("any").info("from %s", url)
    from absl import logging as absl_logging
    absl_logging.info(url)
    try:
        raise OSError(url)
    except OSError:
        logging.exception("failed")
"""


@pytest.mark.parametrize("verbose", [(), ("verbose",)])
def test_no_credential_gets_into_the_log_or_on_the_screen(tmp_path, verbose):
    command = [sys.executable, "-c", LEAKING, str(tmp_path / "log"), *verbose]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    log = (tmp_path / "log").read_text()
    assert "hunter2" not in log + done.stdout + done.stderr
    assert log.count("https://me:***@host/a.jpg?X-Goog-Signature=***") == (3 if verbose else 5)


def test_verbose_shows_all_and_still_logs(tmp_path):
    done = run_noisy(str(tmp_path / "log"), "verbose")
    assert [words for words in NOISE if words not in done.stdout + done.stderr] == []
    assert "for people" in done.stdout
    assert "from absl" in (tmp_path / "log").read_text()


def test_everything_is_put_back_and_the_traceback_logged(tmp_path, capfd):
    streams, handlers = (sys.stdout, sys.stderr), logging.getLogger().handlers[:]
    with pytest.raises(RuntimeError, match="boom"), captured(tmp_path / "log"):
        raise RuntimeError("boom")
    assert (sys.stdout, sys.stderr) == streams
    assert logging.getLogger().handlers == handlers
    os.write(1, b"back again\n")
    assert capfd.readouterr().out == "back again\n"
    assert "Traceback" in (tmp_path / "log").read_text()


def said(monkeypatch, message: str, *, terminal: bool) -> list[str]:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "stderr", stream)
    say(message, err=True)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        (
            "error: a.yaml: backbone.weights is missing: give it by --set backbone.weights=FILE.",
            ["error: a.yaml: backbone.weights is", "  missing: give it by --set", "  backbone.weights=FILE."],
        ),
        (
            "error: two:\n  search.tau is 7: it must be at most 1, they say.\n  seed is missing.",
            ["error: two:", "  search.tau is 7: it must be at most 1,", "    they say.", "  seed is missing."],
        ),
        (
            "reference    2,257,984 parameters, 3.2 million MACs",
            ["reference    2,257,984 parameters, 3.2", "             million MACs"],
        ),
        (
            "  accuracy is 38.0 %; the gate asks for 90 %",
            ["  accuracy is 38.0 %; the gate asks for", "    90 %"],
        ),
        (
            "disk of the output is full. " + "/a-folder" * 5,
            ["disk of the output is full.", "  " + "/a-folder" * 5],
        ),
    ],
)
def test_sentences_wrap_between_words_on_a_terminal(monkeypatch, message, lines):
    assert said(monkeypatch, message, terminal=True) == lines
    assert said(monkeypatch, message, terminal=False) == message.splitlines()


def test_what_looks_like_markup_is_said_as_it_is(monkeypatch):
    assert said(monkeypatch, "volumes[0].x [bold]", terminal=True) == ["volumes[0].x [bold]"]


@pytest.mark.parametrize("terminal", [True, False])
def test_no_credential_is_said(monkeypatch, terminal):
    assert said(monkeypatch, "https://me:hunter2@host/a", terminal=terminal) == ["https://me:***@host/a"]
