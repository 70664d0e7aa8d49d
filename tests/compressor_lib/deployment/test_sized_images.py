from __future__ import annotations

import pytest
import tensorflow as tf

from compressor_lib.deployment.sized_images import encoded_at, image_features, sized_feature


def example(**features: bytes) -> bytes:
    made = tf.train.Example()
    for name, value in features.items():
        made.features.feature[name].bytes_list.value.append(value)
    return made.SerializeToString()


SIZED = example(image=b"whole", image_96=b"small", image_128=b"medium", filename=b"a.jpg")
PLAIN = example(image=b"original")


def test_names():
    assert sized_feature(96) == "image_96"
    assert list(image_features(96, 224)) == ["image", "image_96", "image_224"]


@pytest.mark.parametrize(("size", "chosen"), [(96, b"small"), (128, b"medium"), (224, b"whole")])
def test_a_model_reads_the_image_of_its_size_and_else_the_image(size, chosen):
    parsed = tf.io.parse_example([SIZED, PLAIN, SIZED], image_features(size))
    assert encoded_at(parsed, size).numpy().tolist() == [chosen, b"original", chosen]


def test_one_example():
    parsed = tf.io.parse_single_example(SIZED, image_features(96, 224))
    assert [encoded_at(parsed, size).numpy() for size in (96, 224)] == [b"small", b"whole"]


def test_an_example_without_image_is_rejected():
    with pytest.raises(tf.errors.InvalidArgumentError, match="image"):
        tf.io.parse_example([example(image_96=b"small")], image_features(96))
