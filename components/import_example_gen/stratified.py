"""A stratified split of records by their hashes, which needs of each class no more than where to cut."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from components.storage.stratified_split import counts_of


class Cuts(NamedTuple):
    """Where the ordered hashes of a class are cut.

    Attributes:
        last: The last hash of each split, ascending.
        splits: The splits' names.
    """

    last: list[bytes]
    splits: list[str]

    def split_of(self, digest: bytes) -> str:
        """Returns the split of a record, by its hash."""
        return self.splits[bisect.bisect_left(self.last, digest)]


def digest_of(record: bytes) -> bytes:
    """Returns the hash that orders records: half a SHA-256, 16 bytes."""
    return hashlib.sha256(record).digest()[:16]


def cut(digests: Iterable[bytes], shares: Mapping[str, int]) -> Cuts:
    """Cuts the hashes of a class at the shares, so that each split gets some.

    Copies of a record have one hash, count once and stay in one split.

    Args:
        digests: The hashes of all records of the class.
        shares: Share of every split, positive.

    Returns:
        The cuts; with fewer different records than splits, some splits get none.

    Example:
        >>> cuts = cut([b"a", b"b", b"c", b"c"], {"train": 8, "eval": 1, "test": 1})
        >>> cuts.split_of(b"a"), cuts.split_of(b"b"), cuts.split_of(b"c")
        ('train', 'eval', 'test')
    """
    ordered = sorted(set(digests))
    counts = {split: count for split, count in counts_of(len(ordered), shares).items() if count}
    ends = [sum(list(counts.values())[: place + 1]) for place in range(len(counts))]
    return Cuts([ordered[end - 1] for end in ends], list(counts))
