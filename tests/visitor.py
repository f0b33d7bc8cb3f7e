"""A real server, and a visitor without a browser: Streamlit's websocket and its upload address."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

REPO = Path(__file__).resolve().parents[1]
PATIENCE_S = 120
BOUNDARY = "----a-file-follows"


@dataclass
class Server:
    """A running app."""

    address: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of an address below this server's."""
        return answer(urllib.request.Request(f"{self.address}{path}"))


def answer(request: urllib.request.Request) -> tuple[int, bytes]:
    """Status and body, whatever the status. The proxies of the environment are not asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE_S) as reply:
            return int(reply.status), reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with closing(socket.socket()) as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


def until_well(server: Server) -> None:
    """Wait until it answers. Fails, with its log, where it ends or never does."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            if server.get("/_stcore/health")[0] == 200:
                return
        except OSError:
            pass
        if server.process.poll() is not None or time.monotonic() > until:
            raise AssertionError(f"the server did not start:\n{server.log.read_text()}")
        time.sleep(0.1)


@contextmanager
def run_server(
    folder: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    script: Path = REPO / "app.py",
) -> Iterator[Server]:
    """The app as a visitor's machine runs it, on a free port, until the block is left.

    Its log goes to `folder`; its environment is this process's, or the one given.
    """
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(script)]
    command += ["--server.headless=true", f"--server.port={port}", "--server.address=127.0.0.1"]
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, *options],
            cwd=REPO,
            env={**(os.environ if environment is None else environment), "PYTHONPATH": str(REPO)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        until_well(server)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass
class Visitor:
    """One open tab."""

    server: Server
    page: str = ""
    session: str = ""
    elements: list[Any] = field(default_factory=list)
    """What the last full run drew (protobuf elements), and what fragments drew since."""

    def __enter__(self) -> Self:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.server.address}/_stcore/health") as reply:
            cookie = str(reply.headers["Set-Cookie"]).partition(";")[0]
        self.xsrf = {"Cookie": cookie, "X-Xsrftoken": cookie.partition("=")[2]}
        self.open = ExitStack()
        self.socket: ClientConnection = self.open.enter_context(
            connect(
                self.server.address.replace("http", "ws", 1) + "/_stcore/stream",
                max_size=None,
                proxy=None,
                open_timeout=PATIENCE_S,
            )
        )
        self.run()
        return self

    def __exit__(self, *_error: object) -> None:
        self.open.close()

    def run(self, files: Mapping[str, Sequence[tuple[str, str, int]]] | None = None) -> None:
        """Run the page, with uploads in it: widget id -> (id, name, size) of each file."""
        message = BackMsg()
        message.rerun_script.page_name = self.page
        for widget, listed in (files or {}).items():
            state = message.rerun_script.widget_states.widgets.add(id=widget)
            state.file_uploader_state_value.SetInParent()
            for file, name, size in listed:
                info = state.file_uploader_state_value.uploaded_file_info.add()
                info.file_id, info.name, info.size = file, name, size
                info.file_urls.file_id = file
        self.socket.send(message.SerializeToString())
        self.elements = []
        self.until_finished()

    def until_finished(self) -> None:
        """Take in what the server sends until a run of the page has ended."""
        while True:
            got = ForwardMsg()
            got.ParseFromString(self.socket.recv(PATIENCE_S))
            kind = got.WhichOneof("type")
            if kind == "new_session":
                self.session = got.new_session.initialize.session_id
            elif kind == "delta" and got.delta.WhichOneof("type") == "new_element":
                self.elements.append(got.delta.new_element)
            elif kind == "script_finished" and got.script_finished in (0, 1, 3):
                return

    def drawn(self, kind: str) -> list[Any]:
        """The elements of a kind that are on the page, such as `file_uploader`."""
        return [
            getattr(element, kind)
            for element in self.elements
            if element.WhichOneof("type") == kind
        ]

    def request(
        self, method: str, file: str, data: bytes | None = None, **headers: str
    ) -> urllib.request.Request:
        """A request to the address of an upload of this tab."""
        address = f"{self.server.address}/_stcore/upload_file/{self.session}/{file}"
        return urllib.request.Request(address, data, {**self.xsrf, **headers}, method=method)

    def upload(self, data: bytes, file: str = "") -> tuple[str, int, str]:
        """Send a file as a browser does: (its id, status, what the server says)."""
        file = file or str(uuid.uuid4())
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        status, said = answer(self.request("PUT", file, form(data), **{"Content-Type": kind}))
        return file, status, said.decode()

    def remove(self, file: str) -> int:
        """Take an upload back, as the cross beside it does: the status."""
        return answer(self.request("DELETE", file))[0]


def form(data: bytes) -> bytes:
    """The body of an upload: a form with one file."""
    start, end = f"--{BOUNDARY}\r\n", f"\r\n--{BOUNDARY}--"
    names = 'Content-Disposition: form-data; name="a"; filename="a.jpg"\r\n'
    return f"{start}{names}Content-Type: image/jpeg\r\n\r\n".encode() + data + end.encode()
