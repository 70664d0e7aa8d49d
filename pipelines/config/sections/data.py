"""Section ``data``: where the images are, and which of them count."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from compressor_lib.networks.class_label import class_label
from pipelines.config.sections.base import Section, Share, absolute


class Splits(Section):
    """Shares of the images that go to each split; only their ratio counts."""

    train: int = Field(default=8, gt=0, description="Share that models are trained on.")
    eval: int = Field(default=1, gt=0, description="Share that the search and early stopping judge on.")
    test: int = Field(default=1, gt=0, description="Share that the gate judges on, never seen before.")


class Data(Section):
    """Where the images are."""

    source: Literal["folder", "tfrecord", "digits"] = Field(
        description="folder: class folders of images; tfrecord: TFRecords of tf.Examples; "
        "digits: scikit-learn's handwritten digits, which need no path."
    )
    path: str | None = Field(default=None, validate_default=True, description="Folder of the images or the TFRecords.")
    image_feature: str = Field(default="image", description="tfrecord: feature of the encoded image.")
    label_feature: str = Field(
        default="label", description="tfrecord: feature of the class name; whitespace around it is taken off."
    )
    splits: Splits = Field(default_factory=Splits, description="Used where the images are not split already.")
    max_bad_share: Share = Field(
        default=0.05,
        description="folder: the run is refused above this share of images that are unreadable or left out for their "
        "format, place or name.",
    )
    max_pixels: int = Field(
        default=100_000_000,
        gt=0,
        description="folder: images with more, in a GIF in all frames together, are skipped as unreadable; each "
        "takes 3 bytes of memory, in a GIF 4.",
    )
    max_file_mb: int = Field(default=100, gt=0, description="folder: larger files, in MiB, are skipped as unreadable.")
    follow_external_links: bool = Field(
        default=False,
        description="folder: true: symbolic links that lead out of path are followed, by which whoever fills the "
        "folder has files read from elsewhere; false: what is behind them is skipped as unreadable.",
    )
    duplicates: Literal["one_split", "keep"] = Field(
        default="one_split",
        description="folder: one_split: images with the same pixels stay in one split, that of the test before that "
        "of the search before that of training; keep: they stay where they are. They are reported in any case.",
    )
    span_pattern: str | None = Field(
        default=None,
        description="Pattern of the span folders under path, such as 'span-{SPAN}': the newest "
        "span is taken; other characters stand for themselves. null: path itself holds the images.",
    )
    span_window: int = Field(
        default=1,
        ge=1,
        description="How many of the newest spans are taken, together; all of them where there are fewer.",
    )
    max_drift: Share = Field(
        default=0.1,
        description="Most that a class's share of the training images may change against the run before; more is an "
        "anomaly, as are classes that come or go.",
    )
    on_anomaly: Literal["warn", "stop"] = Field(
        default="warn", description="warn: anomalies of the data are told; stop: they end the run before it trains."
    )
    removed_classes: list[str] = Field(
        default_factory=list,
        description="Classes of the pushed model that have no images any more, and are taken out of the next model. "
        "Unless it is named here, such a class keeps its place in the output. It may stay set: a name that is "
        "removed already is logged.",
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none",
        description="balanced: in all training each class counts the same, however many images it has; none: each "
        "image does. Accuracies, the gate's too, are plain in either case.",
    )

    @field_validator("path")
    @classmethod
    def _path_fits_source(cls, path: str | None, info: ValidationInfo) -> str | None:
        source = info.data.get("source")
        if source == "digits" and path is not None:
            raise ValueError(
                "is set, but the digits are embedded and need none: take it out, or choose "
                "data.source folder or tfrecord."
            )
        if source in ("folder", "tfrecord") and not path:
            raise ValueError(f"is missing: source {source} needs a folder (here or by --data).")
        if path is None:
            return None
        if source == "tfrecord" and path.startswith("minio://"):
            raise ValueError(
                f"is {path!r}, and Beam, which reads TFRecords, knows no minio://: write s3:// for it, and name the "
                "store by s3.endpoint on Kubeflow, by AWS_ENDPOINT_URL elsewhere."
            )
        return absolute(path)

    @field_validator("removed_classes")
    @classmethod
    def _names_are_composed(cls, names: list[str]) -> list[str]:
        return list(dict.fromkeys(map(class_label, names)))

    @field_validator("span_pattern")
    @classmethod
    def _pattern_holds_span(cls, pattern: str | None) -> str | None:
        if pattern is not None and "{SPAN}" not in pattern:
            raise ValueError(f"is {pattern!r}: it must hold {{SPAN}}, as in 'span-{{SPAN}}'.")
        return pattern

    @field_validator("span_window")
    @classmethod
    def _window_is_of_spans(cls, window: int, info: ValidationInfo) -> int:
        if window > 1 and info.data.get("span_pattern", "") is None:
            raise ValueError(
                f"is {window}, but data.span_pattern is missing: say how spans are named, as in 'span-{{SPAN}}'."
            )
        return window
