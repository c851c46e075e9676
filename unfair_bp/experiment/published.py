"""The numbers that the post's author published: cost and accuracy of every epoch of his six runs.

Source: the training logs in folder NeuralNetwork/Unfair of the public repository
JaeDukSeo/Daily-Neural-Network-Practice-2, transcribed in published_2018.csv:

    a   a_case(no data)/casea.txt      b   a_case(aug)/a_case(aug).txt
    c   d_case(no data)/cased.txt      d   d_case(aug)/d_case(aug).txt
    e   e_case(no data)/casee.txt      f   e_case(aug)/e_case(aug).txt

What the costs are, which differ between a, b and the others: :mod:`unfair_bp.published`.
"""

import csv
from pathlib import Path
from typing import Dict, List, NamedTuple

PATH = Path(__file__).with_name("published_2018.csv")


class PublishedEpoch(NamedTuple):
    """One epoch of a published run."""

    epoch: int  # finished epochs, from 1; the logs count from 0
    train_cost: float  # see above for what the cost is
    train_accuracy: float  # 0..1
    test_cost: float
    test_accuracy: float  # 0..1


def load() -> Dict[str, List[PublishedEpoch]]:
    """Every published epoch: for each case, a to f, its epochs in order."""
    epochs: Dict[str, List[PublishedEpoch]] = {}
    with PATH.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            epochs.setdefault(row["case"], []).append(
                PublishedEpoch(
                    epoch=int(row["epoch"]) + 1,
                    train_cost=float(row["train_cost"]),
                    train_accuracy=float(row["train_accuracy"]),
                    test_cost=float(row["test_cost"]),
                    test_accuracy=float(row["test_accuracy"]),
                )
            )
    return epochs
