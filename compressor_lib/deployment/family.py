"""Names of what belongs to one model of a family: its nodes, files and folders.

A run compresses one model, or a family: one model for each of several named budgets. A family's member has the name of
its budget. The only model of a run has an empty name, which adds nothing to the names here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

_BEFORE_MEMBER = "-"

MEMBER_SEPARATOR = "__"
"""Separates a member from the rest of the key of a node's input, in which hyphens are not allowed."""

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,28}[a-z0-9])?")


def is_member_name(name: str) -> bool:
    """Returns whether a member may have a name, which is then part of node IDs, folders and URLs."""
    return _NAME.fullmatch(name) is not None


def node_id(node: str, member: str) -> str:
    """Returns the ID of a member's node.

    Example:
        >>> node_id("retrain", "tiny")
        'retrain-tiny'
    """
    return f"{node}{_BEFORE_MEMBER}{member}" if member else node


def keras_file(member: str) -> str:
    """Returns the name of the file in the search's model with a member's network.

    Example:
        >>> keras_file("tiny")
        'model-tiny.keras'
    """
    return f"{node_id('model', member)}.keras"


def directory_of(push_directory: str, member: str) -> str:
    """Returns the folder that the versions of a member are pushed to.

    Example:
        >>> directory_of("gs://models/serving", "tiny")
        'gs://models/serving/tiny'
    """
    return os.path.join(push_directory, member) if member else push_directory


def input_key(key: str, member: str) -> str:
    """Returns the key of a member's input of a node that all members share.

    Example:
        >>> input_key("evaluation", "tiny-fast")
        'evaluation__tiny_fast'
    """
    return f"{key}{MEMBER_SEPARATOR}{member.replace('-', '_')}" if member else key


def members_in(budgets: Mapping[str, Any]) -> list[str]:
    """Returns the names of a family from its budgets as in the configuration; an empty name for the only model.

    Example:
        >>> members_in({"tiny": {"macs": 5}}), members_in({"macs": 5})
        (['tiny'], [''])
    """
    return [name for name, limits in budgets.items() if isinstance(limits, Mapping)] or [""]


def member_of(node: str) -> tuple[str, str]:
    """Splits the ID of a node into the ID that it has in a run of one model, and the member that it belongs to.

    Example:
        >>> member_of("retrain-tiny"), member_of("retrain")
        (('retrain', 'tiny'), ('retrain', ''))
    """
    base, _, member = node.partition(_BEFORE_MEMBER)
    return base, member
