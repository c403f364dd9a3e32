"""LS303: every kind of regularization must do what its formula says."""

from __future__ import annotations

from dataclasses import dataclass

from lossdoc import specimens
from lossdoc.checks import _dropout, _penalty, _weight_decay
from lossdoc.errors import NotApplicable
from lossdoc.findings import Answer, Evidence, Passed, Severity
from lossdoc.parts.optimizers import Adam, AdamW, Sgd
from lossdoc.parts.regularizers import L1, L2
from lossdoc.rule import rule
from lossdoc.specimens import OwnPenalty
from lossdoc.subject import Subject


@dataclass(frozen=True)
class _Flipped(L2):
    """An L2 term with the wrong sign."""

    def value(self, model):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return -super().value(model)


@rule(
    code="LS303",
    severity=Severity.ERROR,
    fires_on=(
        lambda: specimens.with_penalty(_Flipped(1e-3)),
        lambda: specimens.with_penalty(L2(1e-3), OwnPenalty(specimens.rewarding)),
        lambda: specimens.with_penalty(OwnPenalty(specimens.detached)),
        lambda: specimens.with_penalty(OwnPenalty(specimens.nothing)),
        lambda: specimens.with_recipe(specimens.healthy(), optimizer=specimens.Growing(lr=0.1, weight_decay=0.1)),
        lambda: specimens.healthy(build=specimens.unscaled_dropout(specimens.mlp(depth=2))),
    ),
    quiet_on=(
        lambda: specimens.with_penalty(L1(1e-4), L2(1e-2)),
        lambda: specimens.with_penalty(OwnPenalty(specimens.ridge)),
        lambda: specimens.with_recipe(specimens.healthy(), optimizer=Sgd(lr=0.1, weight_decay=1e-2)),
        lambda: specimens.with_recipe(specimens.healthy(), optimizer=Adam(weight_decay=1e-2)),
        lambda: specimens.with_recipe(specimens.healthy(), optimizer=AdamW()),
    ),
)
def regularization_raises_loss(subject: Subject) -> Answer:
    """A kind of regularization does not do what its formula says.

    Looks like:
        The loss falls below 0, or the weights grow without end; or overfitting stays as it was, whatever the coefficient.

    Causes:
        - the penalty has the wrong sign: it rewards large weights
        - the penalty is computed on values cut off from the weights, so that its gradient is 0
        - the penalty looks at no weights at all
        - a weight decay that the optimizer does not apply
        - a dropout that drops another share than it says, that does not scale the rest, or that is on in evaluation

    Confirm with:
        - print the loss with the coefficient at 0 and at its value: it must rise by c·sum |w| for L1, by c/2·sum w² for L2
        - take one step with all gradients 0 and look at the weights: weight decay must have shrunk them

    Try:
        - add the penalty, do not subtract it
        - compute the penalty from the parameters themselves, without `.data`, `.detach()` or `.item()`

    False alarms:
        A term of one's own that pays for something else than small weights, and may be negative: it is a part of the
        loss, no regularization.

    Decided by:
        Each term is switched on alone on the same network and batch. The loss must rise, and by the closed form, computed
        apart from the training code, within 0.1 % and the rounding of float32. A term of the user's own must rise or,
        where it is 0 at first, rise when the weights change, and must have a gradient. Weight decay in the optimizer
        never shows in the loss: one step with zero gradient must change the weights as that optimizer's documented
        formula says. Dropout must drop its share of 40,000 ones within 5 binomial standard deviations, scale the rest by
        1/(1 − p), and do nothing in evaluation mode; that it raises the loss is not asked: at initialization it need not.

    Sources:
        - the study notes, step 3: with regularization on, the loss must increase
        - Loshchilov and Hutter (2017), Decoupled Weight Decay Regularization
        - Srivastava et al. (2014), Dropout
    """
    penalties = [penalty for penalty in subject.recipe.penalties if penalty.coefficient != 0]
    decay = subject.recipe.hyper.get("weight_decay", 0.0)
    dropouts = _dropout.dropouts(subject)
    if not penalties and not decay and not dropouts:
        raise NotApplicable("no regularization is configured")
    answers = [_penalty.judge(subject, penalty) for penalty in penalties]
    answers += [_weight_decay.judge(subject, decay)] if decay else []
    answers += [_dropout.judge(dropouts)] if dropouts else []
    wrong = [answer for answer in answers if isinstance(answer, Evidence)]
    if wrong:
        return wrong[0]
    return Passed("; ".join(answer.summary for answer in answers), answers[0].facts)
