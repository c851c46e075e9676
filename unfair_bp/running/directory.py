"""Run directories: what a training run leaves behind, and how it is read again.

    config.json         the resolved case and the data set
    command.txt         command, versions, commit, device, data set
    metrics.csv         one row for each finished epoch
    training.txt        the same in the layout of the author's logs
    weights_before.npz  the weights training started from
    weights_after.npz   the weights after the last epoch
    examples.npz        a few training images, and augmented copies if the case has them
    figures/            pictures of the run, see unfair_bp.plots
    tensorboard/        event files, if asked for
    checkpoints/        everything needed to go on, see unfair_bp.running.checkpoints
    run.lock            while a process trains: its id

A reader never sees half of a file, and what a process leaves that is killed is either whole or has
a name that ends in .part.
"""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import warnings
import zipfile
from dataclasses import asdict
from typing import Any, Dict, Iterator, List, Sequence

import numpy as np

from unfair_bp import files
from unfair_bp.data.dataset import Dataset
from unfair_bp.errors import UsageError
from unfair_bp.experiment import ledger
from unfair_bp.experiment.cases import Case
from unfair_bp.running.metrics import EpochMetrics, as_csv, author_summary, from_csv

CONFIG = "config.json"
COMMAND = "command.txt"
METRICS = "metrics.csv"
TRAINING = "training.txt"
WEIGHTS_BEFORE = "weights_before.npz"
WEIGHTS_AFTER = "weights_after.npz"
EXAMPLES = "examples.npz"
FIGURES = "figures"
TENSORBOARD = "tensorboard"
CHECKPOINTS = "checkpoints"
LOCK = "run.lock"
FILES = (CONFIG, COMMAND, METRICS, TRAINING, WEIGHTS_BEFORE, WEIGHTS_AFTER, EXAMPLES)
DIRECTORIES = (FIGURES, TENSORBOARD, CHECKPOINTS)
# Of the data set, in config.json.
DATA_FACTS = {"name": str, "training_images": int, "test_images": int, "sha256": str}
# What reading a file raises that somebody has edited or cut.
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
GROWS = ("epochs",)  # what a resumed run may have more of


class RunDirectory:
    """The directory of one run.

    Args:
        path: The directory; it need not exist.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def file(self, name: str) -> str:
        """The path of a file in the directory."""
        return os.path.join(self.path, name)

    @property
    def exists(self) -> bool:
        """Whether a run was started here."""
        return os.path.exists(self.file(CONFIG))

    def check_free(self, resume: bool, overwrite: bool) -> None:
        """Make sure that a run may be written here; writes nothing.

        Raises:
            UsageError: If there is a run already and neither ``resume`` nor ``overwrite``, no run
                to resume, something that is not a run, no permission to write, or a name that
                TensorFlow does not take as it is.
        """
        self._check_name()
        if self.exists:
            if overwrite:
                self.read_config()  # another program's config.json is not ours to replace
            elif not resume:
                raise UsageError(
                    "%s holds a run already; give --resume to go on with it, --overwrite to "
                    "replace it, or another --run-dir" % self.path
                )
        elif resume:
            raise UsageError("%s holds no run to resume; leave out --resume" % self.path)
        elif os.path.lexists(self.path) and not self._is_empty():
            raise UsageError(
                "%s exists and is not a run directory; give another --run-dir" % self.path
            )
        parent = os.path.abspath(self.path)
        while not os.path.exists(parent):
            parent = os.path.dirname(parent)
        if not (os.path.isdir(parent) and os.access(parent, os.W_OK | os.X_OK)):
            raise UsageError(
                "cannot write the run directory %s: %s is not a writable directory; "
                "give another --run-dir" % (self.path, parent)
            )

    def _is_empty(self) -> bool:
        """Whether this is a directory with nothing in it but what a run leaves that never began."""
        ours = {LOCK, CONFIG + files.UNFINISHED}
        try:
            return ours.issuperset(os.listdir(self.path))
        except OSError:  # a file, or a directory that is closed to us
            return False

    def _check_name(self) -> None:
        """Refuse a path that TensorFlow takes for another one, to write to or to remove from."""
        pattern = set("*?[]\\") - {os.sep}
        characters = self.path.encode("utf-8", "ignore").decode()
        if pattern.intersection(self.path) or "://" in self.path or characters != self.path:
            raise UsageError(
                "%r cannot be a run directory: TensorFlow reads names with * ? [ ] \\ or ://, or "
                "that are not UTF-8, in its own way; give another name" % self.path
            )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Make the directory and keep other processes from training in it.

        Raises:
            UsageError: If another one trains there already, or it cannot be made.
        """
        self._make(self.path)
        with files.only_process(self.file(LOCK), "is training in %s" % self.path):
            yield

    def check_same(self, config: Dict[str, Any]) -> None:
        """Make sure that the run here has this configuration, or these parts of it.

        Raises:
            UsageError: If it differs in more than a larger number of epochs.
        """
        saved = self.read_config()
        # With fields that are younger than the run, and as JSON has them.
        saved["case"] = json.loads(json.dumps(asdict(Case(**saved["case"]))))
        for part, values in config.items():
            for name, value in values.items():
                before = saved[part].get(name)
                if before == value or (name in GROWS and value > before):
                    continue
                raise UsageError(
                    f"{self.path} was started with {name} {before}, not {value}; resume it as it "
                    "was started, or give another --run-dir"
                )

    def saved_steps(self) -> List[int]:
        """The iterations that there are finished checkpoints of, the newest first."""
        try:
            names = os.listdir(self.file(CHECKPOINTS))
        except OSError:
            return []
        found = [re.match(r"^model-([0-9]{1,18})\.index$", name) for name in names]
        return sorted((int(match.group(1)) for match in found if match), reverse=True)

    def check_checkpoint(self, begun: bool = True) -> None:
        """Make sure that the run has a checkpoint, whatever its state.

        Args:
            begun: Require one of a run, too, that was killed before it had finished its first.

        Raises:
            UsageError: If it has none, as when it was copied without, or its name bars the way.
        """
        self._check_name()
        if not self.saved_steps() and (begun or self.read_metrics()):
            raise UsageError(
                "%s holds no checkpoint; train it again with --overwrite, or into another --run-dir"
                % self.path
            )

    def create(self, config: Dict[str, Any], record: str) -> None:
        """Create the directory's content with its configuration, removing the run that it held."""
        self._make(self.path)
        if not self.exists:
            self.write_config(config)  # first of all: it marks the directory as a run's
        for name in FILES:
            if name != CONFIG and os.path.exists(self.file(name)):
                os.remove(self.file(name))
        for name in DIRECTORIES:
            shutil.rmtree(self.file(name), ignore_errors=True)
        self._make(self.file(CHECKPOINTS))
        self.write_config(config)
        self._write(COMMAND, _as_typed(record))

    def reopen(self, config: Dict[str, Any], record: str) -> None:
        """Note that the run was resumed, perhaps for more epochs; tidy up after one that died."""
        for name in FILES:
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.file(name) + files.UNFINISHED)
        earlier = b""
        with contextlib.suppress(FileNotFoundError), open(self.file(COMMAND), "rb") as file:
            earlier = file.read() + b"\n"
        self.write_config(config)
        self._write(COMMAND, earlier + _as_typed(record))

    def read_config(self) -> Dict[str, Any]:
        """The configuration of the run.

        Raises:
            UsageError: If there is none, or it cannot be read.
        """
        try:
            with open(self.file(CONFIG), encoding="utf-8") as file:
                config = json.load(file)
            quirks = config["case"].get("quirks")
            if isinstance(quirks, list):
                config["case"]["quirks"] = list(ledger.as_read(quirks))
            Case(**config["case"])
            for name, kind in DATA_FACTS.items():
                if not isinstance(config["data"][name], kind):
                    raise ValueError("%s %r" % (name, config["data"][name]))
        except OSError as error:
            raise UsageError(
                "%s is not a run directory: it has no readable %s; give the directory that "
                "unfair_bp.train wrote" % (self.path, CONFIG)
            ) from error
        except (*MALFORMED, UsageError) as error:
            raise UsageError(
                "%s is damaged (%s); give another run directory" % (self.file(CONFIG), error)
            ) from error
        return config

    def write_config(self, config: Dict[str, Any]) -> None:
        """Write the configuration."""
        self._write(CONFIG, (json.dumps(config, indent=2) + "\n").encode())

    def read_metrics(self) -> List[EpochMetrics]:
        """The finished epochs, none if there is no file yet.

        Raises:
            UsageError: If the file cannot be read.
        """
        if not os.path.exists(self.file(METRICS)):
            return []
        try:
            with open(self.file(METRICS), newline="", encoding="utf-8") as file:
                return from_csv(file.read())
        except (*MALFORMED, OSError, csv.Error) as error:
            raise UsageError(
                "%s is damaged (%s); give another run directory" % (self.file(METRICS), error)
            ) from error

    def write_metrics(self, metrics: Sequence[EpochMetrics]) -> None:
        """Write metrics.csv and training.txt, all epochs anew."""
        learning_rate = self.read_config()["case"]["learning_rate"]
        summaries = "".join(author_summary(epoch, learning_rate) for epoch in metrics)
        self._write(METRICS, as_csv(metrics).encode())
        self._write(TRAINING, summaries.encode())

    def write_weights(self, name: str, weights: Sequence[np.ndarray]) -> None:
        """Write the weights of all layers as an npz file with keys layer_1, layer_2, ..."""
        self.write_arrays(name, {"layer_%d" % (i + 1): w for i, w in enumerate(weights)})

    def write_arrays(self, name: str, arrays: Dict[str, np.ndarray]) -> None:
        """Write named arrays as an npz file."""
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        self._write(name, buffer.getvalue())

    def read_arrays(self, name: str) -> Dict[str, np.ndarray]:
        """The named arrays of an npz file, in the order of the file; none if there is no file.

        Raises:
            UsageError: If the file cannot be read.
        """
        if not os.path.exists(self.file(name)):
            return {}
        arrays = {}
        try:
            # Not with np.load, of which old versions write a traceback about a bad zip file.
            with zipfile.ZipFile(self.file(name)) as archive, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of Python about a header, which is Python
                for member in archive.namelist():
                    content = io.BytesIO(archive.read(member))
                    arrays[member[: -len(".npy")]] = np.lib.format.read_array(content)
        except Exception as error:  # zipfile, zlib and the parser of headers have a dozen kinds
            raise UsageError(
                "%s is damaged (%s: %s); remove it, or give another run directory"
                % (self.file(name), type(error).__name__, error)
            ) from error
        return arrays

    def _write(self, name: str, content: bytes) -> None:
        try:
            files.write(self.file(name), content)
        except OSError as error:
            raise self._cannot_write(self.file(name), error) from error

    def _make(self, path: str) -> None:
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise self._cannot_write(path, error) from error

    def _cannot_write(self, path: str, error: OSError) -> UsageError:
        return UsageError(
            "cannot write %s: %s; what is in %s is intact: make room or give permission, then go "
            "on with --resume, or give another --run-dir" % (path, error.strerror, self.path)
        )


def _as_typed(record: str) -> bytes:
    """A record as bytes; words of the command, such as --data-dir, may be no characters."""
    return record.encode("utf-8", "surrogateescape")


def default_path(case: Case, quick: bool) -> str:
    """Where a run goes unless the user says otherwise; a quick try stays out of real runs' way."""
    logs = os.path.join("logs", "quick") if quick else "logs"
    return os.path.join(logs, "case_%s" % case.name, "seed%d" % case.seed)


def case_configuration(case: Case) -> Dict[str, Any]:
    """The case's part of config.json, as it is read back: JSON has lists only."""
    return {"case": json.loads(json.dumps(asdict(case)))}


def configuration(case: Case, dataset: Dataset) -> Dict[str, Any]:
    """What config.json holds: everything that the result depends on."""
    return {
        **case_configuration(case),
        "data": {
            "name": dataset.name,
            "training_images": len(dataset.train_images),
            "test_images": len(dataset.test_images),
            "sha256": dataset.fingerprint(),
        },
    }
