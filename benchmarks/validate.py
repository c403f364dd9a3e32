"""`lossdoc validate` on a model.yaml of 300 lines beside what merely importing its libraries costs.

    python benchmarks/validate.py [REPEATS]

Both are new processes, run in turn; counted is the CPU time of each (user and system), so that other work on the machine
counts for little; byte code is kept, as in any installed package. Prints the medians and the ratio, and ends with 1 where
the ratio is 3 or more.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT = 3.0
CACHE = str(Path(tempfile.gettempdir()) / "lossdoc-benchmark-cache")
IMPORTS = [sys.executable, "-c", "import pydantic, yaml, typer"]
HEAD = """\
version: 1
name: long
seed: 3
data:
  source: digits
  batch_size: 64
  split: {validation: 0.2, stratify: true, seed: 1}
  preprocess:
    - scale: {divide_by: 16}
    - center: {per: channel}
    - clip: {low: -3, high: 3}
model:
  init: {he: {mode: fan_in, distribution: normal}}
  layers:
    - conv: {out: 8, kernel: 3, padding: same, init: {normal: 0.1}}
    - batchnorm
    - relu
    - residual:
        - groupnorm: 4
        - leaky_relu: 0.1
        - conv: {out: 8, padding: same}
        - residual: [batchnorm, elu, {conv: {out: 8, padding: same, init: orthogonal}}]
    - maxpool: 2
    - avgpool: 2
    - globalpool: max
"""
BLOCKS = [
    "linear: {out: 24, init: {he: {slope: 0.1}}}", "batchnorm: {momentum: 0.2}", "prelu", "dropout: 0.1",
    "linear: {out: 16, init: {xavier: {distribution: normal}}}", "layernorm", "tanh", "maxout: {out: 12, pieces: 3}",
    "linear: {out: 12, bias: false, init: orthogonal}", "gelu", "linear: 20", "silu", "softplus", "selu", "elu: 0.5",
    "sigmoid",
]  # fmt: skip
TAIL = """\
    - linear: {out: classes, init: {normal: 0.01}}
loss: {cross_entropy: {label_smoothing: 0.1}}
optimizer:
  sgd:
    lr: 1e-2
    momentum: 0.9
    groups:
      - {match: bias$, weight_decay: 0}
      - {match: linear_2, lr: 1e-3}
regularization: {l1: 1e-6, l2: 1e-4, include_bias: false}
schedule: {warmup: {steps: 100, then: {cyclic: {half: 50, peak: 5, mode: exp_range}}}}
train: {epochs: 20, gradient_clip: 1.0}
overfit: {samples: 64, batch_size: 16}
sweep:
  search: random
  points: 16
  epochs: 3
  parameters:
    optimizer.lr: [1e-4, 1e-1]
    regularization.l2: [1e-6, 1e-2]
    data.batch_size: {values: [16, 32, 64]}
"""


def config(lines: int = 300) -> str:
    """Return a model.yaml of that many lines, with building blocks of every kind in it."""
    count = lines - HEAD.count("\n") - TAIL.count("\n")
    return HEAD + "".join(f"    - {BLOCKS[place % len(BLOCKS)]}\n" for place in range(count)) + TAIL


def cpu_seconds(command: list[str]) -> float:
    """Return the user and system time of a command in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = os.times()
    subprocess.run(command, check=True, capture_output=True, env={**kept, "PYTHONPYCACHEPREFIX": CACHE})
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main(repeats: int) -> int:
    """Run both in turn, after a run of each that fills the caches, and print what they cost."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.yaml"
        path.write_text(config())
        validate = [sys.executable, "-m", "lossdoc", "validate", str(path)]
        for command in (validate, IMPORTS):
            cpu_seconds(command)
        pairs = [(cpu_seconds(validate), cpu_seconds(IMPORTS)) for _ in range(repeats)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    lines = config().count("\n")
    print(f"CPU seconds, medians of {repeats} runs")
    print(f"lossdoc validate, {lines} lines                {ours:.3f}")
    print(f"python -c 'import pydantic, yaml, typer'   {theirs:.3f}")
    print(f"ratio {ratio:.2f} (must be below {LIMIT:g})")
    return int(ratio >= LIMIT)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
