"""TFX's private API that the components use: the one place to change if a new release changes it.

- :class:`SpanProcessor` exposes private members of ``FileBasedInputProcessor`` for its subclass that finds windows
  of spans.
- Executors call ``_log_startup`` and ``_make_beam_pipeline`` of their base classes, as in TFX's guide to custom
  components, and ``_MarkPushed`` and ``_MarkNotPushed`` of the stock Pusher, which write the properties that TFX's
  resolvers read. These calls are not moved here, but the test of this module checks them too.
"""

from __future__ import annotations

from tfx.components.example_gen import input_processor, utils
from tfx.proto import example_gen_pb2

WRITTEN_AGAINST = "1.16.0"
"""The release of TFX that this was written against."""


class SpanProcessor(input_processor.FileBasedInputProcessor):
    """TFX's processor of an input with one split, which exposes the members that a subclass needs."""

    @property
    def data_folder(self) -> str:
        """Folder of the input."""
        return str(self._input_base_uri)

    @property
    def only_split(self) -> example_gen_pb2.Input.Split:
        """The only split of the input."""
        (split,) = self._splits
        return split

    @property
    def has_spans(self) -> bool:
        """Whether the split's pattern contains a span or a date."""
        return bool(self._is_match_span or self._is_match_date)

    def span_in(self, folder: str, regex: str) -> tuple[int, int | None]:
        """Reads a folder's span and version with TFX's code.

        Args:
            folder: Path of the folder, relative to the data folder.
            regex: Regular expression for such folders, with a named group for each of TFX's specs.

        Returns:
            Number of the span and of the version; None if the pattern has no version.

        Raises:
            ValueError: If one of them is not a number.
        """
        kinds = (self._is_match_span, self._is_match_date, self._is_match_version)
        _, span, _, version = utils._find_matched_span_version_from_path(folder, regex, *kinds)
        return span, version if self._is_match_version else None
