"""Files that commands write on request."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from export_pipelines.errors import ConfigurationError


def replace_file(path: Path, data: bytes, *, what: str) -> None:
    """Write the file, readable for all, so that whoever reads it sees the whole old or the whole new one.

    `what` is the word for messages. Raises ConfigurationError if it cannot be written.
    """
    name = ""
    try:
        file, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # no *.prom, which would be collected
        with os.fdopen(file, "wb") as opened:
            os.fchmod(file, 0o644)
            opened.write(data)
        Path(name).replace(path)
    except OSError as error:
        if name:
            Path(name).unlink(missing_ok=True)
        raise ConfigurationError(f"writing the {what} to {path}: {error.strerror}", hint="Check the path") from error
