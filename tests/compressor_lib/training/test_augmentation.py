from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from compressor_lib.errors import CompressorError
from compressor_lib.training.augmentation import Augment, image_keys
from compressor_lib.training.options import Augmentation

OFF = {"flip": False, "rotation": 0.0, "zoom": 0.0, "translation": 0.0, "contrast": 0.0}


def varied(images: np.ndarray, view: int = 0, seed: int = 0, **on) -> np.ndarray:
    keys = tf.range(len(images), dtype=tf.int64)
    return np.asarray(Augment(Augmentation(**{**OFF, **on}), seed)(images, keys, view))


@pytest.fixture
def images() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (32, 16, 16, 3)).astype(np.float32)


def disc(count: int, size: int = 33) -> np.ndarray:
    """A bright disc off the middle, which a rotation moves around."""
    rows, columns = np.mgrid[:size, :size]
    spot = np.exp(-((rows - 16) ** 2 + (columns - 22) ** 2) / 8.0) * 200
    return np.repeat(np.repeat(spot[None, ..., None], 3, axis=3), count, axis=0).astype(np.float32)


def centre(images: np.ndarray) -> np.ndarray:
    """Centre of mass (row, column) of each image, `[N, 2]`."""
    mass = images[..., 0]
    grid = np.mgrid[: mass.shape[1], : mass.shape[2]]
    return np.stack([(mass * axis).sum((1, 2)) / mass.sum((1, 2)) for axis in grid], axis=1)


def test_images_do_not_change_if_all_is_off(images):
    np.testing.assert_array_equal(varied(images), images)


def test_flip_mirrors_about_half_and_leaves_the_rest(images):
    out = varied(images, flip=True)
    kept = np.array([np.allclose(a, b, atol=1e-3) for a, b in zip(out, images, strict=True)])
    mirrored = np.array([np.allclose(a, b[:, ::-1], atol=1e-3) for a, b in zip(out, images, strict=True)])
    assert (kept ^ mirrored).all()
    assert 8 <= mirrored.sum() <= 24


def test_rotation_keeps_the_distance_to_the_middle_and_stays_within_its_angle():
    rows, columns = (centre(varied(disc(64), rotation=0.1)) - 16).T
    np.testing.assert_allclose(np.hypot(rows, columns), 6, atol=0.1)
    degrees = np.abs(np.degrees(np.arctan2(rows, columns)))
    assert 25 < degrees.max() <= 36.5


def test_translation_moves_both_ways_within_its_share():
    moved = centre(varied(disc(64), translation=0.1)) - centre(disc(1))
    assert 2.5 < np.abs(moved).max() <= 3.4
    assert (moved.min(axis=0) < -2).all()
    assert (moved.max(axis=0) > 2).all()


def test_zoom_scales_about_the_middle():
    rows, columns = (centre(varied(disc(64), zoom=0.2)) - 16).T
    np.testing.assert_allclose(rows, 0, atol=0.1)
    assert 6 / 1.2 - 0.1 <= columns.min() < 5.4
    assert 6.8 < columns.max() <= 6 / 0.8 + 0.1


def test_contrast_stretches_about_each_image_s_mean(images):
    calm = images / 4 + 90  # far enough from 0 and 255 for nothing to be clipped
    out = varied(calm, contrast=0.5)
    np.testing.assert_allclose(out.mean((1, 2)), calm.mean((1, 2)), rtol=1e-4)
    factors = out.std((1, 2)) / calm.std((1, 2))
    np.testing.assert_allclose(factors, np.repeat(factors[:, :1], 3, axis=1), rtol=1e-3)
    assert 0.5 <= factors.min() < 0.7
    assert 1.3 < factors.max() <= 1.5


def test_values_stay_within_an_image_s_range(images):
    out = varied(images, flip=True, rotation=0.5, zoom=0.5, translation=0.5, contrast=0.9)
    assert out.shape == images.shape
    assert out.min() >= 0
    assert out.max() <= 255


ON = {"flip": True, "rotation": 0.05, "zoom": 0.1, "translation": 0.1, "contrast": 0.1}


def test_a_view_can_be_made_again_in_another_order(images):
    augment, keys = Augment(Augmentation(), seed=3), image_keys(images)
    there = augment(images, keys, 2).numpy()
    back = augment(images[::-1], keys[::-1], 2).numpy()[::-1]
    np.testing.assert_array_equal(there, back)


@pytest.mark.parametrize("other", [{"view": 1}, {"seed": 1}])
def test_another_view_or_seed_draws_anew(images, other):
    assert not np.isclose(varied(images, **ON), varied(images, **ON, **other)).all((1, 2, 3)).any()


def test_views_of_an_image_at_two_sizes_show_the_same_crop():
    small, large = disc(16), disc(16).repeat(4, axis=1).repeat(4, axis=2)
    there, here = centre(varied(large, **ON)), centre(varied(small, **ON))
    np.testing.assert_allclose((there + 0.5) / 4 - 0.5, here, atol=0.2)


def test_draws_are_uniform():
    keys = tf.range(20_000, dtype=tf.int64)
    for kind, draws in Augment(Augmentation())._draws(keys, 0).items():
        shares, _ = np.histogram(draws, bins=10, range=(-1, 1))
        assert shares.sum() == 20_000, kind
        np.testing.assert_allclose(shares, 2_000, rtol=0.1, err_msg=kind)


def test_keys_tell_images_apart_and_depend_on_pixels_alone(images):
    pixels = images.astype(np.uint8)
    keys = image_keys(pixels).numpy()
    assert len(set(keys)) == len(pixels)
    np.testing.assert_array_equal(image_keys(pixels[5:]).numpy(), keys[5:])
    pixels[0, 3, 3, 0] ^= 1
    assert image_keys(pixels).numpy()[0] not in keys


@pytest.mark.parametrize("field", ["rotation", "zoom", "translation", "contrast"])
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_share_out_of_range_is_rejected(field, value):
    with pytest.raises(CompressorError, match=f"^{field} is {value}: it must be"):
        Augmentation(**{field: value})
