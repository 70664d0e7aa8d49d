"""The report of a run: what it came to, as one page and as data.

:mod:`components.report.component` has the component; the page is made of the data without TensorFlow.
"""
