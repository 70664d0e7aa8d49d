"""The embedded default: scikit-learn's handwritten digits, as a folder of images."""

from __future__ import annotations

import shutil
from pathlib import Path

IMAGES = 1797
SIDE = 32


def write_digits(folder: str | Path) -> None:
    """Writes the digits as PNGs in class folders ``0`` to ``9``.

    The images are the test half of the UCI handwritten digits (Kaynak, 1995) in scikit-learn: 8 x 8 pixels with 17
    levels of grey, scaled here to 32 x 32 (bicubic), the smallest size that a backbone takes. A complete folder is left
    as it is. The folder is written atomically.

    Args:
        folder: The folder to write. If it exists but is incomplete, it is replaced.
    """
    folder = Path(folder)
    if sum(1 for _ in folder.glob("[0-9]/*.png")) == IMAGES:
        return
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        path = partial / str(label) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = np.round(image * (255 / 16)).astype(np.uint8)
        Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
