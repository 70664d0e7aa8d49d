from __future__ import annotations

import dataclasses

from components.report.translator_chart import fit


def test_translators_are_in_network_order(report_data):
    order = ["block_3_add", "block_2_add", "block_1_add"]
    spec = fit(report_data, order)
    assert spec["layer"][0]["encoding"]["x"]["sort"] == order
    assert fit(dataclasses.replace(report_data, translators={}), order) is None
