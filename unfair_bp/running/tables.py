"""metrics.csv and layers.csv: a row for each epoch, written and read again."""

import csv
import io
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Type

from unfair_bp.errors import UsageError
from unfair_bp.experiment.cases import Case
from unfair_bp.running.configuration import MALFORMED
from unfair_bp.running.metrics import EpochMetrics, LayerMetrics

PER_LAYER = "_layer_"  # between a field's name and a layer's number in the name of a column
# How the text of a column is read, by the type of its field.
READ = {
    int: int,
    float: float,
    Optional[float]: float,
    Tuple[int, ...]: int,
    Tuple[float, ...]: float,
}


def as_csv(rows: Sequence[NamedTuple]) -> str:
    """Return a table as text: a header, then a row for each epoch, at least one.

    A field that has a value for each layer takes a column for each layer; what was not measured,
    None, has no column.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(name for name, _ in _cells(rows[0]))
    writer.writerows([text for _, text in _cells(row)] for row in rows)
    return table.getvalue()


def _cells(row: NamedTuple) -> Iterator[Tuple[str, str]]:
    """Name and text of each cell of a row."""
    for name, value in row._asdict().items():
        if isinstance(value, tuple):
            for number, item in enumerate(value, start=1):
                yield f"{name}{PER_LAYER}{number}", _text(item)
        elif value is not None:
            yield name, _text(value)


def _text(value: Any) -> str:
    """A number that reads back the same."""
    # NumPy's float64 is a float too, but its repr is not a number.
    return repr(float(value)) if isinstance(value, float) else str(value)


def metrics_from_csv(text: str, case: Case) -> List[EpochMetrics]:
    """Read metrics.csv, the rows of a case.

    Raises:
        ValueError, KeyError, TypeError, csv.Error: If the text is cut off, edited, or has numbers
            that a run of the case cannot have.
    """
    epochs = _rows(text, EpochMetrics)
    if [epoch.epoch for epoch in epochs] != list(range(1, len(epochs) + 1)):
        raise ValueError("its epochs are not 1, 2, 3, ...")
    layers, held_out = len(case.layers), case.validation_size or "no"
    for epoch in epochs:
        if len(epoch.updates) != layers:
            raise ValueError(f"it has updates of {len(epoch.updates)} layers, not {layers}")
        if ("validation" in epoch.results) != (case.validation_size is not None):
            raise ValueError(f"its columns are not those of a run with {held_out} images held out")
    return epochs


def layers_from_csv(text: str, case: Case) -> List[LayerMetrics]:
    """Read layers.csv, the rows of a case; an earlier version may have left epochs out.

    Raises:
        ValueError, KeyError, TypeError, csv.Error: As :func:`metrics_from_csv`.
    """
    rows, layers = _rows(text, LayerMetrics), len(case.layers)
    epochs = [row.epoch for row in rows]
    if epochs[:1] != [0] or epochs != sorted(set(epochs)):
        raise ValueError("its epochs do not ascend from 0")
    for row in rows:
        for values in (row.rotation, row.norm, row.skewness):
            if len(values) != layers:
                raise ValueError(f"it has values of {len(values)} layers, not {layers}")
    return rows


def read(path: str, case: Case, parse: Callable[[str, Case], List[Any]], advice: str) -> List[Any]:
    """Read the rows of a file.

    Args:
        path: The file.
        case: The case of the run that wrote it.
        parse: One of this module's functions.
        advice: What to do about a damaged file.

    Raises:
        UsageError: If it is damaged.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return parse(file.read(), case)
    except (*MALFORMED, OSError, csv.Error) as error:
        raise UsageError(f"{path} is damaged ({error}); {advice}") from error


def _rows(text: str, kind: Type[Any]) -> List[Any]:
    """Read what :func:`as_csv` wrote; ``kind`` is the type of a row."""
    if not text.endswith("\n"):
        raise ValueError("its last line is cut off")
    table = csv.DictReader(io.StringIO(text, newline=""))
    rows = [_row(cells, kind) for cells in table]
    for row in rows:
        if not row.possible:
            raise ValueError(f"impossible numbers in epoch {row.epoch}")
    return rows


def _row(cells: Dict[str, str], kind: Type[Any]) -> Any:
    """Read a row back, given the text of each column; a newer version may have more columns."""
    values: Dict[str, Any] = {}
    for column, text in cells.items():
        name, per_layer, _ = column.partition(PER_LAYER)
        if name not in kind._fields:
            continue
        value = READ[kind.__annotations__[name]](text)
        values[name] = (*values.get(name, ()), value) if per_layer else value
    return kind(**values)
