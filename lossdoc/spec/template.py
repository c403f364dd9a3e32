"""The model.yaml that `lossdoc init` writes: one for each kind of model, each ready to run."""

import re
from collections.abc import Mapping

HEAD = """\
# yaml-language-server: $schema=./lossdoc.schema.json
# (`lossdoc schema > lossdoc.schema.json` lets an editor complete and check this file)
"""
MLP = """\
# A model for `lossdoc checkup`. Keys that are left out take their defaults.
version: 1
name: my-model
seed: 0

data:
  source: digits            # digits, iris, wine; csv: {path: my.csv, target: label}; or your own: call: my_package.data:load
  batch_size: 32
  shuffle: true             # a new order in every epoch
  split: {validation: 0.2}  # held back to see how the model does on data that it was not trained on
  preprocess:               # fitted on the training split alone
    - scale: {divide_by: 16}  # pixels from 0-16 to 0-1; for columns of different size: standardize

model:                      # or your own: {call: my_package.models:build, args: {width: 64}}
  layers:
    - flatten
    - linear: {out: 64, init: he}   # the number of inputs is found out by itself; he goes with relu
    - relu
    - linear: {out: classes}        # logits, one per class: no softmax before cross_entropy

loss: cross_entropy         # mse, l1, huber for numbers; bce for yes or no

optimizer:
  adam: {lr: 1e-3}          # gd, sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw

regularization:
  l2: 1e-4                  # adds 1e-4 / 2 * sum of squared weights to the loss

train:
  epochs: 15

sweep:                      # what `lossdoc sweep` varies
  search: random
  points: 16
  epochs: 3
  parameters:
    optimizer.lr: [1e-4, 1e-1]       # a range, on a log scale
    regularization.l2: [1e-6, 1e-2]
"""
CNN = """\
# A convolutional network. Keys that are left out take their defaults (`lossdoc show` prints them).
version: 1
name: my-cnn

data:
  source: digits            # or image_folder: {path: images, size: 32}, a folder of images for each class
  preprocess:
    - scale: {divide_by: 16}  # 255 for usual pixels

model:
  init: he
  layers:
    - conv: {out: 16, padding: same}
    - relu
    - maxpool: 2
    - residual:             # adds what came in to what these layers make of it
        - batchnorm
        - relu
        - conv: {out: 16, padding: same}
    - globalpool: mean
    - linear: {out: classes, init: {normal: 0.02}}

optimizer: {adam: {lr: 5e-3}}
train: {epochs: 15}

sweep:
  points: 8
  parameters: {optimizer.lr: [1e-4, 1e-1]}
"""
TEXT_MODEL = """\
# A language model of characters. Keys that are left out take their defaults (`lossdoc show` prints them).
version: 1
name: my-NAME

data:
  source: {text: {path: model.yaml, length: 16}}  # this very file, to begin with: put a text of your own here
  batch_size: 8

model:
  layers:
    - embedding: {entries: classes, out: 32}  # classes: the characters there are
LAYERS
    - linear: {out: classes, init: {normal: 0.02}}  # a score for each next character

optimizer: {adam: {lr: 3e-3}}
train: {epochs: 20, gradient_clip: 1}

sweep:
  points: 4
  parameters: {optimizer.lr: [1e-4, 1e-1]}
"""
REGRESSION = """\
# A regression. Keys that are left out take their defaults (`lossdoc show` prints them).
version: 1
name: my-regression

data:
  source: {synthetic: {form: sine, n: 400, noise: 0.1}}  # or csv: {path: my.csv, target: price, task: regression}
  preprocess: [standardize]

model:
  layers:
    - linear: {out: 32}
    - tanh
    - linear: {out: 1}

loss: mse                   # or l1, huber

optimizer: {adam: {lr: 1e-2}}
train: {epochs: 40}

sweep:
  points: 8
  parameters: {optimizer.lr: [1e-4, 1e-1]}
"""
OWN_CODE = """\
# One's own code: `call: pkg.module:name` and its arguments, wherever a word can stand. Such a file is code: run only what
# you trust. The folder of this file is looked in first. Here torch's own classes stand in for yours.
version: 1
name: my-own-code

data:
  source: iris              # or call: my_data:load, which returns (inputs, targets), a Dataset or a DataLoader
  preprocess: [standardize]

model:
  call: torch.nn:Linear     # a torch.nn.Module class, or a function that returns a module
  args: {in_features: 4, out_features: 3}

loss: {call: "torch.nn:CrossEntropyLoss"}  # f(outputs, targets); or `loss: model`, where the model returns it

optimizer: {call: "torch.optim:AdamW", args: {lr: 1e-2}}  # a class, or a function f(model)

# step: {call: "my_training:step"}         # f(model, batch, optimizer) -> loss

train: {epochs: 20}

sweep:
  points: 4
  parameters: {optimizer.args.lr: [1e-4, 1e-1]}
"""
RECURRENT = "    - gru: {out: 64}        # or lstm"
ATTENTION = """\
    - positions             # attention alone does not know the order
    - transformer: {heads: 4, causal: true}  # causal: a character sees only those before it
    - transformer: {heads: 4, causal: true}
    - layernorm"""
TEMPLATES: Mapping[str, str] = {
    "mlp": MLP,
    "cnn": CNN,
    "rnn": TEXT_MODEL.replace("NAME", "rnn").replace("LAYERS", RECURRENT),
    "transformer": TEXT_MODEL.replace("NAME", "transformer").replace("LAYERS", ATTENTION),
    "regression": REGRESSION,
    "own-code": OWN_CODE,
}


def template(name: str = "mlp", file: str = "model.yaml") -> str:
    """Return the text of a commented model.yaml that is legal and trains well; `file` is what it will be called."""
    return HEAD + re.sub(r"path: model\.yaml", lambda _: f"path: {file}", TEMPLATES[name])
