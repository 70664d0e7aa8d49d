from __future__ import annotations

from pathlib import Path

from pipelines.config.beam_flags import ALLOWED


def test_each_allowed_flag_is_one_of_beams_by_its_whole_name():
    from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

    parser = _BeamArgumentParser(allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        if options.__module__ == PipelineOptions.__module__:
            options._add_argparse_args(parser)
    assert {f"--{name}" for name in ALLOWED} - set(parser._option_string_actions) == set()


def test_the_documentation_lists_them_all():
    page = (Path(__file__).parents[3] / "docs/scaling.md").read_text()
    listed = page.partition("### Further flags")[2].partition("*Run:*")[0]
    assert [name for name in ALLOWED if f"`{name}`" not in listed] == []
