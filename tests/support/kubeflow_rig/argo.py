"""Argo's own substitutions and patches, by the program ``kfp-argo``: a request a line, a reply a line, as JSON."""

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
        """A template with its arguments: ``common.ProcessArgs``."""
        return self._ask("args", template=template, arguments=arguments, local=local, **{"global": globals_})

    def replaced(self, value: Any, given: dict[str, str]) -> Any:
        """A value with what is given of its ``{{names}}``: ``template.Replace``."""
        return json.loads(self._ask("replace", text=json.dumps(value), allow=True, **{"global": given}))

    def patched(self, spec: Any, patch: str) -> Any:
        """A pod's spec with a strategic merge: ``util.ApplyPodSpecPatch``."""
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
