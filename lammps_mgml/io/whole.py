"""Files that are whole at every moment, also after ``kill -9`` or on a full disk."""
from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import struct
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from typing import Self

    from _typeshed import ReadableBuffer as Data  # in the standard library from 3.12
    from _typeshed import WriteableBuffer

BLOCK = 4096
_MAGIC = b"mgml journal 1\n"
_HEAD = struct.Struct("<QQQ")            # bytes before the frame, bytes after it, blocks that follow


def write_whole(path: str | PathLike[str], data: bytes) -> None:
    """Write ``data`` (bytes); the file appears whole or not at all.

    Raises
    ------
    InputError : cannot write there, disk full.
    """
    part = Path(f"{path}.new")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as e:
        _remove(part)
        raise InputError(f"{path}: cannot write: {e.strerror or e}") from None


class Growing:
    """An HDF5 file, as a Python file object for h5py, that grows by one frame or stays as it was.

    What HDF5 appends goes to the end of the file at once.  The few blocks of earlier bytes that it
    changes are kept in memory until ``commit``, which writes them to PATH.journal first and then to
    their places.  After a kill in between, whoever opens the file next does what the journal says;
    after a kill before, the file holds what it held, and some bytes beyond its end.

    A write that fails (disk full) never reaches HDF5, which may crash on it: ``check`` tells.
    """

    def __init__(self, path: str | PathLike[str], write: bool = True) -> None:
        """write : False to read a file whose journal cannot be worked off, in a read-only folder.

        Raises
        ------
        OSError : no such file, no permission, or another process is writing a frame.
        """
        self.path = str(path)
        self.error: OSError | None = None
        self._fd = os.open(self.path, os.O_RDWR if write else os.O_RDONLY)
        try:
            if write:
                _lock(self._fd)
                _work_off(self.path, self._fd)
            self._blocks: dict[int, bytearray] = {} if write else {
                k: bytearray(data) for k, data in (_journal(self.path) or (0, 0, {}))[2].items()}
            self._old = self._end = _size(self._fd) if write else os.fstat(self._fd).st_size
        except BaseException:
            os.close(self._fd)
            raise
        self._fixed = -(-self._old // BLOCK) * BLOCK
        self._at, self._committed = 0, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def check(self) -> None:
        """Raise the error of a write that failed."""
        if self.error is not None:
            raise self.error

    def commit(self) -> None:
        """Make the frame part of the file.  h5py must have closed it.

        Raises
        ------
        OSError : disk full; the file is then as before.
        """
        self.check()
        os.fsync(self._fd)
        body = b"".join(struct.pack("<Q", k) + data for k, data in sorted(self._blocks.items()))
        body = _HEAD.pack(self._old, self._end, len(self._blocks)) + body
        part = f"{self.path}.journal.part"
        try:
            with open(part, "wb") as file:
                file.write(_MAGIC + body + hashlib.sha256(body).digest())
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, f"{self.path}.journal")
            self._committed = True
        except OSError:
            _remove(part)
            raise
        _work_off(self.path, self._fd)

    def discard(self) -> None:
        """Forget what was written, unless it is part of the file already."""
        if self._committed:
            return
        self._blocks.clear()
        try:
            os.ftruncate(self._fd, self._old)
        except OSError:
            pass                              # bytes beyond the end do no harm

    # what h5py calls

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, n: int) -> bytes:
        out = bytearray(n)
        self.readinto(out)
        return bytes(out)

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        at, n = self._at, len(view)
        view[:] = self._pread(at, n)
        for k in self._touched(at, n):
            lo, hi = max(at, k * BLOCK), min(at + n, (k + 1) * BLOCK)
            view[lo - at:hi - at] = self._blocks[k][lo - k * BLOCK:hi - k * BLOCK]
        self._at += n
        return n

    def write(self, data: Data) -> int:
        view = memoryview(data).cast("B")
        at, n = self._at, len(view)
        cut = min(max(self._fixed - at, 0), n) if self.error is None else n
        if cut < n:
            try:
                _pwrite(self._fd, view[cut:], at + cut)
            except OSError as e:
                self.error, cut = e, n
        self._keep(view[:cut], at)
        self._at += n
        self._end = max(self._end, self._at)
        return n

    def truncate(self, size: int | None = None) -> int:
        self._end = self._at if size is None else size
        return self._end

    def flush(self) -> None:
        pass

    def _keep(self, view: memoryview, at: int) -> None:
        for k in range(at // BLOCK, -(-(at + len(view)) // BLOCK)) if len(view) else ():
            if k not in self._blocks:
                self._blocks[k] = bytearray(self._pread(k * BLOCK, BLOCK))
            lo, hi = max(at, k * BLOCK), min(at + len(view), (k + 1) * BLOCK)
            self._blocks[k][lo - k * BLOCK:hi - k * BLOCK] = view[lo - at:hi - at]

    def _touched(self, at: int, n: int) -> list[int]:
        if len(self._blocks) * BLOCK < n:
            return [k for k in self._blocks if at < (k + 1) * BLOCK and k * BLOCK < at + n]
        return [k for k in range(at // BLOCK, -(-(at + n) // BLOCK)) if k in self._blocks]

    def _pread(self, at: int, n: int) -> bytes:
        found = os.pread(self._fd, n, at)
        while len(found) < n:
            more = os.pread(self._fd, n - len(found), at + len(found))
            if not more:
                return found + bytes(n - len(found))
            found += more
        return found


def needs_recovery(path: str | PathLike[str]) -> bool:
    """Whether a process was killed while it made a frame part of the file."""
    return os.path.exists(f"{path}.journal")


def recover(path: str | PathLike[str]) -> None:
    """Do what the journal of a killed process says, if there is one.  OSError : not permitted."""
    if needs_recovery(path):
        with Growing(path):
            pass


def _remove(path: str | PathLike[str]) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _lock(fd: int) -> None:
    """Keep other writers out.  Readers take another kind of lock (flock, by HDF5): they shall not
    stop a run."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        if e.errno in (errno.EACCES, errno.EAGAIN):
            raise BlockingIOError(e.errno, "another process is writing it") from None
                                              # else: a file system without locks


def _pwrite(fd: int, view: memoryview | bytes, at: int) -> None:
    while len(view):
        n = os.pwrite(fd, view, at)
        view, at = view[n:], at + n


def _journal(path: str | PathLike[str]) -> tuple[int, int, dict[int, bytes]] | None:
    """(bytes before, bytes after, {number: block}) of a journal that is whole; else None."""
    try:
        text = Path(f"{path}.journal").read_bytes()
    except OSError:
        return None
    body, digest = text[len(_MAGIC):-32], text[-32:]
    if not text.startswith(_MAGIC) or hashlib.sha256(body).digest() != digest:
        return None
    before, after, n = _HEAD.unpack_from(body)
    each = struct.Struct(f"<Q{BLOCK}s")
    return before, after, dict(each.unpack_from(body, _HEAD.size + k * each.size) for k in range(n))


def _work_off(path: str | PathLike[str], fd: int) -> None:
    """Bring the blocks of the journal to their places, then remove it."""
    found = _journal(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)      # who opens it now shall wait
    except OSError:
        pass
    if found is not None and os.fstat(fd).st_size >= found[0]:
        for k, block in found[2].items():
            _pwrite(fd, block, k * BLOCK)
        os.ftruncate(fd, found[1])
        os.fsync(fd)
    Path(f"{path}.journal").unlink(missing_ok=True)


def _size(fd: int) -> int:
    """Bytes that the file holds by its own account; a killed process may have left more."""
    head, size = os.pread(fd, 48, 0), os.fstat(fd).st_size
    at = {0: 40, 1: 44, 2: 28, 3: 28}.get(head[8] if len(head) == 48 else -1)
    if at is None or head[:8] != b"\x89HDF\r\n\x1a\n":
        return size
    told = int.from_bytes(head[at:at + 8], "little") if at + 8 <= 48 else size
    return min(told, size)
