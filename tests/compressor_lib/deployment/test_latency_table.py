from __future__ import annotations

import re

import pytest

from compressor_lib.deployment import operators
from compressor_lib.deployment.latency_table import DeviceYardstick, LatencyTable
from compressor_lib.errors import CompressorError

TABLE = "operator,milliseconds\nreference,3.0\nconv,1.5\nadd,0.25\nmean,0.25\n"


@pytest.fixture
def table():
    return LatencyTable.parse(TABLE, "phone.csv")


def test_a_table_is_read_from_a_file(tmp_path, table):
    path = tmp_path / "phone.csv"
    path.write_text(TABLE)
    assert LatencyTable.read(str(path)) == table


def test_names_are_those_of_the_files_and_times_may_be_microseconds(table):
    text = (
        "microseconds,operator\n3e+03,/data/local/tmp/reference.tflite\n1500,conv.tflite\n\n250 , add.tflite\n250,mean"
    )
    read = LatencyTable.parse(text, "phone.csv")
    assert read.milliseconds == pytest.approx(table.milliseconds)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "begins with '': its first line must be 'operator,milliseconds' or 'operator,microseconds'"),
        ("reference,3.0\nconv,1\n", "begins with 'reference,3.0'"),
        ("operator,seconds\nreference,3.0\n", "begins with 'operator,seconds'"),
        (f"{TABLE}pool,\n", "row 6 of the latency table phone.csv is 'pool,'"),
        (f"{TABLE}pool,-1\n", "its time in milliseconds, above 0"),
        (f"{TABLE}pool,nan\n", "its time in milliseconds, above 0"),
        (f"{TABLE}pool\n", "row 6 of the latency table phone.csv is 'pool'"),
        (f"{TABLE}add.tflite,1\n", "has add twice"),
        ("operator,milliseconds\nconv,1\n", "has no row 'reference'"),
    ],
)
def test_what_is_no_table_is_refused(text, says):
    with pytest.raises(CompressorError, match=re.escape(says)):
        LatencyTable.parse(text, "phone.csv")


@pytest.mark.parametrize("path", ["nowhere/phone.csv", "gs-typo://phone.csv"])
def test_an_unreadable_file_is_named(path):
    with pytest.raises(CompressorError, match=f"the latency table {path} cannot be read"):
        LatencyTable.read(path)


def test_missing_operators_are_named_with_the_way_to_measure_them(table):
    table.check(["conv", "add"])
    with pytest.raises(CompressorError, match=r"lacks 2 operators of the networks: pool, softmax; write their files"):
        table.check(["pool", "conv", "softmax", "pool"])
    with pytest.raises(CompressorError, match=r"lacks 11 operators .*op9, \.\.\.; write"):
        table.check([f"op{number}" for number in range(11)])


@pytest.fixture
def of_name(monkeypatch):
    """A TFLite file is the list of its operators."""
    monkeypatch.setattr(operators, "operators", lambda tflite: tflite.decode().split())


@pytest.mark.usefixtures("of_name")
def test_a_latency_is_the_sum_scaled_to_the_measured_reference_model(table):
    yardstick = DeviceYardstick(table, b"conv add mean", "int8")
    assert yardstick.milliseconds == 3.0
    assert yardstick.scale == pytest.approx(3.0 / 2.0)
    assert yardstick.latency(b"conv add mean") == pytest.approx(3.0)
    assert yardstick.latency(b"add add mean") == pytest.approx(0.75 * 1.5)
    assert yardstick.in_words() == "the latency table phone.csv (int8)"
    with pytest.raises(CompressorError, match="lacks 1 operators of the networks: pool"):
        yardstick.latency(b"pool")


@pytest.mark.usefixtures("of_name")
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_rows_in_different_units_are_refused(table, factor):
    wrong = LatencyTable("phone.csv", table.milliseconds | {"reference": 3.0 * factor})
    with pytest.raises(CompressorError, match=r"reference model takes .* ms, but its operators 2 ms in all"):
        DeviceYardstick(wrong, b"conv add mean")
