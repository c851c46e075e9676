"""Every data set by its name."""

import os
from typing import Optional

from unfair_bp.data import mapping, shapes
from unfair_bp.data.cifar import reading
from unfair_bp.data.cifar.sets import SETS
from unfair_bp.data.dataset import Dataset, check_sizes, check_validation_size
from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment.cases import DATASETS, OWN_DATA, TRAINING_IMAGES, Case


def load(case: Case, data_dir: Optional[str] = None) -> Dataset:
    """Load the images that a case trains and tests on, those that it holds out among them.

    Args:
        case: Its data set and sizes.
        data_dir: Where CIFAR is, see :func:`unfair_bp.data.cifar.reading.load`.

    Raises:
        UsageError: If the data is missing, damaged, smaller than the case asks for, or does not
            fit its network; if a place is given for embedded data; or if the data set is one that
            must be given from Python.
    """
    check(case, data_dir)
    if case.data == "shapes":
        sizes = {"train_size": case.train_size, "test_size": case.test_size}
        dataset = shapes.load(**{name: size for name, size in sizes.items() if size is not None})
    else:
        mapped = os.environ.get(mapping.VARIABLE)  # set by a sweep, which has read the files
        whole = mapping.read(mapped) if mapped else reading.load(SETS[case.data], data_dir)
        dataset = whole.first(case.train_size, case.test_size)
    dataset.check_fits(case)
    return dataset


def check(case: Case, data_dir: Optional[str] = None) -> None:
    """Refuse what :func:`load` would refuse, as far as no file need be read or downloaded for it.

    Args:
        case: Its data set and sizes.
        data_dir: Where CIFAR is.

    Raises:
        UsageError: As :func:`load`.
    """
    if case.data == OWN_DATA:
        raise FieldError(
            "data",
            f"{case.data!r} is a data set that was given from Python; "
            f"give {' or '.join(DATASETS)}, or train from Python with the arrays",
        )
    if case.data == "shapes":
        if data_dir is not None:
            raise UsageError(
                f"--data-dir {data_dir!r} has no effect: this run uses shapes, which is embedded; "
                f"leave it out, or train with --data {' or '.join(SETS)}"
            )
        shapes.check_sizes(case.train_size or 1, case.test_size or 1)
        check_validation_size(case.validation_size, case.train_size or TRAINING_IMAGES["shapes"])
        return
    cifar = SETS[case.data]
    check_sizes(cifar.name, case.train_size, cifar.train_images, case.test_size, cifar.test_images)
    check_validation_size(case.validation_size, case.train_size or cifar.train_images)
