from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from components.report import advice as advice_module
from components.report.advice import advice, images_to_decide
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.gate import Thresholds, Verdict, judge, judge_format
from compressor_lib.deployment.intervals import Interval, PairedCounts
from pipelines.config.config import Config
from pipelines.config.errors import all_fields


def judged(both: int, gained: int, lost: int, neither: int, name: str = "") -> EvalResult:
    pairs = PairedCounts(both, gained, lost, neither)
    return EvalResult.from_counts(name, images=pairs.images, right=pairs.new_right, pairs=pairs)


def told(verdict: Verdict, reference: tuple[int, int], **options: bool) -> list[str]:
    right, images = reference
    return advice(verdict, EvalResult.from_counts("", images=images, right=right), **options)


# What was measured (both right, gained, lost, neither), what is asked for, the reference's count; then how many
# sentences there are, what they say, and what they must not say.
TABLE = {
    "all passes": (judged(900, 10, 10, 80), Thresholds(0.8, 0.02), (910, 1000), 0, [], []),
    "the reference is below the threshold": (
        judged(690, 10, 10, 290), Thresholds(0.9, 0.02), (700, 1000), 1,
        ["The reference model itself reaches 70.0 % (700 of 1,000", "Add images, improve labels", "reference.epochs",
         "larger backbone", "lower gate.min_accuracy"],
        ["tau"],
    ),
    "the reference is below the threshold, and compression loses more": (
        judged(500, 0, 200, 300), Thresholds(0.9, 0.02), (700, 1000), 1, ["compression is not the cause"], ["tau"],
    ),
    "the reference passes, the compressed model surely does not": (
        judged(700, 0, 250, 50), Thresholds(0.9, 0.5), (950, 1000), 1,
        ["The reference model reaches gate.min_accuracy and the compressed model does not", "raise search.tau"],
        ["test images are too few to decide", "budgets"],
    ),
    "two images of thirty short of the threshold": (
        judged(25, 0, 3, 2), Thresholds(0.9, 0.5), (28, 30), 2,
        ["30 test images are too few to decide whether the accuracy meets gate.min_accuracy", "about 59 are needed",
         "search.tau"],
        [],
    ),
    "only the confidence is missing": (
        judged(58, 1, 0, 1), Thresholds(0.95, 0.5, confidence=0.95), (58, 60), 1,
        ["60 test images are too few to decide whether the accuracy meets gate.min_accuracy", "about 280 are needed"],
        ["tau"],
    ),
    "only the drop fails, surely": (
        judged(800, 0, 100, 100), Thresholds(0.5, 0.02), (900, 1000), 1,
        ["Compression costs more than gate.max_drop allows: raise search.tau", "raise gate.max_drop"],
        ["test images are too few to decide", "budgets", "compression is not the cause"],
    ),
    "only the drop fails, by two images": (
        judged(55, 0, 2, 3), Thresholds(0.5, 0.02), (57, 60), 2,
        ["60 test images are too few to decide whether the change meets gate.max_drop", "search.tau"], [],
    ),
    "only the drop's confidence is missing": (
        judged(57, 0, 0, 3), Thresholds(0.5, 0.02, confidence=0.95), (57, 60), 1,
        ["60 test images are too few to decide whether the change meets gate.max_drop", "about 550 are needed"],
        ["tau"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", TABLE)
def test_advice_for_failed_gates(row):
    overall, thresholds, reference, sentences, said, unsaid = TABLE[row]
    found = told(judge(thresholds, overall, [], ""), reference)
    assert len(found) == sentences
    assert all(words in " ".join(found) for words in said)
    assert not any(words in " ".join(found) for words in unsaid)


def test_budgets_are_mentioned_if_there_are_any():
    verdict = judge(Thresholds(0.5, 0.02), judged(800, 0, 100, 100), [], "")
    (sentence,) = told(verdict, (900, 1000), has_budgets=True)
    assert "loosen search.budgets" in sentence


def test_advice_names_existing_fields():
    """A field that is renamed is renamed in the advice, too."""
    code = ast.walk(ast.parse(Path(advice_module.__file__).read_text(encoding="utf-8")))
    text = " ".join(node.value for node in code if isinstance(node, ast.Constant) and isinstance(node.value, str))
    named = set(re.findall(r"\b(?:gate|search|reference|retrain|data)\.[a-z_]+(?:\.[a-z_]+)?", text))
    assert "search.budgets" in named
    assert named - set(all_fields(Config)) == set()


def test_a_reference_below_the_deployed_model_is_to_blame():
    verdict = judge(Thresholds(0.5, 0.02), judged(800, 0, 100, 100), [], "")
    (sentence,) = advice(verdict, judged(805, 5, 95, 95))
    assert (
        "The reference model itself, 81.0 % (810 of 1,000, 78.5 to 83.3 %), is just as far below the gate's baseline, "
        "90.0 % (900 of 1,000, 88.0 to 91.7 %): compression is not the cause" in sentence
    )
    assert "tau" not in sentence
    (sentence,) = advice(verdict, judged(890, 10, 10, 90))
    assert "raise search.tau" in sentence


def compared_on_some(right: int, images: int, both: int, gained: int, lost: int, neither: int) -> EvalResult:
    """A model on all images, compared with a baseline that has the classes of some."""
    return EvalResult.from_counts("", images=images, right=right, pairs=PairedCounts(both, gained, lost, neither))


def test_a_reference_that_is_poor_at_new_classes_alone_is_not_to_blame():
    """On the 800 images of classes that both have it equals the baseline, which knows nothing of the other 200."""
    verdict = judge(Thresholds(0.5, 0.02), compared_on_some(720, 1000, 650, 0, 70, 80), [], "")
    (sentence,) = advice(verdict, compared_on_some(740, 1000, 715, 5, 5, 75))
    assert sentence.startswith("Compression costs more than gate.max_drop allows")


def test_a_reference_that_is_good_at_new_classes_alone_is_to_blame():
    """On all images it is above the baseline, on those of classes that both have it is far below."""
    verdict = judge(Thresholds(0.5, 0.02), compared_on_some(800, 1000, 610, 0, 110, 80), [], "")
    (sentence,) = advice(verdict, compared_on_some(920, 1000, 640, 0, 80, 80))
    assert "The reference model itself, 80.0 % (640 of 800" in sentence
    assert "the gate's baseline, 90.0 % (720 of 800" in sentence
    assert "on the images of classes that both models have: compression is not the cause" in sentence


def test_failing_class_is_named_and_small_class_is_undecided():
    classes = [judged(50, 0, 45, 5, "hat"), judged(5, 0, 1, 1, "scarf"), judged(99, 0, 0, 1, "shirt")]
    verdict = judge(Thresholds(0.5, 0.5, max_class_drop=0.1), judged(154, 0, 46, 7), classes, "")
    found = told(verdict, (200, 207))
    assert found[0].startswith("Class hat loses more than gate.max_class_drop allows: add training images")
    assert found[1].startswith(
        "7 test images are too few to decide whether the change of class scarf meets gate.max_class_drop: about"
    )
    assert not any("shirt" in sentence for sentence in found)


def test_left_out_format_has_advice():
    thresholds, overall = Thresholds(0.8, 0.02), judged(900, 10, 10, 80)
    formats = {
        "float32": judge_format(thresholds, overall, []),
        "float16": judge_format(thresholds, overall, []),
        "int8": judge_format(thresholds, judged(700, 0, 210, 90), []),
    }
    (sentence,) = told(judge(thresholds, overall, [], "", formats=formats), (910, 1000))
    assert sentence.startswith("The int8 TFLite model does not pass and is left out: deploy float32 or float16")


@pytest.mark.parametrize(("lost", "warns"), [(1, False), (40, False), (60, True)])
def test_lossy_conversion_has_advice(lost, warns):
    """One image of a thousand says nothing, and 40 may be 1.5 points as well."""
    thresholds, overall = Thresholds(0.5, 0.5), judged(900, 0, 0, 100)
    converted = judged(900 - lost, 20, lost, 80)
    formats = {
        "float32": judge_format(thresholds, overall, []),
        "int8": judge_format(thresholds, overall, [], conversion=converted.change),
    }
    found = told(judge(thresholds, overall, [], "", formats=formats), (900, 1000))
    assert [sentence.startswith("The int8 TFLite model passes, but its conversion changes") for sentence in found] == (
        [True] if warns else []
    )


@pytest.mark.parametrize(
    ("figure", "threshold", "images", "needed"),
    [
        (Interval(0.95, 0.90, 0.98), 0.925, 100, 400),
        (Interval(0.90, 0.80, 0.95), 0.91, 100, 2500),
        (Interval(0.95, 0.90, 0.98), 0.95, 100, None),
        (Interval(0.95, 0.90, 0.98), 0.9501, 100, None),
    ],
)
def test_number_of_images_to_decide(figure, threshold, images, needed):
    assert images_to_decide(figure, threshold, images) == needed


def test_format_that_does_not_convert_has_advice():
    thresholds, overall = Thresholds(0.8, 0.02), judged(900, 10, 10, 80)
    formats = {"float32": judge_format(thresholds, overall, [])}
    (sentence,) = told(judge(thresholds, overall, [], "", formats=formats, not_converted={"int8": "no"}), (910, 1000))
    assert sentence == "The int8 TFLite model could not be made and is left out: deploy float32."
    (sentence,) = told(judge(thresholds, overall, [], "", not_converted={"float32": "no"}), (910, 1000))
    assert sentence == "The float32 TFLite model could not be made and is left out: deploy the SavedModel."
