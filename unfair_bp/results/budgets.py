"""What two runs are compared at: equal operations, updates, epochs, or training accuracy."""

from typing import NamedTuple, Tuple

import numpy as np

from unfair_bp.results.statistics import Curve


class Budget(NamedTuple):
    """Something that can be held equal."""

    field: str  # of a Curve
    option: str  # the word for it on a command line
    words: str  # what is equal
    axis: str  # the words along an axis
    column: str  # heading of a column
    form: str  # how its numbers are written
    note: str
    missing: str  # why there may be no difference

    def points(self, curve: Curve) -> Tuple[np.ndarray, np.ndarray]:
        """What a run had spent, and its test accuracy there: arrays of the same length."""
        if self.field != "train":
            return getattr(curve, self.field), curve.accuracy
        # Training accuracy is the mean of an epoch. Test accuracy in the middle of it lies between
        # those before and after it, which leaves out the first.
        return curve.train[1:], (curve.accuracy[:-1] + curve.accuracy[1:]) / 2.0


TOO_SHORT = "one run of the pair ended below what the other had after its first epoch"
OPERATIONS = Budget(
    field="tflop",
    option="flops",
    words="operations",
    axis="TFLOP of training",
    column="at TFLOP",
    form=".4g",
    note="Both runs of a pair at the total operations (of the convolutions) of the cheaper run. "
    "The test accuracy of the other run is interpolated linearly between epochs.",
    missing=TOO_SHORT,
)
UPDATES = Budget(
    field="updates",
    option="updates",
    words="layer updates",
    axis="updates, mean over the layers",
    column="at updates",
    form=".0f",
    note="Both runs of a pair at the total layer updates, mean over the layers, of the run that "
    "made fewer. The test accuracy of the other run is interpolated linearly between epochs.",
    missing=TOO_SHORT,
)
EPOCHS = Budget(
    field="epochs",
    option="epochs",
    words="epochs",
    axis="epochs",
    column="at epoch",
    form=".0f",
    note="Both runs after the last epoch of the shorter run.",
    missing=TOO_SHORT,
)
TRAINING_ACCURACY = Budget(
    field="train",
    option="train-accuracy",
    words="training accuracy",
    axis="training accuracy",
    column="at train, mean",
    form=".4f",
    note="Both runs of a pair where they first reach the lower of their two best training "
    "accuracies, interpolated linearly. An epoch's training accuracy is paired with the mean of "
    "the test accuracies before and after it. The run with the higher test accuracy overfits less.",
    missing="one run of the pair never reached the other's training accuracy of its second epoch",
)
BUDGETS = (OPERATIONS, UPDATES, EPOCHS, TRAINING_ACCURACY)
