from __future__ import annotations

import hashlib
import io
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.errors import CompressorError
from compressor_lib.networks.backbones import BACKBONES
from compressor_lib.pretraining.bank import Translator, TranslatorBank, fingerprint
from compressor_lib.pretraining.bank_files import ARRAYS, MANIFEST

DEEP, SHALLOW = Connection.rejoin("add_1", "last"), Connection.rejoin("stem_relu", "last")


@pytest.fixture
def bank(residual) -> TranslatorBank:
    rng = np.random.default_rng(0)
    return TranslatorBank.for_backbone(
        residual,
        {
            str(connection): Translator(
                rng.normal(size=(6, 8)).astype(np.float32), rng.normal(size=8).astype(np.float32), r2
            )
            for connection, r2 in ((DEEP, 0.75), (SHALLOW, None))
        },
    )


def forge(folder, **arrays) -> None:
    """Puts other arrays into a saved bank, with the right checksum."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    (folder / ARRAYS).write_bytes(buffer.getvalue())
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_round_trip(bank, residual, tmp_path):
    bank.save(tmp_path / "new" / "folder")
    back = TranslatorBank.load(tmp_path / "new" / "folder", residual)
    assert (back.backbone, back.input_shape) == ("residual", (16, 16, 3))
    assert back.fingerprint == bank.fingerprint
    assert set(back.translators) == {str(DEEP), str(SHALLOW)}
    for name, translator in bank.translators.items():
        np.testing.assert_array_equal(back.translators[name].kernel, translator.kernel)
        np.testing.assert_array_equal(back.translators[name].bias, translator.bias)
        np.testing.assert_equal(back.translators[name].r2, translator.r2)


def test_saving_again_replaces_the_bank(bank, residual, tmp_path):
    bank.save(tmp_path)
    smaller = TranslatorBank.for_backbone(residual, {str(DEEP): bank.translators[str(DEEP)]})
    smaller.save(tmp_path)
    assert set(TranslatorBank.load(tmp_path).translators) == {str(DEEP)}
    assert {path.name for path in tmp_path.iterdir()} == {ARRAYS, MANIFEST}


def test_bank_is_reused_if_the_fit_would_be_the_same(bank, residual, tmp_path):
    fit = {"held_out": 0.1, "ridge": 0.5}
    replace(bank, fit=fit).save(tmp_path)
    back = TranslatorBank.load(tmp_path)
    reused = back.reused(residual, [DEEP, Connection.head("add_1")], fit)
    assert list(reused.translators) == [str(DEEP)]
    assert (reused.fingerprint, reused.fit) == (bank.fingerprint, fit)
    with pytest.raises(CompressorError, match=r"fitted with .*'ridge': 0.5.*, not .*'ridge': 0.1"):
        back.reused(residual, [DEEP], {**fit, "ridge": 0.1})
    with pytest.raises(CompressorError, match="no translator for add_2->last"):
        back.reused(residual, [DEEP, Connection.rejoin("add_2", "last")], fit)
    with pytest.raises(CompressorError, match="fitted on the backbone .* fit the translators again"):
        replace(back, fingerprint="0").reused(residual, [DEEP], fit)


def test_apply_gives_the_translator_its_weights(bank, residual):
    submodel = create_submodel(residual, DEEP)
    bank.apply(submodel, DEEP)
    kernel, bias = submodel.get_layer("translator_conv").get_weights()
    np.testing.assert_array_equal(kernel[0, 0], bank.translators[str(DEEP)].kernel)
    np.testing.assert_array_equal(bias, bank.translators[str(DEEP)].bias)


def test_a_truncation_needs_no_translator(bank, residual):
    submodel = create_submodel(residual, Connection.head("add_1"))
    before = submodel.get_weights()
    bank.apply(submodel, Connection.head("add_1"))
    for now, then in zip(submodel.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_connection_without_translator_is_refused(bank, residual):
    missing = Connection.rejoin("stem_relu", "depthwise")
    with pytest.raises(CompressorError, match="no translator for stem_relu->depthwise; fit the bank"):
        bank.apply(create_submodel(residual, missing), missing)


def test_backbone_with_other_weights_is_rejected(bank, fresh_residual, tmp_path):
    bank.save(tmp_path)
    TranslatorBank.load(tmp_path, fresh_residual)
    kernel, bias = fresh_residual.get_layer("conv_2").get_weights()
    bias[0] = np.nextafter(bias[0], np.float32(1))  # the smallest of changes
    fresh_residual.get_layer("conv_2").set_weights([kernel, bias])
    with pytest.raises(CompressorError, match="was fitted on the backbone.*fit the translators again"):
        TranslatorBank.load(tmp_path, fresh_residual)
    assert TranslatorBank.load(tmp_path).translators  # unless nobody asks


def test_backbone_of_another_size_is_rejected(mobilenet_v2, tmp_path):
    bank = TranslatorBank.for_backbone(mobilenet_v2, {})
    bank.save(tmp_path)
    larger = BACKBONES["MobileNetV2"].build(input_size=64, weights=None, alpha=0.35, preprocess=True)
    larger.set_weights(mobilenet_v2.get_weights())
    with pytest.raises(CompressorError, match=r"shape \(32, 32, 3\).*takes \(64, 64, 3\)"):
        TranslatorBank.load(tmp_path, larger)


def test_fingerprint_is_the_same_after_a_rebuild():
    """Keras numbers EfficientNet's normalisation anew at each build."""
    one, other = (BACKBONES["EfficientNetB0"].build(input_size=32, weights=None) for _ in range(2))
    assert fingerprint(one) != fingerprint(other)
    other.set_weights(one.get_weights())
    assert [layer.name for layer in one.layers] != [layer.name for layer in other.layers]
    assert fingerprint(one) == fingerprint(other)


def test_fingerprint_depends_on_the_position_of_weights(fresh_residual, residual):
    assert fingerprint(fresh_residual) == fingerprint(residual)
    beta = fresh_residual.get_layer("last_bn")
    gamma, offset, *rest = beta.get_weights()
    beta.set_weights([offset, gamma, *rest])
    assert fingerprint(fresh_residual) != fingerprint(residual)


@pytest.mark.survives("half a translator bank")
@pytest.mark.parametrize("missing", [MANIFEST, ARRAYS])
def test_incomplete_bank_is_rejected(bank, tmp_path, missing):
    bank.save(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(CompressorError, match=f"{tmp_path} holds no complete translator bank.*{missing}"):
        TranslatorBank.load(tmp_path)


def test_missing_folder_is_rejected(tmp_path):
    with pytest.raises(CompressorError, match="nowhere holds no complete translator bank"):
        TranslatorBank.load(tmp_path / "nowhere")


@pytest.mark.survives("a damaged translator bank")
@pytest.mark.parametrize("manifest", ["{", "", "[]", "{}", "\xff"])
def test_broken_manifest_is_rejected(bank, tmp_path, manifest):
    bank.save(tmp_path)
    (tmp_path / MANIFEST).write_bytes(manifest.encode("latin-1"))
    with pytest.raises(CompressorError, match=str(tmp_path)):
        TranslatorBank.load(tmp_path)


@pytest.mark.survives("a damaged translator bank")
@pytest.mark.parametrize("place", [0, 200, -30])
def test_damaged_file_is_rejected(bank, tmp_path, place):
    bank.save(tmp_path)
    content = bytearray((tmp_path / ARRAYS).read_bytes())
    content[place] ^= 1
    (tmp_path / ARRAYS).write_bytes(content)
    with pytest.raises(CompressorError, match="damaged or from another version"):
        TranslatorBank.load(tmp_path)


@pytest.mark.survives("a damaged translator bank")
def test_truncated_file_is_rejected(bank, tmp_path):
    bank.save(tmp_path)
    (tmp_path / ARRAYS).write_bytes((tmp_path / ARRAYS).read_bytes()[:-1])
    with pytest.raises(CompressorError, match="damaged"):
        TranslatorBank.load(tmp_path)


def test_bank_of_a_later_version_is_rejected(bank, tmp_path):
    bank.save(tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest, "format": manifest["format"] + 1}))
    with pytest.raises(CompressorError, match="from another version"):
        TranslatorBank.load(tmp_path)


class Payload:
    """Unpickled, it creates a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return (exec, (f"open({self.path!r}, 'w').close()",))


@pytest.mark.survives("a translator bank that holds a pickle")
def test_nothing_is_ever_unpickled(bank, tmp_path):
    trace = tmp_path / "ran"
    pickle.loads(pickle.dumps(Payload(str(trace))))  # noqa: S301 - the bait works
    assert trace.exists()
    trace.unlink()
    bank.save(tmp_path / "bank")
    bait = np.array([Payload(str(trace))], dtype=object)
    forge(
        tmp_path / "bank",
        **{f"{name}/{part}": bait for name in (str(DEEP), str(SHALLOW)) for part in ("kernel", "bias")},
    )
    with pytest.raises(CompressorError, match="damaged") as refusal:
        TranslatorBank.load(tmp_path / "bank")
    assert "allow_pickle=False" in str(refusal.value.__cause__)
    assert not trace.exists()


def test_missing_arrays_are_reported(bank, tmp_path):
    bank.save(tmp_path)
    forge(tmp_path, other=np.zeros(3))
    with pytest.raises(CompressorError, match="damaged"):
        TranslatorBank.load(tmp_path)
