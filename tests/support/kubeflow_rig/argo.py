"""Argo's own substitutions and patches, through the program ``kfp-argo``: JSON requests and replies, one per line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any


class Argo:
    """The program."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Argo:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def filled(self, template: Any, arguments: Any, globals_: dict[str, str], local: dict[str, str]) -> Any:
        """Fills a template with its arguments: ``common.ProcessArgs``."""
        return self._ask("args", template=template, arguments=arguments, local=local, **{"global": globals_})

    def replaced(self, value: Any, given: dict[str, str]) -> Any:
        """Replaces the given ``{{names}}`` in a value: ``template.Replace``."""
        return json.loads(self._ask("replace", text=json.dumps(value), allow=True, **{"global": given}))

    def patched(self, spec: Any, patch: str) -> Any:
        """Applies a strategic merge patch to a pod's spec: ``util.ApplyPodSpecPatch``."""
        return self._ask("patch", spec=spec, patches=[patch])

    def _ask(self, op: str, **given: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"op": op, **given}).encode() + b"\n")
        self._process.stdin.flush()
        reply = json.loads(self._process.stdout.readline())
        if "error" in reply:
            raise RuntimeError(f"Argo: {op}: {reply['error']}")
        return reply["value"]
