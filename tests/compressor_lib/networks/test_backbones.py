from __future__ import annotations

import importlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from proxies import Proxy, set_proxy

from compressor_lib.cuts.families import searched_connections
from compressor_lib.cuts.lookup import check_connection
from compressor_lib.errors import CompressorError
from compressor_lib.networks.backbones import BACKBONES, find_backbone
from compressor_lib.networks.graph import LayerGraph

pytestmark = pytest.mark.slow

BIG = {f"EfficientNetB{number}" for number in range(2, 8)}


def modules_of(name: str) -> str:
    """Where `keras.applications` keeps a network's `preprocess_input`."""
    return {"MobileNet": "mobilenet", "MobileNetV2": "mobilenet_v2"}.get(
        name, "mobilenet_v3" if "V3" in name else "efficientnet"
    )


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.long) if n in BIG else n for n in BACKBONES])
def test_every_backbone_builds_with_its_published_grid(name):
    backbone = BACKBONES[name]
    assert backbone.name == name
    base = backbone.build(input_size=backbone.minimum_size, weights=None)
    assert base.count_params() == backbone.parameters
    grid = searched_connections(base, backbone.name, "published")
    assert len(grid) == len(set(grid)) == backbone.grid > 0
    for connection in grid:
        check_connection(connection, LayerGraph.of(base))
    assert {connection.b for connection in grid} == set(backbone.rejoin)


def test_default_sizes_are_the_published_ones(published_size):
    sizes = [BACKBONES[f"EfficientNetB{number}"].default_size for number in range(8)]
    assert sizes == [224, 240, 260, 300, 380, 456, 528, 600]
    assert published_size("EfficientNetB5").input_shape == (None, 456, 456, 3)
    assert published_size("MobileNetV2").input_shape == (None, 224, 224, 3)


@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV2", "MobileNetV3Small", "EfficientNetB0"])
def test_preprocess_matches_keras_preprocess_input(name, pixels, agree):
    ours = BACKBONES[name].build(input_size=32, weights=None, preprocess=True)
    plain = getattr(keras.applications, name)(
        weights=None,
        include_top=False,
        input_shape=(32, 32, 3),
        **({"include_preprocessing": True} if "V3" in name else {}),
    )
    plain.set_weights(ours.get_weights())
    preprocess_input = importlib.import_module(f"keras.applications.{modules_of(name)}").preprocess_input
    x = pixels(2)
    agree(ours(x), plain(preprocess_input(x.copy())))


def test_no_rescaling_without_preprocess(pixels, agree):
    with_it = BACKBONES["MobileNet"].build(input_size=32, weights=None, preprocess=True)
    without = BACKBONES["MobileNet"].build(input_size=32, weights=None)
    without.set_weights(with_it.get_weights())
    assert [layer.name for layer in with_it.layers if layer not in without.layers][1] == "preprocess"
    assert "preprocess" not in [layer.name for layer in without.layers]
    x = pixels(2)
    agree(with_it(x), without(x / 127.5 - 1))


@pytest.mark.parametrize("size", [32, 96, 100, (64, 48, 3)])
def test_mobilenet_at_other_widths_and_sizes(size):
    base = BACKBONES["MobileNet"].build(input_size=size, weights=None, alpha=0.35)
    shape = (size, size, 3) if isinstance(size, int) else size
    assert base.input_shape == (None, *shape)
    assert base.output_shape[-1] == int(1024 * 0.35)
    assert base.count_params() < BACKBONES["MobileNet"].parameters / 4
    assert len(searched_connections(base, "MobileNet", "published")) == 23


def test_weights_are_loaded_from_a_file(tmp_path, mobilenet_v2):
    mobilenet_v2.save_weights(tmp_path / "mine.weights.h5")
    base = BACKBONES["MobileNetV2"].build(
        input_size=32, weights=tmp_path / "mine.weights.h5", alpha=0.35, preprocess=True
    )
    for mine, theirs in zip(base.get_weights(), mobilenet_v2.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("weights", [None, "none"])
def test_random_weights_differ_between_builds(weights):
    one, other = (BACKBONES["MobileNet"].build(input_size=32, weights=weights, alpha=0.25) for _ in range(2))
    assert not np.array_equal(one.get_layer("conv1").kernel, other.get_layer("conv1").kernel)


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_weights_file_of_another_network_is_rejected(tmp_path, suffix):
    file = tmp_path / f"other{suffix}"
    other = BACKBONES["MobileNet"].build(input_size=32, weights=None, alpha=0.25)
    if suffix == ".h5":
        legacy = importlib.import_module("keras.src.legacy.saving.legacy_h5_format")
        h5py = importlib.import_module("h5py")
        with h5py.File(file, "w") as handle:
            legacy.save_weights_to_hdf5_group(handle, other)
    else:
        other.save_weights(file)
    with pytest.raises(CompressorError, match=re.escape(f"weights file '{file}' does not belong")):
        BACKBONES["MobileNetV2"].build(input_size=32, weights=file)


def test_weights_of_another_width_are_rejected(tmp_path, mobilenet_v2):
    file = tmp_path / "narrow.weights.h5"
    mobilenet_v2.save_weights(file)
    message = r"does not belong to MobileNetV2 \(alpha 1.0, 32 x 32 pixels\).*name and alpha"
    with pytest.raises(CompressorError, match=message):
        BACKBONES["MobileNetV2"].build(input_size=32, weights=file)


def test_file_without_weights_is_rejected(tmp_path):
    file = tmp_path / "text.h5"
    file.write_text("not weights")
    with pytest.raises(CompressorError, match="text.h5.*does not belong to MobileNet"):
        BACKBONES["MobileNet"].build(input_size=32, weights=file)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("MobileNet", {"weights": "nowhere.h5"}, "weights file 'nowhere.h5' does not exist; give"),
        ("MobileNet", {"weights": "."}, "weights file '.' does not exist"),
        ("MobileNet", {"input_size": 31}, "at least 32 x 32 pixels, not 31 x 31"),
        ("MobileNet", {"input_size": (64, 16, 3)}, "not 64 x 16"),
        ("MobileNet", {"input_size": (64, 64, 1)}, "input shape (64, 64, 1) is not (height, width, 3)"),
        ("MobileNet", {"input_size": (64, 64)}, "input shape (64, 64) is not (height, width, 3)"),
        ("EfficientNetB0", {"alpha": 0.5}, "EfficientNetB0 has no width multiplier"),
        ("MobileNet", {"alpha": -1.0}, "backbone MobileNet (alpha -1.0, 224 x 224 pixels) cannot be"),
    ],
)
def test_invalid_arguments_are_refused_with_the_reason(name, arguments, message):
    with pytest.raises(CompressorError, match=re.escape(message)):
        BACKBONES[name].build(**{"weights": None, **arguments})


def test_missing_imagenet_weights_error_suggests_a_fix(monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("URL fetch failure: no network")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", no_network)
    message = r"ImageNet weights of MobileNet .*no network\. Give a weights file, or 'none' to train from scratch"
    with pytest.raises(CompressorError, match=message):
        BACKBONES["MobileNet"].build(input_size=128)


def test_an_unknown_name_suggests_the_nearest():
    assert find_backbone("MobileNetV2") is BACKBONES["MobileNetV2"]
    with pytest.raises(CompressorError, match="Did you mean 'EfficientNetB5'"):
        find_backbone("EfficentNetB5")


def test_catalogue_is_listed_without_tensorflow():
    code = (
        "import sys; from compressor_lib.networks.backbones import BACKBONES; "
        "print(len(BACKBONES), 'keras' in sys.modules, 'tensorflow' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [str(len(BACKBONES)), "False", "False"]


def test_error_names_the_proxy_that_blocks_weights(monkeypatch, tmp_path):
    proxy = Proxy(status=403)
    set_proxy(monkeypatch, proxy.url)
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))  # where nothing is kept yet
    with pytest.raises(
        CompressorError, match=rf"the ImageNet weights of MobileNet .*403.* through the proxy {proxy.url}"
    ):
        BACKBONES["MobileNet"].build(input_size=128, alpha=0.25)
    proxy.close()
    assert proxy.asked == ["CONNECT storage.googleapis.com:443"]


def test_published_accuracies_match_keras_table():
    for kind in ("Small", "Large"):
        documented = getattr(keras.applications, f"MobileNetV3{kind}").__doc__
        row = next(line for line in documented.splitlines() if f"mobilenet_v3_{kind.lower()}_1.0_224 " in line)
        _, _, macs, _, accuracy, *_ = (cell.strip() for cell in row.split("|"))
        backbone = BACKBONES[f"MobileNetV3{kind}"]
        assert backbone.macs == int(macs) * 10**6
        assert backbone.imagenet_accuracy == pytest.approx(float(accuracy) / 100)


def test_larger_efficientnets_are_more_accurate():
    accuracies = [BACKBONES[f"EfficientNetB{number}"].imagenet_accuracy for number in range(8)]
    assert accuracies == sorted(accuracies)
    assert all(0.7 < backbone.imagenet_accuracy < 0.9 for backbone in BACKBONES.values() if "V3S" not in backbone.name)
