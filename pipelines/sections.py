"""The sections of a configuration: what each field means, and which values it takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from pipelines.config_errors import shown

if TYPE_CHECKING:
    from compressor_lib.gate import Bounds
    from compressor_lib.training import TrainingOptions


class Section(BaseModel):
    """Base of every section: unknown fields are refused, values do not change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def absolute(path: str) -> str:
    """Makes a local path absolute, from the current directory; leaves ``gs://...`` alone."""
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))


def _existing_file(path: str, advice: str) -> str:
    """Makes a path absolute; refuses a local one that is no file."""
    path = absolute(path)
    if "://" not in path and not os.path.isfile(path):
        raise ValueError(f"is {path!r}, which is no file: {advice}.")
    return path


def _connections(value: object) -> object:
    """Accepts one of some words, one connection, or a list of connections."""
    words = get_args(Family)
    items = value if isinstance(value, list) else [value]
    if items and all(isinstance(i, str) and ("->" in i or "," in i) for i in items):
        return items
    if isinstance(value, str) and value in words:
        return value
    raise ValueError(
        f"is {shown(value)}: choose {', '.join(words)}, or list connections such as "
        "'block_5_add->Conv_1', 'block_5_add->head', 'block_5_add->tail' or '53,151'."
    )


def _spans(value: object) -> object:
    """Accepts one word, or a section with one whole number."""
    if value == "latest" or isinstance(value, Window):
        return value
    if isinstance(value, Mapping) and list(value) == ["window"]:
        window = value["window"]
        if isinstance(window, int) and not isinstance(window, bool) and window >= 1:
            return value
    raise ValueError(f"is {shown(value)}: choose latest, or how many of the newest spans, as in {{window: 4}}.")


Share = Annotated[float, Field(ge=0, le=1)]
Family = Literal["published", "rejoining", "truncation", "tail", "all"]
Connections = Annotated[Family | list[str], BeforeValidator(_connections)]


class Splits(Section):
    """Shares of the pictures that go to each split; only their ratio counts."""

    train: int = Field(default=8, gt=0, description="Share that models are trained on.")
    eval: int = Field(default=1, gt=0, description="Share that the search and early stopping judge on.")
    test: int = Field(default=1, gt=0, description="Share that the gate judges on, never seen before.")


class Window(Section):
    """The newest spans, as far as there are so many."""

    window: int = Field(ge=1, description="How many of them.")


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
    max_pixels: int = Field(
        default=100_000_000,
        gt=0,
        description="folder: pictures with more are skipped as unreadable; each takes 3 bytes of memory.",
    )
    max_file_mb: int = Field(default=100, gt=0, description="folder: larger files, in MiB, are skipped as unreadable.")
    duplicates: Literal["one_split", "keep"] = Field(
        default="one_split",
        description="folder: one_split: pictures with the same pixels stay in one split, that of the test before that "
        "of the search before that of training; keep: they stay where they are. They are reported in any case.",
    )
    span: str | None = Field(
        default=None,
        description="Pattern of the span folders under path, such as 'span-{SPAN}': the newest "
        "span is taken. null: path itself holds the pictures.",
    )
    spans: Annotated[Literal["latest"] | Window, BeforeValidator(_spans)] = Field(
        default="latest", description="latest: the newest span; {window: N}: the newest N of them, together."
    )
    max_drift: Share = Field(
        default=0.1,
        description="Most that a class's share of the training pictures may change against the run before; more is an "
        "anomaly, as are classes that come or go.",
    )
    on_anomaly: Literal["warn", "stop"] = Field(
        default="warn", description="warn: anomalies of the data are told; stop: they end the run before it trains."
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none",
        description="balanced: in all training each class counts the same, however many pictures it has; none: each "
        "picture does. Accuracies, the gate's too, are plain in either case.",
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
        return None if model is None else _existing_file(model, "give a .keras file")

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
        return (
            weights if weights in ("imagenet", "none") else _existing_file(weights, "give one, or 'imagenet' or 'none'")
        )

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

    path = absolute(model)
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
    learning_rate: float = Field(default=1e-4, gt=0, description="Adam's highest, with everything open.")
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

    # The search has trained the head already, and what a cut leaves has further to go than a whole pretrained network
    # (docs/quality.md has the figures).
    head_epochs: int = Field(default=0, ge=0, description="Most epochs with the backbone frozen.")
    epochs: int = Field(default=15, ge=0, description="Most epochs with everything open, after those.")
    learning_rate: float = Field(default=3e-4, gt=0, description="Adam's highest, with everything open.")
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
    cuts: Literal[1, 2] = Field(
        default=1,
        description="2: once the best network is found, it is searched for a second cut, and the better of both wins.",
    )
    shortlist: int | None = Field(
        default=None,
        gt=0,
        description="How many connections trials are spent on, those that promise most by a linear classifier on what "
        "A computes and the translator's R2; null: all.",
    )
    train_translators: bool = Field(
        default=False,
        description="Whether trials train their translator with their head, from the fitted weights: slower, and "
        "better where B is far behind A.",
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
    per_class: Share | None = Field(
        default=None,
        description="Most accuracy lost against the baseline in any one class, of which the test split has some "
        "pictures; null: any loss.",
    )
    confidence: float | None = Field(
        default=None,
        ge=0.5,
        lt=1,
        description="How sure it must be that each bound is kept, such as 0.95, by TFMA's jackknife; small test splits "
        "or classes seldom suffice for tight bounds. null: what was measured decides.",
    )
    baseline: Literal["reference", "blessed", "deployed"] = Field(
        default="reference",
        description="The run's own reference; the last model that was blessed; or the newest in push.directory, and "
        "the reference where none is there.",
    )

    def bounds(self) -> Bounds:
        """The bounds as the library takes them."""
        from compressor_lib.gate import Bounds

        return Bounds(self.min_accuracy, self.max_drop, self.per_class, self.confidence)


class Resources(Section):
    """What a node may use on Kubeflow or Vertex AI."""

    cpu: float | None = Field(default=None, gt=0, description="Most CPU cores; null: the platform's default.")
    memory_gb: float | None = Field(default=None, gt=0, description="Most memory, in GB; null: the platform's default.")
    accelerator: str | None = Field(
        default=None,
        description="Kind of accelerator: nvidia.com/gpu on Kubeflow, such as NVIDIA_TESLA_T4 on Vertex; null: none.",
    )
    accelerators: int = Field(default=1, gt=0, description="How many of them.")
    disk_gb: float | None = Field(
        default=None,
        gt=0,
        description="On Kubeflow: most disk, in GB, for what the node works on in /tmp, as Beam and features beyond "
        "memory do; null: what the machine has.",
    )
    node_selector: dict[str, str] = Field(
        default_factory=dict, description="On Kubeflow: labels that the machine must have."
    )


class Volume(Section):
    """A PersistentVolumeClaim of the cluster, mounted in every node's container. On Kubeflow alone."""

    claim: str = Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", description="The claim's name.")
    path: str = Field(pattern=r"^/[^/].*$", description="Where it is mounted; paths below it can be given elsewhere.")

    @property
    def prefix(self) -> str:
        """What paths below the mount begin with."""
        return self.path.rstrip("/") + "/"


class S3(Section):
    """The store behind s3:// and minio://, for nodes on Kubeflow. Elsewhere the environment tells it."""

    endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/@]+/?$",
        description="Its URL; null: Amazon's for s3://, http://minio-service.kubeflow:9000 for minio://.",
    )
    secret: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
        description="Name of the Secret with the fields accesskey and secretkey, such as mlpipeline-minio-artifact; "
        "null: the service account of the nodes has a role that may do it.",
    )


class Push(Section):
    """Where a blessed model goes."""

    directory: str | None = Field(default=None, description="Folder; null: 'serving' in the output.")
    keep: int = Field(
        default=5, gt=0, description="How many versions are kept there, the newest ones; older ones are deleted."
    )

    @field_validator("directory")
    @classmethod
    def _directory_isabsolute(cls, directory: str | None) -> str | None:
        return None if directory is None else absolute(directory)
