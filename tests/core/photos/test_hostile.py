"""An upload that is no photograph, or a broken one: one plain sentence, and no trace."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from core import paths
from core.errors import PhotoError
from core.photos import MAX_BYTES, formats, read_photo_file
from tests.uploads import answer, answer_here, encoded, samples, sentence

FAST = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
REFUSED = {
    "empty": (b"", "empty"),
    "html": (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "html, with a byte-order mark": (b"\xef\xbb\xbf \n<HTML>", "web page"),
    "svg": (SVG, "drawing"),
    "gif": (b"GIF89a" + bytes(40), "JPEG, PNG, WebP, HEIC or AVIF"),
    "tiff": (b"II*\0" + bytes(40), "JPEG, PNG, WebP, HEIC or AVIF"),
    "bmp": (b"BM" + bytes(40), "JPEG, PNG, WebP, HEIC or AVIF"),
    "pdf": (b"%PDF-1.7", "JPEG, PNG, WebP, HEIC or AVIF"),
    "zip": (b"PK\3\4" + bytes(40), "JPEG, PNG, WebP, HEIC or AVIF"),
    "text": (b"hello, this is lunch", "JPEG, PNG, WebP, HEIC or AVIF"),
    "jpeg, only its first bytes": (b"\xff\xd8\xff", "damaged"),
    "png, only its signature": (b"\x89PNG\r\n\x1a\n", "damaged"),
    "webp, only its name": (b"RIFF\0\0\0\0WEBP", "damaged"),
    "avif, only its brand": (b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf", "damaged"),
    "heic, only its brand": (b"\0\0\0\x14ftypheic\0\0\0\0heic", "damaged"),
    "jpeg, cut": (samples()["jpeg"][:-200], "damaged"),
    "png, cut": (samples()["png"][:-900], "damaged"),
    "webp, cut": (samples()["webp, lossless"][:-300], "damaged"),
    "heic, cut": (samples()["heic"][:-40], "damaged"),
    "avif, cut": (samples()["avif"][:-40], "damaged"),
    "21 MB": (b"\xff\xd8\xff" + bytes(21 * 2**20), "21.0 MB; at most 20 MB"),
}


def test_what_is_no_photo_gets_a_sentence_that_says_why() -> None:
    for kind, (data, says) in REFUSED.items():
        text = answer(data)
        assert isinstance(text, str) and says in text, kind


def test_twenty_megabytes_are_read_and_one_byte_more_is_not() -> None:
    data = samples()["jpeg"]
    assert isinstance(answer(data + bytes(MAX_BYTES - len(data))), Image.Image)
    assert "at most 20 MB" in str(answer(data + bytes(MAX_BYTES - len(data) + 1)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
def test_one_pixel_too_many(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_PIXELS", 64 * 64)
    assert isinstance(answer_here(encoded(Image.new("RGB", (64, 64)), kind)), Image.Image)
    assert "megapixels" in str(answer_here(encoded(Image.new("RGB", (65, 64)), kind)))


TRACES = """
    import os, sys
    from core.errors import PhotoError
    from core.photos.decode import decode as read_photo

    seen = []

    def watch(event, arguments):
        if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            seen.append((event, arguments))
        if event.startswith(("os.mkdir", "os.rename", "tempfile", "socket", "subprocess")):
            seen.append((event, arguments))

    read_photo(sys.stdin.buffer.read(int(sys.argv[1])))  # imports write bytecode; that is no photo
    sys.addaudithook(watch)
    for size in map(int, sys.argv[2:]):
        try:
            read_photo(sys.stdin.buffer.read(size))
        except PhotoError:
            pass
    assert not seen, seen
    open(os.devnull, "w").close()
    assert seen, "the watch sleeps"
"""


def test_nothing_is_written_to_disk_or_sent() -> None:
    everything = [
        samples()["heic"],
        *samples().values(),
        *(data for data, _says in REFUSED.values() if len(data) < MAX_BYTES),
    ]
    sizes = [str(len(data)) for data in everything]
    code = textwrap.dedent(TRACES)
    subprocess.run(
        [sys.executable, "-B", "-c", code, *sizes],
        input=b"".join(everything),
        cwd=paths.REPO,
        check=True,
        timeout=60,
    )


def test_files_are_looked_at_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, large = tmp_path / "lunch.jpg", tmp_path / "large.jpg"
    photo.write_bytes(samples()["jpeg"])
    assert read_photo_file(photo).size == (48, 64)
    assert read_photo_file(str(photo)).size == (48, 64)
    with large.open("wb") as file:
        file.truncate(21 * 2**20)
    for path, says in [
        (tmp_path, "a folder"),
        (tmp_path / "none.jpg", "no such file"),
        (Path("a\0b"), "file"),
    ]:
        with pytest.raises(PhotoError, match=says) as caught:
            read_photo_file(path)
        sentence(str(caught.value))

    def refuse(*_arguments: object) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PhotoError, match="21.0 MB"):
        read_photo_file(large)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_or_a_device_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", Path("/dev/zero")):
        with pytest.raises(PhotoError, match="no such file"):
            read_photo_file(path)


SIGNATURES = [b"", *(data[:16] for data in samples().values())]


@given(start=st.sampled_from(SIGNATURES), rest=st.binary(max_size=400))
@settings(FAST, max_examples=60)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_random_bytes_under_any_signature(start: bytes, rest: bytes) -> None:
    answer_here(start + rest)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid upload of some kind with bytes changed, put in, taken out, or its end cut off."""
    data = bytearray(draw(st.sampled_from(list(samples().values()))))
    for _time in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        what = draw(st.sampled_from(["change", "insert", "remove", "cut"]))
        if what == "change":
            data[at : at + 4] = draw(st.binary(min_size=1, max_size=4))
        elif what == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=20))
        elif what == "remove":
            del data[at : at + draw(st.integers(1, 30))]
        else:
            del data[at:]
    return bytes(data)


@given(data=damaged())
@settings(FAST, max_examples=120)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_photos_give_a_picture_or_a_sentence(data: bytes) -> None:
    answer_here(data)


@given(data=st.sampled_from(list(samples().values())), share=st.floats(0, 1))
@settings(FAST, max_examples=40)
def test_cut_off_anywhere(data: bytes, share: float) -> None:
    answer_here(data[: int(len(data) * share)])
