"""The catalogue of backbones: how to build each one, what input it takes and where it can be cut.

To add a backbone, add an entry to ``BACKBONES``. This module imports neither Keras nor TensorFlow, so that the command
line can list the names quickly.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.parse import urlsplit

from compressor_lib.errors import CompressorError, first_line, unknown
from compressor_lib.networks.layer_names import PREPROCESS
from compressor_lib.support.proxies import reason, via

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Backbone:
    """One entry of the catalogue.

    Attributes:
        name: Name in ``keras.applications``.
        default_size: Height and width, in pixels, of the images that the published weights were trained on.
        parameters: Number of parameters without the top, at ``alpha=1.0``.
        cut_in_front_of: Regular expression. The grid cuts after each layer that feeds a matching layer.
        rejoin: The layers B at which the grid rejoins.
        grid: Number of connections in the grid.
        rescale: ``(scale, offset)`` from pixels in 0..255 to the network's input. None if the network rescales pixels
            itself.
        has_alpha: Whether the network has a width multiplier.
        alphas: The width multipliers for which Keras publishes weights, the smallest first.
        options: Additional arguments of the builder.
        minimum_size: Smallest image size that the builder accepts.
        imagenet_accuracy: Top-1 accuracy of the published weights on the ImageNet validation set, 0 to 1, at the
            published size and ``alpha=1.0``. Sources: https://keras.io/api/applications/, and for MobileNetV3 the
            documentation of ``keras.applications.MobileNetV3Small`` and ``MobileNetV3Large``.
        macs: MACs of the published network for one image, top included, as published in the Keras documentation of
            ``keras.applications.mobilenet``, ``mobilenet_v2`` and MobileNetV3. None where Keras publishes none.
    """

    name: str
    default_size: int
    parameters: int
    cut_in_front_of: str
    rejoin: tuple[str, ...]
    grid: int
    rescale: tuple[float, float] | None = None
    has_alpha: bool = False
    alphas: tuple[float, ...] = ()
    options: tuple[tuple[str, object], ...] = ()
    minimum_size: int = 32
    imagenet_accuracy: float | None = None
    macs: int | None = None

    def build(
        self,
        *,
        input_size: int | tuple[int, int, int] | None = None,
        weights: str | Path | None = "imagenet",
        alpha: float = 1.0,
        preprocess: bool = False,
    ) -> keras.Model:
        """Builds the network without its top.

        Args:
            input_size: Height and width in pixels, or a full input shape. The published size if None.
            weights: ``"imagenet"`` (downloaded by Keras), a file in Keras' h5 or ``.weights.h5`` format, or None (also
                ``"none"``) for random weights.
            alpha: Width multiplier. MobileNets only.
            preprocess: Whether the model takes pixels in 0..255 (float32) and rescales them itself, in a layer named
                ``"preprocess"``. If False, the model takes the input that ``keras.applications`` expects.

        Returns:
            A flat functional model: float32 ``[N, size, size, 3]`` to ``[N, h, w, channels]``.

        Raises:
            CompressorError: If the size is too small, the network has no width multiplier, or the weights file is
                missing or belongs to another network.
        """
        import keras

        shape = self._input_shape(input_size)
        if alpha != 1.0 and not self.has_alpha:
            raise CompressorError(
                f"backbone {self.name} has no width multiplier; leave alpha at 1.0, not {alpha}.", argument="alpha"
            )
        source = None if weights in (None, "none") else str(weights)
        if source not in (None, "imagenet") and not Path(source or "").is_file():
            raise CompressorError(
                f"weights file {source!r} does not exist; give a file, 'imagenet', or 'none' for random weights.",
                argument="weights",
            )
        options: dict[str, object] = dict(self.options)
        if self.has_alpha:
            options["alpha"] = alpha
        images = keras.Input(shape, name="images")
        x = images
        if preprocess and self.rescale is not None:
            scale, offset = self.rescale
            x = keras.layers.Rescaling(scale, offset, name=PREPROCESS)(x)
        try:
            model = getattr(keras.applications, self.name)(
                include_top=False,
                weights=source,
                input_tensor=x,
                input_shape=shape,  # some networks have different ImageNet weights for each size
                **options,
            )
        except Exception as error:
            raise self._explained(error, source, shape, alpha) from error
        # Some Keras releases name the model after the path of its weights.
        return keras.Model(model.inputs[0], model.outputs[0], name=self.name.lower())

    def _input_shape(self, input_size: int | tuple[int, int, int] | None) -> tuple[int, int, int]:
        if input_size is None:
            input_size = self.default_size
        shape = (input_size, input_size, 3) if isinstance(input_size, int) else tuple(input_size)
        if len(shape) != 3 or shape[2] != 3:
            raise CompressorError(f"input shape {shape} is not (height, width, 3).", argument="input_size")
        if min(shape[:2]) < self.minimum_size:
            raise CompressorError(
                f"backbone {self.name} takes images of at least {self.minimum_size} x {self.minimum_size} pixels, "
                f"not {shape[0]} x {shape[1]}.",
                argument="input_size",
            )
        return shape

    def _explained(
        self, error: Exception, source: str | None, shape: tuple[int, int, int], alpha: float
    ) -> CompressorError:
        network = f"{self.name} (alpha {alpha}, {shape[0]} x {shape[1]} pixels)" if self.has_alpha else self.name
        cause = first_line(error)
        if source is None:
            return CompressorError(f"backbone {network} cannot be built: {cause}.")
        if source == "imagenet":
            refusal = error.__context__ or error  # Keras wraps the original error
            if isinstance(refusal, (URLError, ConnectionError, TimeoutError)):
                host = f"{urlsplit(_PUBLISHED).hostname}{via(_PUBLISHED)}"
                cause = f"{reason(refusal) or first_line(refusal)}, requesting {host}"
            return CompressorError(
                f"the ImageNet weights of {network} could not be downloaded: {cause}. Give a weights file, or 'none' "
                "to train from scratch.",
                argument="weights",
            )
        return CompressorError(
            f"weights file {source!r} does not belong to {network} without top: {cause}. "
            "Check the backbone's name and alpha.",
            argument="weights",
        )


_PUBLISHED = "https://storage.googleapis.com"  # where Keras downloads weights from
_MINUS_ONE_TO_ONE = (1 / 127.5, -1.0)


def _efficientnet(number: int, size: int, parameters: int, imagenet_accuracy: float) -> Backbone:
    return Backbone(
        f"EfficientNetB{number}",
        default_size=size,
        parameters=parameters,
        cut_in_front_of=r"block[2-6]a_expand_conv",
        rejoin=("block6a_expand_conv", "block7a_expand_conv"),
        grid=9,
        imagenet_accuracy=imagenet_accuracy,
    )


def _mobilenet_v3(
    kind: str, parameters: int, last_stage: int, grid: int, imagenet_accuracy: float, macs: int
) -> Backbone:
    return Backbone(
        f"MobileNetV3{kind}",
        default_size=224,
        parameters=parameters,
        cut_in_front_of=r"expanded_conv_\d+_expand",
        rejoin=(f"expanded_conv_{last_stage}_expand", "conv_1"),
        grid=grid,
        has_alpha=True,
        alphas=(0.75, 1.0),
        options=(("include_preprocessing", True),),
        imagenet_accuracy=imagenet_accuracy,
        macs=macs,
    )


BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            "MobileNet",
            default_size=224,
            parameters=3_228_864,
            # conv_pad_k comes right before the strided block's conv_dw_k
            cut_in_front_of=r"conv_pad_(2|4|6|12)|conv_dw_(1|3|5|7|8|9|10|11)",
            rejoin=("conv_pad_12", "conv_dw_13"),
            grid=23,
            rescale=_MINUS_ONE_TO_ONE,
            has_alpha=True,
            alphas=(0.25, 0.5, 0.75, 1.0),
            imagenet_accuracy=0.704,
            macs=529_000_000,
        ),
        Backbone(
            "MobileNetV2",
            default_size=224,
            parameters=2_257_984,
            cut_in_front_of=r"block_\d+_expand",
            rejoin=("block_16_expand", "Conv_1"),
            grid=31,
            rescale=_MINUS_ONE_TO_ONE,
            has_alpha=True,
            alphas=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
            imagenet_accuracy=0.713,
            macs=300_000_000,
        ),
        _mobilenet_v3("Small", 939_120, last_stage=8, grid=17, imagenet_accuracy=0.681, macs=66_000_000),
        _mobilenet_v3("Large", 2_996_352, last_stage=12, grid=25, imagenet_accuracy=0.756, macs=217_000_000),
        _efficientnet(0, 224, 4_049_571, 0.771),
        _efficientnet(1, 240, 6_575_239, 0.791),
        _efficientnet(2, 260, 7_768_569, 0.801),
        _efficientnet(3, 300, 10_783_535, 0.816),
        _efficientnet(4, 380, 17_673_823, 0.829),
        _efficientnet(5, 456, 28_513_527, 0.836),
        _efficientnet(6, 528, 40_960_143, 0.840),
        _efficientnet(7, 600, 64_097_687, 0.843),
    )
}


def find_backbone(name: str) -> Backbone:
    """Returns the catalogue entry for ``name``.

    Raises:
        CompressorError: If there is no such entry. The message suggests the nearest name.
    """
    if name not in BACKBONES:
        raise unknown("backbone", name, BACKBONES)
    return BACKBONES[name]
