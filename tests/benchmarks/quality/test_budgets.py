from __future__ import annotations

from benchmarks.quality.budgets import Budget


def test_a_budget_is_a_share_of_what_the_reference_costs():
    budget = Budget(parameters=0.92, macs=0.9)
    limits = budget.limits({"parameters": 1000, "macs": 500})
    assert {cost: round(limit) for cost, limit in limits.items()} == {"parameters": 80, "macs": 50}
    assert budget.name == "92% of the parameters and 90% of the MACs saved"


def test_what_has_no_limit_is_not_limited():
    assert Budget(macs=0.9).limits({"parameters": 1000, "macs": 500}).keys() == {"macs"}
