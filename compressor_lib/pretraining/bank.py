"""The translator bank: all translators of a backbone, in one folder.

The folder holds ``translators.npz`` (plain arrays) and ``manifest.json``, which describes the backbone and how well
each translator fits. The manifest is written last and holds the checksum of the arrays, so a bank with a manifest is
complete.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.translators import CONV
from compressor_lib.errors import CompressorError
from compressor_lib.pretraining.bank_files import ARRAYS, MANIFEST
from compressor_lib.support.atomic_write import replace_file

_FORMAT = 1


@dataclass(frozen=True)
class Translator:
    """The weights of one translator.

    Attributes:
        kernel: float32 ``[channels of A, input channels of B]``.
        bias: float32 ``[input channels of B]``.
        r2: Share of the variance of B's original input that the translator explains, on held-out images; None if no
            images were held out.
    """

    kernel: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    r2: float | None


@dataclass(frozen=True)
class TranslatorBank:
    """The translators of a backbone, by connection, and the identity of the backbone.

    Attributes:
        backbone: Name of the backbone model.
        input_shape: Height, width and channels of its images.
        fingerprint: See :func:`fingerprint`.
        translators: Translators by ``str(connection)``.
        fit: Values of :class:`compressor_lib.pretraining.options.TranslatorOptions` that they were fitted with, by
            name; empty if unknown.
    """

    backbone: str
    input_shape: tuple[int, int, int]
    fingerprint: str
    translators: Mapping[str, Translator]
    fit: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def for_backbone(
        cls, base: keras.Model, translators: Mapping[str, Translator], fit: Mapping[str, float] | None = None
    ) -> TranslatorBank:
        """Creates a bank of translators that were fitted on ``base``; for the arguments, see the attributes."""
        return cls(base.name, tuple(base.input_shape[1:]), fingerprint(base), translators, fit or {})

    def check(self, base: keras.Model) -> None:
        """Rejects a backbone other than the one that the bank was fitted on.

        Raises:
            CompressorError: If the input shape or the weights differ.
        """
        if tuple(base.input_shape[1:]) != self.input_shape:
            raise CompressorError(
                f"the translator bank was fitted on images of shape {self.input_shape}, but the backbone "
                f"{base.name!r} takes {tuple(base.input_shape[1:])}; fit the translators again."
            )
        if fingerprint(base) != self.fingerprint:
            raise CompressorError(
                f"the translator bank was fitted on the backbone {self.backbone!r} (fingerprint "
                f"{self.fingerprint[:12]}), not on {base.name!r} ({fingerprint(base)[:12]}); fit the translators again."
            )

    def reused(self, base: keras.Model, connections: Iterable[Connection], fit: Mapping[str, float]) -> TranslatorBank:
        """Returns the translators for another search, if that search would fit the same ones.

        Args:
            base: Backbone of the search.
            connections: Connections of the search. Truncations and tails have no pretrained translator.
            fit: Options with which the search would fit the translators.

        Returns:
            A bank with only these connections.

        Raises:
            CompressorError: If the backbone or the options differ, or a translator is missing.
        """
        self.check(base)
        if dict(fit) != dict(self.fit):
            raise CompressorError(
                f"the translators were fitted with {dict(self.fit)}, not {dict(fit)}; fit them again."
            )
        wanted = [str(connection) for connection in connections if connection.rejoins]
        if missing := [name for name in wanted if name not in self.translators]:
            raise CompressorError(
                f"the translator bank has no translator for {missing[0]}; fit the bank with this connection."
            )
        return replace(self, translators={name: self.translators[name] for name in wanted})

    def apply(self, submodel: keras.Model, connection: Connection) -> None:
        """Sets the weights of a sub-network's translator. Does nothing for a truncation or a tail.

        Args:
            submodel: The result of :func:`compressor_lib.cuts.surgery.create_submodel` for ``connection``, changed in
                place.
            connection: The connection, by layer names.

        Raises:
            CompressorError: If the bank has no translator for this connection.
        """
        if not connection.rejoins:
            return
        translator = self.translators.get(str(connection))
        if translator is None:
            raise CompressorError(
                f"the translator bank has no translator for {connection}; fit the bank with this connection."
            )
        submodel.get_layer(CONV).set_weights([translator.kernel[None, None], translator.bias])

    def save(self, folder: str | Path) -> None:
        """Writes the bank to a folder, which is created if needed. :meth:`load` rejects a bank that is incomplete.

        Raises:
            OSError: If a file cannot be written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        arrays = {}
        for name, translator in self.translators.items():
            arrays[f"{name}/kernel"], arrays[f"{name}/bias"] = translator.kernel, translator.bias
        np.savez(buffer, **arrays)
        manifest = {
            "format": _FORMAT,
            "backbone": self.backbone,
            "input_shape": list(self.input_shape),
            "fingerprint": self.fingerprint,
            "sha256": hashlib.sha256(buffer.getbuffer()).hexdigest(),
            "fit": dict(self.fit),
            "r2": {name: translator.r2 for name, translator in self.translators.items()},
        }
        replace_file(folder / ARRAYS, buffer.getvalue())
        replace_file(folder / MANIFEST, json.dumps(manifest, indent=2))

    @classmethod
    def load(cls, folder: str | Path, base: keras.Model | None = None) -> TranslatorBank:
        """Reads a bank.

        Args:
            folder: Folder of the bank.
            base: If given, the bank must have been fitted on this backbone.

        Raises:
            CompressorError: If the folder holds no complete bank, or the bank is damaged, from another version, or of
                another backbone.
        """
        folder = Path(folder)
        try:
            manifest = json.loads((folder / MANIFEST).read_bytes())
            content = (folder / ARRAYS).read_bytes()
        except (OSError, ValueError) as error:
            raise CompressorError(
                f"{folder} holds no complete translator bank ({error}); fit the translators first."
            ) from error
        try:
            if manifest["format"] != _FORMAT or manifest["sha256"] != hashlib.sha256(content).hexdigest():
                raise ValueError("its format or checksum does not match")
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                translators = {
                    name: Translator(arrays[f"{name}/kernel"], arrays[f"{name}/bias"], r2)
                    for name, r2 in manifest["r2"].items()
                }
            bank = cls(
                manifest["backbone"],
                tuple(manifest["input_shape"]),
                manifest["fingerprint"],
                translators,
                manifest.get("fit", {}),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CompressorError(
                f"the translator bank in {folder} is damaged or from another version ({error}); "
                "fit the translators again."
            ) from error
        if base is not None:
            bank.check(base)
        return bank


def fingerprint(base: keras.Model) -> str:
    """Returns the SHA-256 of a model's weights, in order, in hexadecimal.

    Names are ignored, because Keras numbers some layers differently in each build.
    """
    digest = hashlib.sha256()
    for weight in base.get_weights():
        digest.update(f"{weight.dtype}{weight.shape}".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
