"""A release of Beam that moves a name fails here."""

from __future__ import annotations

import io

import tensorflow as tf
from apache_beam.io import tfrecordio
from hooks import check_hooks

from components.storage import beam_hooks
from components.storage.beam_hooks import read_record


def test_beam_has_what_the_components_take_of_it():
    check_hooks("apache-beam", beam_hooks, tfrecordio, "_TFRecordUtil")
    check_hooks("apache-beam", beam_hooks, tfrecordio._TFRecordUtil, "read_record")


def test_records_are_read_until_there_are_no_more(tmp_path):
    path = str(tmp_path / "a[1].tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(b"one")
    with open(path, "rb") as file:
        assert (read_record(file), read_record(file)) == (b"one", None)
    assert read_record(io.BytesIO()) is None
