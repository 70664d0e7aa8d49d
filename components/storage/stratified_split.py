"""A stratified split that depends only on the names of the files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping


def assign_splits(names: Iterable[str], shares: Mapping[str, int]) -> dict[str, str]:
    """Assigns the images of one class folder to the splits.

    The names are ordered by their SHA-256 and cut at the shares, so the result does not depend on the order of a
    listing.

    Args:
        names: Names of the images.
        shares: Share of every split, positive.

    Returns:
        The split of every name.

    Example:
        >>> sorted(assign_splits("abcdefghij", {"train": 8, "eval": 1, "test": 1}).values())
        ['eval', 'test', 'train', 'train', 'train', 'train', 'train', 'train', 'train', 'train']
    """
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    counts = split_counts(len(ordered), shares)
    splits = [split for split, count in counts.items() for _ in range(count)]
    return dict(zip(ordered, splits, strict=True))


def split_counts(total: int, shares: Mapping[str, int]) -> dict[str, int]:
    """Returns the number of images for each split.

    Counts are rounded by largest remainder. A split that would be empty takes one image from the largest split, as long
    as there are enough images.

    Args:
        total: Number of all images.
        shares: Share of every split, positive.

    Returns:
        The count of every split.

    Example:
        >>> split_counts(4, {"train": 8, "eval": 1, "test": 1})
        {'train': 2, 'eval': 1, 'test': 1}
    """
    whole = sum(shares.values())
    counts = {split: total * share // whole for split, share in shares.items()}
    by_remainder = sorted(shares, key=lambda split: total * shares[split] % whole, reverse=True)
    for split in by_remainder[: total - sum(counts.values())]:
        counts[split] += 1
    for split in shares if total >= len(shares) else ():
        if counts[split] == 0:
            counts[max(counts, key=counts.__getitem__)] -= 1
            counts[split] = 1
    return counts
