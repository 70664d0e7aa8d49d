"""The type of a report."""

from tfx.types import artifact


class RunReport(artifact.Artifact):
    """A folder with ``report.html``, a page that needs nothing else, and ``report.json``, what it was made of."""

    # The compiler takes names of this form alone; `components` gives the class by it.
    TYPE_NAME = "components.RunReport"
