"""Whatever words a command is given: it works, or says in one line why not, and writes nothing."""

import contextlib
import importlib
import io
import itertools

import commands
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from run_directories import write_run

from unfair_bp import commandline, files
from unfair_bp.data import sources
from unfair_bp.data.cifar import reading, sets
from unfair_bp.experiment import ledger
from unfair_bp.figures import animation, style
from unfair_bp.figures import schedule as schedule_figure
from unfair_bp.measuring import benchmark as measuring_benchmark
from unfair_bp.measuring import collapse as measuring_collapse
from unfair_bp.reporting import comparison, pictures
from unfair_bp.sweeping import loop

# The same examples in every run, on a machine of any speed.
SETTINGS = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class AskedError(Exception):
    """A parser was asked to parse: it is the argument."""


def main_and_options(name):
    """A command's function, and the options that its parser knows, by name."""

    def asked(parser, words):
        raise AskedError(parser)

    main = importlib.import_module("unfair_bp." + name).main
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commandline.Parser, "parse_args", asked)
        with pytest.raises(AskedError) as caught:
            main([])
    (parser,) = caught.value.args
    options = {word: action for action in parser._actions for word in action.option_strings}
    for word in ("-h", "--help", "--version"):
        del options[word]
    return main, options


COMMANDS = {
    name: main_and_options(name)
    for name in ("train", "sweep", "schedule", "report", "plots", "evaluate")
    + ("published", "quirks", "collapse", "benchmark")
}
NUMBERS = [
    *("0", "1", "2", "-1", "-0", "0.05", "0.5", "16", "16.1", "1e-4", "1e-320", "1e999", "1e400"),
    *("nan", "-nan", "inf", "-inf", "Infinity", "0x10", "1_0", " 7 ", "1,5", "1e", "+3", "1.0"),
    *("9" * 20, "-" + "9" * 20, "9" * 5000, "4294967295", "4294967296", "2147483648", "1024"),
    *("\u0663", "\uff17", "\u00b2", "\u2212" + "1", "0.99999999999999999", "\U0001d7d9"),
]
NAMES = [
    *("run", "logs", "file", "there.png", "new", "new.png", "new.gif", "new.md", "new.html"),
    *("missing/new.png", "file/new.png", "run/new", "new.", ".png", "a b.png", "./new.png", "run/"),
    *("", " ", ".", "..", "~", "~nobody", "-", "--", "@file", "%s.png", "a[b]*?.png", "ram://x"),
    *("a\nb.png", "\x1b[2J.png", "\r", "\0", "a\0.png", "\udcff.png", "\ud800", "\u202e"),
    *("x" * 300 + ".png", "y/" * 3000 + "new.png", "/dev/null", "/dev/full", "/proc/x.png"),
]  # fmt: skip
WORDS = ["a", "c", "g", "A", "fair", "9;8-9", "random:3", "shapes", "cifar10", "per-batch", "svg"]
VALUES = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(NAMES),
    st.sampled_from([*WORDS, *ledger.LEDGER]),
    st.text(max_size=12),
)


class ReachedTheWorkError(Exception):
    """All words were taken; from here on training or minutes of measuring would begin."""


def reached(*arguments):
    raise ReachedTheWorkError


def load(case, data_dir):
    """Data is looked for where the words say, and nowhere else."""
    if case.data in sets.SETS and data_dir is not None:
        reading.load(sets.SETS[case.data], data_dir)
    raise ReachedTheWorkError


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory to be in, with a run of two epochs and some other files, and what is in it."""
    directory = tmp_path_factory.mktemp("place")
    write_run(directory / "run", "a", [0.1, 0.2])
    write_run(directory / "logs" / "c", "c", [0.1, 0.3])
    for name in ("file", "there.png"):
        (directory / name).write_text("mine")
    (directory / "run" / "figures").mkdir()
    (directory / "folder.png").mkdir()
    (directory / "run" / "checkpoints" / "model-2.index").write_bytes(b"")
    return directory, commands.snapshot(directory)


@pytest.fixture(scope="module", autouse=True)
def no_work(place):
    """In that directory, with words read as ever, but nothing drawn, measured or written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place[0])
        patch.delenv("UNFAIR_BP_DATA", raising=False)
        patch.setattr(sources, "load", load)
        patch.setattr(measuring_collapse, "measure", reached)
        patch.setattr(measuring_benchmark, "measure", reached)
        patch.setattr(measuring_benchmark, "measure_sweep", reached)
        patch.setattr(loop, "sweep", reached)
        patch.setattr(style, "render", lambda figure, kind: b"")
        patch.setattr(pictures, "_figures", lambda run: dict.fromkeys(["curves"]))
        patch.setattr(comparison, "figure", lambda collection, wanted: None)
        patch.setattr(schedule_figure, "schedule_heatmap", lambda schedule, layers: None)
        patch.setattr(
            animation,
            "save_animation",
            lambda schedule, layers, path, overwrite: files.check(path, overwrite),
        )
        yield patch


@pytest.fixture(autouse=True)
def written(monkeypatch):
    """Names of the files that would have been written."""
    names = []
    for name in ("write", "write_or_refuse"):
        monkeypatch.setattr(files, name, lambda path, content, new=False: names.append(path))
    return names


def outcome(name, words):
    """The status of a command with these words, and its standard output."""
    output, errors = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status = commands.here(COMMANDS[name][0], *words)
        except ReachedTheWorkError:
            status = 0
        except SystemExit as end:  # --help and --version
            status = end.code
    output.flush()
    if status == 0:
        return status, output.buffer.getvalue().decode()
    assert status == 2, (status, errors.getvalue())
    line = errors.getvalue()
    assert line.startswith("error: ") and line.endswith("\n")
    assert line[:-1].isprintable(), "one line, and nothing that a terminal would obey"
    return status, output.buffer.getvalue().decode()


def assert_works_or_refuses(name, words, place, written):
    """Run a command, and look at what it left."""
    del written[:]
    status, _ = outcome(name, words)
    assert status == 0 or not written
    for path in written:
        assert any(path == word or word.endswith("=" + path) for word in words) or name == "plots"
    assert commands.snapshot(place[0]) == place[1]
    return status


def words_of(name):
    """Words for a command: its options and others', with or without values, and stray ones."""
    options = st.sampled_from([*COMMANDS[name][1], "--version", "--help", "-h", "--", "-x"])
    given_option = st.tuples(options, VALUES).map(list)
    joined = st.tuples(options, VALUES).map(lambda pair: ["{}={}".format(*pair)])
    alone = st.one_of(options, VALUES).map(lambda word: [word])
    parts = st.lists(st.one_of(given_option, given_option, joined, alone), max_size=4)
    return parts.map(lambda lists: list(itertools.chain.from_iterable(lists)))


@pytest.mark.parametrize("name", COMMANDS)
def test_any_words_work_or_are_refused(name, place, written):
    """Breaks if words end in a traceback, in two lines, or in a file beside an error."""

    @SETTINGS
    @given(words=words_of(name))
    def check(words):
        assert_works_or_refuses(name, words, place, written)

    check()


@pytest.mark.parametrize("name", ["report", "plots", "evaluate"])
def test_any_place_works_or_is_refused(name, place, written):
    """Breaks if a strange name of a directory ends in a traceback."""

    @SETTINGS
    @given(
        place_given=st.one_of(st.sampled_from(NAMES), st.text(max_size=20)), words=words_of(name)
    )
    @example(place_given="run", words=[])
    @example(place_given="logs", words=["--markdown", "new.md"])
    @example(place_given="\0", words=[])
    @example(place_given="\ud800", words=[])
    def check(place_given, words):
        assert_works_or_refuses(name, [place_given, *words], place, written)

    check()


def values_for(action):
    """All strange values of an option's own kind, and a few of the other."""
    if action.nargs == 0:
        return NAMES[:1]
    if action.type in (None, str, commandline.path):
        return [*NAMES, *NUMBERS[:3]]
    return [*NUMBERS, *NAMES[:3]]


def pairs():
    """Every option of a command with every value for it."""
    for name, (_, options) in COMMANDS.items():
        for option, action in options.items():
            for value in values_for(action):
                yield name, [option, value]


def test_every_option_with_every_strange_value(place, written):
    """Breaks if one option's type or check lets a value through to where it raises."""
    seen = {0: 0, 2: 0}
    for name, words in pairs():
        more = ["run"] if name in ("report", "plots", "evaluate") else []
        seen[assert_works_or_refuses(name, [*more, *words], place, written)] += 1
    assert min(seen.values()) > 100, "neither everything nor nothing is refused"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("train", ["--run-dir", ""]),
        ("train", ["--run-dir", "\0"]),
        ("train", ["--run-dir", "a[b]"]),
        ("train", ["--run-dir", "a*"]),
        ("train", ["--run-dir", "a?"]),
        ("train", ["--run-dir", "a\\b"]),
        ("train", ["--run-dir", "ram://x"]),
        ("train", ["--run-dir", "\udcff"]),
        ("train", ["--data-dir", ""]),
        ("train", ["--batch-size", "9" * 5000, "--augment"]),
        ("report", ["run", "--html", ""]),
        ("report", ["run", "--html", "/dev/null", "--overwrite"]),
        ("schedule", ["--png", "folder.png", "--overwrite"]),
        ("report", [""]),
        ("plots", [""]),
        ("evaluate", [""]),
    ],
)
def test_these_are_refused(name, words, place, written):
    """Breaks if a name that is none, or that TensorFlow reads as a pattern or address, is taken.

    TensorFlow removes old checkpoints by pattern, those of other runs too, and writes to memory.
    """
    assert assert_works_or_refuses(name, words, place, written) == 2


@pytest.mark.parametrize(
    ("name", "words", "shown"),
    [
        ("schedule", ["--schedule", "9", "--png", "\udcff.png"], "wrote \\udcff.png"),
        ("report", ["run"], "| a | fair |"),
        ("evaluate", ["run"], ""),
        ("sweep", ["--case", "c", "e", "--seed", "0-4", "--dry-run"], "--case e --seed 4"),
        ("schedule", ["--schedule", "\u20039\u2003"], "schedule \u20039\u2003: a cycle"),
        ("schedule", ["--schedule", "freeze", "--epochs", "\u0663"], "15000 iterations"),
    ],
)
def test_these_work(name, words, shown, place, written):
    """Breaks if everything strange is refused, or bytes that are no characters cannot be shown."""
    status, output = outcome(name, words)
    assert status == 0 and shown in output
