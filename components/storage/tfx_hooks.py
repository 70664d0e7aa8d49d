"""What the components take of TFX beyond its public API: the one place to adapt when a new release moves it.

- :class:`SpanProcessor` gives names to what ``FileBasedInputProcessor`` keeps to itself, for its subclass that finds
  windows of spans.
- Executors call ``_log_startup`` and ``_make_beam_pipeline`` of their base classes, as TFX's own guide to custom
  components does, and ``_MarkPushed`` and ``_MarkNotPushed`` of the stock Pusher's, which write the properties that
  TFX's resolvers read. These calls stay where they are; the test of this module looks for them too.
"""

from __future__ import annotations

from tfx.components.example_gen import input_processor, utils
from tfx.proto import example_gen_pb2

WRITTEN_AGAINST = "1.16.0"
"""The release of TFX that this was written against."""


class SpanProcessor(input_processor.FileBasedInputProcessor):
    """TFX's processor of an input with one split, with names for what a subclass needs of it."""

    @property
    def data_folder(self) -> str:
        """The input's folder."""
        return str(self._input_base_uri)

    @property
    def only_split(self) -> example_gen_pb2.Input.Split:
        """The input's only split."""
        (split,) = self._splits
        return split

    @property
    def has_spans(self) -> bool:
        """Whether the split's pattern holds a span or a date."""
        return bool(self._is_match_span or self._is_match_date)

    def span_in(self, folder: str, regex: str) -> tuple[int, int | None]:
        """Reads a folder's span and version as TFX reads them.

        Args:
            folder: Its path, relative to the data folder.
            regex: The pattern of such folders, with a named group for each of TFX's specs.

        Returns:
            Number of the span, and of the version; None where the pattern has none.

        Raises:
            ValueError: If one is no number.
        """
        kinds = (self._is_match_span, self._is_match_date, self._is_match_version)
        _, span, _, version = utils._find_matched_span_version_from_path(folder, regex, *kinds)
        return span, version if self._is_match_version else None
