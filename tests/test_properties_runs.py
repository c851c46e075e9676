"""Whatever is in the files of a run: numbers that can be used, or one line of refusal."""

import io
import json
import random
import zipfile

import commands
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from run_directories import write_run

from unfair_bp.errors import UsageError
from unfair_bp.experiment.cases import Case
from unfair_bp.figures import style
from unfair_bp.figures.curves import learning_curves
from unfair_bp.results.run import read_run
from unfair_bp.running.metrics import layer_metrics

# The same examples in every run, on a machine of any speed.
SETTINGS = settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
HEADER_BYTES = b"0123456789(){}[]',:<>|=fuOUSb \n\x00\xff"
SHAPE = (3, 32, 32, 3)
EXAMPLES = {
    "images": np.zeros(SHAPE, np.uint8),
    "augmented": np.zeros((2, *SHAPE), np.uint8),
    "names": np.array(["cat", "dog", "cat"]),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with everything that is read again."""
    directory = write_run(tmp_path_factory.mktemp("run"), "c", [0.1, 0.2])
    directory.write_weights("weights_before.npz", [np.full([2, 3], n, "f4") for n in range(9)])
    directory.write_weights("weights_after.npz", [np.full([2, 3], n, "f4") for n in range(9)])
    directory.write_arrays("examples.npz", EXAMPLES)
    weights = [np.arange(5.0) + n for n in range(9)]
    directory.write_layers([layer_metrics(epoch, weights, weights[::-1]) for epoch in range(3)])
    return directory


def outcome(run):
    """What every reader says of the run's files; a refusal is one line that names the run."""
    said = []
    for read in (
        lambda: read_run(run.path),
        lambda: run.read_metrics() and run.read_config(),
        lambda: read_run(run.path).weights("weights_before.npz"),
        lambda: read_run(run.path).examples(),
        run.read_layers,
    ):
        try:
            said.append(read() is not None)
        except UsageError as error:
            assert run.path in str(error)
            said.append(False)
    return said


def with_content(run, name, content):
    """The outcome with another content of a file, which is then as it was."""
    before = commands.snapshot(run.path)
    try:
        with open(run.file(name), "wb") as file:
            file.write(content)
        return outcome(run)
    finally:
        with open(run.file(name), "wb") as file:
            file.write(before[name])
        assert commands.snapshot(run.path) == before


def content_of(run, name):
    with open(run.file(name), "rb") as file:
        return file.read()


@st.composite
def changes(draw):
    """Up to three changes, each a place from the start, what is removed there, and what is put."""
    change = st.tuples(st.integers(0, 2**20), st.integers(0, 8), st.binary(max_size=8))
    return draw(st.lists(change, min_size=1, max_size=3))


def changed(content, places):
    """A content with these changes."""
    for place, removed, new in places:
        at = place % (len(content) + 1)
        content = content[:at] + new + content[at + removed :]
    return content


def test_the_unchanged_run_is_read(run):
    """Breaks if everything is refused: then the properties below say nothing."""
    assert outcome(run) == [True] * 5


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "layers.csv", "examples.npz"])
def test_changed_files_are_read_or_refused(run, name, recwarn):
    """Breaks if a byte in a file of a run ends in a traceback, or in a warning of a library."""

    @SETTINGS
    @given(places=changes())
    def check(places):
        with_content(run, name, changed(content_of(run, name), places))

    check()
    # Another test's file that is not closed yet may be collected meanwhile.
    assert not [x for x in recwarn.list if not issubclass(x.category, ResourceWarning)]


@SETTINGS
@given(seed=st.integers(0, 2**32))
def test_headers_of_arrays_are_read_or_refused(run, seed):
    """Breaks if NumPy's parser of headers gets something past, in an archive that is sound."""
    dice, packed = random.Random(seed), io.BytesIO()
    name = dice.choice(["examples.npz", "weights_before.npz"])
    with zipfile.ZipFile(run.file(name)) as sound, zipfile.ZipFile(packed, "w") as archive:
        for member in sound.namelist():
            content = bytearray(sound.read(member))
            for _ in range(dice.randint(0, 3)):
                content[dice.randrange(90)] = dice.choice(HEADER_BYTES)
            archive.writestr(member, bytes(content))
    with_content(run, name, packed.getvalue())


@SETTINGS
@given(field=st.sampled_from([*Case.__dataclass_fields__, None]), value=JSON)
@example(field="threads", value=1.5)
@example(field="seed", value=1.5)
@example(field="train_size", value=True)
@example(field="quirks", value=[["sum-loss"]])
@example(field="name", value=5)
def test_any_value_of_a_field_is_read_or_refused(run, field, value):
    """Breaks if a value that the command line never gives is let through to where it raises."""
    config = run.read_config()
    if field is None:
        config["data"] = value
    else:
        config["case"][field] = value
    said = with_content(run, "config.json", json.dumps(config).encode())
    if said[0]:
        case = Case(**config["case"])
        assert all(type(getattr(case, name)) is int for name in ("threads", "seed", "epochs"))
        assert type(case.name) is type(case.schedule) is str


def test_deep_configurations_are_refused(run):
    """Breaks if lists in lists end in a RecursionError."""
    assert with_content(run, "config.json", b"[" * 100_000)[:2] == [False, False]


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("weights_before.npz", {"layer_1": np.ones(3)}),
        ("weights_before.npz", {f"layer_{n}": np.array(["x"]) for n in range(9)}),
        ("weights_before.npz", {f"layer_{n}": np.ones([0, 2]) for n in range(9)}),
        ("weights_before.npz", {f"layer_{n}": np.full([2], np.nan) for n in range(9)}),
        ("weights_before.npz", {f"layer_{n}": np.array([None]) for n in range(9)}),
        ("examples.npz", {"images": EXAMPLES["images"], "names": EXAMPLES["names"]}),
        ("examples.npz", dict(EXAMPLES, names=EXAMPLES["names"][:2])),
        ("examples.npz", dict(EXAMPLES, names=np.arange(3))),
        ("examples.npz", dict(EXAMPLES, names=np.array("cat"))),
        ("examples.npz", dict(EXAMPLES, images=EXAMPLES["images"].astype(float))),
        ("examples.npz", dict(EXAMPLES, images=EXAMPLES["images"][:, :16])),
        ("examples.npz", dict(EXAMPLES, augmented=EXAMPLES["augmented"][:, :2])),
        ("examples.npz", {name: array[:0] for name, array in EXAMPLES.items()}),
    ],
    ids=str,
)
def test_arrays_that_are_no_weights_or_examples_are_refused(tmp_path, name, arrays):
    """Breaks if arrays of another kind, shape or number get to where they are drawn."""
    write_run(tmp_path, "c", [0.1]).write_arrays(name, arrays)
    run = read_run(str(tmp_path))
    with pytest.raises(UsageError, match=f"{name} is damaged"):
        run.weights(name) if name.startswith("weights") else run.examples()


@pytest.mark.parametrize("cost", ["inf", "nan", "1e38"])
def test_costs_without_bound_are_drawn(run, tmp_path, cost):
    """Breaks if a run that diverged cannot be drawn."""
    content = content_of(run, "metrics.csv").replace(b",2.0,", b",%s," % cost.encode())
    diverged = write_run(tmp_path, "c", [0.1, 0.2])
    (tmp_path / "metrics.csv").write_bytes(content)
    assert str(diverged.read_metrics()[0].train_cost) == str(float(cost))
    figure = learning_curves(diverged.read_metrics(), "heading")
    assert style.render(figure, "png").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b",updates_layer_9", b",updates_layer_10"),  # then the test below would pass for nothing
        (b",0.2,", b",1.5,"),
        (b",0.2,", b",nan,"),
        (b",2.0,", b",-2.0,"),
        (b",2.0,", b",1e308,"),
        (b",10.5,", b",inf,"),
        (b",10.5,", b",-1,"),
        (b",10,2,", b",-10,2,"),
        (b",10,2,", b"," + b"9" * 30 + b",2,"),
        (b",6000000000000", b"," + b"9" * 40),
    ],
)
def test_impossible_numbers_are_refused(run, old, new):
    """Breaks if numbers that no run can have are drawn or compared."""
    content = content_of(run, "metrics.csv")
    assert content.count(old) >= 1
    said = with_content(run, "metrics.csv", content.replace(old, new))
    assert said[:2] == ([True, True] if b"layer_10" in new else [False, False])
