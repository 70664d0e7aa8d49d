"""A release of TFX that moves a name fails here."""

from __future__ import annotations

import pytest
from hooks import check_hooks
from tfx.components.example_gen import input_processor, utils
from tfx.components.pusher.executor import Executor as Pusher
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.proto import example_gen_pb2

from components.storage import tfx_hooks
from components.storage.tfx_hooks import SpanProcessor


def test_tfx_has_what_the_components_take_of_it():
    made = input_processor.FileBasedInputProcessor("data", [example_gen_pb2.Input.Split(name="a", pattern="*")])
    kinds = ("_is_match_span", "_is_match_date", "_is_match_version")
    check_hooks("tfx", tfx_hooks, made, "_input_base_uri", "_splits", *kinds)
    check_hooks("tfx", tfx_hooks, utils, "_find_matched_span_version_from_path")
    check_hooks("tfx", tfx_hooks, BaseBeamExecutor, "_log_startup", "_make_beam_pipeline")
    check_hooks("tfx", tfx_hooks, Pusher, "_MarkPushed", "_MarkNotPushed")


@pytest.mark.parametrize(
    ("pattern", "has_spans", "regex", "found"),
    [
        ("*", False, None, None),
        ("span-{SPAN}/*", True, r"^span-(?P<span>.+)$", (7, None)),
        ("span-{SPAN}/v{VERSION}/*", True, r"^span-(?P<span>.+)/v(?P<version>.+)$", (7, 2)),
    ],
)
def test_a_folder_is_read_as_tfx_reads_it(pattern, has_spans, regex, found):
    processor = SpanProcessor("data", [example_gen_pb2.Input.Split(name="a", pattern=pattern)])
    assert (processor.data_folder, processor.only_split.pattern) == ("data", pattern)
    assert processor.has_spans is has_spans
    if regex:
        assert processor.span_in("span-7/v2" if found[1] else "span-7", regex) == found
