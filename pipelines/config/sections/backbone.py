"""Section ``backbone``: the network that is compressed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from compressor_lib.networks.class_label import class_label
from pipelines.config.sections.base import Section, absolute, existing_file, weights_file


class BackboneConfig(Section):
    """The network to compress: one from the catalogue, by name, or a model of your own."""

    name: str | None = Field(default=None, description="Name in the catalogue, which 'compressor backbones' lists.")
    model: str | None = Field(
        default=None,
        description="Instead of a name: .keras file of a trained functional classifier of any architecture.",
    )
    classes: list[str] | None = Field(
        default=None,
        min_length=2,
        description="With model: class names in the order of its outputs, to keep its head; null: the head is "
        "replaced.",
    )
    rescale: tuple[float, float] | None = Field(
        default=None,
        description="With model: scale and offset that turn pixels in 0..255 into the model's input; null: it takes "
        "pixels in 0..255.",
    )
    input_size: int = Field(
        default=224,
        ge=32,
        description="Height and width of the images, in pixels. A model with a fixed size sets it itself.",
    )
    alpha: float = Field(default=1.0, gt=0, description="Width multiplier; MobileNets only.")
    weights: str = Field(
        default="imagenet",
        description="imagenet (downloaded by Keras), none (random), or a weights file.",
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
        from compressor_lib.networks.backbones import find_backbone

        if name is not None:
            find_backbone(name)
        return name

    @field_validator("model")
    @classmethod
    def _model_exists(cls, model: str | None) -> str | None:
        return None if model is None else existing_file(model, "give a .keras file")

    @field_validator("classes")
    @classmethod
    def _classes_are_written_as_in_the_data(cls, classes: list[str] | None) -> list[str] | None:
        return None if classes is None else [class_label(name) for name in classes]

    @field_validator("alpha")
    @classmethod
    def _alpha_fits_name(cls, alpha: float, info: ValidationInfo) -> float:
        from compressor_lib.networks.backbones import find_backbone

        name = info.data.get("name")
        if name and alpha != 1.0 and not find_backbone(name).has_alpha:
            raise ValueError(f"is {alpha}, but {name} has no width multiplier: leave it at 1.0.")
        return alpha

    @field_validator("weights")
    @classmethod
    def _weights_exist(cls, weights: str) -> str:
        return weights_file(weights)

    @model_validator(mode="after")
    def _is_named_or_own(self) -> BackboneConfig:
        given = self.model_fields_set
        if self.name is None and self.model is None:
            raise ValueError("has neither name nor model: set name (from the catalogue) or model (a file).")
        foreign = {"name", "alpha", "weights"} if self.model is not None else {"classes", "rescale"}
        if wrong := [field for field in type(self).model_fields if field in foreign & given]:
            kind = "a model of your own" if self.model is not None else "a network from the catalogue"
            raise ValueError(f"has {' and '.join(wrong)}, which {kind} does not take: remove.")
        if self.model is not None:
            own_size = _own_size(self.model)
            if own_size is None and "input_size" not in given:
                raise ValueError("model takes images of any size: set backbone.input_size.")
            if own_size not in (None, self.input_size):
                raise ValueError(f"input_size is {self.input_size}, but the model takes {own_size}: remove it.")
        return self

    @property
    def label(self) -> str:
        """Name in results: that of the catalogue with the width, or that of the model's file."""
        from compressor_lib.search.options import backbone_label

        return backbone_label(self.name, self.alpha) if self.name else os.path.basename(self.model or "")


def _own_size(model: str) -> int | None:
    """The input size of a local ``.keras`` file; None if it is variable or unknown."""
    from compressor_lib.networks.keras_file import read_keras_file

    path = absolute(model)
    return read_keras_file(path).input_size if os.path.isfile(path) else None
