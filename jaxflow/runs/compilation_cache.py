"""Compiled programs kept on disk, so that a second start need not compile.

    a folder, or none said -> JAX's persistent cache, switched on for this process

For the commands, which start often; the library leaves JAX's settings alone. JAX keys
an entry by the program, its versions and the kind of device, compresses it, and
compiles anew, with a warning, where an entry cannot be read. For a CPU the key does not
say which instructions the processor has, and a program for another's may crash:
machines therefore have folders of their own.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import platform
import re
from typing import Any

import jax

OFF = "off"
# Shorter compilations are not worth a file.
_LEAST_SECONDS = 0.1


def enable(where: str = "") -> pathlib.Path | None:
    """Keeps this process's compiled programs, and takes those kept before.

    Args:
      where: the folder, made if need be; "" for ``jaxflow`` in the user's cache
        folder; "off" for none.

    Returns:
      The folder of this machine; None where it is off, or was set up by JAX's own
      settings, which then hold, or the folder cannot be written.
    """
    settings: Any = jax.config  # whose attributes type checkers do not see
    wanted = where != OFF and settings.jax_enable_compilation_cache
    if not wanted or settings.jax_compilation_cache_dir:
        return None
    root = pathlib.Path(where).expanduser() if where else user_folder()
    folder = root.absolute() / f"jax-{jax.__version__}-{machine()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        if where:
            raise
        return None  # a home that is read-only is no reason not to run
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def user_folder() -> pathlib.Path:
    """``$XDG_CACHE_HOME/jaxflow``, or ``~/.cache/jaxflow``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (pathlib.Path(base) if base else pathlib.Path.home() / ".cache") / "jaxflow"


def machine() -> str:
    """A short name of what the processor is and can do."""
    text = " ".join((platform.machine(), platform.processor()))
    listing = pathlib.Path("/proc/cpuinfo")
    if listing.exists():
        pattern = r"^(?:flags|Features|model name)\s*:.*$"
        features = re.findall(pattern, listing.read_text(), re.MULTILINE)
        text += "\n".join(sorted(set(features)))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
