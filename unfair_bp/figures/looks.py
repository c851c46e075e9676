"""How a schedule looks, the same in every picture of several: colour, line and marker."""

from itertools import cycle
from typing import Any, Dict, List, Sequence, Tuple

from unfair_bp.figures.style import AMBER, BLUE, ORANGE, SKY

# A colour family for each schedule; augmented runs are lighter and dashed.
STYLES: Dict[str, Dict[str, Any]] = {
    "a": {"color": "#000000", "linestyle": "-", "marker": "o"},
    "b": {"color": "#888888", "linestyle": "--", "marker": "s"},
    "c": {"color": BLUE, "linestyle": "-", "marker": "^"},
    "d": {"color": SKY, "linestyle": "--", "marker": "D"},
    "e": {"color": ORANGE, "linestyle": "-", "marker": "v"},
    "f": {"color": AMBER, "linestyle": "--", "marker": "P"},
}
# Other schedules in the order of appearance: Tol's muted colours, which the colour-blind tell
# apart. There is one marker more, so that a colour comes back with another marker.
OWN_COLORS = (
    *("#117733", "#AA4499", "#999933", "#332288"),
    *("#44AA99", "#882255", "#CC6677", "#88CCEE"),
)
OWN_MARKERS = ("X", "p", "*", "h", "<", ">", "d", "8", "H")
# More groups of the same letter, as with other numbers of epochs.
REPEATED: Sequence[Dict[str, Any]] = (
    {},
    {"linestyle": "-.", "markerfacecolor": "white"},
    {"linestyle": (0, (6, 2, 1, 2, 1, 2)), "fillstyle": "left"},
)


def looks(shown: Sequence[Tuple[str, str, bool]]) -> List[Dict[str, Any]]:
    """How to draw each of several: as the post's case of its schedule, or in a look of its own.

    Args:
        shown: For each its letter, or none, its name, and whether it is augmented.

    Returns:
        Arguments of ``plot`` for each.
    """
    keys = [letter or (name, augmented) for letter, name, augmented in shown]
    own = [key for key in dict.fromkeys(keys) if key not in STYLES]
    colors = dict(zip(dict.fromkeys(name for name, _ in own), cycle(OWN_COLORS)))
    known: Dict[Any, Dict[str, Any]] = dict(STYLES)
    for (name, augmented), marker in zip(own, cycle(OWN_MARKERS)):
        line = "--" if augmented else "-"
        known[name, augmented] = {"color": colors[name], "linestyle": line, "marker": marker}
    repeats = [keys[:place].count(key) % len(REPEATED) for place, key in enumerate(keys)]
    return [dict(known[key], **REPEATED[repeat]) for key, repeat in zip(keys, repeats)]
