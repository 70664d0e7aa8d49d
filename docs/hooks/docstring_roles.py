"""Turns Sphinx roles in docstrings, such as ``:func:`compressor_lib.networks.graph.tensors```, into links."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod|exc):`~?(?P<name>[\w.]+)`")
_OURS = ("compressor_lib.", "components.", "pipelines.")


class DocstringRoles(griffe.Extension):
    """Turns every role into a link, or into plain code if it names something without its module."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites one docstring."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(_link, obj.docstring.value)


def _link(match: re.Match[str]) -> str:
    name = match["name"]
    return f"[`{name}`][{name}]" if name.startswith(_OURS) else f"`{name}`"
