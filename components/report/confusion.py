"""What is read off a confusion matrix."""

from __future__ import annotations

from components.report.data import Confusion

WORST = 4
"""Of how many classes changed images are shown."""


def worst_hit(before: Confusion, after: Confusion) -> list[int]:
    """The classes that lost most of their accuracy, at most :data:`WORST`, that which lost most first."""
    changes = {
        number: new - old
        for number, (old, new) in enumerate(zip(recalls(before), recalls(after), strict=True))
        if old is not None and new is not None and new < old
    }
    return sorted(changes, key=changes.__getitem__)[:WORST]


def recalls(confusion: Confusion) -> list[float | None]:
    """For each class, the share of its images that are named rightly; None where there are none."""
    return [row.get(number, 0) / sum(row.values()) if row else None for number, row in enumerate(confusion)]
