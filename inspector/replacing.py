"""A text file that is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def replace_text(path: Path, text: str, *, private: bool = True) -> None:
    """Write a file beside it, then let it take the place; OSError leaves what was there as it was.

    `private` keeps it from other users; else the mask of the process decides, as for any new file. What is
    no regular file (a pipe, a terminal) is written to as it stands.
    """
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    path = Path(os.path.realpath(path))
    handle, new = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        if not private:
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(new, 0o666 & ~mask)
        os.replace(new, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise
