"""``compressor latency-table``: writes the TFLite files that a device must time for ``search.latency_table``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compressor_lib.errors import CompressorError
from pipelines.cli.exit_status import wrong_input_reported
from pipelines.cli.options import ConfigFile, DataFolder, Overrides
from pipelines.cli.output_capture import captured, say

if TYPE_CHECKING:
    from pipelines.config.config import Config


def latency_table(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder for the files.")],
    config: ConfigFile,
    data: DataFolder = None,
    classes: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=2, help="Number of classes, if the images are in TFRecords or not on this machine."
        ),
    ] = None,
    measure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also time the files on this machine, and write the table to this CSV file."),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Writes the TFLite files that a device must time, so that a search can use the device's latencies.

    Example: compressor latency-table operators --config examples/phone.yaml --data images
    """
    with wrong_input_reported():
        from pipelines.config.config import load_config

        loaded = load_config(config, overrides or (), paths={"data.path": data})
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CompressorError(f"folder {str(folder)!r} is not empty: name a new one.")
        with captured(Path(os.devnull)):  # hides TensorFlow's warnings
            from pipelines.execution.device_files import device_files

            files = device_files(loaded, _classes(loaded, classes))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                (folder / f"{name}.tflite").write_bytes(content)
            if measure is not None:
                from compressor_lib.search.device_operators import measured_table

                measure.write_text(measured_table(files))
        except OSError as error:
            raise CompressorError(f"{error.filename!r} cannot be written ({error.strerror}).") from error
    say(f"{folder}: {len(files)} files to time on the device, one at a time, on one thread")
    if measure is not None:
        say(f"{measure}: their times on this machine; use it with --set search.latency_table={measure}")


def _classes(config: Config, given: int | None) -> list[str]:
    """Returns the names of the classes, or made-up names if only their number is known."""
    from pipelines.execution.preflight import check_classes, check_images

    if given is not None:
        return [str(number) for number in range(given)]
    is_here = config.data.source == "digits" or os.path.isdir(config.data_path)
    images = check_images(config) if is_here else None
    if images is None:
        raise CompressorError("the number of classes is unknown, and the last layer depends on it: give --classes N.")
    return check_classes(config, images, stores=False).names
