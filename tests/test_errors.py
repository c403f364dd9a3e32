"""Faults are told with place, kind, source line and caret; the user's own traceback is kept apart from lossdoc's."""

from __future__ import annotations

import pytest

from lossdoc.errors import NotApplicable, Problem, UserCodeError, UserError, did_you_mean, user_code


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (Problem("no such thing"), "error[usage] no such thing"),
        (Problem("bad", "type", "m.yaml"), "m.yaml: error[type] bad"),
        (Problem("bad", "type", "m.yaml", 3), "m.yaml:3: error[type] bad"),
        (Problem("odd", "range", "m.yaml", 3, 5, warning=True), "m.yaml:3:5: warning[range] odd"),
        (Problem("bad", "type", "m.yaml", 3, 5, "lr: x"), "m.yaml:3:5: error[type] bad\n    lr: x\n        ^"),
        (Problem("bad", "type", "m.yaml", 3, 5, "   "), "m.yaml:3:5: error[type] bad"),
    ],
)
def test_a_problem_tells_its_place(problem: Problem, told: str) -> None:
    assert str(problem) == told


def test_all_faults_are_in_one_error() -> None:
    error = UserError(Problem("one"), Problem("two"))
    assert str(error).splitlines() == ["error[usage] one", "error[usage] two"]


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("relu6", "; did you mean 'relu'?"),
        ("RELU", "; did you mean 'relu'?"),
        ("xent", "; did you mean 'metrics/xent'?"),
        ("zebra", ""),
    ],
)
def test_did_you_mean(word: str, near: str) -> None:
    assert did_you_mean(word, ["relu", "linear", "metrics/xent"]) == near


def boom() -> None:
    raise ValueError("their own fault")


def test_the_tail_shows_the_users_frames_alone() -> None:
    with pytest.raises(UserCodeError) as caught, user_code("call own:boom"):
        boom()
    assert str(caught.value) == "call own:boom raised ValueError: their own fault"
    tail = caught.value.tail()
    assert "in boom" in tail
    assert tail.endswith("ValueError: their own fault")
    assert "errors.py" not in tail.replace("test_errors.py", "")


@pytest.mark.parametrize(
    "passing", [UserError.of("u"), UserCodeError("w", ValueError()), NotApplicable("n"), KeyboardInterrupt()]
)
def test_what_is_not_a_fault_of_the_users_code_passes_unchanged(passing: BaseException) -> None:
    with pytest.raises(type(passing)) as caught, user_code("x"):
        raise passing
    assert caught.value is passing
