"""The configuration of a run: one YAML file, checked as a whole before anything starts."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from compressor_lib.errors import CompressorError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from compressor_lib.training import TrainingOptions


class Section(BaseModel):
    """Base of every section: unknown fields are refused, values do not change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _absolute(path: str) -> str:
    """Makes a local path absolute, from the current directory; leaves ``gs://...`` alone."""
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))


def _connections(value: object) -> object:
    """Accepts one of some words, one connection, or a list of connections."""
    words = ("published", "rejoining", "truncation", "tail", "all")
    items = value if isinstance(value, list) else [value]
    if items and all(isinstance(i, str) and ("->" in i or "," in i) for i in items):
        return items
    if isinstance(value, str) and value in words:
        return value
    raise ValueError(
        f"is {_shown(value)}: choose {', '.join(words)}, or list connections such as "
        "'block_5_add->Conv_1', 'block_5_add->head', 'block_5_add->tail' or '53,151'."
    )


Share = Annotated[float, Field(ge=0, le=1)]
Connections = Annotated[
    Literal["published", "rejoining", "truncation", "tail", "all"] | list[str], BeforeValidator(_connections)
]


class Splits(Section):
    """Shares of the pictures that go to each split; only their ratio counts."""

    train: int = Field(default=8, gt=0, description="Share that models are trained on.")
    eval: int = Field(default=1, gt=0, description="Share that the search and early stopping judge on.")
    test: int = Field(default=1, gt=0, description="Share that the gate judges on, never seen before.")


class Data(Section):
    """Where the pictures are."""

    source: Literal["folder", "tfrecord", "digits"] = Field(
        description="folder: class folders of pictures; tfrecord: TFRecords of tf.Examples; "
        "digits: scikit-learn's handwritten digits, which need no path."
    )
    path: str | None = Field(
        default=None, validate_default=True, description="Folder of the pictures or the TFRecords."
    )
    image_feature: str = Field(default="image", description="tfrecord: feature of the encoded picture.")
    label_feature: str = Field(default="label", description="tfrecord: feature of the class name.")
    splits: Splits = Field(default_factory=Splits, description="Used where the pictures are not split already.")
    max_bad_share: Share = Field(
        default=0.05, description="The run is refused above this share of unreadable pictures."
    )
    span: str | None = Field(
        default=None,
        description="Pattern of the span folders under path, such as 'span-{SPAN}': the newest "
        "span is taken. null: path itself holds the pictures.",
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
        path = _absolute(path)
        if "://" not in path and not os.path.isdir(path):
            raise ValueError(f"is {path!r}, which is not a folder: correct it (here or by --data).")
        return path

    @field_validator("span")
    @classmethod
    def _span_has_number(cls, span: str | None) -> str | None:
        if span is not None and "{SPAN}" not in span:
            raise ValueError(f"is {span!r}: it must hold {{SPAN}}, as in 'span-{{SPAN}}'.")
        return span


class BackboneConfig(Section):
    """The network that is compressed: one of the catalogue by name, or a model of the user's own."""

    name: str | None = Field(default=None, description="Name in the catalogue; 'compressor backbones' lists it.")
    model: str | None = Field(
        default=None,
        description="Instead of a name: a .keras file of a trained functional classifier of any architecture.",
    )
    classes: list[str] | None = Field(
        default=None,
        min_length=2,
        description="model: names of its outputs, in their order, to keep its head; null: its head is replaced.",
    )
    rescale: tuple[float, float] | None = Field(
        default=None,
        description="model: scale and offset from pixels in 0..255 to what it takes; null: it takes the pixels.",
    )
    input_size: int = Field(
        default=224, ge=32, description="Height and width of its pictures, in pixels; of a model, its own if fixed."
    )
    alpha: float = Field(default=1.0, gt=0, description="Width multiplier, MobileNets only.")
    weights: str = Field(
        default="imagenet",
        description="imagenet (fetched by Keras), none (random), or a weights file.",
    )

    @model_validator(mode="before")
    @classmethod
    def _size_of_model(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or not isinstance(values.get("model"), str) or "input_size" in values:
            return values
        size = _own_size(values["model"])
        return values if size is None else {**values, "input_size": size}

    @field_validator("name")
    @classmethod
    def _name_is_known(cls, name: str | None) -> str | None:
        from compressor_lib.backbones import find_backbone

        if name is not None:
            find_backbone(name)
        return name

    @field_validator("model")
    @classmethod
    def _model_exists(cls, model: str | None) -> str | None:
        if model is None:
            return None
        path = _absolute(model)
        if "://" not in path and not os.path.isfile(path):
            raise ValueError(f"is {path!r}, which is no file: give a .keras file.")
        return path

    @field_validator("alpha")
    @classmethod
    def _alpha_fits_name(cls, alpha: float, info: ValidationInfo) -> float:
        from compressor_lib.backbones import find_backbone

        name = info.data.get("name")
        if name and alpha != 1.0 and not find_backbone(name).has_alpha:
            raise ValueError(f"is {alpha}, but {name} has no width multiplier: leave it at 1.0.")
        return alpha

    @field_validator("weights")
    @classmethod
    def _weights_exist(cls, weights: str) -> str:
        if weights in ("imagenet", "none"):
            return weights
        path = _absolute(weights)
        if "://" not in path and not os.path.isfile(path):
            raise ValueError(f"is {path!r}, which is no file: give one, or 'imagenet' or 'none'.")
        return path

    @model_validator(mode="after")
    def _is_named_or_own(self) -> BackboneConfig:
        given = self.model_fields_set
        if self.name is None and self.model is None:
            raise ValueError("has neither name nor model: give the one, of the catalogue, or the other, a file.")
        foreign = {"name", "alpha", "weights"} if self.model is not None else {"classes", "rescale"}
        if wrong := [field for field in type(self).model_fields if field in foreign & given]:
            kind = "a model of your own" if self.model is not None else "a network of the catalogue"
            raise ValueError(f"has {' and '.join(wrong)}, which {kind} does not take: leave out.")
        if self.model is not None:
            own_size = _own_size(self.model)
            if own_size is None and "input_size" not in given:
                raise ValueError("model takes pictures of any size: set backbone.input_size.")
            if own_size not in (None, self.input_size):
                raise ValueError(f"input_size is {self.input_size}, but the model takes {own_size}: leave it out.")
        return self


def _own_size(model: str) -> int | None:
    """The input size of a ``.keras`` file that is on this machine; None if it is variable or cannot be known."""
    from compressor_lib.keras_file import read_keras_file

    path = _absolute(model)
    return read_keras_file(path).input_size if os.path.isfile(path) else None


class Head(Section):
    """The classifier on top of the backbone."""

    units: int = Field(default=0, ge=0, description="Width of a hidden layer; 0: a single softmax layer.")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="Share dropped in front of the classifier.")


class AugmentationConfig(Section):
    """How far training pictures are varied; 0 (or false) turns one variation off."""

    flip: bool = Field(default=True, description="Mirror half of the pictures left to right.")
    rotation: float = Field(default=0.05, ge=0, lt=1, description="Largest turn, as a share of a circle.")
    zoom: float = Field(default=0.1, ge=0, lt=1, description="Largest change of scale, as a share.")
    translation: float = Field(default=0.1, ge=0, lt=1, description="Largest shift, as a share of a side.")
    contrast: float = Field(default=0.1, ge=0, lt=1, description="Largest change of contrast, as a share.")


class DistillationConfig(Section):
    """How much the reference's answers count as a teacher's."""

    weight: Share = Field(default=0.5, description="Share of the loss; 0 turns distillation off.")
    temperature: float = Field(default=2.0, gt=0, description="Divides the logits of both networks.")


class Training(Section):
    """How a classifier is trained: its head first, then all of it."""

    head_epochs: int = Field(default=5, ge=0, description="Most epochs with the backbone frozen.")
    epochs: int = Field(default=10, ge=0, description="Most epochs with everything open, after those.")
    batch_size: int = Field(default=32, gt=0, description="Pictures a step.")
    head_learning_rate: float = Field(default=1e-3, gt=0, description="Adam's, with the backbone frozen.")
    learning_rate: float = Field(default=1e-4, gt=0, description="Adam's first, with everything open.")
    patience: int = Field(default=5, gt=0, description="Epochs without a better one that end a phase.")
    batch_norm: Literal["frozen", "train"] = Field(
        default="frozen",
        description="Batch normalisation of the backbone: frozen as pretrained, or train, which "
        "a network from scratch needs.",
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="Share of each label spread over all classes.")
    augmentation: AugmentationConfig = Field(
        default_factory=AugmentationConfig, description="How far pictures are varied."
    )
    strategy: Literal["none", "mirrored"] = Field(
        default="none",
        description="none: on one device; mirrored: on all accelerators of the machine, each of which "
        "takes its share of every batch.",
    )

    @model_validator(mode="after")
    def _trains_at_all(self) -> Training:
        if self.head_epochs + self.epochs == 0:
            raise ValueError("has head_epochs and epochs of 0: set one of them to train.")
        return self

    def options(self) -> TrainingOptions:
        """These fields as the library takes them.

        Returns:
            The options, without a teacher unless there is a field ``distillation``.
        """
        from compressor_lib.augmentation import Augmentation
        from compressor_lib.training import Distillation, TrainingOptions

        values = self.model_dump()
        values["augmentation"] = Augmentation(**values["augmentation"])
        if "distillation" in values:
            values["distillation"] = Distillation(**values["distillation"])
        return TrainingOptions(**values)


class Retraining(Training):
    """How the compressed classifier is trained: likewise, with the reference as its teacher."""

    distillation: DistillationConfig = Field(
        default_factory=DistillationConfig, description="How much the teacher counts."
    )


class Translators(Section):
    """How translators are fitted."""

    held_out: float = Field(default=0.1, gt=0, lt=1, description="Share of the pictures R2 is measured on.")
    ridge: float = Field(default=1e-3, ge=0, description="Ridge of the closed form.")


class Objective(Section):
    """What a network's user pays for, to be saved and to be kept within limits."""

    cost: Literal["parameters", "flops", "bytes", "latency"] = Field(
        default="parameters",
        description="What is weighed against accuracy, as a share of the reference's: parameters; flops, the "
        "multiply-adds for a picture; bytes of the TFLite file; or latency, its measured time for a picture.",
    )
    max_parameters: int | None = Field(default=None, gt=0, description="Most parameters; null: any number.")
    max_flops: int | None = Field(default=None, gt=0, description="Most multiply-adds for a picture; null: any number.")
    max_bytes: int | None = Field(default=None, gt=0, description="Largest TFLite file, in float32; null: any size.")
    max_latency_ms: float | None = Field(
        default=None, gt=0, description="Longest time for a picture, by TFLite on one thread here; null: any time."
    )

    @property
    def budgets(self) -> dict[str, float]:
        """The limits that are set, by the name of their cost."""
        limits = {
            "parameters": self.max_parameters,
            "flops": self.max_flops,
            "bytes": self.max_bytes,
            "latency": self.max_latency_ms,
        }
        return {cost: limit for cost, limit in limits.items() if limit is not None}


class Search(Section):
    """How the connection to cut is searched."""

    tuner: Literal["hyperband", "bayesian", "random", "grid"] = Field(
        default="hyperband", description="keras-tuner's oracle."
    )
    max_trials: int = Field(default=60, gt=0, description="Most sub-networks tried.")
    max_epochs: int = Field(default=30, gt=0, description="Most epochs of one trial.")
    parallel_trials: int = Field(
        default=1,
        gt=0,
        description="Trials at a time, each in a process of its own on this machine. Above 1 the order of the "
        "trials, and with it what later ones try, may vary between runs.",
    )
    feature_memory_mb: int = Field(
        default=4096,
        ge=0,
        description="Memory, in MiB, for what the backbone computed of the pictures; the rest goes to TMPDIR.",
    )
    tau: Share = Field(default=0.8, description="Weight of accuracy; 1 - tau weighs the share of the cost saved.")
    objective: Objective = Field(
        default_factory=Objective, description="Which cost is saved, and what no winner may exceed."
    )
    min_learning_rate: float = Field(default=1e-3, gt=0, description="Least of the heads' learning rates.")
    max_learning_rate: float = Field(default=1e-2, gt=0, description="Largest of them.")
    connections: Connections = Field(
        default="all",
        description="published: the papers' pairs; rejoining: pairs from everywhere in the graph; truncation: "
        "cuts straight to the head; tail: cuts with a narrow tail in front of the head; all: published "
        "(rejoining for a model of your own), truncation and tail; or a list such as "
        "['block_5_add->Conv_1', '53,151', 'block_5_add->head', 'block_5_add->tail'].",
    )
    tail_units: list[Annotated[int, Field(gt=0)]] = Field(
        default=[128, 256, 512], min_length=1, description="Widths of a tail to search."
    )
    head_units: list[Annotated[int, Field(ge=0)]] | None = Field(
        default=None,
        min_length=1,
        description="Widths of the head to search; null: head.units alone.",
    )

    @model_validator(mode="after")
    def _learning_rates_are_a_range(self) -> Search:
        if self.min_learning_rate > self.max_learning_rate:
            raise ValueError(
                f"has min_learning_rate {self.min_learning_rate} above max_learning_rate "
                f"{self.max_learning_rate}: swap them."
            )
        return self


class Export(Section):
    """How a model is written beside its SavedModel, which is what is pushed and always there."""

    formats: list[Literal["float32", "float16", "int8"]] = Field(
        default=["float32"],
        description="TFLite formats of the compressed model. float32 is always written: the others are compared "
        "with it. int8 is calibrated on training pictures.",
    )


class Gate(Section):
    """What a compressed model must reach on the test split to be pushed."""

    min_accuracy: Share = Field(default=0.5, description="Least accuracy.")
    max_drop: Share = Field(default=0.02, description="Most accuracy lost against the baseline.")
    baseline: Literal["reference", "blessed"] = Field(
        default="reference",
        description="The run's own reference, or the last model that was blessed.",
    )


class Push(Section):
    """Where a blessed model goes."""

    directory: str | None = Field(default=None, description="Folder; null: 'serving' in the output.")

    @field_validator("directory")
    @classmethod
    def _directory_is_absolute(cls, directory: str | None) -> str | None:
        return None if directory is None else _absolute(directory)


class Config(Section):
    """A whole run. Paths are absolute once it is loaded."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,127}$",
        description="The pipeline's name: small letters, digits and hyphens.",
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="Seed of everything random.")
    output: str = Field(description="Folder of everything a run writes; 'runs/' and the name if not given.")
    data: Data
    backbone: BackboneConfig
    head: Head = Field(default_factory=Head)
    reference: Training = Field(default_factory=Training)
    translators: Translators = Field(default_factory=Translators)
    search: Search = Field(default_factory=Search)
    retrain: Retraining = Field(default_factory=Retraining)
    export: Export = Field(default_factory=Export)
    gate: Gate = Field(default_factory=Gate)
    push: Push = Field(default_factory=Push)
    beam_pipeline_args: list[str] = Field(
        default_factory=list, description="Flags for Beam, such as --direct_num_workers=2."
    )

    @model_validator(mode="before")
    @classmethod
    def _default_output(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "output" not in values:
            return {**values, "output": f"runs/{values.get('name')}"}
        return values

    @field_validator("output")
    @classmethod
    def _output_is_absolute(cls, output: str) -> str:
        return _absolute(output)

    @property
    def pipeline_root(self) -> str:
        """Folder of the artifacts."""
        return os.path.join(self.output, "pipeline_root")

    @property
    def metadata_path(self) -> str:
        """SQLite file of ML Metadata."""
        return os.path.join(self.output, "metadata.sqlite")

    @property
    def serving_directory(self) -> str:
        """Folder that blessed models are pushed to."""
        return self.push.directory or os.path.join(self.output, "serving")

    @property
    def data_path(self) -> str:
        """Folder of the pictures; the embedded digits are written into the output."""
        return self.data.path or os.path.join(self.output, "data")


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Reads and checks a configuration.

    Args:
        path: YAML file.
        overrides: Single values that replace the file's, as ``"search.tau=0.9"``; the value is read
            as YAML, so that lists and numbers can be given.

    Returns:
        The configuration, every field filled, paths absolute.

    Raises:
        CompressorError: If the file cannot be read or a field is wrong; there is one line for each
            wrong field, all of them at once.

    Example:
        >>> load_config("examples/digits.yaml", ["search.tau=0.9"]).search.tau
        0.9
    """
    values = _read(path)
    for override in overrides:
        _override(values, override)
    try:
        return Config.model_validate(values)
    except ValidationError as invalid:
        lines = [_explain(error) for error in invalid.errors(include_url=False)]
    if len(lines) == 1:
        raise CompressorError(f"{path}: {lines[0]}")
    raise CompressorError("\n  ".join([f"{path} has {len(lines)} wrong fields:", *lines]))


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CompressorError(f"config file '{path}' does not exist: give another by --config.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CompressorError(f"config file '{path}' cannot be read: {error}.") from error
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CompressorError(f"config file '{path}' is not YAML: {_one_line(error)}.") from error
    if not isinstance(values, dict):
        raise CompressorError(f"config file '{path}' holds no fields: begin with 'name: my-pipeline'.")
    return values


def _override(values: dict[str, Any], override: str) -> None:
    """Sets one value of the file's, in place."""
    dotted, equals, text = override.partition("=")
    keys = [key.strip() for key in dotted.split(".")]
    if not equals or not all(keys):
        raise CompressorError(f"--set {override!r} has another form than section.field=value.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CompressorError(f"--set {override!r}: the value is not YAML: {_one_line(error)}.") from error
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise CompressorError(f"--set {override!r}: {key!r} is a value, not a section.")
    values[keys[-1]] = value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


_Location = tuple[int | str, ...]

_MUST_BE = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a section of fields",
    "string_type": "text, in quotes if it looks like a number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "small letters, digits and hyphens, 128 at most, no hyphen first",
    "too_short": "a list that is not empty",
}
"""What a value must be, in people's words, by pydantic's type of error."""


def _explain(error: ErrorDetails) -> str:
    """One wrong field in one sentence."""
    location, context, kind = error["loc"], error.get("ctx", {}), error["type"]
    field = _dotted(location)
    if kind == "extra_forbidden":
        return _unknown_field(location)
    if kind == "missing":
        return f"{field} is missing."
    if kind == "value_error":
        cause = context["error"]
        return f"{field}: {cause}" if isinstance(cause, CompressorError) else f"{field} {cause}"
    value = error["input"]
    words = _MUST_BE[kind].format(**context) if kind in _MUST_BE else error["msg"]
    nearest = ""
    if kind == "literal_error" and (near := _nearest(str(value), _quoted(context["expected"]))):
        nearest = f" Did you mean {near!r}?"
    return f"{field} is {_shown(value)}: it must be {words}.{nearest}"


def _unknown_field(location: _Location) -> str:
    """Names the field that was meant: one of the same name elsewhere, or the nearest here."""
    *section, name = location
    prefix = _dotted(tuple(section))
    siblings = [f"{prefix}.{field}" if prefix else field for field in _section(section).model_fields]
    elsewhere = [field for field in _all_fields() if field.rpartition(".")[2] == name]
    meant = elsewhere[0] if len(elsewhere) == 1 else _nearest(_dotted(location), siblings)
    hint = f" Did you mean {meant}?" if meant else ""
    return f"{_dotted(location)} is no field.{hint} Known: {', '.join(siblings)}."


def _section(location: Sequence[int | str]) -> type[BaseModel]:
    section: type[BaseModel] = Config
    for name in location:
        kind = section.model_fields[str(name)].annotation
        assert isinstance(kind, type)
        section = kind
    return section


def _all_fields(section: type[BaseModel] = Config, prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield prefix + name
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _all_fields(kind, f"{prefix}{name}.")


def _nearest(value: str, known: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(value, known, n=1)), None)


def _quoted(expected: str) -> list[str]:
    """The words in pydantic's ``"'a', 'b' or 'c'"``."""
    return expected.split("'")[1::2]


def _dotted(location: _Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    text = "empty" if value is None else text
    return text if len(text) <= 60 else text[:57] + "..."
