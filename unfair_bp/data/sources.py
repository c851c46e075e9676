"""Every data set by its name."""

import os
from typing import Optional

from unfair_bp.data import mapping, shapes
from unfair_bp.data.cifar import reading
from unfair_bp.data.cifar.sets import SETS
from unfair_bp.data.dataset import Dataset, check_sizes, check_validation_size
from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment.cases import DATASETS, OWN_DATA, Case


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
    if case.data == OWN_DATA:
        raise FieldError(
            "data",
            f"{case.data!r} is a data set that was given from Python; "
            f"give {' or '.join(DATASETS)}, or train from Python with the arrays",
        )
    dataset = _shapes(case, data_dir) if case.data == "shapes" else _cifar(case, data_dir)
    dataset.check_fits(case)
    return dataset


def _shapes(case: Case, data_dir: Optional[str]) -> Dataset:
    if data_dir is not None:
        raise UsageError(
            f"--data-dir {data_dir!r} has no effect: this run uses shapes, which is embedded; "
            f"leave it out, or train with --data {' or '.join(SETS)}"
        )
    sizes = {"train_size": case.train_size, "test_size": case.test_size}
    return shapes.load(**{name: size for name, size in sizes.items() if size is not None})


def _cifar(case: Case, data_dir: Optional[str]) -> Dataset:
    cifar = SETS[case.data]
    # Before the files are read, which takes seconds, or even downloaded.
    check_sizes(cifar.name, case.train_size, cifar.train_images, case.test_size, cifar.test_images)
    check_validation_size(case.validation_size, case.train_size or cifar.train_images)
    mapped = os.environ.get(mapping.VARIABLE)  # set by a sweep, which has read the files
    dataset = mapping.read(mapped) if mapped else reading.load(cifar, data_dir)
    return dataset.first(case.train_size, case.test_size)
