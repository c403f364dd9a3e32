"""Which column is what, and how rows become curves."""

from __future__ import annotations

import numpy as np
import pytest

from lossdoc import columns
from lossdoc.curve import Context, Curve, Table
from lossdoc.errors import UserError
from lossdoc.readers.csv import reader


def table(text: str) -> Table:
    """Read a text as a table."""
    return reader.read(text.encode(), "log.csv")[0]


def curves(text: str, context: Context = columns.UNKNOWN, /, **told: str) -> list[Curve]:
    """Return the curves of a text."""
    found = table(text)
    return columns.curves(found, columns.choose(found, **told), context)


def rows(*lines: str) -> str:
    """Return a table with these lines."""
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("header", "train", "val", "step", "run"),
    [
        ("step,train_loss", "train_loss", None, "step", None),
        ("run,step,train_loss,val_loss", "train_loss", "val_loss", "step", "run"),
        ("epoch,accuracy,loss,val_accuracy,val_loss", "loss", "val_loss", "epoch", None),
        ("epoch,error,step,train_loss,val_loss", "train_loss", "val_loss", "step", None),
        ("epoch,train_loss,valid_loss,accuracy,time", "train_loss", "valid_loss", "epoch", None),
        ("epoch,train_loss,eval_loss,eval_top1", "train_loss", "eval_loss", "epoch", None),
        ("Step,Training Loss,Validation Loss", "Training Loss", "Validation Loss", "Step", None),
        ("global_step,step,tr_loss,dev_loss", "tr_loss", "dev_loss", "global_step", None),
        ("step,iter,train/loss,val/loss,lr,mfu", "train/loss", "val/loss", "step", None),
        ("seed,iteration,loss/train,loss/val", "loss/train", "loss/val", "iteration", "seed"),
        ("trial,batch,trainLoss,testLoss", "trainLoss", "testLoss", "batch", "trial"),
        ("epoch,trainloss,valloss", "trainloss", "valloss", "epoch", None),
        ("epoch,train_loss_step,train_loss_epoch,val_loss", "train_loss_epoch", "val_loss", "epoch", None),
        ("step,total_loss,loss_cls,loss_scale", "total_loss", None, "step", None),
        ("step,nll,test_nll", "nll", "test_nll", "step", None),
        ("loss,val_loss", "loss", "val_loss", None, None),
        ("iter,lm loss,grad norm", "lm loss", None, "iter", None),
        ("n,best_val_loss,cross_entropy", "cross_entropy", None, None, None),
        ("Epoche,Trainingsverlust,Validierungsverlust", "Trainingsverlust", "Validierungsverlust", "Epoche", None),
        ("epoch,losstrain,lossval", "losstrain", "lossval", "epoch", None),
        ("epoch,perte,perte_validation", "perte", "perte_validation", "epoch", None),
        ("epoch,训练损失,验证损失", "训练损失", "验证损失", "epoch", None),
    ],
)
def test_the_usual_names(header: str, train: str, val: str | None, step: str | None, run: str | None) -> None:
    width = header.count(",") + 1
    roles = columns.choose(
        table(rows(header, *(",".join(str(line + 1 + place) for place in range(width)) for line in range(3))))
    )
    assert (roles.train, roles.val, roles.step, roles.run) == (train, val, step, run)


def test_told_columns_win_and_ambiguous_ones_are_spoken_of() -> None:
    found = table(rows("step,a_loss,b_loss,other", "1,2,3,4", "2,3,4,5"))
    assert columns.choose(found, train="other", val="b_loss").train == "other"
    roles = columns.choose(found)
    assert (roles.train, roles.val) == ("a_loss", None)
    told = "'b_loss' would do too: --train COLUMN takes another, --val COLUMN one for validation"
    assert roles.notes == (f"'a_loss' is taken for the training loss; {told}",)


@pytest.mark.parametrize(
    ("header", "overlooked"),
    [
        ("step,loss,vloss", "'vloss' is"),
        ("Epoche,Verlust,Gesamtverlust", "'Gesamtverlust' is"),
        ("step,loss,holdout,dev_ppl", "'holdout', 'dev_ppl' are"),
        ("step,loss,val_loss,val_mae", ""),  # there is a validation loss
        ("step,loss,val_acc,eval_runtime,loss_scale,best_val_loss,lr,elapsed", ""),
    ],
)
def test_a_column_that_may_be_a_loss_is_not_left_out_without_a_word(header: str, overlooked: str) -> None:
    width = header.count(",") + 1
    found = table(rows(header, *(",".join(str(line + 1 + place) for place in range(width)) for line in range(3))))
    said = f"{overlooked} not read as a loss: --val or --train COLUMN takes it"
    assert columns.choose(found).notes == ((said,) if overlooked else ())


@pytest.mark.parametrize(("values", "taken"), [("1.2,1.3,1.9", True), ("0.6,0.5,0.4", True), ("0.5,0.7,0.9", False)])
def test_validation_alone_is_its_loss_unless_it_may_be_an_accuracy(values: str, taken: bool) -> None:
    lines = (f"{place},{1 / (1 + place)},{value}" for place, value in enumerate(values.split(",")))
    roles = columns.choose(table(rows("step,loss,val", *lines)))
    assert roles.val == ("val" if taken else None)
    assert "--val" in roles.notes[0]


@pytest.mark.parametrize(
    ("text", "told", "says"),
    [
        (rows("a,b", "1,2", "3,4"), {}, r"no loss column; its columns are 'a', 'b': name one with --train COLUMN"),
        (rows("step,train_loss", "1,2"), {"val": "trainloss"}, r"no column 'trainloss'; did you mean 'train_loss'\?"),
        (rows("step,train_loss", "1,oops", "2,oops"), {}, r"column 'train_loss' holds no number"),
        (rows("1,2,3", "1,1,1"), {}, "no loss column"),
        (rows("0,2.5", "inf,2", "inf,1.5"), {}, "no loss column"),  # without a warning of numpy's
        (rows("run,loss", "a,1", "b,"), {}, "run 'b' has not one number in column 'loss'"),
    ],
)
def test_what_cannot_be_a_curve(text: str, told: dict[str, str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        curves(text, Context(), **told)


def test_blank_cells_are_no_entries_and_logged_nan_is_one() -> None:
    (curve,) = curves(rows("step,train_loss,val_loss", "1,0.5,", "2,nan,0.7", "3,,", "4,0.2,0.6"))
    assert curve.train.step.tolist() == [1, 2, 4]
    assert curve.train.value.tolist() == pytest.approx([0.5, float("nan"), 0.2], nan_ok=True)
    assert curve.val is not None
    assert curve.val.step.tolist() == [2, 4]
    assert curve.diverged


def test_nan_between_evaluations_is_no_divergence() -> None:
    found = table(rows("step,loss,val_loss", *(f"{i},1,{0.5 if i % 3 == 0 else 'nan'}" for i in range(1, 13))))
    (curve,) = columns.curves(found, columns.choose(found))
    assert curve.val is not None
    assert curve.val.step.tolist() == [3, 6, 9, 12]
    assert not curve.diverged
    assert columns.remarks(found, columns.choose(found)) == [
        "'val_loss' is nan wherever it was not evaluated: those cells count as blank"
    ]


def test_the_other_columns_get_their_usual_names() -> None:
    (curve,) = curves(
        rows("epoch,loss,learning_rate,acc,val_accuracy,note,spam", "1,2,0.1,0.5,0.4,x,3", "2,1,0.1,0.6,0.5,y,4")
    )
    assert set(curve.others) == {"lr", "train_accuracy", "val_accuracy", "spam"}
    assert curve.others["lr"].value.tolist() == [0.1, 0.1]


@pytest.mark.parametrize(
    ("text", "context", "axis", "per_epoch"),
    [
        (rows("epoch,loss", "1,2", "2,1"), Context(), "epoch", None),
        (rows("step,loss", "1,2", "2,1"), Context(), "step", None),
        (rows("step,loss", "1,2", "2,1"), Context(axis="epoch"), "epoch", None),
        (rows("epoch,loss", "0.5,2", "1.0,1"), Context(), "step", 1.0),
        (rows("loss", "2", "1"), Context(steps_per_epoch=7), "step", 7),
    ],
)
def test_what_the_axis_counts(text: str, context: Context, axis: str, per_epoch: float | None) -> None:
    (curve,) = curves(text, context)
    assert (curve.context.axis, curve.context.steps_per_epoch) == (axis, per_epoch)


def test_runs_come_in_order_of_appearance() -> None:
    found = curves(rows("run,step,loss", "b,1,5", "b,2,4", "a,1,3", "b,3,2", ",4,1"))
    assert [(curve.run, curve.train.value.tolist()) for curve in found] == [("b", [5, 4, 2, 1]), ("a", [3])]
    assert [curve.run for curve in curves(rows("seed,loss", "3,1", "3,1", "12,2"))] == ["3", "12"]


@pytest.mark.parametrize(
    ("steps", "losses", "kept_steps", "kept", "says"),
    [
        ([3, 1, 2], [1, 3, 2], [1, 2, 3], [3, 2, 1], "they were sorted"),
        ([1, 2, 3, 4, 3, 4, 5], [9, 8, 7, 6, 5, 4, 3], [1, 2, 3, 4, 5], [9, 8, 5, 4, 3], "resumed"),
        ([1, 2, 3, 1, 2, 3], [9, 8, 7, 7, 6, 5], [1, 2, 3, 4, 5, 6], [9, 8, 7, 7, 6, 5], "counts on"),
        ([1, 2, 3, 1, 2, 3], [9, 5, 1, 9, 6, 2], [1, 2, 3], [9, 6, 2], "2 runs, one after another"),
        ([1, 2, 2, 3], [9, 8, 7, 6], [1, 2, 3], [9, 7, 6], "stand twice: the later values are read"),
        ([1, 1, 2, 2], [4, 3, 2, 1], [1, 2, 3, 4], [4, 3, 2, 1], "rows are counted instead"),
        ([1, "", 2], [4, 3, 2], [1, 2], [4, 2], "1 row without a step left out"),
    ],
)
def test_steps_that_do_not_simply_rise(
    steps: list[object], losses: list[int], kept_steps: list[int], kept: list[int], says: str
) -> None:
    found = table(rows("step,loss", *(f"{step},{loss}" for step, loss in zip(steps, losses, strict=True))))
    roles = columns.choose(found)
    (curve,) = columns.curves(found, roles)
    assert curve.train.step.tolist() == kept_steps
    assert curve.train.value.tolist() == kept
    assert says in columns.remarks(found, roles)[0]


def test_another_counter_tells_a_restart_of_the_counter_from_one_of_the_run() -> None:
    losses = [9, 5, 1, 9, 5, 1]
    text = rows("epoch,batch,loss", *(f"{i // 3},{i % 3},{loss}" for i, loss in enumerate(losses)))
    (curve,) = curves(text)
    assert curve.train.value.tolist() == losses
    assert (np.diff(curve.train.step) > 0).all()


def test_an_empty_validation_column_is_left_out_and_spoken_of() -> None:
    found = table(rows("step,loss,val_loss", "1,2,", "2,1,"))
    roles = columns.choose(found)
    assert (roles.val, roles.notes) == (None, ("'val_loss' holds no number and is left out",))
    with pytest.raises(UserError, match="column 'val_loss' holds no number"):
        columns.choose(found, val="val_loss")


def test_a_validation_loss_may_stand_alone() -> None:
    found = table(rows("step,val_loss", "1,2", "2,1"))
    roles = columns.choose(found)
    assert (roles.train, roles.val) == ("val_loss", None)
    assert "stands in" in roles.notes[0]


def test_a_column_of_splits_is_spread_out() -> None:
    lines = [line for n in range(30) for line in (f"{n},train,{2 - n / 64}", f"{n},val,{2 - n / 128}")]
    wide = columns.spread(table(rows("step,split,loss", *lines)))
    assert list(wide.columns) == ["step", "train_loss", "val_loss"]
    (curve,) = columns.curves(wide, columns.choose(wide))
    assert curve.val is not None
    assert curve.train.value.tolist() == [2 - n / 64 for n in range(30)]
    assert curve.val.value.tolist() == [2 - n / 128 for n in range(30)]
    assert curve.val.step.tolist() == list(range(30))


def test_a_table_without_splits_stays_as_it_is() -> None:
    found = table(rows("step,mode,loss", "1,fast,2", "2,slow,1"))
    assert columns.spread(found) is found


@pytest.mark.parametrize(
    ("header", "train", "val", "step"),
    [
        ("Epoche,Verlust,Validierungsverlust,Val Verlust", "Verlust", "Val Verlust", "Epoche"),
        ("époque,perte,val_perte", "perte", "val_perte", "époque"),
        ("paso,pérdida,pérdida_validación", "pérdida", "pérdida_validación", "paso"),
        ("época,perda_treino,perda_validação", "perda_treino", "perda_validação", "época"),
    ],
)
def test_losses_are_called_so_in_other_languages_too(header: str, train: str, val: str, step: str) -> None:
    roles = columns.choose(table(rows(header, *(",".join("123456"[: header.count(",") + 1]) for _ in range(2)))))
    assert (roles.train, roles.val, roles.step) == (train, val, step)


def test_runs_that_follow_each_other_are_called_by_numbers() -> None:
    text = rows("step,loss,kind", *(f"{n},{2.3 * 0.9**n},{'ab'[run]}" for run in range(2) for n in range(20)))
    found = table(text)
    roles = columns.choose(found)
    parts = columns.parts(found, roles)
    assert list(parts) == ["1", "2"]
    assert parts["2"].columns["kind"].labels == ("b",) * 20
    (last,) = columns.curves(found, roles)
    (second,) = columns.curves(parts["2"], roles)
    assert second.train.value.tolist() == last.train.value.tolist()
    assert "--run takes 1 to 2" in columns.remarks(found, roles)[0]
    assert columns.parts(parts["1"], roles) == {}
