"""The running server, by real requests: it bounds uploads, and forgets a closed tab's photos."""

import io
import os
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.pages import shelf
from tests.visitor import BOUNDARY, Server, Visitor, answer, form, run_server

pytestmark = pytest.mark.slow

MB = 2**20
KEPT_S = 3
"""How long these servers keep a session whose connection is gone."""


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("server") / "pretrained"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(folder))
        shelf.fill(shelf.TEACHER, shelf.DISTILLED)
        yield folder


@contextmanager
def serve(pretrained: Path, **limits: str) -> Iterator[Server]:
    environment = os.environ | {"SMALL_PLATES_PRETRAINED": str(pretrained)} | limits
    options = (f"--server.disconnectedSessionTTL={KEPT_S}",)
    with run_server(pretrained.parent, *options, environment=environment) as server:
        yield server


@pytest.fixture(scope="module")
def server(pretrained: Path) -> Iterator[Server]:
    """Each visitor's files may take 20 MB."""
    with serve(pretrained, SMALL_PLATES_UPLOAD_MB_PER_VISITOR="20") as running:
        yield running


def test_every_page_is_opened_before_its_first_visitor_comes(pretrained: Path) -> None:
    with serve(pretrained, SMALL_PLATES_PREWARM="1") as server:
        with Visitor(server, "compare") as visitor:  # is served meanwhile
            assert visitor.elements
        assert until(lambda: "Every page was opened once" in server.log.read_text(), 120)
        process = psutil.Process(server.process.pid)
        for page in ("results", "pruning", "export"):
            before = process.cpu_times().user
            with Visitor(server, page):
                assert process.cpu_times().user - before < 1.0, page  # alone it takes seconds
        assert "Traceback" not in server.log.read_text()


def held_mb(server: Server) -> float:
    """What Streamlit says that uploads take."""
    _status, said = server.get("/_stcore/metrics")
    name = b'cache_memory_bytes{cache_type="UploadedFileManager",cache=""} '
    return sum(int(line[len(name) :]) for line in said.splitlines() if line.startswith(name)) / MB


def until(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.2)
    return False


def test_a_visitor_may_upload_so_much_and_is_told(server: Server) -> None:
    with Visitor(server, "compare") as visitor:
        answers = [visitor.upload(bytes(9 * MB)) for _number in range(6)]
        assert [status for _file, status, _said in answers] == [204, 204, 413, 413, 413, 413]
        assert "your files may take 20 MB" in answers[2][2]
        visitor.until_finished()  # the page runs again, to say so
        # once for all that were refused before a run, so more than once where it runs quickly
        assert {toast.body for toast in visitor.drawn("toast")} == {answers[2][2]}
        assert visitor.upload(bytes(MB))[1] == 204  # what still fits
        assert visitor.remove(answers[0][0]) == 204
        assert visitor.upload(bytes(9 * MB))[1] == 204  # there is room again
        assert visitor.upload(bytes(9 * MB), answers[1][0])[1] == 204  # in place of itself


def test_empty_files_are_counted(server: Server) -> None:
    with Visitor(server, "compare") as visitor:
        answers = [visitor.upload(b"") for _number in range(60)]
    assert [status for _file, status, _said in answers] == [204] * 40 + [413] * 20
    assert "you may have 40 files" in answers[-1][2]


def test_all_visitors_may_upload_so_much_together(pretrained: Path) -> None:
    with serve(pretrained, SMALL_PLATES_UPLOAD_MB="30") as server:
        with Visitor(server, "compare") as first, Visitor(server, "compare") as second:
            assert [first.upload(bytes(9 * MB))[1] for _number in range(2)] == [204, 204]
            assert second.upload(bytes(9 * MB))[1] == 204
            _file, status, said = second.upload(bytes(9 * MB))
            assert status == 429 and "Try again" in said
            second.until_finished()
            assert second.drawn("toast")[0].body == said
            first.open.close()
            assert until(lambda: second.upload(bytes(9 * MB))[1] == 204, KEPT_S + 30)
        time.sleep(5)  # Streamlit counts no more often
        assert until(lambda: held_mb(server) == 0, KEPT_S + 30)


def test_uploads_on_their_way_are_counted(server: Server) -> None:
    with Visitor(server, "compare") as visitor:
        slow = [begin(visitor, 9 * MB) for _number in range(2)]
        assert visitor.upload(bytes(9 * MB))[1] == 413
        for line in slow:
            line.close()  # broken off: no longer counted
        assert until(lambda: visitor.upload(bytes(9 * MB))[1] == 204, 20)


def begin(visitor: Visitor, size: int, announced: bool = True) -> socket.socket:
    """An upload of which the first bytes are sent."""
    request = visitor.request("PUT", "abc")
    place = urlsplit(request.full_url)
    assert place.hostname and place.port
    line = socket.create_connection((place.hostname, place.port), 20)
    headers = dict(request.header_items()) | {"Host": place.netloc}
    headers["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
    headers |= {"Content-Length": str(size)} if announced else {"Transfer-Encoding": "chunked"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    line.sendall(f"PUT {place.path} HTTP/1.1\r\n{head}\r\n".encode())
    start = form(b"").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    line.sendall(start if announced else b"%x\r\n%s\r\n" % (len(start), start))
    return line


@pytest.mark.parametrize("announced", [True, False], ids=["length", "chunked"])
def test_a_refused_upload_is_answered_before_it_is_received(
    server: Server, announced: bool
) -> None:
    with Visitor(server, "compare") as visitor:
        visitor.upload(bytes(9 * MB))
        visitor.upload(bytes(9 * MB))
        with begin(visitor, 9 * MB, announced) as line:
            assert line.recv(100).startswith(b"HTTP/1.1 413")


def test_refused_uploads_take_no_memory(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    with Visitor(server, "compare") as visitor:
        for _number in range(2):
            visitor.upload(bytes(9 * MB))
        before = process.memory_info().rss
        senders = [
            threading.Thread(target=visitor.upload, args=(bytes(9 * MB),)) for _number in range(20)
        ]
        for sender in senders:
            sender.start()
        most = 0
        while any(sender.is_alive() for sender in senders):
            most = max(most, process.memory_info().rss - before)
            time.sleep(0.02)
    assert most < 20 * MB  # they would be 180


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_streamlit_still_refuses_strangers(server: Server, method: str) -> None:
    address = f"{server.address}/_stcore/upload_file/nobody/abc"
    assert answer(urllib.request.Request(address, b"x", method=method))[0] == 403
    with Visitor(server, "compare") as visitor:
        visitor.session = "nobody"
        _file, status, said = visitor.upload(b"x")
        assert status == 400 and "session" in said.lower()
        visitor.xsrf = {}
        assert visitor.upload(b"x")[1] == 403


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_a_photo_is_never_written_to_disk(server: Server) -> None:
    """No file without a name either, which is what a large upload would go to by default."""
    with Visitor(server, "compare") as visitor, begin(visitor, 9 * MB) as line:
        line.sendall(bytes(5 * MB))
        time.sleep(1)
        files = [path.readlink() for path in Path(f"/proc/{server.process.pid}/fd").iterdir()]
    assert not [file for file in files if str(file).endswith("(deleted)")]


def photo() -> bytes:
    noise = np.random.default_rng(3).integers(0, 255, (900, 1200, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", quality=95)
    return file.getvalue()


def test_a_closed_tab_is_forgotten_with_no_other_visitor(pretrained: Path) -> None:
    with serve(pretrained) as running:
        with Visitor(running, "compare") as visitor:
            (uploader,) = visitor.drawn("file_uploader")
            file, status, _said = visitor.upload(photo())
            assert status == 204
            visitor.run({uploader.id: [(file, "a.jpg", 1)]})
            (pictures,) = visitor.drawn("imgs")
            address = pictures.imgs[0].url
            assert running.get(address)[0] == 200
        assert running.get(address)[0] == 200  # the visitor's connection may have broken
        assert until(lambda: running.get(address)[0] == 404, KEPT_S + 30)


def test_the_memory_of_a_closed_tab_is_free_again(pretrained: Path) -> None:
    with serve(pretrained) as running:
        process = psutil.Process(running.process.pid)

        def memory_mb() -> float:
            return process.memory_info().rss / MB

        with Visitor(running, "compare"):
            pass
        time.sleep(1)
        before = memory_mb()
        with Visitor(running, "compare") as visitor:
            (uploader,) = visitor.drawn("file_uploader")
            files = [visitor.upload(bytes(9 * MB))[0] for _number in range(8)]
            visitor.run({uploader.id: [(file, "a.jpg", 9 * MB) for file in files]})
            assert memory_mb() > before + 60
        assert until(lambda: memory_mb() < before + 30, KEPT_S + 30)


def test_who_comes_back_in_time_finds_the_photo(pretrained: Path) -> None:
    with serve(pretrained) as running, Visitor(running, "compare") as visitor:
        file, status, _said = visitor.upload(photo())
        assert status == 204
        time.sleep(2 * KEPT_S + 5)  # an open tab loses nothing
        (uploader,) = visitor.drawn("file_uploader")
        visitor.run({uploader.id: [(file, "a.jpg", 1)]})
        assert "a.jpg" in [image.imgs[0].caption for image in visitor.drawn("imgs")]


def test_a_limit_that_is_no_number_is_said(pretrained: Path) -> None:
    with (
        pytest.raises(AssertionError, match="SMALL_PLATES_UPLOAD_MB must be a whole number"),
        serve(pretrained, SMALL_PLATES_UPLOAD_MB="many"),
    ):
        pass
