"""Section ``data``: where the images are, and which of them are used."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from components.node_options import AnomalyOptions, Duplicates, ImageOptions, OnAnomaly
from compressor_lib.networks.class_label import class_label
from pipelines.config.sections.base import Section, absolute, declared_in, options_in


class Splits(Section):
    """Shares of the images in each split; only their ratio matters."""

    train: int = Field(default=8, gt=0, description="Share that models are trained on.")
    eval: int = Field(default=1, gt=0, description="Share that the search and early stopping evaluate on.")
    test: int = Field(default=1, gt=0, description="Share that only the gate evaluates on.")


class Data(Section):
    """The images."""

    source: Literal["folder", "tfrecord", "digits"] = Field(
        description="folder: one folder of images per class; tfrecord: TFRecords of tf.Examples; "
        "digits: scikit-learn's handwritten digits, which need no path."
    )
    path: str | None = Field(default=None, validate_default=True, description="Folder of the images or TFRecords.")
    image_feature: str = Field(default="image", description="tfrecord: feature that holds the encoded image.")
    label_feature: str = Field(
        default="label",
        description="tfrecord: feature that holds the class name. Surrounding whitespace is removed.",
    )
    splits: Splits = Field(
        default_factory=Splits, description="Sizes of the splits, for images that are not already split."
    )
    max_bad_share: float = declared_in(ImageOptions, "max_bad_share", prefix="folder: ")
    max_pixels: int = declared_in(ImageOptions, "max_pixels", prefix="folder: ")
    max_file_mb: int = declared_in(ImageOptions, "max_file_mb", prefix="folder: ")
    follow_external_links: bool = declared_in(ImageOptions, "follow_external_links", prefix="folder: ")
    duplicates: Duplicates = declared_in(ImageOptions, "duplicates", prefix="folder: ")
    span_pattern: str | None = Field(
        default=None,
        description="Pattern of the span folders under path, such as 'span-{SPAN}', or 'span-{SPAN:2}' for numbers "
        "with leading zeros (span-07). The newest span is used. Other characters are literal. null: path itself holds "
        "the images.",
    )
    span_window: int = Field(
        default=1,
        ge=1,
        description="Number of newest spans to use together; all spans if there are fewer.",
    )
    max_drift: float = declared_in(AnomalyOptions, "max_drift")
    on_anomaly: OnAnomaly = declared_in(AnomalyOptions, "on_anomaly")
    removed_classes: list[str] = Field(
        default_factory=list,
        description="Classes of the pushed model that have no images any more, to be removed from the next model. A "
        "class without images that is not listed keeps its place in the output. A name whose class is already gone "
        "is only logged, so it can stay in the list.",
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none",
        description="balanced: all training weights each class the same, regardless of its number of images; none: "
        "it weights each image the same. Accuracies, including the gate's, are never weighted.",
    )

    @property
    def image_options(self) -> ImageOptions:
        """Options of ImageExampleGen."""
        return options_in(self, ImageOptions)

    @property
    def anomaly_options(self) -> AnomalyOptions:
        """Options of ExampleValidator."""
        return options_in(self, AnomalyOptions)

    @field_validator("path")
    @classmethod
    def _path_fits_source(cls, path: str | None, info: ValidationInfo) -> str | None:
        source = info.data.get("source")
        if source == "digits" and path is not None:
            raise ValueError(
                "is set, but the digits are embedded and need no path: remove it, or set "
                "data.source to folder or tfrecord."
            )
        if source in ("folder", "tfrecord") and not path:
            raise ValueError(f"is missing: source {source} needs a folder (here or with --data).")
        if path is None:
            return None
        if source == "tfrecord" and path.startswith("minio://"):
            raise ValueError(
                f"is {path!r}, but Beam, which reads TFRecords, does not know minio://: write s3:// instead, and set "
                "the store's URL in s3.endpoint on Kubeflow, or in AWS_ENDPOINT_URL elsewhere."
            )
        return absolute(path)

    @field_validator("removed_classes")
    @classmethod
    def _names_are_composed(cls, names: list[str]) -> list[str]:
        return list(dict.fromkeys(map(class_label, names)))

    @field_validator("span_pattern")
    @classmethod
    def _pattern_holds_span(cls, pattern: str | None) -> str | None:
        if pattern is not None and not re.search(r"\{SPAN(:[1-9][0-9]*)?\}", pattern):
            raise ValueError(f"is {pattern!r}: it must contain {{SPAN}}, as in 'span-{{SPAN}}'.")
        return pattern

    @field_validator("span_window")
    @classmethod
    def _window_is_of_spans(cls, window: int, info: ValidationInfo) -> int:
        if window > 1 and info.data.get("span_pattern", "") is None:
            raise ValueError(
                f"is {window}, but data.span_pattern is missing: set the pattern of the span folders, as in "
                "'span-{SPAN}'."
            )
        return window
