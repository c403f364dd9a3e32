"""The pytest plugin: lossdoc's assertions as fixtures. Nothing is imported before a test asks for one."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def assert_healthy() -> Callable[..., None]:
    """Assert that no check before any training finds an error; see lossdoc.testing.assert_healthy."""
    from lossdoc import testing

    return testing.assert_healthy


@pytest.fixture
def assert_initial_loss() -> Callable[..., None]:
    """Assert that a model's first loss is what it must be; see lossdoc.testing.assert_initial_loss."""
    from lossdoc import testing

    return testing.assert_initial_loss


@pytest.fixture
def assert_gradients_flow() -> Callable[..., None]:
    """Assert that every parameter gets a gradient; see lossdoc.testing.assert_gradients_flow."""
    from lossdoc import testing

    return testing.assert_gradients_flow


@pytest.fixture
def assert_overfits() -> Callable[..., None]:
    """Assert that a model learns a few samples by heart; see lossdoc.testing.assert_overfits."""
    from lossdoc import testing

    return testing.assert_overfits
