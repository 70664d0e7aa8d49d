"""Measures the accuracy of compressed networks within budgets, and of simpler ways to meet the same budgets.

``python -m benchmarks.quality --full`` takes hours on two cores. Therefore each result is recorded in a folder per data
set and seed in ``benchmarks/results/`` and not measured again: an interrupted run resumes, and seeds can run in
parallel (``--seeds 1``). Delete those folders to measure again.
"""
