import os
import shutil
import subprocess
import sys

import pytest
from limits import TOLD, files_of_at_most

from compressor_lib.errors import CompressorError
from pipelines.results.locks import OutputLock, locked

HOLD = """
import sys
from pipelines.results.locks import OutputLock

with OutputLock(sys.argv[1]).held():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of tmp_path."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.survives("a folder that another process holds")
def test_the_second_is_told_at_once_who_the_first_is(tmp_path, holder):
    with (
        pytest.raises(
            CompressorError, match=rf"is in use by process {holder.pid} on \S+, since 20.*: wait until it ends"
        ),
        OutputLock(str(tmp_path)).held(),
    ):
        pass


@pytest.mark.survives("the process that holds a folder is killed")
def test_a_lock_ends_with_its_process_however_it_ends(tmp_path, holder):
    holder.kill()
    holder.wait()
    with OutputLock(str(tmp_path)).held() as lock:
        lock.check()


def test_another_folder_has_a_lock_of_its_own(tmp_path, holder):
    (tmp_path / "other").mkdir()
    with OutputLock(str(tmp_path / "other")).held():
        assert holder.poll() is None


def test_an_owner_that_has_not_said_who_it_is_is_told_of(tmp_path):
    with locked(tmp_path / "lock") as file:
        file.truncate(0)
        with pytest.raises(BlockingIOError, match="another process"), locked(tmp_path / "lock", wait=False):
            pass


@pytest.mark.survives("the folder is deleted, moved or replaced")
@pytest.mark.parametrize("what", ["deleted", "moved", "replaced"])
def test_a_folder_that_is_gone_is_noticed(tmp_path, what):
    output = tmp_path / "out"
    output.mkdir()
    with OutputLock(str(output)).held() as lock:
        lock.check()
        if what == "deleted":
            shutil.rmtree(output)
        else:
            os.rename(output, tmp_path / "elsewhere")
        if what == "replaced":
            output.mkdir()
            (output / "run.lock").touch()
        with pytest.raises(CompressorError, match="out' was deleted or moved during the run"):
            lock.check()


@pytest.mark.survives("the lock cannot be written")
def test_a_lock_that_cannot_be_written_is_told(tmp_path):
    with (
        files_of_at_most(0),
        pytest.raises(CompressorError, match=rf"cannot be locked \({TOLD}\): correct this"),
        OutputLock(str(tmp_path)).held(),
    ):
        pass
