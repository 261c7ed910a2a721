"""What a function returns, told whole: the type from its signature, then its words."""

import re
from typing import Any

import griffe

RETURNS = re.compile(r"^(\s*Returns:\n\s*)(?=\S)", re.MULTILINE)


class Returns(griffe.Extension):
    """Puts the type before the words, whose first colon would else be taken for its."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """A docstring in which it is done."""
        if func.docstring and func.returns:
            said = func.docstring.value
            func.docstring.value = RETURNS.sub(rf"\g<1>{func.returns}: ", said)
