"""The gate's comparison, by class names and image by image, and the node that makes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components.artifacts.model_files import files_sha256
from components.artifacts.predictions import ModelPredictions, Predictions
from components.artifacts.verdict import LEFT_OUT, MODEL_SHA256, read_verdict
from components.evaluator.comparison import notes, results_by_class, verdict_of
from components.evaluator.executor import Executor
from components.evaluator.tfma_config import eval_config, thresholds_of, with_classes
from compressor_lib.deployment.export import classes_path, export_classifier, tflite_path
from compressor_lib.deployment.gate import Thresholds
from compressor_lib.deployment.model_metrics import read_figures, write_figures
from compressor_lib.deployment.tflite import to_tflite
from compressor_lib.errors import CompressorError

BOUNDS = Thresholds(min_accuracy=0.5, max_drop=0.05, max_class_drop=0.1)


@pytest.mark.parametrize(
    "thresholds", [Thresholds(0.5, 0.25), Thresholds(0.5, 0.25, 0.125, 0.95), Thresholds(0.5, 0.0, 0.0)]
)
def test_thresholds_round_trip_through_tfma(thresholds):
    config = eval_config(thresholds)
    assert thresholds_of(config, thresholds.confidence) == thresholds
    tfma.utils.verify_eval_config(with_classes(config, ["cat"], ["dog", "cat"]))


def named(classes: Sequence[str], predicted: Sequence[str]) -> ModelPredictions:
    """A model of these classes that predicts these."""
    indices = np.array([list(classes).index(name) for name in predicted], np.int64)
    ones = np.ones(len(predicted), np.float32)
    return ModelPredictions(list(classes), indices, ones, ones)


def predictions(images: Sequence[str], classes: Sequence[str], **models: ModelPredictions) -> Predictions:
    """Of images of these classes; of classes that the model does not have, too."""
    labels = np.array([list(classes).index(name) if name in classes else -1 for name in images], np.int64)
    return Predictions(list(classes), labels, [str(number) for number in range(len(images))], models)


IMAGES = ["cat"] * 30 + ["dog"] * 30


def badly(right: int) -> list[str]:
    """Predictions for all images, so many of them right."""
    return IMAGES[:right] + [{"cat": "dog", "dog": "cat"}[name] for name in IMAGES[right:]]


class TestClassesAreJoinedByName:
    def test_a_baseline_with_reversed_classes_is_compared(self):
        """A bad model does not pass over a good one that has its classes in another order."""
        given = predictions(
            IMAGES, ["cat", "dog"], model=named(["cat", "dog"], badly(27)), baseline=named(["dog", "cat"], IMAGES)
        )
        verdict = verdict_of(given, BOUNDS, "")
        assert verdict.overall.baseline is not None
        assert verdict.overall.baseline.value == 1
        assert verdict.overall.change is not None
        assert verdict.overall.change.value == pytest.approx(-33 / 60)
        assert not verdict.blessed
        assert verdict.notes == []

    def test_new_class_counts_for_accuracy_but_is_not_compared(self):
        images = [*IMAGES, *["emu"] * 20]
        given = predictions(
            images,
            ["cat", "dog", "emu"],
            model=named(["cat", "dog", "emu"], [*IMAGES, *["cat"] * 20]),
            baseline=named(["dog", "cat"], ["cat"] * 80),
        )
        verdict = verdict_of(given, BOUNDS, "")
        assert (verdict.overall.right, verdict.overall.images) == (60, 80)
        assert verdict.overall.pairs is not None
        assert verdict.overall.pairs.images == 60
        assert verdict.overall.change is not None
        assert verdict.overall.change.value == 0.5
        emu = verdict.classes[2]
        assert (emu.name, emu.right, emu.images, emu.change) == ("emu", 0, 20, None)
        (note,) = verdict.notes
        assert note.startswith("The baseline does not have class emu: such images only count for gate.min_accuracy")

    def test_lost_class_is_noted(self):
        given = predictions(
            IMAGES,
            ["cat", "dog"],
            model=named(["cat", "dog"], IMAGES),
            baseline=named(["ant", "dog", "bee", "cat"], [*IMAGES[:50], *["bee"] * 10]),
        )
        verdict = verdict_of(given, BOUNDS, "")
        assert verdict.overall.change is not None
        assert verdict.overall.change.value == pytest.approx(10 / 60)
        assert verdict.notes == [
            "The model no longer has classes ant, bee of the baseline: such images are not compared."
        ]

    def test_only_accuracy_decides_without_common_classes(self):
        given = predictions(
            IMAGES, ["cat", "dog"], model=named(["cat", "dog"], badly(40)), baseline=named(["emu"], ["emu"] * 60)
        )
        verdict = verdict_of(given, BOUNDS, "")
        assert (verdict.blessed, verdict.overall.baseline, verdict.overall.change) == (True, None, None)
        assert verdict.worst_class is None
        (note,) = verdict.notes
        assert "The models have no class in common, so only gate.min_accuracy decides" in note
        assert not verdict_of(given, Thresholds(0.9, 0.05), "").blessed

    def test_only_accuracy_decides_without_a_baseline(self):
        verdict = verdict_of(predictions(IMAGES, ["cat", "dog"], model=named(["cat", "dog"], IMAGES)), BOUNDS, "")
        assert (verdict.blessed, verdict.overall.change) == (True, None)
        assert verdict.notes == ["There is no baseline, so only gate.min_accuracy decides."]

    def test_a_class_without_test_images_is_left_out(self):
        classes = ["ant", "cat", "dog", "emu"]
        given = predictions(IMAGES, classes, model=named(classes, IMAGES), baseline=named(classes, IMAGES))
        overall, found = results_by_class(given, "model", 0.95)
        assert overall.images == 60
        assert [one.name for one in found] == ["cat", "dog"]
        assert notes(given) == [
            "There are no test images of classes ant, emu: the model's accuracy on them is unknown."
        ]

    def test_an_image_of_an_unknown_class_counts_as_wrong(self):
        images = [*IMAGES, *["emu"] * 5]
        predicted = named(["cat", "dog"], [*IMAGES, *["dog"] * 5])  # "dog" is the last class
        verdict = verdict_of(predictions(images, ["cat", "dog"], model=predicted, baseline=predicted), BOUNDS, "")
        assert (verdict.overall.right, verdict.overall.images) == (60, 65)
        assert verdict.notes == [
            "5 test images are of classes that were not trained: each counts as a wrong prediction."
        ]


class TestFormats:
    def given(self, **formats: list[str]) -> Predictions:
        classes = ["cat", "dog"]
        models = {name: named(classes, predicted) for name, predicted in formats.items()}
        return predictions(
            IMAGES, classes, model=named(classes, IMAGES), baseline=named(["dog", "cat"], IMAGES), **models
        )

    def test_failing_format_does_not_fail_the_model(self):
        verdict = verdict_of(self.given(float32=IMAGES, int8=badly(50)), BOUNDS, "")
        assert verdict.blessed
        assert {name: one.blessed for name, one in verdict.formats.items()} == {"float32": True, "int8": False}
        assert verdict.left_out["int8"][0].startswith("accuracy changes by -16.7 points")
        assert "class dog" in verdict.left_out["int8"][1]
        assert verdict.formats["int8"].overall.right == 50

    def test_conversion_loss_is_paired(self):
        verdict = verdict_of(self.given(float16=badly(59), int8=badly(30)), BOUNDS, "")
        conversion = verdict.formats["float16"].conversion
        assert conversion is not None
        assert conversion.low < conversion.value < 0 < conversion.high
        assert not verdict.formats["float16"].is_lossy  # it was one image of sixty
        assert verdict.formats["int8"].is_lossy

    @pytest.mark.parametrize(("confidence", "passes"), [(None, True), (0.95, False)])
    def test_intervals_decide_with_confidence(self, confidence, passes):
        thresholds = Thresholds(0.5, 0.05, confidence=confidence)
        assert verdict_of(self.given(int8=badly(59)), thresholds, "").formats["int8"].blessed is passes


def spread(classifier: keras.Model, images: np.ndarray) -> None:
    """Lets an untrained classifier tell these images apart, into several classes."""
    *_, dense = (layer for layer in classifier.layers if layer.get_weights())
    kernel, bias = dense.get_weights()
    inner = keras.Model(classifier.input, dense.input).predict(images.astype(np.float32), verbose=0)
    kernel = np.random.default_rng(3).normal(size=kernel.shape).astype(np.float32) / inner.std()
    dense.set_weights([kernel, bias - (inner @ kernel).mean(0)])


@pytest.mark.slow
class TestNode:
    @pytest.fixture(scope="class")
    def images(self) -> np.ndarray:
        random = np.random.default_rng(0)
        noise = random.integers(0, 256, (40, 32, 32, 3))
        return (noise * random.uniform(0, 1, (40, 1, 1, 3))).astype(np.uint8)

    @pytest.fixture(scope="class")
    def classifier(self, make_classifier, images) -> keras.Model:
        made = make_classifier(0)
        spread(made, images)
        return made

    @pytest.fixture(scope="class")
    def examples(self, classifier, images, make_examples) -> standard_artifacts.Examples:
        """Labelled as the classifier predicts them, so it is always right."""

        def label(image: np.ndarray) -> int:
            return int(classifier.predict(image[None].astype(np.float32), verbose=0).argmax())

        assert len({label(image) for image in images}) > 1
        return make_examples({"test": [images[:15], images[15:]]}, label)

    def exported(self, folder: Path, classifier: keras.Model, classes: list[str]) -> standard_artifacts.Model:
        model = standard_artifacts.Model()
        model.uri, model.id = str(folder), 7
        export_classifier(classifier, classes, folder / "Format-Serving")
        return model

    @pytest.fixture(scope="class")
    def model(self, classifier, make_classifier, tmp_path_factory) -> standard_artifacts.Model:
        """The classifier; its float16 file is sound, its int8 file is another network's."""
        folder = tmp_path_factory.mktemp("candidate") / "model"
        model = self.exported(folder, classifier, ["a", "b", "c"])
        serving = folder / "Format-Serving"
        shutil.copy(tflite_path(serving), tflite_path(serving, "float16"))
        tflite_path(serving, "int8").write_bytes(to_tflite(make_classifier(5)))
        return model

    @pytest.fixture(scope="class")
    def reversed_model(self, classifier, tmp_path_factory) -> standard_artifacts.Model:
        """The same classifier with its classes in reverse."""
        other = keras.models.clone_model(classifier)
        other.set_weights(classifier.get_weights())
        *_, dense = (layer for layer in other.layers if layer.get_weights())
        kernel, bias = dense.get_weights()
        dense.set_weights([kernel[:, ::-1], bias[::-1]])
        return self.exported(tmp_path_factory.mktemp("baseline") / "model", other, ["c", "b", "a"])

    def evaluate(self, folder: Path, thresholds: Thresholds, **inputs: Any) -> standard_artifacts.ModelBlessing:
        evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
        evaluation.uri, blessing.uri = str(folder / "evaluation"), str(folder / "blessing")
        Executor().Do(
            {key: [artifact] for key, artifact in inputs.items()},
            {"evaluation": [evaluation], "blessing": [blessing]},
            {
                "eval_config": proto_utils.proto_to_json(eval_config(thresholds)),
                "example_splits": json.dumps(["test"]),
                "confidence": thresholds.confidence,
            },
        )
        return blessing

    def test_it_judges_the_model_and_each_format_by_class_names(
        self, tmp_path, examples, model, reversed_model, reference, images
    ):
        blessing = self.evaluate(
            tmp_path, BOUNDS, examples=examples, model=model, baseline_model=reversed_model, reference=reference.model
        )
        verdict = read_verdict(str(tmp_path / "evaluation"))
        assert (verdict.overall.right, verdict.overall.images) == (40, 40)
        assert verdict.overall.baseline is not None
        assert verdict.overall.baseline.value == 1
        assert {name: one.blessed for name, one in verdict.formats.items()} == {
            "float32": True, "float16": True, "int8": False,
        }  # fmt: skip
        assert verdict.model_sha256 == files_sha256(f"{model.uri}/Format-Serving")

        assert blessing.get_int_custom_property("blessed") == 1
        assert blessing.get_int_custom_property("current_model_id") == 7
        assert blessing.get_string_custom_property("baseline_model") == reversed_model.uri
        assert blessing.get_string_custom_property(MODEL_SHA256) == verdict.model_sha256
        assert json.loads(blessing.get_string_custom_property(LEFT_OUT)) == ["int8"]
        assert [path.name for path in (tmp_path / "blessing").iterdir()] == ["BLESSED"]

        kept = Predictions.read(str(tmp_path / "evaluation"))
        assert set(kept.models) == {"model", "baseline", "reference", "float32", "float16", "int8"}
        assert len(kept.images) == len(images) == len(set(kept.images))
        probability = kept.models["model"].probability
        np.testing.assert_allclose(kept.models["baseline"].true_probability, probability, atol=1e-5)
        np.testing.assert_allclose(kept.models["float32"].probability, probability, atol=1e-3)
        assert not (tmp_path / "evaluation" / "rows").exists()

        # TFMA measured the same.
        accuracies = {
            (one.key.model_name, one.key.is_diff): one.value.double_value.value
            for metrics in tfma.load_metrics(str(tmp_path / "evaluation"))
            if not metrics.slice_key.single_slice_keys
            for one in metrics.metric_keys_and_values
            if one.key.name == "accuracy"
        }
        assert accuracies == {("candidate", False): 1.0, ("baseline", False): 1.0, ("candidate", True): 0.0}

    def test_formats_that_do_not_convert_are_in_the_verdict(self, tmp_path, examples, model, reference, caplog):
        copy = standard_artifacts.Model()
        copy.uri = str(tmp_path / "model")
        shutil.copytree(model.uri, copy.uri)
        folder = tmp_path / "model" / "Format-Serving"
        tflite_path(folder, "float16").unlink()
        reasons = {"float16": "it does not convert (no kernel)", "reference": "it does not convert either"}
        write_figures(folder, replace(read_figures(folder), not_converted=reasons))
        blessing = self.evaluate(
            tmp_path, Thresholds(0.5, 0.1), examples=examples, model=copy, reference=reference.model
        )
        verdict = read_verdict(str(tmp_path / "evaluation"))
        assert verdict.blessed
        assert verdict.not_converted == {"float16": "it does not convert (no kernel)"}
        assert "float16 is not pushed: it does not convert (no kernel)" in caplog.messages
        assert "The uncompressed model is not compared in size and speed: it does not convert either." in verdict.notes
        assert json.loads(blessing.get_string_custom_property(LEFT_OUT)) == list(verdict.failed)

    def test_reference_is_evaluated_without_a_baseline(self, tmp_path, examples, model, reference):
        blessing = self.evaluate(
            tmp_path, Thresholds(0.5, 0.1), examples=examples, model=model, reference=reference.model
        )
        assert blessing.get_int_custom_property("blessed") == 1
        assert {"model", "reference"} < set(Predictions.read(str(tmp_path / "evaluation")).models)

    @pytest.mark.parametrize("given", ["reference", None])
    def test_reference_that_is_the_baseline_is_evaluated_once(
        self, tmp_path, examples, reference, reversed_model, caplog, given
    ):
        """The candidate is another network, and is refused."""
        blessing = self.evaluate(
            tmp_path,
            Thresholds(0.99, 0.01, confidence=0.95),
            examples=examples,
            model=reference.model,
            baseline_model=reversed_model,
            **({given: reversed_model} if given else {}),
        )
        assert blessing.get_int_custom_property("blessed") == 0
        assert [path.name for path in (tmp_path / "blessing").iterdir()] == ["NOT_BLESSED"]
        kept = Predictions.read(str(tmp_path / "evaluation"))
        np.testing.assert_array_equal(kept.models["reference"].predicted, kept.models["baseline"].predicted)
        verdict = read_verdict(str(tmp_path / "evaluation"))
        assert all("with 95 % confidence" in reason for reason in verdict.reasons)
        assert "is not pushed" not in caplog.text  # nothing is, for the verdict's own reasons

    def test_common_classes_are_compared(self, tmp_path, examples, model, reversed_model):
        baseline = standard_artifacts.Model()
        baseline.uri = str(tmp_path / "renamed")
        shutil.copytree(reversed_model.uri, baseline.uri)
        classes_path(f"{baseline.uri}/Format-Serving").write_text("c\nold\na\n")
        self.evaluate(tmp_path, BOUNDS, examples=examples, model=model, baseline_model=baseline)
        verdict = read_verdict(str(tmp_path / "evaluation"))
        assert [one.change is None for one in verdict.classes] == [one.name == "b" for one in verdict.classes]
        assert len(verdict.notes) == 2

    def test_model_without_class_names_is_rejected(self, tmp_path, examples, model, reversed_model):
        baseline = standard_artifacts.Model()
        baseline.uri = str(tmp_path / "nameless")
        shutil.copytree(reversed_model.uri, baseline.uri)
        classes_path(f"{baseline.uri}/Format-Serving").unlink()
        with pytest.raises(CompressorError, match=r"has no class names .* choose another gate\.baseline"):
            self.evaluate(tmp_path, BOUNDS, examples=examples, model=model, baseline_model=baseline)
