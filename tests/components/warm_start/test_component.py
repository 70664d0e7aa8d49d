from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from tfx.types import Artifact, standard_artifacts
from tfx.utils import import_utils

from components.artifacts.class_list import read_class_list, write_class_list
from components.artifacts.pushed_versions import roll_back
from components.pusher.class_order import check_class_order
from components.warm_start import Handover, PreviousRun
from components.warm_start.archive import HANDOVER, read_handover, write_handover
from components.warm_start.pushed_classes import pushed_classes

FILES = {
    "hyperparameters": "best_hyperparameters.txt",
    "translators": "translators.npz",
    "statistics": "Split-train/FeatureStats.pb",
}
KINDS = {
    "hyperparameters": standard_artifacts.HyperParameters,
    "translators": standard_artifacts.Model,
    "statistics": standard_artifacts.ExampleStatistics,
    "classes": standard_artifacts.Schema,
}


def artifacts(folder: Path) -> dict[str, Artifact]:
    made = {}
    for name, kind in KINDS.items():
        artifact = kind()
        artifact.uri = str(folder / name)
        made[name] = artifact
    return made


def leave(folder: Path, content: str, span: int) -> None:
    """Ends a run whose parts hold a text."""
    inputs = artifacts(folder / content)
    del inputs["classes"]
    for name, file in FILES.items():
        path = Path(inputs[name].uri, file)
        path.parent.mkdir(parents=True)
        path.write_text(f"{name} {content}")
    examples = standard_artifacts.Examples()
    examples.set_int_custom_property("span", span)
    Handover.test_call(examples, **inputs, push_directory=str(folder / "serving"))


def taken(folder: Path) -> tuple[dict[str, str], standard_artifacts.ExampleStatistics]:
    """Begins a run: the text of each part that it finds, and the statistics."""
    outputs = artifacts(folder / f"taken-{len(list(folder.iterdir()))}")
    PreviousRun.test_call(None, **outputs, push_directory=str(folder / "serving"))
    found = {name: Path(outputs[name].uri, file) for name, file in FILES.items()}
    return {name: path.read_text() for name, path in found.items() if path.exists()}, outputs["statistics"]


def test_next_run_reads_the_previous_runs_state(tmp_path):
    leave(tmp_path, "old", span=1)
    leave(tmp_path, "new", span=2)
    found, statistics = taken(tmp_path)
    assert found == {name: f"{name} new" for name in FILES}
    assert (statistics.splits, statistics.span) == (["train"], 2)
    assert [path.name for path in (tmp_path / "serving").iterdir()] == [HANDOVER]


def test_what_a_platform_notes_is_kept(tmp_path):
    """Kubeflow's package gives the executor this parameter, which the node in the pipeline does not have."""
    executor = import_utils.import_class_by_path("components.warm_start.component.Handover_Executor")
    inputs = {name: [artifact] for name, artifact in artifacts(tmp_path).items() if name != "classes"}
    inputs["examples"] = [standard_artifacts.Examples()]
    executor().Do(inputs, {}, {"push_directory": str(tmp_path / "serving"), "note": "seen", "code_version": ""})
    assert read_handover(str(tmp_path / "serving"), {}) == {"span": 0, "newest_version": "", "note": "seen"}


def test_first_run_finds_no_state(tmp_path):
    found, statistics = taken(tmp_path)
    assert found == {}
    assert (statistics.splits, statistics.span) == ([], 0)


class TestClasses:
    @pytest.fixture
    def serving(self, tmp_path):
        """Pushes a version with classes."""

        def push(version: str, *classes: str) -> None:
            (tmp_path / "serving" / version).mkdir(parents=True)
            (tmp_path / "serving" / version / "saved_model.pb").touch()
            write_class_list(str(tmp_path / "serving" / version / "assets.extra"), classes)

        return push

    @pytest.fixture
    def known(self, tmp_path):
        """The classes that a run finds."""

        def known() -> list[str]:
            outputs = artifacts(tmp_path / f"known-{len(list(tmp_path.iterdir()))}")
            PreviousRun.test_call(None, **outputs, push_directory=str(tmp_path / "serving"))
            return read_class_list(outputs["classes"].uri)

        return known

    def test_classes_of_the_newest_pushed_model(self, serving, known):
        assert known() == []
        serving("9", "cat", "dog")
        serving("10", "dog", "cat", "aardvark")
        assert known() == ["dog", "cat", "aardvark"]

    def test_run_without_push_does_not_change_the_classes(self, tmp_path, serving, known):
        serving("9", "dog", "cat")
        leave(tmp_path, "refused", span=2)
        assert known() == ["dog", "cat"]

    def test_rollback_does_not_change_the_classes(self, tmp_path, serving, known):
        serving("9", "dog", "cat")
        serving("10", "dog", "cat", "eel", "aardvark")
        roll_back(str(tmp_path / "serving"))
        assert known() == ["dog", "cat", "eel", "aardvark"]

    def test_rollback_restores_a_removed_class(self, tmp_path, serving, known):
        serving("9", "ant", "dog", "cat")
        serving("10", "ant", "cat")
        roll_back(str(tmp_path / "serving"))
        assert known() == ["ant", "dog", "cat"]

    def test_version_without_class_list_is_skipped(self, serving, known, caplog):
        serving("9", "dog", "cat")
        serving("10")
        assert known() == ["dog", "cat"]
        assert "version 10" in caplog.text


@pytest.mark.parametrize("harm", ["cut", "changed", "foreign"])
def test_damaged_state_is_ignored(tmp_path, caplog, harm):
    leave(tmp_path, "whole", span=1)
    path = tmp_path / "serving" / HANDOVER
    content = path.read_bytes()
    if harm == "foreign":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("statistics/Split-train/FeatureStats.pb", "of somebody else")
    else:
        path.write_bytes(
            content[:-40] if harm == "cut" else content.replace(b"translators whole", b"translators other")
        )
    assert taken(tmp_path)[0] == {}
    assert "cannot be read" in caplog.text


@pytest.mark.slow
@pytest.mark.survives("one bit of an archive is changed")
def test_flipped_bit_never_gives_partial_state(tmp_path, caplog):
    part, folder = tmp_path / "statistics", tmp_path / "serving"
    part.mkdir()
    (part / "FeatureStats.pb").write_bytes(b"statistics")
    write_handover(str(folder), {"statistics": str(part)}, {"span": 1})
    path, found = folder / HANDOVER, tmp_path / "found"
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        caplog.clear()
        (found / "FeatureStats.pb").unlink(missing_ok=True)
        about = read_handover(str(folder), {"statistics": str(found)})
        if about is None:
            assert "cannot be read" in caplog.text
            assert not (found / "FeatureStats.pb").exists()
        else:
            assert (about, (found / "FeatureStats.pb").read_bytes()) == ({"span": 1}, b"statistics")


@pytest.mark.survives("an archive with paths outside of it")
@pytest.mark.parametrize("name", ["statistics/../../outside", "/outside", "..\\outside", ".."])
def test_path_outside_the_folder_is_rejected(tmp_path, caplog, name):
    folder = tmp_path / "serving"
    write_handover(str(folder), {}, {})
    with zipfile.ZipFile(folder / HANDOVER, "a") as archive:
        archive.writestr(name, "here")
    assert read_handover(str(folder), {"statistics": str(tmp_path / "statistics")}) is None
    assert "leads out of the folder" in caplog.text
    assert list(tmp_path.rglob("*outside*")) == []


def test_zip_bomb_is_rejected(tmp_path, caplog):
    folder = tmp_path / "serving"
    write_handover(str(folder), {}, {})
    with zipfile.ZipFile(folder / HANDOVER, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("statistics/bomb", bytes(2**20))
    assert read_handover(str(folder), {"statistics": str(tmp_path / "statistics")}) is None
    assert "unpacked size is too large" in caplog.text


def test_name_in_two_unicode_forms_is_one_class(tmp_path):
    for version, names in (("1", ["cafe\u0301", "tea", "caf\u00e9"]),):
        folder = tmp_path / version / "assets.extra"
        folder.mkdir(parents=True)
        (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        (tmp_path / version / "saved_model.pb").touch()
    assert pushed_classes(str(tmp_path)) == ["caf\u00e9", "tea"]
    check_class_order(str(tmp_path / "1"), str(tmp_path / "none"), [])
    new = tmp_path / "new" / "assets.extra"
    new.mkdir(parents=True)
    (new / "classes.txt").write_text("caf\u00e9\ntea\n", encoding="utf-8")
    check_class_order(str(tmp_path / "new"), str(tmp_path), [])  # it is pushed: the name has its first place


def test_a_family_has_the_classes_of_its_longest_list(tmp_path):
    for place, classes in {"1": ["tea", "cafe"], "tiny/2": ["tea", "cafe"], "small/3": ["tea", "cafe", "milk"]}.items():
        extra = tmp_path / place / "assets.extra"
        extra.mkdir(parents=True)
        (extra.parent / "saved_model.pb").touch()
        (extra / "classes.txt").write_text("\n".join(classes))
    assert pushed_classes(str(tmp_path)) == ["tea", "cafe", "milk"]
