"""Sections ``translators`` and ``search``: what sub-networks are tried, and how they are judged."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from pipelines.config.errors import shown
from pipelines.config.sections.base import Section, Share


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


Family = Literal["published", "rejoining", "truncation", "tail", "all"]
Connections = Annotated[Family | list[str], BeforeValidator(_connections)]


class Translators(Section):
    """How translators are fitted."""

    held_out: float = Field(default=0.1, gt=0, lt=1, description="Share of the images R2 is measured on.")
    ridge: float = Field(default=1e-3, ge=0, description="Ridge of the closed form.")


class Objective(Section):
    """Which cost is weighed against accuracy."""

    cost: Literal["parameters", "macs", "bytes", "latency"] = Field(
        default="parameters",
        description="What is weighed against accuracy, as a share of the reference's: parameters; macs, the "
        "multiply-adds for an image; bytes of the TFLite file; or latency, its measured time for an image.",
    )


class Budgets(Section):
    """What the winner must not exceed."""

    parameters: int | None = Field(default=None, gt=0, description="Most parameters; null: any number.")
    macs: int | None = Field(default=None, gt=0, description="Most multiply-adds for an image; null: any number.")
    bytes: int | None = Field(default=None, gt=0, description="Largest TFLite file, in float32; null: any size.")
    latency_ms: float | None = Field(
        default=None, gt=0, description="Longest time for an image, by TFLite on one thread here; null: any time."
    )

    @property
    def limits(self) -> dict[str, float]:
        """The budgets that are set, by the name of their cost."""
        limits = {
            "parameters": self.parameters,
            "macs": self.macs,
            "bytes": self.bytes,
            "latency": self.latency_ms,
        }
        return {cost: limit for cost, limit in limits.items() if limit is not None}


class Search(Section):
    """How the connection to cut is searched."""

    tuner: Literal["hyperband", "bayesian", "random", "grid"] = Field(
        default="hyperband", description="keras-tuner's oracle."
    )
    max_trials: int = Field(
        default=60,
        gt=0,
        description="Most trials, with every tuner; Hyperband makes its brackets smaller to keep to it.",
    )
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
        description="Memory, in MiB, for what the backbone computed of the images; the rest goes to TMPDIR.",
    )
    tau: Share = Field(default=0.8, description="Weight of accuracy; 1 - tau weighs the share of the cost saved.")
    objective: Objective = Field(default_factory=Objective, description="Which cost is saved.")
    budgets: Budgets = Field(default_factory=Budgets, description="What no winner may exceed.")
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
