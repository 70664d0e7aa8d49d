"""Code that uses the model of a report, with the model's own paths, inputs and signature."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from compressor_lib.deployment.model_metrics import EXTRA

SIGNATURE = "serving_default"
INPUT = "image_bytes"


@dataclass(frozen=True)
class Snippet:
    """A piece of code to copy.

    Attributes:
        title: Runtime that the code uses.
        note: A sentence on its requirements.
        code: The code.
    """

    title: str
    note: str
    code: str


def snippets(model: str, name: str, formats: Mapping[str, str], *, is_version: bool) -> list[Snippet]:
    """Returns code that uses a model.

    Args:
        model: Folder or URI of the SavedModel.
        name: Name of the model in TensorFlow Serving.
        formats: Files of its TFLite models, by precision; code is shown for the first.
        is_version: Whether the folder is a version in a push directory, which TensorFlow Serving can serve.

    Returns:
        Code for the SavedModel, for the first TFLite model and for TensorFlow Serving.
    """
    # TensorFlow reads gs:// itself; Python's own file functions only read local files.
    copied = _COPIED.format(model=model)
    saved_model = _SAVED_MODEL.format(model=model)
    if "://" in model and not model.startswith("gs://"):
        saved_model = copied + _SAVED_MODEL.format(model="model")
    found = [Snippet("SavedModel", "Python with TensorFlow; images of any size.", saved_model)]
    for precision, file in [*formats.items()][:1]:
        others = [other for other in formats.values() if other != file]
        note = "Python without TensorFlow." + (f" The same code works for {', '.join(others)}." if others else "")
        code = _TFLITE.format(folder=posixpath.join("model" if "://" in model else model, EXTRA), file=file)
        code = copied + code if "://" in model else code
        found.append(Snippet(f"TFLite, {precision}", note, code))
    if is_version:
        directory = posixpath.dirname(model.rstrip("/"))
        url = f"http://localhost:8501/v1/models/{name}:predict"
        code = _REST.format(name=shlex.quote(name), directory=shlex.quote(directory), url=shlex.quote(url))
        found.append(Snippet("REST", "TensorFlow Serving serves the newest version automatically.", code))
    return found


_COPIED = """\
# First copy the folder {model} to one here named model.
"""

_SAVED_MODEL = f"""\
import tensorflow as tf

model = tf.saved_model.load({{model!r}}).signatures["{SIGNATURE}"]
with open("image.jpg", "rb") as file:
    prediction = model({INPUT}=tf.constant([file.read()]))
print(prediction["class"][0].numpy().decode(), prediction["probabilities"].numpy().max())
"""

_TFLITE = """\
# pip install ai-edge-litert numpy pillow
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

folder = Path({folder!r})
classes = (folder / "classes.txt").read_text(encoding="utf-8").splitlines()
interpreter = Interpreter(str(folder / {file!r}))
interpreter.allocate_tensors()
source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
_, height, width, _ = map(int, source["shape"])
image = ImageOps.exif_transpose(Image.open("image.jpg")).convert("RGB")
image = image.resize((width, height), Image.Resampling.BILINEAR)
interpreter.set_tensor(source["index"], np.asarray(image, source["dtype"])[None])  # pixels 0..255
interpreter.invoke()
scores = interpreter.get_tensor(target["index"])[0].astype(float)
scale, zero = target["quantization"]  # of int8; 0 otherwise
probabilities = scale * (scores - zero) if scale else scores
print(classes[probabilities.argmax()], probabilities.max())
"""

_REST = f"""\
# in one terminal
tensorflow_model_server --rest_api_port=8501 --model_name={{name}} --model_base_path={{directory}}
# in another
printf '{{{{"signature_name": "{SIGNATURE}", "instances": [{{{{"{INPUT}": {{{{"b64": "%s"}}}}}}}}]}}}}' \\
  "$(base64 < image.jpg | tr -d '\\n')" | curl -d @- {{url}}
"""
