"""Writing files so that a reader sees the whole old file or the whole new one, never a part."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from actc.errors import ActcError


class FileError(ActcError, OSError):
    """A file that cannot be written; the message names it, the cause and the remedy."""


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> Path:
    """Writes ``content`` (text as UTF-8) to a temporary file beside ``path`` and renames it. Returns the path.

    A device, pipe or descriptor such as /dev/stdout is written to as it is: renaming would destroy it.

    Raises FileError, and leaves what was there untouched, where the folder is missing, not writable, or the
    disk is full.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        # A link is followed, so that the file it names is the one replaced.
        target = path.resolve()
        if target.is_dir():
            raise IsADirectoryError(f"it is a folder; name a file in it, such as {path / 'out'}")
        if _is_stream(path):
            path.write_bytes(data)
            return path
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise FileError(f"cannot write {path}: {_cause(error, path)}") from error
    return path


def _is_stream(path: Path) -> bool:
    return (path.is_absolute() and path.parts[1:2] in (("dev",), ("proc",))) or (path.exists() and not path.is_file())


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _cause(error: OSError, path: Path) -> str:
    import errno

    remedies = {
        errno.ENOSPC: "the disk is full; free some space or write elsewhere",
        errno.EDQUOT: "your disk quota is used up; free some space or write elsewhere",
        errno.ENOENT: f"the folder {path.parent} does not exist; create it first",
        errno.EACCES: f"no permission to write in {path.parent}",
        errno.EROFS: f"{path.parent} is on a read-only file system; write elsewhere",
    }
    return remedies.get(error.errno or 0, error.strerror or str(error))
