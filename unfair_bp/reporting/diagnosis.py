"""Tables of overfitting, weights, and of each epoch beside the published logs."""

from typing import Callable, Dict, List, Optional, Sequence, Tuple

from unfair_bp.experiment.published import PublishedEpoch
from unfair_bp.reporting.differences import NONE, Wanted, baseline_of, with_interval
from unfair_bp.reporting.document import Block, Heading, Paragraph, Table
from unfair_bp.results import differences, statistics
from unfair_bp.results.budgets import TRAINING_ACCURACY
from unfair_bp.results.collection import Group
from unfair_bp.results.run import Run
from unfair_bp.results.statistics import QUANTITIES, WEIGHT_QUANTITIES, Statistic


def overfitting_blocks(groups: Sequence[Group], wanted: Wanted) -> List[Block]:
    """How far overfitting, and how lopsided weights are, differ from the baseline."""
    rows = []
    for match in differences.matches(groups, baseline_of(groups, wanted)):
        if match.first.variant.epochs != match.second.variant.epochs:
            continue
        alike = differences.comparable(match.pair, TRAINING_ACCURACY)
        gap = _paired(match, _gap) if alike else None
        skewness = _paired(match, _skewness)
        labels = [group.variant.label for group in (match.first, match.second)]
        row = [" - ".join(labels), match.pair.question, match.mode, f"{match.first.variant.epochs}"]
        row += [f"{len(match.seeds)}", with_interval("+.4f", gap) if gap else NONE]
        rows.append([*row, with_interval("+.3f", skewness) if skewness else NONE])
    if not rows:
        return []
    header = ["cases", "question", "protocol", "epochs", "pairs", "train - test"]
    header.append("skewness, mean absolute value")
    heading = "Paired differences of overfitting and skewness after the last epoch"
    note = "Only runs with the same number of epochs are compared here."
    return [Heading(3, heading), Paragraph(note), Table(header, rows, range(3, 7))]


def weight_blocks(groups: Sequence[Group], layers: int) -> List[Block]:
    """What became of the weights; nothing if no run logged them."""
    summaries = {group: statistics.weight_summary(group) for group in groups}
    if not any(summaries.values()):
        return []
    header = ["case", "schedule", "protocol", "epochs", "seeds"]
    header += [f"rotation of layer {layer}" for layer in (1, layers)]
    header += [f"skewness of layer {layer}" for layer in (1, layers)]
    header += ["skewness, mean absolute value"]
    forms = {name: "+.3f" if name.startswith("skewness_") else ".3f" for name in WEIGHT_QUANTITIES}
    rows = []
    for group, values in summaries.items():
        variant = group.variant.shortened()
        row = [group.variant.label, variant.training, variant.mode]
        row += [f"{variant.epochs}", f"{len(group.seeds)}"]
        rows.append(
            row + [with_interval(forms[name], values[name]) if values else NONE for name in forms]
        )
    note = (
        "After the last epoch. Rotation: cosine distance of a layer's weights from those that "
        "training started from. Skewness: third standardised moment of a layer's weights, 0 if "
        "they are symmetric; its absolute value is averaged over the layers."
    )
    table = Table(header, rows, range(3, len(header)))
    return [Heading(3, "Weights"), Paragraph(note), table]


def _gap(run: Run) -> Optional[float]:
    return QUANTITIES["gap"](run.metrics)


def _skewness(run: Run) -> Optional[float]:
    return WEIGHT_QUANTITIES["skewness"](run.final_layers) if run.final_layers else None


def _paired(
    match: differences.Match, quantity: Callable[[Run], Optional[float]]
) -> Optional[Statistic]:
    """The difference of a quantity over the seeds of both groups; None if a run lacks it."""
    first, second = (
        {run.case.seed: quantity(run) for run in group.runs}
        for group in (match.first, match.second)
    )
    pairs = [(first[seed], second[seed]) for seed in match.seeds]
    if any(value is None for pair in pairs for value in pair):
        return None
    return statistics.statistic([a - b for a, b in pairs])


def published_blocks(groups: Sequence[Group]) -> List[Block]:
    """Each epoch beside the logs of the scripts that trained as a group did."""
    blocks: List[Block] = []
    for group in groups:
        logs = statistics.published_twins(group)
        if logs:
            name = f"{group.variant.title}, {group.variant.mode}"
            heading = f"Epoch by epoch beside the published logs: {name}"
            blocks += [Heading(3, heading), _epoch_table(group, logs)]
    return blocks


def _epoch_table(group: Group, logs: Dict[str, List[PublishedEpoch]]) -> Table:
    """Accuracies of each epoch: ours, the published ones, and ours minus theirs."""
    header, columns = ["epoch"], []
    for part in ("test", "train"):
        header.append(part)
        columns.append((f"{part}_accuracy", ""))
        for name in logs:
            header += [f"published {name}", "difference"]
            columns.append((f"{part}_accuracy", name))
    epochs = range(group.variant.epochs)
    rows = [[f"{epoch + 1}", *_epoch_cells(group, logs, columns, epoch)] for epoch in epochs]
    return Table(header, rows, range(len(header)))


def _epoch_cells(
    group: Group,
    logs: Dict[str, List[PublishedEpoch]],
    columns: Sequence[Tuple[str, str]],
    epoch: int,
) -> List[str]:
    """The numbers of one epoch, from 0."""
    cells = []
    for field, name in columns:
        ours = [getattr(run.metrics[epoch], field) for run in group.runs]
        if not name:
            cells.append(with_interval(".4f", statistics.statistic(ours)))
        elif epoch < len(logs[name]):
            theirs = getattr(logs[name][epoch], field)
            change = statistics.statistic([value - theirs for value in ours])
            cells += [f"{theirs:.4f}", f"{change.mean:+.4f}"]
        else:
            cells += [NONE, NONE]
    return cells
