"""The budgets that networks are compared within, as shares of the reference model's costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Shares of the reference model's costs that a network must save.

    Attributes:
        parameters: Share of its parameters; None for no limit.
        macs: Share of its multiply-adds; None for no limit.
    """

    parameters: float | None = None
    macs: float | None = None

    @property
    def saved(self) -> dict[str, float]:
        """The shares, by cost."""
        shares = {"parameters": self.parameters, "macs": self.macs}
        return {cost: share for cost, share in shares.items() if share is not None}

    @property
    def name(self) -> str:
        """The budget in words, such as ``"92 % of the parameters and 90 % of the MACs saved"``."""
        words = {"parameters": "parameters", "macs": "MACs"}
        return " and ".join(f"{share:.0%} of the {words[cost]}" for cost, share in self.saved.items()) + " saved"

    def limits(self, reference: Mapping[str, float]) -> dict[str, float]:
        """Returns the largest costs that meet it, given those of the reference model."""
        return {cost: (1 - share) * reference[cost] for cost, share in self.saved.items()}


BOTH = (Budget(parameters=0.92, macs=0.90), Budget(parameters=0.85, macs=0.80))
PARAMETERS = (Budget(parameters=0.95), Budget(parameters=0.92), Budget(parameters=0.85))
MACS = (Budget(macs=0.95), Budget(macs=0.90), Budget(macs=0.80))
