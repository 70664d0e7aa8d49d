from __future__ import annotations

import keras
import pytest

from components.report.data import Block
from components.report.network import network_blocks
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.networks.heads import attach_head


@pytest.fixture(scope="module")
def reference(small_backbone) -> keras.Model:
    return attach_head(small_backbone(), 3)


def blocks(reference: keras.Model, small_backbone, connection: str) -> list[Block]:
    compressed = attach_head(create_submodel(small_backbone(), connection, tail_units=7), 3)
    found = network_blocks(reference, compressed)
    assert sum(b.parameters for b in found if b.state in ("kept", "added", "head")) == compressed.count_params()
    return found


def states(found: list[Block]) -> list[str]:
    """Each state once, where it begins."""
    return [b.state for place, b in enumerate(found) if not place or found[place - 1].state != b.state]


def test_a_tail_stands_where_the_rest_was_cut(reference, small_backbone):
    found = blocks(reference, small_backbone, "block_2_add->tail")
    assert states(found) == ["kept", "added", "cut", "head"]
    last = [block for block in found if block.state == "kept"][-1]
    assert (last.name, last.size, last.channels) == ("block_2_add", 8, 8)
    (tail,) = [block for block in found if block.state == "added"]
    assert (tail.name, tail.channels) == ("tail", 7)


def test_blocks_have_the_sizes_of_the_model_that_they_are_in(reference, small_backbone):
    halved = small_backbone(reference.input_shape[1] // 2)
    compressed = attach_head(create_submodel(halved, "block_2_add->tail", tail_units=7), 3)
    whole, half = (
        {b.state: b.size for b in network_blocks(reference, one)}
        for one in (attach_head(create_submodel(small_backbone(), "block_2_add->tail", tail_units=7), 3), compressed)
    )
    assert (half["kept"], half["added"]) == (whole["kept"] // 2, whole["added"] // 2)
    assert half["cut"] == whole["cut"]


def test_a_truncation_adds_nothing(reference, small_backbone):
    found = blocks(reference, small_backbone, "block_5_add->head")
    assert states(found) == ["kept", "cut", "head"]
    cut = sum(block.parameters for block in found if block.state == "cut")
    kept = create_submodel(small_backbone(), "block_5_add->head").count_params()
    assert cut == small_backbone().count_params() - kept


def test_a_translator_stands_in_front_of_what_was_cut(reference, small_backbone):
    found = blocks(reference, small_backbone, "block_2_add->Conv_1")
    assert states(found) == ["kept", "added", "cut", "kept", "head"]
    assert found[-2].name == "out_relu"
    (translator,) = [block for block in found if block.state == "added"]
    assert (translator.name, translator.channels) == ("translator", 24)
