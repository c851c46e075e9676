"""config.json: the resolved case and the data set of a run, written and read again."""

import json
import os
from dataclasses import asdict, fields
from typing import Any, Dict, List, Tuple

from unfair_bp.data.dataset import Dataset
from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment import ledger
from unfair_bp.experiment.architecture import Architecture, Layer
from unfair_bp.experiment.cases import Case
from unfair_bp.experiment.naming import named, short_name, spans_run

CONFIG = "config.json"
# What is recorded of the data set.
DATA_FACTS = {"name": str, "training_images": int, "test_images": int, "sha256": str}
# What reading a file raises that was edited or cut off.
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
IDENTITY_BYTES = 16  # of the number that tells a run from all others
GROWS = ("epochs",)  # what a resumed run may have more of
DESCRIPTIVE = ("name", "question")  # fields of the case that no result depends on


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
    identity = config.get("identity", "00" * IDENTITY_BYTES)
    if len(bytes.fromhex(identity)) != IDENTITY_BYTES:
        raise ValueError(f"identity {identity!r}")
    for name, kind in DATA_FACTS.items():
        if not isinstance(config["data"][name], kind):
            raise ValueError(f"{name} {config['data'][name]!r}")
    return config


def load(run_dir: str) -> Dict[str, Any]:
    """Read the config.json of a run directory, every field of it.

    Raises:
        UsageError: If there is none, or it is damaged.
    """
    path = os.path.join(run_dir, CONFIG)
    try:
        with open(path, encoding="utf-8") as file:
            return parse(file.read())
    except OSError as error:
        raise UsageError(
            f"{run_dir} is not a run directory: it has no readable {CONFIG}; give the directory "
            "that unfair_bp.train wrote"
        ) from error
    except MALFORMED as error:
        raise UsageError(f"{path} is damaged ({error}); give another run directory") from error
    except UsageError as error:
        raise UsageError(
            f"{path} is damaged ({error}); give another run directory, or read it with the version "
            "that wrote it"
        ) from error


def known(case: Dict[str, Any]) -> Dict[str, Any]:
    """Return the fields of a stored case, its layers' included, that this version has."""
    return _divided(case)[0]


def unknown(case: Dict[str, Any]) -> List[str]:
    """Return the names of a stored case's other fields, which a newer version has written."""
    return _divided(case)[1]


def _divided(case: Dict[str, Any]) -> Tuple[Dict[str, Any], List[str]]:
    """The fields that this version has, and the names of all others."""
    others: Dict[str, None] = {}  # in the order in which they are met, each once

    def of(kind: type, values: Any, place: str = "") -> Any:
        if not isinstance(values, dict):
            return values
        names = {item.name for item in fields(kind)}
        others.update((place + name, None) for name in values if name not in names)
        return {name: value for name, value in values.items() if name in names}

    kept = of(Case, case)
    network = of(Architecture, kept.get("architecture"), "architecture.")
    if isinstance(network, dict):
        layers = network.get("layers")
        if isinstance(layers, list):
            place = "architecture.layers."
            network = {**network, "layers": [of(Layer, layer, place) for layer in layers]}
        kept = {**kept, "architecture": network}
    return kept, list(others)


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
    before = Case(**saved["case"])  # with the defaults of fields that were added since then
    saved = {**saved, **case_configuration(before)}
    for part, name in _differences(saved, config):
        now, then = (short_name(str(values[part].get(name))) for values in (config, saved))
        if name in GROWS and config[part][name] > saved[part][name]:
            if not spans_run(before):
                continue
            raise FieldError(
                name,
                f"{now} is more than the {then} that {path} was started with: its schedule depends "
                "on the number of iterations; give another --run-dir",
            )
        of_case = part == "case"
        advice = "resume it as it was started" if of_case else "give its --data-dir"
        raise FieldError(
            name if of_case else f"the data set's {name}",
            f"{now} is not what {path} was started with, {then}; {advice}, or give another "
            "--run-dir",
        )


def _differences(saved: Dict[str, Any], config: Dict[str, Any]) -> List[Tuple[str, str]]:
    """Part and name of each value that differs, that of the case's name last.

    Earlier versions kept a letter whatever the schedule; a name that fits is the same then.
    """
    found = [
        (part, name)
        for part, values in config.items()
        for name, value in values.items()
        if saved[part].get(name) != value
    ]
    descriptive = [("case", name) for name in DESCRIPTIVE]
    if "case" in config:
        one, other = (named(Case(**values["case"])) for values in (saved, config))
        if one.name == other.name:
            return [item for item in found if item not in descriptive]
    return sorted(found, key=lambda item: item in descriptive)
