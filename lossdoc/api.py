"""What Python code asks of lossdoc: the diagnosis of a log, and the stages of the checklist on one's own model and data."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from lossdoc import diagnosis, logged
from lossdoc.curve import Context, Curve, Runs
from lossdoc.errors import UserError
from lossdoc.findings import Report as Plain
from lossdoc.findings import worst_first
from lossdoc.logged import Known
from lossdoc.prints import warned_once
from lossdoc.showing import Report, as_arguments

if TYPE_CHECKING:
    from lossdoc.checkup import Case
    from lossdoc.subject import Trials

__all__ = ["Curve", "Report", "Runs", "check", "diagnose", "overfit", "sweep"]


class Given(TypedDict, total=False):
    """How a model is trained, as far as it is not by Adam at 1e-3 on all that a batch holds, with nothing to regularize it.

    `val` holds the data for validation, as a DataLoader or a list of batches; arrays without it give a fifth of themselves.
    `optimizer` is a torch optimizer over the model's parameters, a class or a partial one, f(model), or a word of model.yaml
    (`{"sgd": {"lr": 0.1}}`). `regularization` is f(model) -> penalty, or words (`{"l2": 1e-4}`). `step` is your own training
    step f(model, batch, optimizer) -> loss. `batch` names the keys of batches that are mappings (`{"x": ..., "y": ...}`).
    `batch_size` is that of data which are in no batches yet, 32. `classes` is the number of classes where the data do not
    tell it. With `reinitialize` the copies of a model draw their weights anew, by the `reset_parameters` of their layers.
    `seed` decides everything random.
    """

    val: Any
    optimizer: Any
    regularization: Any
    step: Callable[..., Any] | None
    batch: Mapping[str, Any] | None
    batch_size: int | None
    classes: int | None
    reinitialize: bool
    seed: int


@contextlib.contextmanager
def _told_in_python() -> Iterator[None]:
    """Let faults that are told name arguments of Python where they name options of the command line."""
    try:
        yield
    except UserError as bad:
        raise UserError(*(replace(one, message=as_arguments(one.message)) for one in bad.problems)) from None


@_told_in_python()
def diagnose(
    log: Any = None,
    *,
    train: Any = None,
    val: Any = None,
    step: Any = None,
    run: str | None = None,
    title: str | None = None,
    select: Collection[str] = (),
    ignore: Collection[str] = (),
    **known: Unpack[Known],
) -> Report:
    """Say what a loss curve shows: what is wrong, how sure that is, why, and what to try.

    `log` is the path of any log that `lossdoc diagnose` reads, a pandas (or polars) DataFrame, a mapping of columns such as
    `history.history` of Keras, a list of records such as `trainer.state.log_history` of Hugging Face, a list of training
    losses, a `Curve` or `Runs`; without it `train`, `val` and `step` are lists of numbers. With a file or a table they are
    names of columns. In a list NaN is a loss that was logged, None none. `known` is what is known of the run beside its
    curve: `axis`, `classes`, `loss`, `batch_size`, `steps_per_epoch`, `n_train`, `n_val`, `lr`. Of a log with several runs
    the report is on all of them together and has those on each in `runs`.

    Raises:
        UserError: when there is nothing to read, a name does not exist, or there is no loss.

    >>> import lossdoc
    >>> losses = [2.3 * 0.95**n + 0.1 for n in range(100)]
    >>> lossdoc.diagnose(losses + [float("nan")] * 5).primary
    'non-finite'
    >>> lossdoc.diagnose({"epoch": range(1, 101), "loss": losses, "val_loss": losses}, axis="epoch").primary
    'healthy'
    """
    context = logged.context(known)
    asked: dict[str, Any] = {"select": select, "ignore": ignore}
    if isinstance(log, Curve):
        return Report.of(diagnosis.examine_curve(log, title=title or log.run or "curve", **asked))
    if isinstance(log, Runs):
        alone = [diagnosis.examine_curve(each, title=title or "curve", **asked) for each in log.curves]
        return Report.of(diagnosis.examine_runs(log, title=title or "runs", **asked), alone)
    if logged.is_path(log):
        names = {"train": train, "val": val, "step": step, "context": context, "run": run}
        return _whole(diagnosis.diagnose(os.fspath(log), **names, **asked))
    curves, notes = _curves(log, train, val, step, context)
    curves = [each for each in curves if run is None or each.run == run]
    if not curves:
        raise UserError.of(f"the log has no run '{run}'", kind="unknown-run")
    found = [diagnosis.examine_curve(each, title=title or "log", notes=notes, **asked) for each in curves]
    if len(curves) > 1:
        found.append(diagnosis.examine_runs(Runs(tuple(curves)), title=title or "log", notes=notes, **asked))
    return _whole(found)


def _curves(log: Any, train: Any, val: Any, step: Any, context: Context) -> tuple[list[Curve], list[str]]:
    """Return the curves in what was given, whatever its form."""
    if log is None and train is None:
        raise UserError.of(f"there is nothing to diagnose; {logged.MEANT}", kind="data")
    if isinstance(log, Mapping) and "train" in log and set(log) <= {"train", "val", "step"}:
        log, train, val, step = None, log["train"], log.get("val", val), log.get("step", step)
    table = None if log is None else logged.table(log)
    if table is None:
        curve, notes = logged.curve(train if log is None else log, val, step, context)
        return [curve], notes
    return logged.curves(table, {"train": train, "val": val, "step": step}, context)


def _whole(reports: Sequence[Plain]) -> Report:
    """Return the report on all runs together where there are several, else the worst of those that are there."""
    if len(reports) == 1:
        return Report.of(reports[0])
    together = [each for each in reports if each.run == "*"]
    chosen = together[0] if len(together) == 1 else worst_first(reports)[0]
    return Report.of(chosen, [each for each in reports if each is not chosen])


def check(
    model: Any,
    data: Any,
    loss: Any,
    *,
    expected_loss: float | None = None,
    select: Collection[str] = (),
    ignore: Collection[str] = (),
    **given: Unpack[Given],
) -> Report:
    """Examine a model before any training: first loss, data, initialization, gradients, the first step.

    `model` is an `nn.Module`, which is copied for each trial and itself never changed, or a function that makes one. `data`
    is a DataLoader, a Dataset, arrays (inputs, targets), a list of samples, or these by split. `loss` is a function
    f(outputs, targets), an object such as `nn.CrossEntropyLoss()`, a word of model.yaml, or "model" where the model puts out
    its own loss. `expected_loss` is what the first loss should be where lossdoc does not know the loss. Everything else is
    `Given`: `val`, `optimizer`, `regularization`, `step`, `batch`, `batch_size`, `classes`, `reinitialize`, `seed`.

    Raises:
        UserError: when something cannot be trained, or does not fit together.
        UserCodeError: when the code that was handed over raises; its exception is the cause.

    >>> import lossdoc
    >>> from torch import nn, randn
    >>> net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3), nn.Softmax(dim=1))
    >>> x = randn(600, 8)
    >>> lossdoc.check(net, (x, x[:, :3].argmax(1)), nn.CrossEntropyLoss()).primary
    'double-softmax'
    """
    from lossdoc import checkup

    known = {} if expected_loss is None else {"checks": {"initial-loss": {"expected": expected_loss}}}
    with _case(model, data, loss, {**given, **known}, select=select, ignore=ignore) as case:
        return Report.of(checkup.sanity(case))


def overfit(
    model: Any,
    data: Any,
    loss: Any,
    *,
    samples: int = 64,
    steps: int | None = None,
    select: Collection[str] = (),
    ignore: Collection[str] = (),
    **given: Unpack[Given],
) -> Report:
    """Train a copy of a model on a few samples until it knows them by heart: a network that cannot has a bug.

    They are learned in batches of a quarter of `samples` for at most `steps` steps, as many as it takes where that is None.
    The other arguments are those of `check`.

    Raises:
        UserError: when something cannot be trained, or does not fit together.
        UserCodeError: when the code that was handed over raises; its exception is the cause.

    >>> import lossdoc
    >>> from torch import nn, randn
    >>> net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
    >>> x = randn(600, 8)
    >>> lossdoc.overfit(net, (x, x[:, :3].argmax(1)), nn.CrossEntropyLoss(), optimizer={"adam": {"lr": 1e-2}}).primary
    'healthy'
    """
    from lossdoc import checkup

    few = {"samples": samples, "batch_size": max(1, samples // 4), **({} if steps is None else {"steps": steps})}
    with _case(model, data, loss, {**given, "overfit": few}, select=select, ignore=ignore) as case:
        return Report.of(checkup.memorize(case))


def sweep(
    model: Any,
    data: Any,
    loss: Any,
    *,
    parameters: Mapping[str, Sequence[Any]] | None = None,
    points: int = 12,
    epochs: int | None = None,
    steps: int | None = None,
    seeds: int = 1,
    search: str = "random",
    runner: str = "auto",
    folder: str | Path | None = None,
    **given: Unpack[Given],
) -> Report:
    """Train copies of a model for a few epochs at many learning rates, and rank them.

    `parameters` are what is varied by name: a tuple (low, high) is a range on a logarithmic scale, `{"optimizer.lr": (1e-4,
    1e-1)}`, a list holds choices. Without it a range test finds the rates. `search` is random, grid, qmc, tpe or range-test.
    The report's `matter` is a `lossdoc.subject.Trials`: `best` is its best trial, `ranked` are all. Nothing is written but
    into `folder`, where one is given. The other arguments are those of `check`.

    Raises:
        UserError: when something cannot be trained, or does not fit together.
        UserCodeError: when the code that was handed over raises; its exception is the cause.

    >>> import lossdoc
    >>> from torch import nn, randn
    >>> net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
    >>> x = randn(600, 8)
    >>> report = lossdoc.sweep(net, (x, x[:, :3].argmax(1)), nn.CrossEntropyLoss(), points=4, epochs=2,
    ...                        parameters={"optimizer.lr": (1e-4, 1e-1)})
    >>> len(report.matter.trials)
    4
    """
    from lossdoc import outcome, planning, sweeping

    block = {"parameters": {name: _range(each) for name, each in (parameters or {}).items()}}
    asked = planning.Asked(search=search, points=points, epochs=epochs, steps=steps, seeds=seeds, runner=runner)
    said: list[str] = []
    with _case(model, data, loss, {**given, "sweep": block}) as case:
        plan = planning.plan(case.spec, case.subject, asked, say=said.append)
        trials = sweeping.sweep(plan, root=None if folder is None else Path(folder), say=said.append)
        report = outcome.report(trials)
    said = [line.partition("; rates from ")[0] for line in said]  # the report itself says between which ends was searched
    return Report.of(replace(report, notes=(*report.notes, *said), advice=tuple(_advice(trials))))


for _stage in (check, overfit, sweep):  # what help() shows is all that many ever read
    _stage.__doc__ = f"{_stage.__doc__}\n    The arguments of all three:\n\n    {Given.__doc__}"


def _advice(trials: Trials) -> Iterator[str]:
    """Yield the recommended values, where there are any, and what they gained when they were trained once more."""
    from lossdoc.applying import confirmation
    from lossdoc.ranking import recommended

    best = recommended(trials)
    if best:
        told = (f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in best.items())
        yield "recommended: " + ", ".join(told)
    if trials.confirmed:
        yield confirmation(trials)


def _range(values: Sequence[Any]) -> Any:
    """Return a range of a sweep as model.yaml has it: two numbers are its ends, anything else its choices."""
    ends = len(values) == 2 and all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)
    return list(values) if ends and isinstance(values, tuple) else {"values": list(values)}


@contextlib.contextmanager
def _case(
    model: Any, data: Any, loss: Any, given: Mapping[str, Any], *, select: Collection[str] = (), ignore: Collection[str] = ()
) -> Iterator[Case]:
    """Put together the case of a model, and examine it on one thread, as the command line does."""
    from lossdoc import build
    from lossdoc.checkup import Case
    from lossdoc.handed import describe, says_the_same
    from lossdoc.rule import checks, patterns, resolve
    from lossdoc.threads import threads

    rules = [*checks.all(), *patterns.all()]
    wanted, unwanted = resolve(select, rules), resolve(ignore, rules)
    with threads(1), warned_once():
        described = describe(model, data, loss, **given)
        subject = replace(build.subject(described), source=None)  # what it is asked now, the checks need not ask again
        if not says_the_same(subject, loss, data):
            described = describe(model, data, loss, own_loss=True, **given)
            subject = replace(build.subject(described), source=None)
        yield Case(described, subject, wanted, unwanted)
