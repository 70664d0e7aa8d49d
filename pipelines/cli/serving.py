"""The commands for pushed models: ``compressor predict`` and ``compressor rollback``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from compressor_lib.deployment.family import directory_of
from compressor_lib.errors import CompressorError, did_you_mean
from pipelines.cli.exit_status import WRONG_INPUT, wrong_input_reported
from pipelines.cli.options import ModelName
from pipelines.cli.output_capture import captured, say


def predict(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="A SavedModel's folder, a push directory (its newest version), or a .tflite file."
        ),
    ],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files, or folders of them.")],
    member: ModelName = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line, with the probabilities of all classes.")
    ] = False,
) -> None:
    """Predicts the class of each image, and its probability, with a pushed model.

    Example: compressor predict runs/digits/serving cat.jpg more-images --json
    """
    with wrong_input_reported():
        from compressor_lib.deployment import phrases
        from compressor_lib.deployment.model_path import find_model

        found = find_model(directory_of(str(model), member or ""))  # before TensorFlow is loaded
        there: list[Path] = []
        missing: list[Path] = []
        for image in _files(images):
            (there if image.exists() else missing).append(image)
        for image in missing:
            say(f"error: image {str(image)!r} does not exist.{did_you_mean(image)}", err=True)
        if not there:
            raise typer.Exit(WRONG_INPUT)
        with captured(Path(os.devnull)):  # hides TensorFlow's messages
            from compressor_lib.deployment.predict import load_classifier

            classifier = load_classifier(found)
        failed = len(missing)
        for image in there:
            try:
                probabilities = classifier.predict(image)
            except CompressorError as error:
                failed += 1
                say(f"error: {error}", err=True)
                continue
            likeliest, probability = next(iter(probabilities.items()))
            if as_json:
                summary = {"image": str(image), "class": likeliest, "probability": probability}
                typer.echo(json.dumps({**summary, "probabilities": probabilities}))
            else:
                typer.echo(f"{image}  {likeliest}  {phrases.percent(probability)}")
    if failed:
        raise typer.Exit(WRONG_INPUT)


def _files(images: list[Path]) -> Iterator[Path]:
    """Yields given files as they are, and all images in given folders, at any depth, except hidden ones."""
    from compressor_lib.deployment.image_suffixes import READ

    for path in images:
        if not path.is_dir():
            yield path
            continue
        inside = [
            file
            for file in sorted(path.rglob("*"))
            if not any(part.startswith(".") for part in file.relative_to(path).parts)
            and file.is_file()
            and _is_image(file)
        ]
        if not inside:
            raise CompressorError(f"folder {str(path)!r} holds no images ({', '.join(READ)}): choose another folder.")
        yield from inside


def _is_image(file: Path) -> bool:
    """Whether training would read a file: judged by its suffix or, without one, by its first bytes."""
    from compressor_lib.deployment.image_beginnings import LONGEST, begins_like_image
    from compressor_lib.deployment.image_suffixes import is_read, suffix_of

    if suffix_of(file.name):
        return is_read(file.name)
    try:
        with file.open("rb") as content:
            return begins_like_image(content.read(LONGEST))
    except OSError:
        return True  # predicting it will report the reason


def rollback(
    directory: Annotated[
        str, typer.Argument(metavar="DIRECTORY", help="The push directory with its numbered folders; may be gs://...")
    ],
    member: ModelName = None,
) -> None:
    """Withdraws the newest model in a push directory, so that the previous one is served again.

    Example: compressor rollback runs/digits/serving
    """
    with wrong_input_reported():
        from pipelines.execution.preflight import check_installed

        check_installed()
        with captured(Path(os.devnull)):
            from components.artifacts.pushed_versions import roll_back

            withdrawn, now = roll_back(directory_of(directory, member or ""))
    typer.echo(f"version {withdrawn} is withdrawn; version {now} is served again")
