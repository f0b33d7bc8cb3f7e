"""`serve`: the app, as one server or as several behind nginx.

Streamlit runs a page of one visitor at a time in each process, so a large class wants several
processes. They share their folders (rooms, runs, results); nginx, with `deploy/nginx.conf`, keeps
each visitor with one of them. Here they are started, and started again where one ends or stalls.
"""

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from core.cli.answer import Answer
from core.errors import ConfigError, UserError
from core.i18n import _
from core.paths import REPO

NGINX = REPO / "deploy" / "nginx.conf"
HEALTH = "/_stcore/health"
STALLED_S = 10.0
"""A server that does not say within so many seconds that it is well is started again."""
START_S = 120.0
LOOK_EVERY_S = 2.0


@dataclass(frozen=True)
class Serve:
    """Open the app: a server that runs until Ctrl-C, for this machine or for a class.

    With --replicas, several servers share the visitors: nginx must be installed, and every visitor
    stays with one server. A server that ends, or does not answer for ten seconds, is started again.
    """

    host: str = "localhost"
    """Who may come: localhost for this machine alone, 0.0.0.0 for everybody in its network."""

    port: int = 8501
    """Where; with several servers, they take the ports that follow it."""

    replicas: int = 1
    """How many servers; about one for each processor core."""

    def run(self) -> Answer:
        from core.checkpoints import manifest_path

        if self.replicas < 1:
            raise ConfigError(_("--replicas must be at least 1."))
        if not 0 < self.port <= 65_535 - self.replicas:
            raise ConfigError(
                _("--port must lie between 1 and 65,535, and so must all servers' ports.")
            )
        if not manifest_path().is_file():
            raise ConfigError(
                _(
                    "There are no networks in {folder}. Start small-plates in a clone of its "
                    "repository, or name the clone's folder pretrained in SMALL_PLATES_PRETRAINED."
                ).format(folder=manifest_path().parent)
            )
        nginx = _nginx() if self.replicas > 1 else ""
        # what a process manager sends: the servers must not live on
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if nginx:
            self._several(nginx)
        else:
            with _running(app_command(self.host, self.port)) as server:
                if code := server.wait():
                    raise UserError(_("The app has ended with code {code}.").format(code=code))
        return Answer({}, _("The app has ended."))

    def _several(self, nginx: str) -> None:
        ports = [self.port + n for n in range(1, self.replicas + 1)]
        stop = Event()
        replicas = [Replica(port) for port in ports]
        threads = [Thread(target=replica.keep, args=(stop,)) for replica in replicas]
        with tempfile.TemporaryDirectory() as folder:
            command = [nginx, "-p", folder, "-c", str(nginx_folder(Path(folder), self, ports))]
            try:
                for thread in threads:
                    thread.start()
                self._wait_for(replicas)
                with _running([*command, "-e", "stderr", "-g", "daemon off;"]) as proxy:
                    self._greet()
                    if proxy.wait():
                        raise UserError(_("nginx could not start, or has ended: see above."))
            finally:
                stop.set()
                for thread in threads:
                    thread.join()

    def _greet(self) -> None:
        for_all = self.host in ("0.0.0.0", "::")
        address = _("{n} servers share the visitors of http://{host}:{port}").format(
            n=self.replicas, host="localhost" if for_all else self.host, port=self.port
        )
        others = _("Others in your network open this machine's port {port} in a browser.")
        print(address, *[others.format(port=self.port)] * for_all, sep="\n", file=sys.stderr)

    def _wait_for(self, replicas: "list[Replica]") -> None:
        for replica in replicas:
            while not replica.was_well.wait(0.1):
                if replica.gave_up:
                    raise UserError(
                        _("The server at port {port} could not start.").format(port=replica.port)
                    )


def _nginx() -> str:
    """The path of nginx. Raises ConfigError where it, or its configuration, is not here."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if program is None or not NGINX.is_file():
        raise ConfigError(
            _("Several servers need nginx. On Debian or Ubuntu: apt install nginx-light")
        )
    return program


def app_command(host: str, port: int, *options: str) -> list[str]:
    """The command that runs one server of the app."""
    command = [sys.executable, "-m", "streamlit", "run", str(REPO / "app.py")]
    return [*command, f"--server.address={host}", f"--server.port={port}", *options]


def nginx_folder(folder: Path, serve: Serve, ports: list[int]) -> Path:
    """Write what `deploy/nginx.conf` includes beside a copy of it; returns the copy."""
    host = "127.0.0.1" if serve.host == "localhost" else serve.host
    host = f"[{host}]" if ":" in host else host
    servers = "".join(f"server 127.0.0.1:{port} max_fails=1 fail_timeout=30m;\n" for port in ports)
    (folder / "replicas.conf").write_text(servers, encoding="utf-8")
    (folder / "listen.conf").write_text(f"listen {host}:{serve.port};\n", encoding="utf-8")
    return Path(shutil.copy(NGINX, folder / NGINX.name))


class Replica:
    """One of several servers, on a port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.was_well = Event()
        """Set once it has answered."""
        self.gave_up = False
        """Whether it ended before it ever answered."""

    def keep(self, stop: Event) -> None:
        """Run it, and run it again when it has ended or stalled, until `stop` is set."""
        while not stop.is_set() and not self.gave_up:
            command = app_command("127.0.0.1", self.port, "--server.headless=true")
            with _running(command, quiet=True) as server:  # its port is not for visitors
                self._watch(server, stop)
            self.gave_up = not self.was_well.is_set()
            if not stop.is_set() and not self.gave_up:
                words = _("The server at port {port} is started again.").format(port=self.port)
                print(words, file=sys.stderr, flush=True)

    def _watch(self, server: "subprocess.Popen[bytes]", stop: Event) -> None:
        """Until it has ended, has stalled, or is to stop."""
        started, answered = time.monotonic(), False
        while server.poll() is None:
            try:
                with _direct.open(f"http://127.0.0.1:{self.port}{HEALTH}", timeout=STALLED_S):
                    answered = True
                    self.was_well.set()
            except OSError:
                if answered or time.monotonic() - started > START_S:
                    return
            if stop.wait(LOOK_EVERY_S if answered else 0.2):
                return


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks without the proxies that the environment names."""


@contextlib.contextmanager
def _running(command: Sequence[str], quiet: bool = False) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is ended when the block is left: asked first, then made to.

    `quiet`: what it has to say but for errors is dropped.
    """
    stdout = subprocess.DEVNULL if quiet else None
    # a session of its own: Ctrl-C is for this process
    process = subprocess.Popen(command, stdout=stdout, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STALLED_S / 2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
