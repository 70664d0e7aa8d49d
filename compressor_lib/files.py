"""Files that are there as a whole or not at all, whenever the process that writes them is killed."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: str | Path, content: bytes | str) -> None:
    """Writes a file, or puts it in the place of the one that is there.

    The content goes to a draft beside it, which takes the name at once when it is complete and on the disk (POSIX
    ``rename``); until then a reader sees what was there before.

    Args:
        path: The file; its folder exists.
        content: Bytes, or text that is written in UTF-8.

    Raises:
        OSError: If it cannot be written; what was there before is left.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
