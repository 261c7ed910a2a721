"""What a folder holds, to see that a refused command changed nothing."""

import pathlib


def contents(folder):
    """Relative name -> bytes of every file but the lock; None for a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(pathlib.Path(folder).rglob("*"))
        if path.name != "lock"
    }
