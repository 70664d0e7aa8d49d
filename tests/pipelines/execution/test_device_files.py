from __future__ import annotations

import pytest

from compressor_lib.deployment.operators import operators
from pipelines.config.config import load_config
from pipelines.execution.device_files import device_files


@pytest.mark.slow
def test_every_size_and_backbone_of_the_search_has_its_operators(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        "name: tiny\n"
        "data: {source: digits}\n"
        "backbone: {name: MobileNetV2, input_size: 64, alpha: 0.35}\n"
        "search: {connections: tail, tail_units: [7], input_sizes: [32], backbones: [MobileNet]}\n"
        "export: {formats: [float16]}\n"
    )
    files = device_files(load_config(config), ["cat", "dog", "hat"])
    assert set(operators(files["reference"])) < set(files)
    assert "conv_2d-3x3x3-s2x2-64x64x3-32x32x16-float32" in files  # the reference model's
    assert "conv_2d-3x3x3-s2x2-32x32x3-16x16x16-float32" in files  # the same network at the size that is searched
    assert "conv_2d-3x3x3-s2x2-32x32x3-16x16x32-float32" in files  # MobileNet's
    assert "conv_2d-1x1x1024-s1x1-1x1x1024-1x1x7-float32" in files  # a tail of MobileNet
    assert "fully_connected-7-3-float32" in files
