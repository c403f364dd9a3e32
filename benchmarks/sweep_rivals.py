"""The ways of others to train the points of benchmarks/sweep.py: a plain loop, Optuna, Ray Tune, Lightning."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweep_cases import Case, rates

Way = Callable[[str, Case], tuple[float, list[float], str]]
"""Trains the points of a case by a network's name; returns the seconds, the last validation losses, and what was said."""


def splits(case: Case) -> tuple[Any, Any]:
    """Return inputs and classes of the training split, and of the validation split."""
    import torch

    from lossdoc.datasets.builtin import Digits

    data = Digits().load(Path())
    shape = (-1, 1, 8, 8) if case.images else (-1, 64)
    x, y = torch.from_numpy(data.inputs).float().div(16).reshape(shape), torch.from_numpy(data.targets)
    held = len(x) // 5
    return (x[held:], y[held:]), (x[:held], y[:held])


def loop_of(name: str, case: Case) -> Callable[[float], float]:
    """Return what trains one point as people do, and returns its validation loss."""
    import sweep_models
    import torch
    from torch.nn import functional

    (x, y), (x_val, y_val) = splits(case)

    def train(rate: float) -> float:
        torch.manual_seed(0)
        model = getattr(sweep_models, name)()
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        step = 0
        while step < case.steps:
            for chosen in torch.randperm(len(x)).split(case.batch):
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(x[chosen]), y[chosen])
                loss.backward()
                optimizer.step()
                step += 1
                if step == case.steps:
                    break
        model.eval()
        with torch.no_grad():
            return float(functional.cross_entropy(model(x_val), y_val))

    return train


def by_loop(name: str, case: Case) -> tuple[float, list[float], str]:
    """Train one point after another."""
    train = loop_of(name, case)
    began = time.perf_counter()
    losses = [train(rate) for rate in rates(case.points)]
    return time.perf_counter() - began, losses, ""


def by_optuna(name: str, case: Case) -> tuple[float, list[float], str]:
    """Train the points as trials of an Optuna study in memory."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    train = loop_of(name, case)
    began = time.perf_counter()
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"lr": rates(case.points)}))
    study.optimize(lambda trial: train(trial.suggest_float("lr", 1e-4, 1e-2, log=True)), n_trials=case.points)
    return time.perf_counter() - began, [float(trial.value or 0) for trial in study.trials], ""


def by_ray_tune(name: str, case: Case) -> tuple[float, list[float], str]:
    """Train the points as trials of Ray Tune, one a core; the start of its cluster is not counted."""
    import ray
    from ray import tune

    def objective(config: dict[str, Any]) -> dict[str, float]:
        import torch

        torch.set_num_threads(1)
        return {"loss": loop_of(name, case)(config["lr"])}

    ray.init(include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        tuner = tune.Tuner(
            objective,
            param_space={"lr": tune.grid_search(rates(case.points))},
            run_config=tune.RunConfig(verbose=0, storage_path=folder),
        )
        results = tuner.fit()
        return time.perf_counter() - began, [result.metrics["loss"] for result in results], ""


def by_lightning(name: str, case: Case) -> tuple[float, list[float], str]:
    """Train the points with a Trainer each, one after another; whatever a Trainer does beside training is switched off."""
    import logging
    import warnings

    import lightning
    import sweep_models
    import torch
    from torch.nn import functional
    from torch.utils.data import DataLoader, TensorDataset

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    train, validation = splits(case)

    class Module(lightning.LightningModule):  # type: ignore[misc]  # lightning is not installed everywhere
        """One point."""

        def __init__(self, rate: float) -> None:
            super().__init__()
            self.model, self.rate = getattr(sweep_models, name)(), rate

        def training_step(self, batch: Any, _index: int) -> torch.Tensor:
            """Return the loss."""
            return functional.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            """Return Adam."""
            return torch.optim.Adam(self.parameters(), lr=self.rate)

    def trained(rate: float) -> float:
        torch.manual_seed(0)
        module = Module(rate)
        trainer = lightning.Trainer(
            accelerator="cpu", max_steps=case.steps, max_epochs=-1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(module, DataLoader(TensorDataset(*train), case.batch, shuffle=True))
        module.eval()
        with torch.no_grad():
            return float(functional.cross_entropy(module.model(validation[0]), validation[1]))

    began = time.perf_counter()
    losses = [trained(rate) for rate in rates(case.points)]
    return time.perf_counter() - began, losses, ""


RIVALS: dict[str, Way] = {"loop": by_loop, "optuna": by_optuna, "ray-tune": by_ray_tune, "lightning": by_lightning}
NEEDS = {"optuna": "optuna", "ray-tune": "ray", "lightning": "lightning"}
