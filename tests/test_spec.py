"""model.yaml: what it means, and what is said of every fault."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoc.errors import UserError
from lossdoc.parts.optimizers import Momentum
from lossdoc.spec import Spec, load, loads, template
from lossdoc.spec.document import scalar
from lossdoc.spec.resolve import keys_of
from lossdoc.spec.tables import ALIASES, TABLES, nested

HERE = Path(__file__).parent
CONFIGS = sorted((HERE.parent / "configs").glob("*.yaml"))
FAULTY = sorted((HERE / "faulty").glob("*.yaml"))
SHORT = "data: digits\nmodel:\n  layers:\n    - linear: classes\n"


def faults(text: str, *overrides: str) -> str:
    with pytest.raises(UserError) as told:
        loads(text, "model.yaml", overrides)
    return str(told.value)


@pytest.mark.parametrize("path", FAULTY, ids=lambda path: path.stem)
def test_every_fault_is_told(path: Path, golden: Any) -> None:
    golden(f"spec/{path.stem}.txt", faults(path.read_text()) + "\n")


def test_there_are_enough_faults() -> None:
    assert len(FAULTY) >= 60


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configs_that_ship_are_legal(path: Path) -> None:
    spec = load(path)
    assert (spec.name, spec.warnings, spec.file) == (path.stem, (), str(path))


def test_a_short_file_is_enough() -> None:
    spec = loads(SHORT)
    assert (spec.version, spec.seed, spec.loss.word, spec.optimizer.word) == (1, 0, "cross_entropy", "adam")
    assert (
        loads(
            SHORT.replace("digits", "{source: {csv: {path: a, target: b, task: regression}}}").replace("classes", "1")
        ).loss.word
        == "mse"
    )


@pytest.mark.parametrize("text", [template(), SHORT, *(path.read_text() for path in CONFIGS)])
def test_resolved_read_again_is_the_same(text: str) -> None:
    spec = loads(text)
    again = loads(yaml.safe_dump(spec.resolved(), sort_keys=False))
    assert again.resolved() == spec.resolved()
    assert again.optimizer == spec.optimizer
    assert again.model == spec.model


def test_a_spec_travels_to_other_processes() -> None:
    spec = loads(template(), overrides=["optimizer.lr=0.5"])
    there = pickle.loads(pickle.dumps(spec))  # noqa: S301 - our own
    assert there == spec
    assert there.with_values({"seed": 3}).seed == 3
    with pytest.raises(Exception, match="frozen"):
        spec.seed = 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3), ("1E5", 1e5), ("-.5", -0.5), ("1.", 1.0), ("+12", 12), ("0x1F", 31), ("0o17", 15), ("017", 17),
        ("true", True), ("False", False), ("yes", "yes"), ("on", "on"), ("null", None), ("~", None), ("", None),
        (".inf", math.inf), ("-.INF", -math.inf), ("1_000", "1_000"), ("1:30", "1:30"), ("2001-01-01", "2001-01-01"),
        ("0b11", "0b11"), ("1e", "1e"), (".", "."), ("nan", "nan"), ("inf", "inf"), ("9" * 5000, math.inf),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(scalar(".nan"))


def test_quoted_numbers_are_text() -> None:
    assert "got '3'; a whole number from 0 up to 2^63 - 1 is meant, without quotes" in faults(SHORT + "seed: '3'\n")


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("optimizer.lr=1e-2", "optimizer.lr", 1e-2),
        ("optimizer.adam.lr=1e-2", "optimizer.lr", 1e-2),
        ("optimizer=sgd", "optimizer.momentum", 0.0),
        ("optimizer={momentum: {lr: 1}}", "optimizer.momentum", 0.9),
        ("regularization.l2=0.5", "regularization.l2", 0.5),
        ("data.batch_size=7", "data.batch_size", 7),
        ("data.split=0.3", "data.split.validation", 0.3),
        ("data.split.validation=0.3", "data.split.validation", 0.3),
        ("data.source=iris", "data.source.word", "iris"),
        ("model.layers.1.linear.out=9", "model.layers.1.out", 9),
        ("model.layers.1.out=9", "model.layers.1.out", 9),
        ("model.layers.1.linear.init.he.slope=2", "model.layers.1.init.slope", 2),
        ("model.init.normal.std=2", "model.init.std", 2),
        ("name=a=b", "name", "a=b"),
        ("sweep.parameters.optimizer.lr.high=2", "sweep.parameters", None),
        ("checks.initial-loss=2", "checks.initial_loss.expected", 2),
    ],
)
def test_set(override: str, path: str, value: Any) -> None:
    found: Any = loads(template(), overrides=[override])
    for part in path.split("."):
        found = found[int(part)] if part.isdigit() else getattr(found, part)
    assert found == value if value is not None else found["optimizer.lr"].high == 2


def test_the_momentum_of_momentum_is_no_other_word() -> None:
    spec = loads(SHORT, overrides=["optimizer=momentum", "optimizer.momentum=0.5", "optimizer.momentum.lr=3"])
    assert isinstance(spec.optimizer, Momentum)
    assert (spec.optimizer.hyper["momentum"], spec.optimizer.lr) == (0.5, 3)


def test_set_below_own_code() -> None:
    text = "data: digits\nmodel: {call: 'a:b', args: {width: 3, sizes: [1, 2]}}\n"
    spec = loads(text, overrides=["model.args.width=9", "model.args.sizes.1=7", "model.args.new.deep=1"])
    assert spec.model.args == {"width": 9, "sizes": [1, 7], "new": {"deep": 1}}


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("optimizer.lr", "--set: error[override] got 'optimizer.lr'; path=value is meant, as in optimizer.lr=1e-3"),
        ("optimizer.lrr=1", "--set optimizer.lrr=1: error[unknown-path] optimizer.lrr: there is no key 'lrr' in 'adam'"),
        ("optimizer.lrr=1", "there is no key 'lrr' in 'adam'; did you mean 'lr'? there are: lr, weight_decay, groups"),
        ("optimiser.lr=1", "did you mean 'optimizer'?"),
        ("optimizer.sgd.lr=1", "an optimizer stands here, but it is 'adam', not 'sgd'; to change it, set it as a whole"),
        ("optimizer.lr=fast", "--set optimizer.lr=fast: error[value] optimizer.adam.lr: got 'fast'; a number above 0"),
        ("optimizer.lr=-1", "got -1; a number above 0 is meant"),
        ("optimizer.lr.more=1", "there is nothing called 'more' below a value"),
        ("model.layers.9.out=1", "there is no item '9' in the list; it has items 0 to 3"),
        ("model.layers.linear.out=1", "there is no item 'linear' in the list"),
        ("model.layers.1.conv.out=1", "a layer stands here, but it is 'linear', not 'conv'"),
        ("seed=[1", "--set seed=[1: error[syntax]"),
        ("data=3", "--set data=3: error[type] data.source: got 3; a data source is meant"),
        ("model.layers.1.out=many", "got 'many'; a whole number of 1 or more, or the word 'classes' is meant"),
        ("=3", "path=value is meant"),
    ],
)
def test_set_tells_what_is_wrong(override: str, told: str) -> None:
    assert told in faults(template(), override)


def test_faults_of_the_file_and_of_overrides_come_together() -> None:
    told = faults(SHORT + "sede: 1\n", "optimizer.lrr=1")
    assert "did you mean 'seed'?" in told
    assert "did you mean 'lr'?" in told


def test_the_seed_of_the_command_line_wins() -> None:
    assert loads(SHORT + "seed: 3\n", seed=7).seed == 7
    with pytest.raises(UserError, match=r"--seed -1: error\[value\] seed: got -1"):
        loads(SHORT, seed=-1)


def test_with_values_changes_only_what_is_told() -> None:
    spec = loads(template())
    other = spec.with_values({"optimizer.lr": 0.5, "model.layers.1.out": 9.4})
    assert other.resolved()["optimizer"]["adam"]["lr"] == 0.5
    assert other.resolved()["model"]["layers"][1]["linear"]["out"] == 9  # a search draws numbers, units are counted
    assert other.with_values({"optimizer.lr": 1e-3, "model.layers.1.out": 64}).resolved() == spec.resolved()
    with pytest.raises(UserError, match="got -1"):
        spec.with_values({"optimizer.lr": -1.0})


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ("optimizer: {adamw: {}}\nregularization: {l2: 1e-4}\n", "twice"),
        ("loss: {cross_entropy: {reduction: sum}}\n", "summed-loss"),
        ("optimizer: gd\n", None),
        ("overfit: {batch_size: 65}\n", "unused"),
    ],
)
def test_what_is_odd_is_a_warning(more: str, kind: str | None) -> None:
    assert [each.kind for each in loads(SHORT + more).warnings] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("data", "last", "kind"),
    [
        ("{source: digits, shuffle: false}", "linear: classes", "unshuffled-data"),
        ("digits", "linear: classes\n    - softmax", "double-softmax"),
        ("digits", "linear: classes\n    - relu", "last-relu"),
    ],
)
def test_a_warning_has_its_place(data: str, last: str, kind: str) -> None:
    (found,) = loads(SHORT.replace("digits", data).replace("linear: classes", last)).warnings
    assert (found.kind, found.warning, found.line) == (kind, True, 1 if kind == "unshuffled-data" else 5)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("none.yaml", None, "there is no such file"),
        ("empty.yaml", b"", "the file is empty"),
        ("comment.yaml", b"# nothing\n", "the file is empty"),
        ("binary.yaml", bytes(range(256)), "is not a text"),
        ("control.yaml", b"a: \x01\n", "not a YAML text"),
        ("folder", "folder", "is a folder without a model.yaml"),
    ],
)
def test_what_is_no_yaml_file(tmp_path: Path, name: str, content: Any, told: str) -> None:
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=told) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_folder_stands_for_its_model_yaml(tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text(SHORT)
    assert load(tmp_path).file == str(tmp_path / "model.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\n"
        + "".join(f"{chr(i)}: &{chr(i)} [{f'*{chr(i - 1)}, ' * 9}]\n" for i in range(99, 115)),
        "data: " + "[" * 5000 + "]" * 5000,
        "data: " + "{a: " * 300 + "}" * 300,
    ],
    ids=["billion-laughs", "deep-lists", "deep-mappings"],
)
@pytest.mark.timeout(20)  # it would run for ever
def test_a_bomb_does_no_harm(text: str) -> None:
    assert "error[syntax]" in faults(text)


def test_every_alias_means_a_word_or_key_that_exists() -> None:
    known = {word for table in TABLES.values() for word in table}
    blocks: list[Any] = [Spec, *(cls for table in TABLES.values() for cls in table.values())]
    while blocks:
        fields = keys_of(blocks.pop())
        known |= set(fields)
        blocks += [found[1] for info in fields.values() if (found := nested(info.annotation))]
    assert {meant for several in ALIASES.values() for meant in several} <= known


@pytest.mark.parametrize(
    "word", [word for table in TABLES.values() for word in table.values()], ids=lambda word: word.__name__
)
def test_every_word_says_what_it_is(word: Any) -> None:
    assert word.__doc__
    assert word.word == word.word.lower()


TEXTS = [template(), *(path.read_text() for path in CONFIGS), *(path.read_text() for path in FAULTY)]
PIECES = [
    "\n",
    "  ",
    "\t",
    ":",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!!str ",
    "call: x:y",
    "null",
    "1e999",
    "-1",
    "'",
    "|",
]
PIECES += ["<<: ", "linear", "adam", "args: {}", "?", "values: ", "\u2028", "\ufeff", "classes", "[1e-4, 1]", ".nan", "# "]


@given(data=st.data())
@settings(max_examples=200, deadline=None)
@pytest.mark.timeout(120)  # a hang
def test_no_mutated_file_gives_anything_but_a_spec_or_its_faults(data: Any) -> None:
    text = data.draw(st.sampled_from(TEXTS))
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(text)))
        stop = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.sampled_from(PIECES) | st.text(max_size=3)) + text[stop:]
    try:
        spec = loads(text)
    except UserError as bad:
        assert 0 < len(bad.problems) == len({str(each) for each in bad.problems})  # noqa: PT017 - either outcome is right
    else:
        assert loads(yaml.safe_dump(spec.resolved())).resolved() == spec.resolved()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["relu", "he", "classes", "a:b", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["out", "call", "args", "lr", "low"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
@pytest.mark.timeout(120)  # a hang
def test_no_value_at_any_place_gives_anything_but_a_spec_or_its_faults(data: Any) -> None:
    whole: Any = loads(template()).resolved()
    at: Any = whole
    while True:
        keys = list(at) if isinstance(at, dict) else range(len(at))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            break
        at = at[key]
    at[key] = data.draw(VALUES)
    try:
        assert isinstance(loads(yaml.safe_dump(whole)), Spec)
    except UserError as bad:
        assert bad.problems  # noqa: PT017 - either outcome is right


STEPS = [
    "optimizer",
    "adam",
    "lr",
    "model",
    "layers",
    "0",
    "1",
    "linear",
    "out",
    "sweep",
    "parameters",
    "data",
    "split",
    "source",
]


@given(path=st.lists(st.sampled_from([*STEPS, "args", "x", ""]), min_size=1, max_size=6), value=VALUES)
@settings(max_examples=150, deadline=None)
@pytest.mark.timeout(120)  # a hang
def test_no_override_gives_anything_but_a_spec_or_its_faults(path: list[str], value: Any) -> None:
    try:
        assert isinstance(
            loads(template(), overrides=[f"{'.'.join(path)}={yaml.safe_dump(value, default_flow_style=True)}"]), Spec
        )
    except UserError as bad:
        assert bad.problems  # noqa: PT017 - either outcome is right


BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "matplotlib", "optuna", "pandas", "scipy", "sklearn"):
            raise ImportError(f"{name} is not for validate")
sys.meta_path.insert(0, Block())
from lossdoc.spec import load
for path in sys.argv[1:]:
    print(load(path).name)
"""


def test_a_spec_needs_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCK, *map(str, CONFIGS)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [path.stem for path in CONFIGS]


def test_a_long_file_is_read_whole() -> None:
    layers = "".join(f"    - linear: {{out: {16 + place}, init: he}}\n    - relu\n" for place in range(145))
    text = f"data: digits\nmodel:\n  layers:\n{layers}    - linear: classes\n"
    assert len(loads(text).resolved()["model"]["layers"]) == 291
