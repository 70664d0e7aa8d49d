"""Section ``data``: where the images are, and which of them count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from compressor_lib.networks.class_label import class_label
from pipelines.config.errors import shown
from pipelines.config.sections.base import Section, Share, absolute


def _spans(value: object) -> object:
    """Accepts one word, or a section with one whole number."""
    if value == "latest" or isinstance(value, Window):
        return value
    if isinstance(value, Mapping) and list(value) == ["window"]:
        window = value["window"]
        if isinstance(window, int) and not isinstance(window, bool) and window >= 1:
            return value
    raise ValueError(f"is {shown(value)}: choose latest, or how many of the newest spans, as in {{window: 4}}.")


class Splits(Section):
    """Shares of the images that go to each split; only their ratio counts."""

    train: int = Field(default=8, gt=0, description="Share that models are trained on.")
    eval: int = Field(default=1, gt=0, description="Share that the search and early stopping judge on.")
    test: int = Field(default=1, gt=0, description="Share that the gate judges on, never seen before.")


class Window(Section):
    """The newest spans, as far as there are so many."""

    window: int = Field(ge=1, description="How many of them.")


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
    outside_links: bool = Field(
        default=False,
        description="folder: true: symbolic links that lead out of path are followed, by which whoever fills the "
        "folder has files read from elsewhere; false: what is behind them is skipped as unreadable.",
    )
    duplicates: Literal["one_split", "keep"] = Field(
        default="one_split",
        description="folder: one_split: images with the same pixels stay in one split, that of the test before that "
        "of the search before that of training; keep: they stay where they are. They are reported in any case.",
    )
    span: str | None = Field(
        default=None,
        description="Pattern of the span folders under path, such as 'span-{SPAN}': the newest "
        "span is taken; other characters stand for themselves. null: path itself holds the images.",
    )
    spans: Annotated[Literal["latest"] | Window, BeforeValidator(_spans)] = Field(
        default="latest", description="latest: the newest span; {window: N}: the newest N of them, together."
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

    @field_validator("span")
    @classmethod
    def _span_has_number(cls, span: str | None) -> str | None:
        if span is not None and "{SPAN}" not in span:
            raise ValueError(f"is {span!r}: it must hold {{SPAN}}, as in 'span-{{SPAN}}'.")
        return span

    @field_validator("spans")
    @classmethod
    def _window_is_of_spans(cls, spans: Literal["latest"] | Window, info: ValidationInfo) -> Literal["latest"] | Window:
        if spans != "latest" and info.data.get("span", "") is None:
            raise ValueError("is a window, but data.span is missing: say how spans are named, as in 'span-{SPAN}'.")
        return spans

    @property
    def window(self) -> int | None:
        """How many of the newest spans are taken; None: the one."""
        return self.spans.window if isinstance(self.spans, Window) else None
