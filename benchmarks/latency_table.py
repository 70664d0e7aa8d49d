"""Compares latency tables measured on this machine with measured networks: ``python -m benchmarks.latency_table``."""

from __future__ import annotations

from typing import get_args

import keras

from compressor_lib.cuts.lookup import find_connection
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.deployment.latency import time_models
from compressor_lib.deployment.latency_table import DeviceYardstick, LatencyTable
from compressor_lib.deployment.precision import Precision
from compressor_lib.networks.backbones import find_backbone
from compressor_lib.networks.heads import attach_head
from compressor_lib.objective.costs import converted
from compressor_lib.search.device_operators import files_to_measure, measured_table

SIZES = (224, 128, 96)
CONNECTIONS = ("block_6_project_BN->tail", "block_10_project_BN->head", "block_5_add->Conv_1")
CLASSES = 6


def main() -> None:
    """Prints the measured and the tabulated milliseconds of some networks of MobileNetV2."""
    bases = {size: find_backbone("MobileNetV2").build(input_size=size, weights="none") for size in SIZES}
    reference = attach_head(bases[SIZES[0]], CLASSES)
    for precision in get_args(Precision):
        if precision != "float16":
            _compare(bases, reference, precision)


def _compare(bases: dict[int, keras.Model], reference: keras.Model, precision: Precision) -> None:
    networks = [
        (base, [find_connection(text, base) for text in (*CONNECTIONS, f"{base.layers[-1].name}->head")])
        for base in bases.values()
    ]
    files = files_to_measure(reference, networks, precision=precision)
    device = DeviceYardstick(LatencyTable.parse(measured_table(files), "here.csv"), files["reference"], precision)
    print(f"{precision}: {len(files)} files; the sum is scaled by {device.scale:.2f}")
    for size, (base, connections) in zip(bases, networks, strict=True):
        for connection in connections:
            tflite = converted(attach_head(create_submodel(base, connection), CLASSES), precision)
            measured = time_models({"network": tflite}).latency("network").median
            table = device.latency(tflite)
            print(f"{size} px  {connection!s:32} measured {measured:.2f}  table {table:.2f}  {table / measured:.2f}")


if __name__ == "__main__":
    main()
