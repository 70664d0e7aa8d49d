"""Prepares docstrings for mkdocstrings.

Sphinx roles, such as ``:func:`compressor_lib.networks.graph.tensors```, become links. The section ``Example`` becomes
``Examples``, the only one in which mkdocstrings shows doctests as code.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod|exc):`~?(?P<name>[\w.]+)`")
_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)
_OURS = ("compressor_lib.", "components.", "pipelines.")


class Docstrings(griffe.Extension):
    """Rewrites every docstring. A role becomes plain code if the site does not document what it names."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites one docstring."""
        if obj.docstring:
            obj.docstring.value = _EXAMPLE.sub("Examples:", _ROLE.sub(_link, obj.docstring.value))


def _link(match: re.Match[str]) -> str:
    name = match["name"]
    if not name.startswith(_OURS):
        return f"`{name}`"
    # mkdocs-autorefs' own element: unlike [text][name], it may be optional.
    return f'<autoref identifier="{name}" optional><code>{name}</code></autoref>'
