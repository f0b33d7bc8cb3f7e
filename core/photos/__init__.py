"""An untrusted upload becomes a safe RGB picture, and a picture becomes a network's square.

The one door for pictures from outside, whether a visitor drops them, the command line names them or
they lie in a folder of photographs. Bytes are opened in a limited process (`core.limited`,
`core.photos.decode`); only pixels come back. Nothing is written to disk.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from PIL import Image

from core import limited
from core.errors import PhotoError, UserError
from core.i18n import _
from core.photos.decode import pixels, square
from core.photos.formats import ENDINGS, FORMATS
from core.photos.square import CROP, STORED, centre_crop, prepare, to_square

__all__ = [
    "CROP",
    "ENDINGS",
    "FORMATS",
    "LIMITS",
    "MAX_BYTES",
    "STORED",
    "centre_crop",
    "prepare",
    "read_photo",
    "read_photo_file",
    "read_photos",
    "square",
    "to_square",
    "warm",
]

T = TypeVar("T")

MAX_BYTES = 20 * 2**20
"""The largest file read, in bytes: a phone's photo has 2 to 6 MB, 15 with a video behind it."""

LIMITS = limited.Limits(cpu_s=8, wall_s=30.0, memory_bytes=768 * 2**20, answer_bytes=2**27)
"""What opening one photo may use."""

_BATCH = 16  # small photographs that go to a worker together
_BATCH_BYTES = 2**20


def read_photo(data: bytes) -> Image.Image:
    """The picture in `data`: mode RGB, sRGB, upright by its EXIF orientation, alpha laid on white.

    Of an animation the first frame, of a photo with a video behind it the photo. A picture whose
    short side is 1,280 pixels or more is halved until it is not, which bounds what a session holds.
    Raises PhotoError, whose text is a plain sentence, and nothing else.
    """
    rgb = limited.call(pixels, _checked(data), limits=LIMITS, error=PhotoError)
    height, width, _three = rgb.shape
    return Image.frombuffer("RGB", (width, height), rgb, "raw", "RGB", 0, 1)


def read_photo_file(path: Path | str) -> Image.Image:
    """`read_photo` of a file, whose size is looked at before a byte of it is read."""
    return read_photo(_bytes_of(path))


def read_photos(
    function: Callable[..., T], paths: Iterable[Path], *args: object
) -> Iterator[T | str]:
    """What a task makes of each file's bytes (and `args`), or the sentence why it cannot be read.

    In the files' order, several at once. The task is `square`, or one like it.
    """

    def answers(batch: list[bytes | PhotoError]) -> list[T | str]:
        data = [each for each in batch if isinstance(each, bytes)]
        decoded = iter(limited.call_each(function, data, *args, limits=LIMITS, error=PhotoError))
        given = (next(decoded) if isinstance(each, bytes) else each for each in batch)
        return [str(each) if isinstance(each, UserError) else each for each in given]

    at_once = 8  # the pool takes as many as there are cores
    with limited.workers(at_once), ThreadPoolExecutor(at_once) as threads:
        waiting: deque[Future[list[T | str]]] = deque()
        for batch in _batches(paths):
            waiting.append(threads.submit(answers, batch))
            if len(waiting) > 2 * at_once:  # bounds memory
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _batches(paths: Iterable[Path]) -> Iterator[list[bytes | PhotoError]]:
    """The files' bytes, or why there are none, in pieces that a worker is given at a time."""
    batch: list[bytes | PhotoError] = []
    size = 0
    for path in paths:
        try:
            data = _bytes_of(path)
            batch.append(data)
            size += len(data)
        except PhotoError as error:
            batch.append(error)
        if len(batch) >= _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def warm(n: int = limited.WORKERS) -> None:
    """Start `n` processes that open photos, without waiting for them."""
    limited.warm(pixels, n=n)


def _bytes_of(path: Path | str) -> bytes:
    """A file's bytes. Raises PhotoError."""
    path = Path(path)
    try:
        if path.is_dir():
            raise PhotoError(_("This is a folder. Name a photo in it."))
        if path.is_dir():
            raise PhotoError(_("This is a folder. Name a photo in it."))
        if not path.is_file():  # nor a device or a pipe, which could be read for ever
            raise PhotoError(_("There is no such file."))
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _too_many_bytes(size)
        with path.open("rb") as file:
            return _checked(file.read(MAX_BYTES + 1))
    except (OSError, ValueError) as error:
        raise PhotoError(_("This file cannot be opened.")) from error


def _checked(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise _too_many_bytes(len(data))
    if not data:
        raise PhotoError(_("This file is empty. Choose another photo."))
    return data


def _too_many_bytes(size: int) -> PhotoError:
    return PhotoError(
        _("This file has {size} MB; at most {most} MB are read. Make it smaller first.").format(
            size=f"{size / 2**20:.1f}", most=MAX_BYTES // 2**20
        )
    )
