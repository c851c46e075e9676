"""Augmentation as in the post: imgaug on images whose values are floats in 0..1."""

from types import ModuleType

import numpy as np

from unfair_bp.errors import LibraryError

_NUMBER_TYPES = {
    "int": [np.int8, np.int16, np.int32, np.int64],
    "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
    "float": [np.float16, np.float32, np.float64],
}


def check_available() -> None:
    """Make sure that imgaug, and OpenCV below it, can be loaded; this takes about a second.

    Raises:
        LibraryError: If they cannot.
    """
    try:
        _import_imgaug()
    except Exception as error:  # a broken library may raise anything while it is imported
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LibraryError(
            f"augmentation needs imgaug and OpenCV, which cannot be loaded: {reason}; install "
            "imgaug and opencv-python-headless, or train without augmentation"
        ) from error


def _import_imgaug() -> ModuleType:
    """Import imgaug 0.4.0, which needs a table that NumPy 2 no longer has.

    ``imgaug/imgaug.py`` reads ``np.sctypes`` once, while it is imported, for the names of the
    number types. NumPy gets that table for the import and loses it again afterwards.
    """
    lent = {} if hasattr(np, "sctypes") else {"sctypes": _NUMBER_TYPES}
    for name, value in lent.items():
        setattr(np, name, value)
    try:
        from imgaug import augmenters  # noqa: PLC0415 - slow, and only augmentation needs it
    finally:
        for name in lent:
            delattr(np, name)
    return augmenters


def through_uint8(images: np.ndarray) -> np.ndarray:
    """Cast float images as imgaug 0.2.5 did, the quirk ``imgaug-uint8``.

    Its ``Sometimes`` cast the result to uint8 (aleju/imgaug, issue 85), which cuts off fractions.

    scripts:  image -> floor(image): 0, except where a value is exactly 1
    intent:   image -> image
    """
    return images.astype(np.uint8).astype(images.dtype)


class Augmenter:
    """Always flip left to right; sometimes shift and rotate; sometimes turn upside down.

    ``Fliplr(1.0)``; with probability 0.1 an ``Affine`` that shifts by up to 20 % of the size along
    each axis and rotates by up to 25 degrees; with probability 0.1 ``Flipud(1.0)``. Their random
    order is drawn once for all images of a call; everything else is drawn for each image.

    Source: the scripts published with the post.
    """

    def __init__(self) -> None:
        iaa = _import_imgaug()
        shift_and_rotate = iaa.Affine(
            translate_percent={"x": (-0.2, 0.2), "y": (-0.2, 0.2)}, rotate=(-25, 25)
        )
        self._steps = iaa.Sequential(
            [
                iaa.Fliplr(1.0),
                iaa.Sometimes(0.1, shift_and_rotate),
                iaa.Sometimes(0.1, iaa.Flipud(1.0)),
            ],
            random_order=True,
        )

    def __call__(self, images: np.ndarray, seed: int) -> np.ndarray:
        """Return augmented copies; the same images and seed give the same copies.

        Args:
            images: float32 ``[N, H, W, C]``, values 0..1.
            seed: 0 to 2^31 - 1.
        """
        self._steps.seed_(seed)
        return self._steps(images=images)
