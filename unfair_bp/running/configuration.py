"""config.json: the resolved case and the data set of a run, written and read again."""

import json
from dataclasses import asdict, fields
from typing import Any, Dict, List

from unfair_bp.data.dataset import Dataset
from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment import ledger
from unfair_bp.experiment.cases import Case, schedule_of
from unfair_bp.experiment.schedules import shortened

# What is recorded of the data set.
DATA_FACTS = {"name": str, "training_images": int, "test_images": int, "sha256": str}
# What reading a file raises that was edited or cut off.
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
GROWS = ("epochs",)  # what a resumed run may have more of


def case_configuration(case: Case) -> Dict[str, Any]:
    """Return the case's part of config.json, as it is read back: JSON has lists only."""
    return {"case": json.loads(json.dumps(asdict(case)))}


def configuration(case: Case, dataset: Dataset) -> Dict[str, Any]:
    """Return what config.json holds: everything that the result depends on."""
    return {
        **case_configuration(case),
        "data": {
            "name": dataset.name,
            "training_images": len(dataset.train_images),
            "test_images": len(dataset.test_images),
            "sha256": dataset.fingerprint(),
        },
    }


def parse(text: str) -> Dict[str, Any]:
    """Read the text of config.json.

    Raises:
        UsageError: If a field of the case has a value that cannot be run.
        ValueError, KeyError, TypeError, AttributeError, RecursionError: If it is anything else.
    """
    config = json.loads(text)
    quirks = config["case"].get("quirks")
    if isinstance(quirks, list):
        config["case"]["quirks"] = list(ledger.as_read(quirks))
    Case(**known(config["case"]))
    for name, kind in DATA_FACTS.items():
        if not isinstance(config["data"][name], kind):
            raise ValueError(f"{name} {config['data'][name]!r}")
    return config


def known(case: Dict[str, Any]) -> Dict[str, Any]:
    """Return the fields of a stored case that this version has."""
    names = {item.name for item in fields(Case)}
    return {name: value for name, value in case.items() if name in names}


def unknown(case: Dict[str, Any]) -> List[str]:
    """Return the names of a stored case's other fields, which a newer version has written."""
    return [name for name in case if name not in known(case)]


def check_same(path: str, saved: Dict[str, Any], config: Dict[str, Any]) -> None:
    """Make sure that a run was started with a configuration, or with these parts of it.

    Args:
        path: The run directory, for the error.
        saved: What its config.json holds.
        config: What it is to go on with.

    Raises:
        FieldError: If they differ in more than a larger number of epochs.
        UsageError: If a newer version has started the run, with fields that this one lacks.
    """
    newer = unknown(saved["case"])
    if newer:
        raise UsageError(
            f"{path} was started by a newer version, with {', '.join(map(repr, newer))}; resume it "
            "with that version, or give another --run-dir"
        )
    # With the defaults of fields that were added after the run was started.
    started = Case(**saved["case"])
    saved = {**saved, **case_configuration(started)}
    # The rows of a schedule that spans the run would be other ones in a longer run.
    spans = schedule_of(started).spans_run
    for part, values in config.items():
        for name, value in values.items():
            before = saved[part].get(name)
            if before == value or (name in GROWS and value > before and not spans):
                continue
            why = " (its schedule spans the run)" if name in GROWS and spans else ""
            now, then = shortened(str(value)), shortened(str(before))
            raise FieldError(
                name,
                f"{now} is not what {path} was started with, {then}{why}; resume it as it was "
                "started, or give another --run-dir",
            )
