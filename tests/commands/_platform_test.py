"""What is said of an accelerator that JAX cannot use."""

import logging

import pytest

from jaxflow.commands import _platform


@pytest.fixture
def logger():
    """JAX's logger of its plugins, as it is before and after."""
    logger = logging.getLogger("jax._src.xla_bridge")
    before = list(logger.filters)
    _platform.say_shortly()
    yield logger
    logger.filters[:] = before
    _platform._reasons.clear()


def fail(logger):
    try:
        raise RuntimeError("cuInit(0) failed\nand more lines")
    except RuntimeError:
        logger.exception("Jax plugin configuration error: %s", "cuda")


def test_a_plugin_s_traceback_is_a_line_where_nobody_asked_for_it(
    logger, caplog, monkeypatch
):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    fail(logger)
    assert caplog.messages == ["no accelerator in use: cuInit(0) failed"]
    assert not caplog.records[0].exc_info


def test_the_error_tells_why_where_somebody_asked(logger, caplog, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    fail(logger)
    assert not caplog.messages
    line = _platform.unusable(AssertionError())
    assert "JAX_PLATFORMS=cuda (cuInit(0) failed)" in line and "\n" not in line


def test_a_platform_without_a_plugin_is_one_it_does_not_know(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "rocm")
    assert "knows no such platform" in _platform.unusable(AssertionError())
