"""What stands around a model and is one itself: another way to draw from it.

Such a class adds ``sample``, and what it needs for that beside the model.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax

from jaxflow.types import Model, Params


@dataclasses.dataclass(frozen=True)
class Around:
    """Everything of a model but how it is drawn from.

    Attributes:
      model: any.
      WAY: what follows the model's name in this one's.
    """

    WAY: ClassVar[str] = ""

    model: Any

    @property
    def method(self) -> str:
        """Its name."""
        return f"{self.model.method}{self.WAY}"

    @property
    def config(self) -> Any:
        """The model's."""
        return self.model.config

    def parameters(self) -> Params:
        """The model's."""
        parameters: Params = self.model.parameters()
        return parameters

    def fresh(self, key: jax.Array) -> Model:
        """The same around an untrained model."""
        return self._around(self.model.fresh(key))

    def _around(self, model: Model) -> Model:
        changed: Any = dataclasses.replace(self, model=model)
        return changed
