"""What every data set is, whatever it was read from."""

import hashlib
from dataclasses import dataclass, replace
from typing import Iterable, NamedTuple, Optional, Tuple

import numpy as np

from unfair_bp.errors import FieldError
from unfair_bp.experiment.cases import Case


class Split(NamedTuple):
    """One part of a data set."""

    images: np.ndarray  # uint8 [N, H, H, C]
    labels: np.ndarray  # [N]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of a classification task, split into a training and a test set.

    Data sets with the same names, images and labels are equal.

    Attributes:
        name: How results measured on it must call it, such as ``"CIFAR-10"``.
        classes: Name of each class, indexed by label.
        train_images: uint8 ``[N, H, H, C]``, values 0..255.
        train_labels: Integers ``[N]``, from 0 to the number of classes - 1.
        test_images: uint8 ``[M, H, H, C]``.
        test_labels: Integers ``[M]``.

    Raises:
        FieldError: If an array has another type, shape or range, or is empty.
    """

    name: str
    classes: Tuple[str, ...]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def __post_init__(self) -> None:
        """Refuse arrays that training would accept but make nonsense of."""
        if not (isinstance(self.name, str) and self.name):
            raise FieldError("name", f"is {self.name!r}, expected a text")
        object.__setattr__(self, "classes", _class_names(self.classes))
        for split in ("train", "test"):
            images, labels = f"{split}_images", f"{split}_labels"
            _check_images(images, getattr(self, images))
            _check_labels(labels, getattr(self, labels), getattr(self, images), self.classes)
        train, test = self.train_images.shape[1:], self.test_images.shape[1:]
        if train != test:
            raise FieldError(
                "test_images", f"has images {_shown(test)}, but train_images has {_shown(train)}"
            )

    def __eq__(self, other: object) -> bool:
        """Whether names, images and labels are equal."""
        if not isinstance(other, Dataset):
            return NotImplemented
        names = (self.name, self.classes) == (other.name, other.classes)
        return names and all(map(np.array_equal, self._arrays, other._arrays))

    __hash__ = None  # the arrays can be changed

    @property
    def _arrays(self) -> Tuple[np.ndarray, ...]:
        return (self.train_images, self.train_labels, self.test_images, self.test_labels)

    @property
    def image_shape(self) -> Tuple[int, int, int]:
        """Shape of an image, ``(height, width, channels)``."""
        return self.train_images.shape[1:]

    def check_fits(self, case: Case) -> None:
        """Make sure that a case's network takes these images and has an output for each class.

        And that an image is left to train on when the case has held out its validation images.

        Raises:
            FieldError: If it does not.
        """
        expected, classes = case.architecture.image_shape, len(self.classes)
        if self.image_shape != expected:
            size, _, channels = self.image_shape
            raise FieldError(
                "architecture",
                f"takes images {_shown(expected)}, but {self.name} has {_shown(self.image_shape)}; "
                f"give one with image_size {size} and image_channels {channels}",
            )
        if classes != case.classes:
            raise FieldError(
                "architecture",
                f"has {case.classes} outputs, but {self.name} has {classes} classes; "
                "give one whose last layer has an output for each class",
            )
        check_validation_size(case.validation_size, len(self.train_images))

    def hold_out(self, validation_size: Optional[int]) -> "Tuple[Dataset, Optional[Split]]":
        """Split the last training images off; the arrays are views, and the data set is unchanged.

        Args:
            validation_size: Number of images; None holds none out.

        Returns:
            The data set that is left to train and test on, and the images that were held out.

        Raises:
            FieldError: If none would be left to train on.
        """
        if validation_size is None:
            return self, None
        images, labels = self.train_images, self.train_labels
        check_validation_size(validation_size, len(images))
        left = len(images) - validation_size
        training = replace(self, train_images=images[:left], train_labels=labels[:left])
        return training, Split(images[left:], labels[left:])

    def first(self, train_size: Optional[int], test_size: Optional[int]) -> "Dataset":
        """The data set made of the first images of each split; None means all of them.

        Raises:
            FieldError: If more images are asked for than there are.
        """
        check_sizes(self.name, train_size, len(self.train_images), test_size, len(self.test_images))
        return replace(
            self,
            train_images=_first(self.train_images, train_size),
            train_labels=_first(self.train_labels, train_size),
            test_images=_first(self.test_images, test_size),
            test_labels=_first(self.test_labels, test_size),
        )

    def fingerprint(self) -> str:
        """SHA-256 of every image and label, so that a resumed run can tell its data apart."""
        digest = hashlib.sha256()
        for array in self._arrays:
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()


def check_sizes(
    name: str, train_size: Optional[int], train: int, test_size: Optional[int], test: int
) -> None:
    """Make sure that a data set of ``train`` and ``test`` images has as many as a case asks for.

    Raises:
        FieldError: If it has fewer.
    """
    for field, wanted, there in (("train_size", train_size, train), ("test_size", test_size, test)):
        if wanted is not None and wanted > there:
            raise FieldError(
                field,
                f"{wanted} is more than the {there} images that {name} has; give at most {there}",
            )


def check_validation_size(validation_size: Optional[int], train: int) -> None:
    """Make sure that holding images out leaves some of ``train`` images to train on.

    Raises:
        FieldError: If it does not.
    """
    if validation_size is not None and not 1 <= validation_size < train:
        raise FieldError(
            "validation_size",
            f"{validation_size} cannot be held out of {train} training images (those that are "
            "left of train_size, if it is given), because some must be left to train on; give "
            f"at least 1 and fewer than {train}",
        )


def _first(array: np.ndarray, size: Optional[int]) -> np.ndarray:
    """The first rows, copied so that few do not keep all in memory, unless that is mapped."""
    if size is None or isinstance(array, np.memmap):
        return array[:size]
    return array[:size].copy()


def _shown(shape: Tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)


def _class_names(classes: object) -> Tuple[str, ...]:
    """The names of the classes; refuses what are not texts, or none."""
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        raise FieldError("classes", f"is {classes!r}, expected a list with the name of each class")
    names = tuple(classes)
    if not names:
        raise FieldError("classes", "is empty; give the name of each class")
    for name in names:
        if not isinstance(name, str):
            raise FieldError("classes", f"has {name!r}, expected the name of a class as a text")
    return tuple(map(str, names))  # NumPy has texts of its own


def _check_array(field: str, value: object, kind: type, expected: str) -> None:
    """Refuse what is not an array of this kind of numbers, or is empty."""
    if not isinstance(value, np.ndarray):
        raise FieldError(field, f"is a {type(value).__name__}, expected a NumPy array: {expected}")
    if isinstance(value, np.ma.MaskedArray):
        raise FieldError(field, "is a masked array, whose masked values would be used; fill it")
    if not np.issubdtype(value.dtype, kind):
        raise FieldError(field, f"has the type {value.dtype}, expected {expected}")
    if value.size == 0:
        raise FieldError(field, f"is empty: its shape is {value.shape}; give at least one image")


def _check_images(field: str, images: np.ndarray) -> None:
    _check_array(field, images, np.uint8, "uint8; multiply values in 0..1 by 255 and round")
    if images.ndim != 4 or images.shape[1] != images.shape[2]:
        raise FieldError(
            field,
            f"has the shape {images.shape}, expected [images, height, width, channels] "
            "with height equal to width",
        )
    if images.max() == 1:
        raise FieldError(
            field,
            "has no value but 0 and 1, expected values in 0..255; multiply by 255 before the "
            "conversion to uint8",
        )


def _check_labels(
    field: str, labels: np.ndarray, images: np.ndarray, classes: Tuple[str, ...]
) -> None:
    _check_array(field, labels, np.integer, "integers")
    if labels.shape != (len(images),):
        raise FieldError(
            field,
            f"has the shape {labels.shape}, expected ({len(images)},): a label for each image",
        )
    for label in (labels.min(), labels.max()):
        if not 0 <= label < len(classes):
            raise FieldError(
                field, f"has a label {label}, expected 0 to {len(classes) - 1}, one for each class"
            )
