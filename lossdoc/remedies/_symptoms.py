"""What a network does that does not learn as it should, whatever the cause: the findings that any cause may explain."""

SLOW = ("slow-learning", "slow-start", "underfitting", "not-learning", "overfit-subset", "constant-output")
WILD = ("non-finite", "rising", "spikes", "exploding-gradients", "run-to-run-variance")
STUCK = ("not-learning", "constant-output", "overfit-subset", "underfitting", "slow-start", "ignores-input")
ANY = tuple(dict.fromkeys((*STUCK, *SLOW, *WILD)))
