"""The artifact type of a report."""

from tfx.types import artifact


class RunReport(artifact.Artifact):
    """A folder with ``report.html``, a self-contained page, and ``report.json``, its data."""

    # The compiler only accepts names of this form; `components` provides the class under this name.
    TYPE_NAME = "components.RunReport"
