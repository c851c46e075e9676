"""Run directories: what a training run leaves behind, and how it is read again.

    config.json         the resolved case, the data set, and an identity of this run alone
    command.txt         command, versions, commit, device, data set
    metrics.csv         one row for each finished epoch, with validation if images are held out
    layers.csv          rotation, norm and skewness of each layer's weights after each epoch
    training.txt        metrics.csv in the layout of the author's logs
    weights_before.npz  the weights training started from
    weights_after.npz   the weights after the last epoch
    examples.npz        a few training images, and augmented copies if the case has them
    figures/            pictures of the run, see unfair_bp.plots
    tensorboard/        event files, if asked for
    checkpoints/        everything needed to go on, see unfair_bp.running.checkpoints
    run.lock            while a process trains: its id

A reader never sees half of a file. What a killed process leaves is either whole or has a name that
ends in .part.
"""

import contextlib
import json
import os
import uuid
from typing import Any, Callable, Dict, Iterator, List, Sequence

import numpy as np

from unfair_bp import files
from unfair_bp.console import warn
from unfair_bp.errors import UsageError
from unfair_bp.experiment.cases import Case
from unfair_bp.experiment.naming import named
from unfair_bp.running import arrays, configuration, places, tables, tidying
from unfair_bp.running.configuration import CONFIG, IDENTITY_BYTES
from unfair_bp.running.metrics import EpochMetrics, LayerMetrics, author_summary
from unfair_bp.running.tables import as_csv, layers_from_csv, metrics_from_csv
from unfair_bp.running.tidying import CHECKPOINTS, FIGURES, TENSORBOARD

COMMAND = "command.txt"
METRICS = "metrics.csv"
LAYERS = "layers.csv"
TRAINING = "training.txt"
WEIGHTS_BEFORE = "weights_before.npz"
WEIGHTS_AFTER = "weights_after.npz"
EXAMPLES = "examples.npz"
CHECKPOINT_MINUTES = 10.0  # between two within an epoch
LOCK = "run.lock"
FILES = (CONFIG, COMMAND, METRICS, LAYERS, TRAINING, WEIGHTS_BEFORE, WEIGHTS_AFTER, EXAMPLES)
UNBEGUN = {LOCK, CONFIG + files.UNFINISHED}  # left by a run that was killed at its start
DIRECTORIES = (FIGURES, TENSORBOARD, CHECKPOINTS)


class RunDirectory:
    """The directory of one run.

    Args:
        path: The directory; it need not exist.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._warned = False

    def file(self, name: str) -> str:
        """Return the path of a file in the directory."""
        return os.path.join(self.path, name)

    @property
    def exists(self) -> bool:
        """Whether a run was started here."""
        return os.path.exists(self.file(CONFIG))

    def check_start(self, case: Case, resume: bool, overwrite: bool) -> None:
        """Make sure that a case may be trained here, before data is loaded; leaves nothing behind.

        Raises:
            UsageError: As :meth:`check_free`; or if the run to resume is of another case, or has
                finished epochs but no checkpoint.
        """
        self.check_free(resume, overwrite)
        if resume:
            self.check_same(configuration.case_configuration(case))
            self.check_checkpoint(begun=False)

    def check_free(self, resume: bool, overwrite: bool) -> None:
        """Make sure that a run may be written here; leaves nothing behind.

        Raises:
            UsageError: If there is a run already and neither ``resume`` nor ``overwrite``, no run
                to resume, something that is not a run, a link in the place of a subdirectory that
                is to be overwritten, a directory in the place of a file, no permission to write, or
                a name that TensorFlow does not take as it is.
        """
        places.check_name(self.path)
        if self.exists:
            if not (resume or overwrite):
                raise UsageError(
                    f"{self.path} holds a run already; give --resume to go on with it, "
                    "--overwrite to replace it, or another --run-dir"
                )
            places.check_files(map(self.file, FILES))
            if overwrite:
                self.read_config()  # another program's config.json must not be replaced
                places.check_links(map(self.file, DIRECTORIES))
        elif resume:
            raise UsageError(f"{self.path} holds no run to resume; leave out --resume")
        elif os.path.lexists(self.path) and not places.is_empty(self.path, UNBEGUN):
            raise UsageError(
                f"{self.path} exists and is not a run directory; give another --run-dir"
            )
        places.check_writable(self.path)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Make the directory and keep other processes from training in it.

        Raises:
            UsageError: If another one trains there already, or it cannot be made.
        """
        self._make(self.path)
        with files.only_process(self.file(LOCK), f"is training in {self.path}"):
            yield

    def check_same(self, config: Dict[str, Any]) -> None:
        """Make sure that the run here has this configuration, or these parts of it.

        Raises:
            UsageError: If it differs in more than a larger number of epochs.
        """
        configuration.check_same(self.path, configuration.load(self.path), config)

    def saved_steps(self) -> List[int]:
        """Return the iterations of the finished checkpoints, the newest first."""
        return tidying.finished_steps(self.file(CHECKPOINTS))

    def check_checkpoint(self, begun: bool = True) -> None:
        """Make sure that the run has a checkpoint, whatever its state.

        Args:
            begun: If false, a run that was stopped before its first epoch ended may have none.

        Raises:
            UsageError: If it has none, as when it was copied without, or TensorFlow would take its
                name for another one.
        """
        places.check_name(self.path)
        if not self.saved_steps() and (begun or self.read_metrics()):
            raise UsageError(
                f"{self.path} holds no checkpoint; train it again with --overwrite, or into "
                "another --run-dir"
            )

    def create(self, config: Dict[str, Any], record: str) -> None:
        """Start a run: delete the files of the run that was here, and write the configuration.

        Files that the package has not made are kept.

        Raises:
            UsageError: If a file cannot be written, or one of the earlier run cannot be deleted.
        """
        places.check_links(map(self.file, DIRECTORIES))
        self._make(self.path)
        config = {**config, "identity": uuid.uuid4().hex}
        if not self.exists:
            self.write_config(config)  # first of all: it marks the directory as a run's
        for name in DIRECTORIES:
            self._try_to_delete(tidying.matching(self.file(name), tidying.OWN[name]))
            with contextlib.suppress(OSError):  # missing, or not empty
                os.rmdir(self.file(name))
        if self.saved_steps():
            raise UsageError(
                f"{self.file(CHECKPOINTS)} still has checkpoints of the earlier run; delete them "
                "yourself, or give another --run-dir"
            )
        for error in tidying.delete([self.file(name) for name in FILES if name != CONFIG]):
            raise UsageError(
                f"cannot delete {error.filename} of the earlier run: {error.strerror}; delete it "
                "yourself, or give another --run-dir"
            )
        self._make(self.file(CHECKPOINTS))
        self.write_config(config)
        self._write_record(record)

    def reopen(self, config: Dict[str, Any], record: str) -> None:
        """Record that the run was resumed; delete what is not finished, or no longer final.

        The run keeps its identity.

        Raises:
            UsageError: If a file cannot be written.
        """
        self._try_to_delete([self.file(name) + files.UNFINISHED for name in FILES])
        self._try_to_delete(tidying.unfinished(self.file(CHECKPOINTS)))
        earlier = b""
        try:
            with open(self.file(COMMAND), "rb") as file:
                earlier = file.read() + b"\n"
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._cannot_write(self.file(COMMAND), error) from error
        saved = configuration.load(self.path)
        kept = {name: saved[name] for name in ("identity",) if name in saved}
        if config["case"]["epochs"] > saved["case"]["epochs"]:
            # Of a training that now goes on; before all else, so that no failure leaves it.
            self._try_to_delete([self.file(WEIGHTS_AFTER)])
        self.write_config({**config, **kept})
        self._write_record(record, earlier)

    def read_config(self) -> Dict[str, Any]:
        """Read the configuration; fields that a newer version has added are named and left out.

        Raises:
            UsageError: If there is none, or it cannot be read.
        """
        config = configuration.load(self.path)
        newer = configuration.unknown(config["case"])
        if newer and not self._warned:
            self._warned = True
            warn(
                f"{self.file(CONFIG)} was written by a newer version; this one ignores "
                f"{', '.join(map(repr, newer))}"
            )
        return {**config, "case": configuration.known(config["case"])}

    def case(self) -> Case:
        """What the run was started with, under a name that fits.

        Raises:
            UsageError: As :meth:`read_config`.
        """
        return named(Case(**configuration.known(configuration.load(self.path)["case"])))

    def identity(self) -> np.ndarray:
        """Return what tells the run from all others: uint8 ``[IDENTITY_BYTES]``.

        All are 0 for a run that was started before runs had one.
        """
        config = configuration.load(self.path) if self.exists else {}
        stored = config.get("identity", "00" * IDENTITY_BYTES)
        return np.frombuffer(bytes.fromhex(stored), np.uint8)

    def write_config(self, config: Dict[str, Any]) -> None:
        """Write the configuration."""
        self._write(CONFIG, (json.dumps(config, indent=2) + "\n").encode())

    def read_metrics(self) -> List[EpochMetrics]:
        """Return the finished epochs, none if there is no file yet.

        Raises:
            UsageError: If the file cannot be read.
        """
        return self._read_rows(METRICS, metrics_from_csv, "give another run directory")

    def read_layers(self) -> List[LayerMetrics]:
        """Return what was measured of the layers, none if there is no file.

        Raises:
            UsageError: If the file cannot be read.
        """
        return self._read_rows(LAYERS, layers_from_csv, "remove it, or give another run directory")

    def _read_rows(self, name: str, parse: Callable[[str, Case], List[Any]], advice: str) -> Any:
        if not os.path.exists(self.file(name)):
            return []
        case = Case(**self.read_config()["case"])
        return tables.read(self.file(name), case, parse, advice)

    def write_metrics(self, metrics: Sequence[EpochMetrics]) -> None:
        """Write metrics.csv and training.txt with all epochs."""
        learning_rate = self.read_config()["case"]["learning_rate"]
        summaries = "".join(author_summary(epoch, learning_rate) for epoch in metrics)
        self._write(METRICS, as_csv(metrics).encode())
        self._write(TRAINING, summaries.encode())

    def write_layers(self, rows: Sequence[LayerMetrics]) -> None:
        """Write layers.csv with all epochs."""
        self._write(LAYERS, as_csv(rows).encode())

    def write_weights(self, name: str, weights: Sequence[np.ndarray]) -> None:
        """Write the weights of all layers as an npz file with keys layer_1, layer_2, ..."""
        self.write_arrays(name, {f"layer_{i}": w for i, w in enumerate(weights, start=1)})

    def write_arrays(self, name: str, named: Dict[str, np.ndarray]) -> None:
        """Write named arrays as an npz file."""
        self._write(name, arrays.as_npz(named))

    def read_arrays(self, name: str) -> Dict[str, np.ndarray]:
        """Return the named arrays of an npz file in its order, none if there is no file.

        Raises:
            UsageError: If the file cannot be read.
        """
        return arrays.read(self.file(name)) if os.path.exists(self.file(name)) else {}

    def _try_to_delete(self, paths: List[str]) -> None:
        for error in tidying.delete(paths):
            warn(f"cannot delete {error.filename}: {error.strerror}")

    def _write(self, name: str, content: bytes) -> None:
        try:
            files.write(self.file(name), content)
        except OSError as error:
            raise self._cannot_write(self.file(name), error) from error

    def _write_record(self, record: str, earlier: bytes = b"") -> None:
        # A word of the command may hold bytes that are not characters.
        self._write(COMMAND, earlier + record.encode("utf-8", "surrogateescape"))

    def _make(self, path: str) -> None:
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise self._cannot_write(path, error) from error

    def _cannot_write(self, path: str, error: OSError) -> UsageError:
        return UsageError(
            f"cannot write {path}: {error.strerror}; what is in {self.path} is intact: make room "
            "or give permission, then go on with --resume, or give another --run-dir"
        )
