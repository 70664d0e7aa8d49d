from __future__ import annotations

import re
import subprocess
import sys

import pytest

from compressor_lib.cuts.connections import Connection, Kind, parse_connection
from compressor_lib.errors import CompressorError

REJOIN, HEAD, TAIL = Connection.rejoin("a_1", "b_2"), Connection.head("a_1"), Connection.tail("a_1")


@pytest.mark.parametrize(
    ("form", "connection"),
    [
        ("a_1->b_2", REJOIN),
        (" a_1 -> b_2 ", REJOIN),
        ("a_1,b_2", REJOIN),
        (("a_1", "b_2"), REJOIN),
        (["a_1", "b_2"], REJOIN),
        ("a,1->b,2", Connection.rejoin("a,1", "b,2")),
        ("53,151", Connection.rejoin("53", "151")),
        ("53, 151", Connection.rejoin("53", "151")),
        ((53, 151), Connection.rejoin("53", "151")),
        (["53", 151], Connection.rejoin("53", "151")),
        ("a_1->head", HEAD),
        ("a_1,head", HEAD),
        (("a_1", "head"), HEAD),
        (("a_1", None), HEAD),
        ((53, None), Connection.head("53")),
        ("53->head", Connection.head("53")),
        ("a_1->tail", TAIL),
        ("a_1,tail", TAIL),
        (("a_1", "tail"), TAIL),
    ],
)
def test_each_form_is_read(form, connection):
    assert parse_connection(form) == connection


@pytest.mark.parametrize(
    ("connection", "text", "kind", "family"),
    [
        (REJOIN, "a_1->b_2", Kind.REJOIN, "rejoining"),
        (HEAD, "a_1->head", Kind.HEAD, "truncation"),
        (TAIL, "a_1->tail", Kind.TAIL, "tail"),
    ],
)
def test_a_written_connection_is_read_back_as_the_same(connection, text, kind, family):
    assert str(connection) == text
    assert parse_connection(text) == parse_connection(connection) == connection
    assert (connection.kind, connection.kind.family) == (kind, family)
    assert [connection.rejoins, connection.is_truncation, connection.is_tail] == [kind is one for one in Kind]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("", "connection '' is neither 'A->B' with two layer names, 'A->head', 'A->tail', nor 'i,j'"),
        ("block_5_add", "'block_5_add' is neither"),
        ("a->b->c", "'a->b->c' is neither"),
        ("53,97,151", "'53,97,151' is neither"),
        ("a->", "'a->' is neither"),
        ("->b", "'->b' is neither"),
        (("a",), "('a',) is neither"),
        ("head->Conv_1", "connection 'head->Conv_1' does not name the layer to cut after"),
        ("tail->Conv_1", "does not name the layer to cut after"),
        ((None, "Conv_1"), "does not name the layer to cut after"),
    ],
)
def test_an_unknown_form_is_refused_with_the_reason(form, message):
    with pytest.raises(CompressorError, match=re.escape(message)):
        parse_connection(form)


def test_connections_are_read_without_keras():
    code = "import sys, compressor_lib.cuts.connections; sys.exit('keras' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
