"""A stratified split of records by their hashes, which only needs to store each class's cut points."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from components.storage.stratified_split import split_counts


class Cuts(NamedTuple):
    """The cut points in the ordered hashes of a class.

    Attributes:
        last: The last hash of each split, ascending.
        splits: Names of the splits.
    """

    last: list[bytes]
    splits: list[str]

    def split_of(self, digest: bytes) -> str:
        """Returns the split of a record, given its hash."""
        return self.splits[bisect.bisect_left(self.last, digest)]


def digest_of(record: bytes) -> bytes:
    """Returns the hash by which records are ordered: the first 16 bytes of a SHA-256."""
    return hashlib.sha256(record).digest()[:16]


def cut(digests: Iterable[bytes], shares: Mapping[str, int]) -> Cuts:
    """Cuts the hashes of a class according to the shares, so that each split gets some.

    Copies of a record have the same hash. They count once and stay in one split.

    Args:
        digests: The hashes of all records of the class.
        shares: Share of every split, positive.

    Returns:
        The cut points. With fewer distinct records than splits, some splits are empty.

    Example:
        >>> cuts = cut([b"a", b"b", b"c", b"c"], {"train": 8, "eval": 1, "test": 1})
        >>> cuts.split_of(b"a"), cuts.split_of(b"b"), cuts.split_of(b"c")
        ('train', 'eval', 'test')
    """
    ordered = sorted(set(digests))
    counts = {split: count for split, count in split_counts(len(ordered), shares).items() if count}
    ends = [sum(list(counts.values())[: place + 1]) for place in range(len(counts))]
    return Cuts([ordered[end - 1] for end in ends], list(counts))
