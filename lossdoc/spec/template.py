"""The model.yaml that `lossdoc init` writes."""

TEXT = """\
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


def template() -> str:
    """Return the text of a commented model.yaml that is legal and trains well."""
    return TEXT
