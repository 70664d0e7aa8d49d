"""Figures computed from a confusion matrix."""

from __future__ import annotations

from components.report.data import Confusion

WORST = 4
"""Maximum number of classes for which changed images are shown."""


def worst_hit(before: Confusion, after: Confusion) -> list[int]:
    """Returns the classes that lost most accuracy, at most :data:`WORST`, the worst first."""
    changes = {
        number: new - old
        for number, (old, new) in enumerate(zip(recalls(before), recalls(after), strict=True))
        if old is not None and new is not None and new < old
    }
    return sorted(changes, key=changes.__getitem__)[:WORST]


def recalls(confusion: Confusion) -> list[float | None]:
    """Returns the recall of each class; None for classes without images."""
    return [row.get(number, 0) / sum(row.values()) if row else None for number, row in enumerate(confusion)]
