"""Reports on the runs below a directory, as the command makes them."""

from unfair_bp.reporting import comparison
from unfair_bp.reporting.differences import EVERYTHING
from unfair_bp.results.collection import collect


def markdown(root, wanted=EVERYTHING):
    """The report in Markdown."""
    return comparison.markdown(collect(str(root)), [str(root)], wanted)


def html(root, wanted=EVERYTHING):
    """The report as one page."""
    return comparison.html(collect(str(root)), [*comparison.COMMAND, str(root)], wanted)


def figure(root):
    """The picture."""
    return comparison.figure(collect(str(root)))
