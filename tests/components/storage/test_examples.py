import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components.storage.examples import count_classes, count_examples, decode_images, image_dataset, split_patterns
from compressor_lib.deployment.images import encode_image
from compressor_lib.errors import CompressorError

SIZE = 8
IMAGES = np.random.default_rng(0).integers(0, 256, (10, SIZE, SIZE, 3), dtype=np.uint8)
SMALL = 5
SMALL_IMAGES = np.random.default_rng(1).integers(0, 256, (10, SMALL, SMALL, 3), dtype=np.uint8)
"""Other images than those of ``IMAGES``, so that a test sees which ones were read."""


def example(number: int) -> bytes:
    image, small = (encode_image(images[number]).numpy() for images in (IMAGES, SMALL_IMAGES))
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        f"image_{SMALL}": tf.train.Feature(bytes_list=tf.train.BytesList(value=[small])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[number])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


@pytest.fixture
def pattern(tmp_path) -> str:
    """Ten Examples in two files; the label of each is its number."""
    folder = tmp_path / "Split-train"
    folder.mkdir()
    for shard, numbers in enumerate((range(6), range(6, 10))):
        with tf.io.TFRecordWriter(str(folder / f"data-0000{shard}.gz"), "GZIP") as writer:
            for number in numbers:
                writer.write(example(number))
    return split_patterns(str(tmp_path), "train")


def labels(dataset: tf.data.Dataset) -> list[int]:
    return [int(label) for _, batch in dataset for label in batch]


def test_images_and_labels_in_order(pattern):
    dataset = image_dataset(pattern, size=SIZE, batch_size=4)

    images, found = zip(*dataset.as_numpy_iterator(), strict=True)

    assert [len(batch) for batch in images] == [4, 4, 2]
    assert dataset.cardinality() == 3
    assert dataset.element_spec == (
        tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8),
        tf.TensorSpec([None], tf.int64),
    )
    np.testing.assert_array_equal(np.concatenate(images), IMAGES)
    np.testing.assert_array_equal(np.concatenate(found), np.arange(10))


@pytest.mark.slow
def test_shuffling_follows_the_seed_and_changes_with_the_epoch(pattern):
    one, same, other = (image_dataset([pattern], size=SIZE, batch_size=4, shuffle_seed=seed) for seed in (1, 1, 2))
    first, second = labels(one), labels(one)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert [labels(same), labels(same)] == [first, second]
    assert labels(other) != first


def test_images_of_another_size_are_those_kept_at_it(pattern):
    images = np.concatenate(list(image_dataset(pattern, size=SMALL, batch_size=4, labelled=False)))
    np.testing.assert_array_equal(images, SMALL_IMAGES)
    np.testing.assert_array_equal(decode_images([example(3), example(9)], SMALL), SMALL_IMAGES[[3, 9]])
    np.testing.assert_array_equal(decode_images([example(3), example(9)], SIZE), IMAGES[[3, 9]])


@pytest.mark.slow
@pytest.mark.parametrize("shuffle_seed", [None, 1])
def test_a_teacher_sees_the_same_records_at_its_own_size(pattern, shuffle_seed):
    options = {"batch_size": 4, "shuffle_seed": shuffle_seed}
    dataset = image_dataset(pattern, size=SMALL, teacher_size=SIZE, **options)
    alone = image_dataset(pattern, size=SMALL, **options)

    assert dataset.cardinality() == 3
    for _ in range(2):
        pairs, found = zip(*dataset.as_numpy_iterator(), strict=True)
        small, whole = (np.concatenate(images) for images in zip(*pairs, strict=True))
        found = np.concatenate(found)
        np.testing.assert_array_equal(small, SMALL_IMAGES[found])
        np.testing.assert_array_equal(whole, IMAGES[found])
        assert found.tolist() == labels(alone)


def test_a_teacher_of_the_same_size_needs_no_images_of_its_own(pattern):
    dataset = image_dataset(pattern, size=SIZE, teacher_size=SIZE, batch_size=4)
    assert dataset.element_spec == image_dataset(pattern, size=SIZE, batch_size=4).element_spec
    pairs = image_dataset(pattern, size=SIZE, teacher_size=SMALL, batch_size=4, labelled=False)
    assert [spec.shape[1] for spec in pairs.element_spec] == [SIZE, SMALL]


def test_without_labels(pattern):
    dataset = image_dataset(pattern, size=4, batch_size=10, labelled=False)
    assert dataset.element_spec == tf.TensorSpec([None, 4, 4, 3], tf.uint8)
    assert [batch.shape for batch in dataset] == [(10, 4, 4, 3)]


def test_label_out_of_range_is_reported(pattern):
    assert len(labels(image_dataset(pattern, size=SIZE, batch_size=5, classes=10))) == 10
    with pytest.raises(tf.errors.InvalidArgumentError, match="a label is too large"):
        labels(image_dataset(pattern, size=SIZE, batch_size=5, classes=9))


def test_count(pattern):
    assert count_examples(pattern) == 10
    assert count_examples([pattern, pattern]) == 20


@pytest.mark.parametrize("name", ["out [v2]", "what?", "all*"])
def test_paths_are_literal(pattern, tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / "Split-train").rename(tmp_path / name / "Split-train")
    assert count_examples(split_patterns(str(tmp_path / name), "train")) == 10


def test_nothing_to_read(pattern, tmp_path):
    with pytest.raises(CompressorError, match="no files match"):
        image_dataset(split_patterns(str(tmp_path), "test"), size=SIZE, batch_size=4)
    (tmp_path / "Split-empty").mkdir()
    tf.io.TFRecordWriter(str(tmp_path / "Split-empty" / "data.gz"), "GZIP").close()
    with pytest.raises(CompressorError, match="no Examples in"):
        image_dataset(split_patterns(str(tmp_path), "empty"), size=SIZE, batch_size=4)


def test_patterns_of_an_artifact():
    examples = standard_artifacts.Examples()
    examples.uri = "/somewhere"
    examples.split_names = '["train", "eval"]'
    assert split_patterns(examples, "eval") == "/somewhere/Split-eval/*"
    assert split_patterns(examples.uri, "eval") == "/somewhere/Split-eval/*"


def test_classes_are_counted_without_decoding(pattern):
    assert count_classes(pattern, 12) == [1] * 10 + [0, 0]
    assert count_classes([pattern, pattern], 10) == [2] * 10
