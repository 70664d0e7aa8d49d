"""Harm to a run's process and to its output folder, from outside."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_process import Command
from harm import assert_readable, completed_nodes, outcome

STOPPED, FAILED, WRONG_INPUT = 130, 1, 2


def begin(compressor, output: Path, node: str) -> Command:
    """Starts a run and waits until a node has begun."""
    command = compressor(output)
    assert command.wait_until(functools.partial(command.has_begun, node, output)), command.said
    return command


@pytest.fixture(scope="module")
def stopped(compressor, tally, tmp_path_factory) -> Path:
    """The output of a run that was stopped now and then, and went on."""
    output = tmp_path_factory.mktemp("stopped") / "out"
    for node in ("ImageExampleGen", "Transform", "reference", "TranslatorPretrainer", "PruningSearch", "Evaluator"):
        for number in (signal.SIGTERM, signal.SIGINT):
            command = begin(compressor, output, node)
            with tally(f"{number.name}: ends within 10 s, and the next run resumes"):
                done = completed_nodes(output)
                time.sleep(0.5)
                sent = time.monotonic()
                command.send(number)
                assert command.ended(timeout=60) == STOPPED, command.said
                assert time.monotonic() - sent < 10
                assert "finished nodes and trials are kept: re-run the command to resume" in command.said
                assert_readable(command)
                assert completed_nodes(output).items() >= done.items()
    command = compressor(output)
    assert command.ended() == 0, command.said
    return output


def test_a_run_that_was_stopped_comes_to_the_same(stopped, undisturbed):
    assert outcome(stopped) == outcome(undisturbed)


def test_two_runs_of_one_output_and_a_third_beside_them(compressor, undisturbed, tally, tmp_path):
    first = begin(compressor, tmp_path / "one", "SchemaGen")
    beside = compressor(tmp_path / "other")
    with tally("a second run with the same output"):
        began = time.monotonic()
        second = compressor(tmp_path / "one")
        assert second.ended() == WRONG_INPUT
        assert time.monotonic() - began < 10
        assert f"is in use by process {first.pid} on " in second.said
        assert first.ended() == 0, first.said
        assert outcome(tmp_path / "one") == outcome(undisturbed)
    with tally("a run with another output at the same time"):
        assert beside.ended() == 0, beside.said
        assert outcome(tmp_path / "other") == outcome(undisturbed)


@pytest.fixture
def mounted(tmp_path):
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("only root can mount a small disk, and not everywhere")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def test_a_disk_that_is_full(compressor, undisturbed, mounted, tally):
    output = mounted / "out"
    needed = sum(file.stat().st_size for file in undisturbed.rglob("*") if file.is_file())
    for share in (0.01, 0.05, 0.2, 0.4, 0.6, 0.8):
        with tally("disk full"):
            remount(mounted, f"size={int(share * needed)}")
            command = compressor(output)
            assert command.ended() in (FAILED, WRONG_INPUT), command.said
            assert "free some disk space" in command.said or "No space left" in command.said, command.said
            assert_readable(command)
    with tally("disk full: resumes once there is space"):
        remount(mounted, f"size={4 * needed}")
        command = compressor(output)
        assert command.ended() == 0, command.said
        assert outcome(output) == outcome(undisturbed)


def test_an_output_that_takes_no_files(compressor, mounted, tally):
    with tally("output read-only"):
        remount(mounted, "ro")
        command = compressor(mounted / "out")
        assert command.ended() == WRONG_INPUT
        assert "cannot be written to (Read-only file system)" in command.said
        assert_readable(command)


@pytest.mark.parametrize("node", ["StatisticsGen", "reference"])
def test_an_output_that_is_deleted_meanwhile(compressor, undisturbed, tally, tmp_path, node):
    output = tmp_path / "out"
    with tally("output deleted while running"):
        command = begin(compressor, output, node)
        while output.exists():  # the run may write while its folder is emptied
            shutil.rmtree(output, ignore_errors=True)
        assert command.ended() == FAILED, command.said
        assert "was deleted or moved during the run" in command.said
        assert_readable(command)
    with tally("output deleted while running: starts from scratch"):
        command = compressor(output)
        assert command.ended() == 0, command.said
        assert outcome(output) == outcome(undisturbed)


@pytest.mark.parametrize(
    ("node", "file"),
    [
        ("Evaluator", "evaluation/*/metrics-*"),
        ("PruningSearch", "model/*/Format-Serving/assets.extra/model.keras"),
        ("TranslatorPretrainer", "translators/*/translators.npz"),
    ],
)
@pytest.mark.parametrize("harm", ["edited", "deleted"])
def test_an_artifact_that_was_harmed_by_hand(compressor, stopped, undisturbed, tally, node, file, harm):
    with tally(f"cached artifact {harm} by hand"):
        newest = max((stopped / "pipeline_root" / node).glob(file), key=lambda path: path.stat().st_mtime)
        newest.unlink()
        if harm == "edited":
            newest.write_bytes(b"not what the node wrote")
        before = completed_nodes(stopped)
        command = compressor(stopped)
        assert command.ended() == 0, command.said
        assert f"will be made again: {newest.name}" in command.said or "will be made again: " in command.said
        after = completed_nodes(stopped)
        assert len(after[node]) == len(before[node]) + 1
        assert after["Transform"] == before["Transform"]
        assert outcome(stopped) == outcome(undisturbed)


@pytest.mark.parametrize("damage", ["truncated", "overwritten", "emptied", "deleted"])
def test_a_metadata_store_that_is_harmed(compressor, stopped, undisturbed, tally, damage):
    with tally(f"metadata store {damage}"):
        path = stopped / "metadata.sqlite"
        before = completed_nodes(stopped)
        content = path.read_bytes()
        left = {"truncated": content[: len(content) // 2], "overwritten": b"no database" * len(content), "emptied": b""}
        path.unlink()
        if damage in left:
            path.write_bytes(left[damage])
        told = compressor(stopped)
        assert told.ended() == WRONG_INPUT
        assert "compressor repair" in told.said
        assert_readable(told)
        repaired = subprocess.run(
            ["compressor", "repair", str(stopped)], capture_output=True, text=True, check=True,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        )  # fmt: skip
        assert "replaces it" in repaired.stdout
        command = compressor(stopped)
        assert command.ended() == 0, command.said
        assert completed_nodes(stopped) == before  # everything was cached
        assert outcome(stopped) == outcome(undisturbed)
