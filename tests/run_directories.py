"""Run directories with made-up numbers, written by the package's own functions."""

from dataclasses import asdict, replace

from unfair_bp.experiment.cases import CASES
from unfair_bp.running.directory import RunDirectory
from unfair_bp.running.metrics import EpochMetrics

DATA = {
    "name": "CIFAR-10, drawn",
    "training_images": 50,
    "test_images": 20,
    "sha256": "ab" * 32,
}
FLOPS_PER_EPOCH = 3 * 10**12
SECONDS_PER_EPOCH = 10.5


def epochs_of(test, train=None):
    """Rows with these test accuracies; the other numbers follow from the epoch's."""
    train = train or [min(1.0, accuracy + 0.1) for accuracy in test]
    return [
        EpochMetrics(
            epoch=number,
            train_cost=2.0,
            train_accuracy=train[number - 1],
            test_cost=2.1,
            test_accuracy=accuracy,
            seconds=SECONDS_PER_EPOCH,
            iterations=5 * number,
            updates=tuple(number * (layer + 1) for layer in range(9)),
            flops=FLOPS_PER_EPOCH * number,
        )
        for number, accuracy in enumerate(test, start=1)
    ]


def write_run(path, name, test, train=None, data=None, **changes):
    """A run of a case with these test accuracies; ``changes`` are fields of the case."""
    case = replace(CASES[name], **dict({"epochs": len(test) or 1}, **changes))
    run = RunDirectory(str(path))
    config = {
        "case": dict(asdict(case), quirks=list(case.quirks)),
        "data": dict(DATA, **data or {}),
    }
    run.create(config, "record\n")
    if test:
        run.write_metrics(epochs_of(test, train))
    return run
