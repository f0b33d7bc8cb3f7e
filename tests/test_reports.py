"""The README's promise: the app reports nothing to anybody, and writes only into its own folders.

The app answers a photo and trains a network in processes whose way out is a proxy that records who
knocks, and whose home is an empty folder.
"""

import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.food import food_picture, make_food11
from tests.pages import shelf
from tests.visitor import REPO, Visitor, run_server

slow = pytest.mark.slow
needs_home = pytest.mark.skipif(os.name == "nt", reason="there, HOME does not say where home is")

OURS = ("cache", "runs", "data", "pretrained", "food")
A_WHILE_S = 8
"""ONNX Runtime's first report leaves two seconds after the library has loaded."""


class Recorder:
    """A proxy that answers nobody, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                caller, _address = self._door.accept()
            except OSError:  # closed
                return
            with caller:
                caller.settimeout(2)
                try:
                    asked = caller.recv(500)
                except OSError as error:
                    asked = repr(error).encode()
                self.asked.append(asked.partition(b"\r\n")[0].decode(errors="replace"))

    def close(self) -> None:
        self._door.close()


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


class Surroundings:
    """An empty home, a recording way out, and the app's folders, all under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.proxy = folder, Recorder()
        self.elsewhere: set[str] = set()
        for name in ("home", "tmp", *OURS):
            (folder / name).mkdir()
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().endswith("_PROXY")
            and not name.startswith(("XDG_", "ORT_", "TORCHINDUCTOR", "SMALL_PLATES_"))
        }
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            self.environment |= {name: self.proxy.address, name.lower(): self.proxy.address}
        for name in OURS[:4]:
            self.environment[f"SMALL_PLATES_{name.upper()}"] = str(folder / name)
        self.environment |= {
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": str(REPO),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def watch(self, process: psutil.Process, seconds: float) -> None:
        """Look for a while whether a process or its children talk to another machine directly."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and _runs(process):
            try:
                family = [process, *process.children(recursive=True)]
                calls = [call for one in family for call in one.net_connections()]
            except psutil.Error:
                calls = []
            self.elsewhere |= {
                call.raddr.ip
                for call in calls
                if call.raddr and not call.raddr.ip.startswith(("127.", "::1", "::ffff:127."))
            }
            time.sleep(0.05)

    def left(self) -> list[str]:
        """What lies outside the app's folders and the log of the test."""
        return sorted(
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if path.relative_to(self.folder).parts[0] not in (*OURS, "server.log")
            and path.name not in ("home", "tmp")
        )

    def assert_untouched(self) -> None:
        assert not self.proxy.asked
        assert not self.elsewhere
        assert not self.left()


@pytest.fixture
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Surroundings]:
    surroundings = Surroundings(tmp_path)
    with monkeypatch.context() as patch:
        patch.setenv("SMALL_PLATES_PRETRAINED", str(tmp_path / "pretrained"))
        shelf.fill(shelf.TEACHER, shelf.DISTILLED)
    yield surroundings
    surroundings.proxy.close()


@slow
@needs_home
def test_the_recorder_notices_onnx_runtime_left_to_itself(around: Surroundings) -> None:
    """Else the tests below prove nothing."""
    program = "import onnxruntime, time; time.sleep(20)"
    with subprocess.Popen([sys.executable, "-c", program], env=around.environment) as process:
        until = time.monotonic() + 20
        while time.monotonic() < until and not (around.proxy.asked or around.left()):
            time.sleep(0.1)
        process.kill()
    if not (around.proxy.asked or around.left()):
        pytest.skip("this build of ONNX Runtime reports nothing")


@slow
@needs_home
@pytest.mark.parametrize("options", [(), ("--server.address=0.0.0.0",)], ids=["local", "class"])
def test_the_app_answers_a_photo_and_tells_nobody(
    around: Surroundings, options: tuple[str, ...]
) -> None:
    photo = io.BytesIO()
    food_picture(4, 7, (96, 80)).save(photo, "JPEG")
    with (
        run_server(around.folder, *options, environment=around.environment) as server,
        Visitor(server, "compare") as visitor,
    ):
        (uploader,) = visitor.drawn("file_uploader")
        file, status, _said = visitor.upload(photo.getvalue())
        assert status == 204
        visitor.run({uploader.id: [(file, "a.jpg", 1)]})
        assert "a.jpg" in [image.imgs[0].caption for image in visitor.drawn("imgs")]
        (chart,) = visitor.drawn("vega_lite_chart")
        assert "Teacher: " in chart.alt and "Student: " in chart.alt  # both have answered
        around.watch(psutil.Process(server.process.pid), A_WHILE_S)
    around.assert_untouched()


@slow
@needs_home
def test_who_knocks_from_another_site_sends_the_server_nowhere(around: Surroundings) -> None:
    """Streamlit would ask a service on the internet for its own address, to compare the two."""
    with run_server(around.folder, environment=around.environment) as server:
        address = server.address.replace("http", "ws", 1) + "/_stcore/stream"
        began = time.monotonic()
        with (
            pytest.raises(InvalidStatus),
            connect(address, origin=Origin("http://a.example"), proxy=None),
        ):
            pass
        assert time.monotonic() - began < 1
    around.assert_untouched()


@slow
@needs_home
def test_a_training_tells_nobody(around: Surroundings) -> None:
    """One step, the test, the exported graph: as `python -m core` and as the page start it."""
    make_food11(around.folder / "food")
    command = [sys.executable, "-m", "core", "train", "--model", "dwpw_256k", "--publish"]
    command += ["--px", "32", "--epochs", "1", "--batch-size", "32", "--precision", "float32"]
    environment = around.environment | {"FOOD11_ROOT": str(around.folder / "food")}
    process = psutil.Popen(command, cwd=REPO, env=environment, stderr=subprocess.PIPE)
    around.watch(process, 300)
    assert process.wait(300) == 0, process.stderr.read().decode()
    assert list((around.folder / "runs" / "checkpoints").rglob("*.onnx"))
    around.assert_untouched()


def test_every_process_is_told_before_the_library_loads() -> None:
    """Whichever module of core comes first, in this process and in its children."""
    program = """
import os, subprocess, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            assert os.environ.get("ORT_DISABLE_TELEMETRY") == "1"

sys.meta_path.insert(0, Watch())
import core.inference.predict
assert "onnxruntime" in sys.modules
child = "import os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
assert subprocess.check_output([sys.executable, "-c", child]).strip() == b"1"
"""
    environment = {name: value for name, value in os.environ.items() if name[:4] != "ORT_"}
    subprocess.run([sys.executable, "-c", program], cwd=REPO, env=environment, check=True)
