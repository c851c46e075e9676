"""Unfair back propagation: layers that are not updated equally often, in TensorFlow graph mode.

    from unfair_bp import CASES, train
    epochs = train(CASES["c"], None, "logs/mine")

The names in ``__all__`` are imported when they are first used, because TensorFlow takes seconds.
"""

import importlib
from typing import Any, List

__version__ = "0.1.0"

_HOMES = {
    "Architecture": "experiment.architecture",
    "CASES": "experiment.cases",
    "Case": "experiment.cases",
    "Dataset": "data.dataset",
    "Layer": "experiment.architecture",
    "Schedule": "experiment.matrix",
    "build_graph": "backprop.graph",
}
__all__ = [*_HOMES, "train"]  # noqa: PLE0604 - the keys are strings


def __getattr__(name: str) -> Any:
    if name == "train":
        # The command's module, which can be called as well: importing ``unfair_bp.train`` sets
        # this attribute to the module, so a function would be here or not by order of imports.
        return importlib.import_module("unfair_bp.train")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"unfair_bp.{_HOMES[name]}"), name)


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
