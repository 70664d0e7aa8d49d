from __future__ import annotations

from pathlib import Path

from benchmarks.quality.budgets import Budget
from benchmarks.quality.results import REFERENCE, SEARCHED, Records, Result, difference, rows_within

BUDGET = Budget(parameters=0.5)


def result(method: str, right: str, *, parameters: int = 1000, budget: str = BUDGET.name) -> Result:
    return Result(method, budget, f"network of {method}", parameters, 10 * parameters, 8, 1.0, 0.9, right)


def test_the_error_of_a_difference_is_that_of_paired_images():
    one, other = result("a", "1111100000"), result("b", "1111010000")
    assert difference([(one, other)]) == "+0.0 +- 14.1"  # one image gained, one lost: sqrt(2 / 10 / 10)
    assert difference([(one, one)]) == "+0.0 +- 0.0"


def test_a_difference_over_seeds_is_a_mean_with_a_smaller_error():
    one, other = result("a", "1111100000"), result("b", "1111010000")
    assert difference([(one, other)] * 4) == "+0.0 +- 7.1"


def test_a_row_has_means_over_seeds_and_differences_within_each_seed():
    reference = result(REFERENCE, "1111", budget="")
    first = [reference, result(SEARCHED, "1110", parameters=300), result("truncation", "1100", parameters=500)]
    second = [reference, result(SEARCHED, "1110", parameters=500)]
    assert rows_within(BUDGET, [first, second]) == [
        (SEARCHED, "network of searched", "60.0", "60.0", "90.0", "75.0", "-25.0 +- 15.3", ""),
        ("truncation", "network of truncation", "50.0", "50.0", "90.0", "50.0", "-50.0 +- 25.0", "-25.0 +- 21.7"),
    ]


def test_other_budgets_have_no_rows():
    assert rows_within(Budget(macs=0.5), [[result(REFERENCE, "11", budget=""), result(SEARCHED, "10")]]) == []


def test_records_are_found_again(tmp_path: Path):
    file = tmp_path / "results.jsonl"
    Records(file).add(result("a", "10"))
    Records(file).add(result("b", "11"))
    assert Records(file).find("b", BUDGET.name) == result("b", "11")
    assert Records(file).find("b", "") is None
    assert [one.method for one in Records(file)] == ["a", "b"]
