"""Every data set by its name."""

from typing import Optional

from unfair_bp.data import shapes
from unfair_bp.data.cifar import cifar10
from unfair_bp.data.dataset import Dataset, check_sizes
from unfair_bp.errors import UsageError
from unfair_bp.experiment.cases import Case


def load(case: Case, data_dir: Optional[str] = None) -> Dataset:
    """Load the images that a case trains and tests on.

    Args:
        case: Its data set and sizes.
        data_dir: Where CIFAR-10 is, see :func:`unfair_bp.data.cifar.cifar10.load`.

    Raises:
        UsageError: If the data is missing, damaged, or smaller than the case asks for, or a place
            is given for embedded data.
    """
    if case.data == "shapes":
        if data_dir is not None:
            raise UsageError(
                "--data-dir %r is of no use: the data set of this run is shapes, which is "
                "embedded; leave it out, or train with --data cifar10" % data_dir
            )
        sizes = {"train_size": case.train_size, "test_size": case.test_size}
        return shapes.load(**{name: size for name, size in sizes.items() if size is not None})
    # Before the files are read, which takes seconds, or even downloaded.
    check_sizes(
        "CIFAR-10", case.train_size, cifar10.TRAIN_IMAGES, case.test_size, cifar10.TEST_IMAGES
    )
    return cifar10.load(data_dir).first(case.train_size, case.test_size)
