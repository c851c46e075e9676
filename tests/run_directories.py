"""Run directories with made-up numbers, written by the package's own functions."""

from dataclasses import asdict, replace

from unfair_bp.experiment.architecture import Architecture, Layer
from unfair_bp.experiment.cases import CASES, Case
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
# Five layers, other images and classes than the post's.
OTHER_NETWORK = Architecture(
    image_size=28,
    image_channels=1,
    layers=(
        Layer(3, 8, 0.1),
        Layer(3, 8, 0.1, pool=True),
        Layer(3, 6, 0.1, pool=True),
        Layer(3, 6, 0.1),
        Layer(1, 4, 0.1),
    ),
)


def epochs_of(test, train=None, layers=9, flops=FLOPS_PER_EPOCH):
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
            updates=tuple(number * (layer + 1) for layer in range(layers)),
            flops=flops * number,
        )
        for number, accuracy in enumerate(test, start=1)
    ]


def write_run(path, name, test, train=None, *, data=None, flops=FLOPS_PER_EPOCH, **changes):
    """A run of a case with these test accuracies; ``changes`` are fields of the case.

    A name that is not a letter of the post's is that of a case of the user's own.
    """
    case = replace(CASES.get(name, Case(name)), **dict({"epochs": len(test) or 1}, **changes))
    run = RunDirectory(str(path))
    run.create({"case": asdict(case), "data": dict(DATA, **data or {})}, "record\n")
    if test:
        run.write_metrics(epochs_of(test, train, len(case.layers), flops))
    return run
