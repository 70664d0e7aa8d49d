"""Runs a node like the image does, and kills it once, when a text appears in its log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys


def main(text: str, command: list[str]) -> None:
    """Runs a command; on a node's first attempt, kills it and itself after the first line with the text."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout
    for line in process.stdout:
        print(line, end="", flush=True)
        if text in line and os.environ["ATTEMPT"] == "0":
            process.kill()
            os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(process.wait())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
