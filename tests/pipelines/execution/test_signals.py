import os
import signal
import subprocess
import sys
import time

import pytest

from pipelines.execution.signals import SIGNALS, ended_in_time, interrupts

BUSY = """
import hashlib, os
from pipelines.execution.signals import ended_in_time

def end():
    os.write(1, b"ended\\n")
    os._exit(130)

with ended_in_time(end, patience=0.2):
    while True:
        try:
            os.write(1, b"busy\\n")
            hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # Python's handlers wait for its end
        except KeyboardInterrupt:  # one that came just before
            pass
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_an_interrupt_and_is_noted(number):
    handler = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interrupts() as seen:
        signal.raise_signal(number)
    assert seen == [number]
    assert signal.getsignal(number) is handler


@pytest.mark.parametrize("number", SIGNALS)
def test_what_ends_in_time_is_not_ended(number):
    called = []
    with pytest.raises(KeyboardInterrupt), ended_in_time(lambda: called.append(1), patience=0.2):
        signal.raise_signal(number)
    time.sleep(0.4)
    assert not called


def test_other_signals_end_nothing():
    previous = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with ended_in_time(pytest.fail, patience=0.0):
            signal.raise_signal(signal.SIGUSR1)
            time.sleep(0.1)
    finally:
        signal.signal(signal.SIGUSR1, previous)


@pytest.mark.survives("a library that blocks when stopped")
def test_what_a_library_holds_up_is_ended():
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "busy\n"
        began = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        assert next(line for line in process.stdout if line != "busy\n") == "ended\n"
        assert process.wait() == 130
        assert time.monotonic() - began < 5
