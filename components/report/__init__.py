"""The report of a run: its results as a page and as data.

:mod:`components.report.component` has the component; the page is made of the data without TensorFlow.
"""
