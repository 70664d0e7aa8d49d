from __future__ import annotations

from components.artifacts.device_latencies import DeviceLatencies, read_device_latencies


def test_latencies_are_read_as_they_were_written(tmp_path):
    assert read_device_latencies(str(tmp_path)) is None
    latencies = DeviceLatencies("phone.csv", "int8", 12.5, {"00": 4.5})
    latencies.write(str(tmp_path))
    assert read_device_latencies(str(tmp_path)) == latencies
    assert latencies.in_words() == "the latency table phone.csv (int8)"
