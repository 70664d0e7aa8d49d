"""Classifies images with a TFLite model of this project, without TensorFlow.

pip install ai-edge-litert numpy pillow
python tflite_without_tensorflow.py model_int8.tflite cat.jpg dog.png
"""

import sys
import zipfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps


class Classifier:
    """A TFLite model of any precision, with the class names that it carries."""

    def __init__(self, path: str, num_threads: int = 1) -> None:
        with zipfile.ZipFile(path) as metadata:
            self.classes = metadata.read("labels.txt").decode().splitlines()
        self.interpreter = Interpreter(path, num_threads=num_threads)
        self.interpreter.allocate_tensors()
        (self.input,) = self.interpreter.get_input_details()
        (self.output,) = self.interpreter.get_output_details()

    def predict(self, image_file: str) -> dict[str, float]:
        """Returns the probability of each class, the likeliest first."""
        _, height, width, _ = self.input["shape"]
        pixels = read_image(image_file, int(width), int(height))
        # Pixels stay 0..255, as float32 or, for int8, as uint8.
        self.interpreter.set_tensor(self.input["index"], pixels[None].astype(self.input["dtype"]))
        self.interpreter.invoke()
        probabilities = self.interpreter.get_tensor(self.output["index"])[0].astype(np.float32)
        scale, zero_point = self.output["quantization"]
        if scale:  # int8 gives probabilities as integers
            probabilities = scale * (probabilities - zero_point)
        return {self.classes[index]: float(probabilities[index]) for index in np.argsort(-probabilities, kind="stable")}


def read_image(image_file: str, width: int, height: int) -> np.ndarray:
    """Reads an image as the model was trained to see it: upright, RGB, resized without keeping the aspect ratio."""
    with Image.open(image_file) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    # Pillow's bilinear filter is antialiased, as the training's is.
    return np.asarray(upright.resize((width, height), Image.Resampling.BILINEAR))


if __name__ == "__main__":
    model, *image_files = sys.argv[1:]
    classifier = Classifier(model)
    for image_file in image_files:
        name, probability = next(iter(classifier.predict(image_file).items()))
        print(f"{image_file}: {name} {100 * probability:.1f} %")
