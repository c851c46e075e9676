"""What every data set is, whatever it was read from."""

import hashlib
from dataclasses import dataclass, replace
from typing import Optional, Tuple

import numpy as np

from unfair_bp.errors import UsageError


@dataclass(frozen=True)
class Dataset:
    """Images and labels of a classification task, split into a training and a test set.

    Attributes:
        name: How results measured on it must call it, such as ``"CIFAR-10"``.
        classes: Name of each class, indexed by label.
        train_images: uint8 ``[N, 32, 32, 3]``, RGB.
        train_labels: uint8 ``[N]``.
        test_images: uint8 ``[M, 32, 32, 3]``, RGB.
        test_labels: uint8 ``[M]``.
    """

    name: str
    classes: Tuple[str, ...]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def first(self, train_size: Optional[int], test_size: Optional[int]) -> "Dataset":
        """The data set made of the first images of each split; None means all of them.

        Raises:
            UsageError: If more images are asked for than there are.
        """
        check_sizes(self.name, train_size, len(self.train_images), test_size, len(self.test_images))
        # Copies, so that a small subset does not keep the whole data set in memory.
        return replace(
            self,
            train_images=self.train_images[:train_size].copy(),
            train_labels=self.train_labels[:train_size].copy(),
            test_images=self.test_images[:test_size].copy(),
            test_labels=self.test_labels[:test_size].copy(),
        )

    def fingerprint(self) -> str:
        """SHA-256 of every image and label, so that a resumed run can tell its data apart."""
        digest = hashlib.sha256()
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()


def check_sizes(
    name: str, train_size: Optional[int], train: int, test_size: Optional[int], test: int
) -> None:
    """Make sure that a data set of ``train`` and ``test`` images has as many as are asked for.

    Raises:
        UsageError: If it has fewer.
    """
    for option, wanted, there in (
        ("--train-size", train_size, train),
        ("--test-size", test_size, test),
    ):
        if wanted is not None and wanted > there:
            raise UsageError(
                "%s %d is more than the %d images that %s has; give at most %d"
                % (option, wanted, there, name, there)
            )
