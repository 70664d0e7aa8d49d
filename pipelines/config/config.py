"""The configuration of a run: one YAML file, validated as a whole before anything starts."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from components.node_options import ExportOptions
from compressor_lib.deployment.literal_path import has_pattern
from compressor_lib.errors import CompressorError
from compressor_lib.networks.options import HeadOptions
from compressor_lib.pretraining.options import TranslatorOptions
from compressor_lib.search.default_networks import with_default_networks
from compressor_lib.training.options import ReferenceOptions, RetrainingOptions
from pipelines.config.beam import Beam, beam_flags
from pipelines.config.beam_flags import BeamArg
from pipelines.config.errors import explain
from pipelines.config.overrides import one_line, override
from pipelines.config.places import check_output_apart, check_push_apart
from pipelines.config.plain_path import plain_path
from pipelines.config.sections.backbone import BackboneConfig
from pipelines.config.sections.base import Section, absolute
from pipelines.config.sections.cluster import S3, Resources, SecurityContext, Volume, check_volumes_apart
from pipelines.config.sections.data import Data
from pipelines.config.sections.delivery import Gate, Push
from pipelines.config.sections.search import Search
from pipelines.config.vertex import Vertex, VertexEndpoint
from pipelines.config.yaml_values import GivenTwiceError, read_yaml

METADATA_FILE = "metadata.sqlite"
"""ML Metadata's store, in the output folder."""


class Config(Section):
    """Configuration of a run. Paths are absolute once it is loaded."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,127}$",
        description="The pipeline's name: lower-case letters, digits and hyphens.",
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="Random seed.")
    output: str = Field(
        description="Folder for everything that a run writes; 'runs/' and the name if not set. A compiled package "
        "writes to an object store, such as gs://bucket/root; a local folder is for runs on this machine."
    )
    volumes: list[Volume] = Field(default_factory=list, description="On Kubeflow: volumes mounted in every node.")
    s3: S3 = Field(default_factory=S3, description="On Kubeflow: the object store behind s3:// and minio://.")
    security_context: SecurityContext | None = Field(
        default=None,
        description="On Kubeflow 2.16 or newer: the user that nodes run as; null: the default of the image and the "
        "cluster.",
    )
    warm_start: bool = Field(
        default=True,
        description="Whether a run starts from the last complete run with the same push directory, whether that "
        "pushed or not: its best hyperparameters become the first trial, and its translators are reused if the "
        "backbone is the same.",
    )
    data: Data
    backbone: BackboneConfig
    head: HeadOptions = HeadOptions()
    reference: ReferenceOptions = ReferenceOptions()
    translators: TranslatorOptions = TranslatorOptions()
    search: Search = Search()
    retrain: RetrainingOptions = RetrainingOptions()
    export: ExportOptions = ExportOptions()
    gate: Gate = Gate()
    push: Push = Field(default_factory=Push)
    resources: dict[str, Resources] = Field(
        default_factory=dict,
        description="On Kubeflow and Vertex: resource limits of nodes, by node ID, such as retrain.",
    )
    disable_cache: list[str] = Field(
        default_factory=list,
        description="On Kubeflow and Vertex: IDs of nodes that always run, even if a cached result exists.",
    )
    retries: int = Field(
        default=0, ge=0, description="On Kubeflow and Vertex: how many times a failed node is retried."
    )
    vertex: Vertex | None = Field(
        default=None, description="On Vertex: custom jobs and an endpoint; null: everything runs in the nodes."
    )
    beam: Beam = Field(default_factory=Beam)
    beam_pipeline_args: list[BeamArg] = Field(
        default_factory=list,
        description="Further Beam flags, as --name=value, such as --machine_type=n1-standard-8. "
        "Only flags that run no code are allowed; docs/scaling.md lists them.",
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
        if "://" in output and has_pattern(output):
            raise ValueError(f"is {output!r}, and TFX reads * ? [ ] as patterns: choose a folder without them.")
        return absolute(output)

    @field_validator("volumes")
    @classmethod
    def _volumes_are_apart(cls, volumes: list[Volume]) -> list[Volume]:
        check_volumes_apart(volumes)
        return volumes

    @field_validator("data")
    @classmethod
    def _data_is_there(cls, data: Data, info: ValidationInfo) -> Data:
        path = data.path
        output = info.data.get("output")
        if path is not None and output is not None:
            check_output_apart(path, output)
        volumes = tuple(volume.prefix for volume in info.data.get("volumes", ()))
        if path is None or "://" in path or path.startswith(volumes):
            return data
        if not os.path.isdir(path):
            raise ValueError(f"path is {path!r}, which is not a folder: correct it (here or with --data).")
        return data

    @field_validator("push")
    @classmethod
    def _push_is_apart(cls, push: Push, info: ValidationInfo) -> Push:
        data = info.data.get("data")
        if push.directory is not None and data is not None and data.path is not None:
            check_push_apart(data.path, push.directory)
        return push

    @field_validator("search")
    @classmethod
    def _backbones_are_others(cls, search: Search, info: ValidationInfo) -> Search:
        own: BackboneConfig | None = info.data.get("backbone")
        labels = [backbone.label for backbone in search.backbones or ()]
        if own is not None and own.label in labels:
            raise ValueError(
                f"backbones[{labels.index(own.label)}] is {own.label}, the section 'backbone' itself, which is always "
                "searched: remove it."
            )
        return search

    @field_validator("search")
    @classmethod
    def _sizes_fit_backbones(cls, search: Search, info: ValidationInfo) -> Search:
        from compressor_lib.networks.backbones import find_backbone

        own: BackboneConfig | None = info.data.get("backbone")
        names = [own.name] if own is not None and own.name is not None else []
        for name in [*names, *(backbone.name for backbone in search.backbones or ())]:
            least = find_backbone(name).minimum_size
            for index, size in enumerate(search.input_sizes or ()):
                if size < least:
                    raise ValueError(f"input_sizes[{index}] is {size}: {name} takes images of at least {least} pixels.")
        return search

    @field_validator("search")
    @classmethod
    def _networks_save_the_costs(cls, search: Search, info: ValidationInfo) -> Search:
        backbone: BackboneConfig | None = info.data.get("backbone")
        if backbone is None or backbone.name is None:
            return search
        return with_default_networks(
            search,
            name=backbone.name,
            alpha=backbone.alpha,
            size=backbone.input_size,
            published_weights=backbone.weights == "imagenet",
        )

    @field_validator("gate")
    @classmethod
    def _family_has_its_own_baselines(cls, gate: Gate, info: ValidationInfo) -> Gate:
        if gate.baseline == "blessed" and _is_family(info):
            raise ValueError(
                "baseline is blessed, the newest model of any budget, but search.budgets names several: set it to "
                "deployed, which compares each with its own earlier versions."
            )
        return gate

    @field_validator("vertex")
    @classmethod
    def _endpoint_has_one_model(cls, vertex: Vertex | None, info: ValidationInfo) -> Vertex | None:
        if vertex is not None and vertex.endpoint is not None and _is_family(info):
            raise ValueError(
                "endpoint serves one model, but search.budgets names several: remove it, so that each is pushed to a "
                "folder of its own, or give one set of limits."
            )
        return vertex

    @property
    def image_sizes(self) -> list[int]:
        """Heights and widths of the images that Transform keeps: the reference model's first, then the search's."""
        own = self.backbone.input_size
        return [own, *sorted({*(self.search.input_sizes or ())} - {own})]

    @property
    def pipeline_root(self) -> str:
        """Folder of the artifacts, as a path without characters that TFX reads as patterns."""
        return plain_path(os.path.join(self.output, "pipeline_root"))

    @property
    def remote_root(self) -> str | None:
        """The pipeline root of a package; None if ``output`` is a local folder, which other machines cannot reach."""
        return self.pipeline_root if "://" in self.output else None

    @property
    def metadata_path(self) -> str:
        """Path of ML Metadata's SQLite file."""
        return os.path.join(self.output, METADATA_FILE)

    @property
    def serving_directory(self) -> str:
        """Folder that blessed models are pushed to."""
        return self.push.directory or os.path.join(self.output, "serving")

    @property
    def members(self) -> list[str]:
        """Names of the models of a family; an empty name for the only model."""
        return list(self.search.family)

    @property
    def endpoint(self) -> VertexEndpoint | None:
        """Endpoint on Vertex AI that models are deployed to; None if they are pushed to ``serving_directory``."""
        return None if self.vertex is None else self.vertex.endpoint

    @property
    def beam_flags(self) -> list[str]:
        """All Beam flags."""
        return [*beam_flags(self.beam), *self.beam_pipeline_args]

    @property
    def retraining_compute(self) -> float:
        """Compute budget of the retraining, in forward passes of the reference model over the training images."""
        return self.reference.compute if self.retrain.compute is None else self.retrain.compute

    @property
    def retraining_epochs(self) -> int:
        """Maximum number of epochs of the retraining.

        If a compute budget sets it, the number of the reference model's epochs that cost as much.
        """
        if self.retrain.epochs is not None:
            return self.retrain.head_epochs + self.retrain.epochs
        whole = self.reference.head_epochs + self.reference.epochs
        return math.ceil(whole * self.retraining_compute / self.reference.compute)

    @property
    def data_path(self) -> str:
        """Folder of the images. The embedded digits are written into the output folder."""
        return self.data.path or os.path.join(self.output, "data")


def _is_family(info: ValidationInfo) -> bool:
    search: Search | None = info.data.get("search")
    return search is not None and "" not in search.family


def load_config(
    path: str | os.PathLike[str], overrides: Sequence[str] = (), *, paths: Mapping[str, str | None] | None = None
) -> Config:
    """Reads and validates a configuration.

    Args:
        path: YAML file.
        overrides: Values that replace the file's, such as ``"search.tau=0.9"``; see
            :func:`pipelines.config.overrides.parsed`.
        paths: Further overrides by field, whose values are not parsed; None leaves the field unchanged.

    Returns:
        The configuration, with every field set and every path absolute.

    Raises:
        CompressorError: If the file cannot be read or a field is invalid. The message has one line for each
            invalid field.

    Example:
        >>> load_config("examples/digits.yaml", ["search.tau=0.9"]).search.tau
        0.9
    """
    values = _read(path)
    override(values, overrides, Config, paths)
    try:
        return Config.model_validate(values)
    except ValidationError as invalid:
        lines = [explain(error, Config) for error in invalid.errors(include_url=False)]
    if len(lines) == 1:
        raise CompressorError(f"{path}: {lines[0]}")
    raise CompressorError("\n  ".join([f"{path} has {len(lines)} invalid fields:", *lines]))


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CompressorError(f"config file '{path}' does not exist: check the path given by --config.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CompressorError(f"config file '{path}' cannot be read: {error}.") from error
    try:
        values = read_yaml(text)
    except GivenTwiceError as error:
        raise CompressorError(f"config file '{path}': {error}.") from error
    except yaml.YAMLError as error:
        raise CompressorError(f"config file '{path}' is not YAML: {one_line(error)}.") from error
    if not isinstance(values, dict):
        raise CompressorError(f"config file '{path}' holds no fields: begin with 'name: my-pipeline'.")
    return values
