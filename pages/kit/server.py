"""What the server does besides running pages: it greets, bounds uploads, forgets who has left.

`app.py` gives `lifespan` and `middleware()` to `st.App`, once a process. Left to itself, Streamlit
receives any number of uploads and keeps them as long as the tab is open; and it ends the session of
a closed tab, with its photos, no sooner than another visitor comes or goes.

SMALL_PLATES_UPLOAD_MB_PER_VISITOR   how much the uploads of one visitor may take together
SMALL_PLATES_UPLOAD_MB               and those of all visitors
SMALL_PLATES_PREWARM=0               do not open every page once when the server starts
"""

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import streamlit as st
from starlette.formparsers import MultiPartParser
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import cli_util, net_util, runtime
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import RuntimeState
from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.web.server import server_util

from core import photos
from core.errors import ConfigError
from core.i18n import _, available_languages
from core.limited import give_memory_back
from core.paths import whole_number
from pages.kit import frame, networks, room

MB = 2**20
FILES_PER_VISITOR = 40  # empty files take memory too
EVERY_S, FREE_EVERY_S = 5.0, 60.0
"""How often the server looks for sessions whose time is up."""
PREWARM_S = 120.0
"""How long a page may take that is opened beforehand."""
DRAIN_S = 60.0
"""How long the rest of a refused upload is listened to."""

FEW_VISITORS = 8
"""Up to so many, the server spends memory on what a single one may ask for next."""

_log = logging.getLogger(__name__)


def has_few_visitors() -> bool:
    """Whether no class is here: a browser asks, and few are connected."""
    if not st.context.url or not runtime.exists():  # the server's own visit, when it starts
        return False
    return runtime.get_instance()._session_mgr.num_active_sessions() <= FEW_VISITORS


def kept_minutes() -> int:
    """About how many minutes the photos of a closed tab stay in memory.

    So long Streamlit keeps a session for a visitor whose connection broke.
    """
    return max(2, round((st.get_option("server.disconnectedSessionTTL") + EVERY_S) / 60))


@dataclass
class Uploads:
    """The limits on uploads, and what is on its way. Used on the server's event loop only."""

    per_visitor: int = 80 * MB
    """The most that the uploads of a session may take, in bytes."""
    together: int = 500 * MB
    """The most that all uploads may take, in bytes."""
    arriving: Counter[str] = field(default_factory=Counter)
    """Session -> bytes announced by the uploads that it is sending."""
    senders: Counter[str] = field(default_factory=Counter)
    """Session -> how many these are."""
    refused: dict[str, Callable[[], str]] = field(default_factory=dict)
    """Session -> why its last upload was refused, until its page has said so."""

    def why_not(self, session: str, file: str, size: int) -> tuple[int, Callable[[], str]] | None:
        """HTTP status and sentence if a file of `size` bytes may not come now, else None."""
        stored = _manager().file_storage
        own = {key: record for key, record in list(stored.get(session, {}).items()) if key != file}
        mine = sum(len(record.data) for record in own.values()) + self.arriving[session]
        if mine + size > self.per_visitor:
            return 413, self.files_too_big
        if len(own) + self.senders[session] >= FILES_PER_VISITOR:
            return 413, _too_many_files
        everybody = sum(
            len(record.data) for files in list(stored.values()) for record in list(files.values())
        )
        if everybody + self.arriving.total() + size > self.together:
            return 429, _server_is_full
        return None

    def files_too_big(self) -> str:
        """What a visitor reads who has uploaded too much."""
        return _(
            "Not uploaded: your files may take {most} MB together. Remove some with ×, or reload "
            "the page."
        ).format(most=self.per_visitor // MB)


def _too_many_files() -> str:
    return _(
        "Not uploaded: you may have {n} files here. Remove some with ×, or reload the page."
    ).format(n=FILES_PER_VISITOR)


def _server_is_full() -> str:
    return _(
        "Not uploaded: the server holds no more files just now. Try again in about {minutes} "
        "minutes."
    ).format(minutes=kept_minutes())


_uploads = Uploads()


class BoundedUploads:
    """ASGI middleware: an upload that is too much is refused before it is received."""

    def __init__(self, app: ASGIApp, uploads: Uploads) -> None:
        self.app, self.uploads = app, uploads
        base = re.escape(st.get_option("server.baseUrlPath").strip("/"))
        self.address = re.compile(
            rf"/(?:{base}/)?_stcore/upload_file/(?P<session>[^/]+)/(?P<file>[^/]+)"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 413 (this visitor's limit) or 429 (the server's)."""
        upload = scope["type"] == "http" and scope["method"] == "PUT"
        match = self.address.fullmatch(scope["path"]) if upload else None
        if match is None or not runtime.get_instance().is_active_session(match["session"]):
            await self.app(scope, receive, send)
            return
        session, size = match["session"], _announced(scope)
        refusal = self.uploads.why_not(session, match["file"], size)
        if refusal is None:
            await self._receive(session, size, scope, receive, send)
            return
        status, sentence = refusal
        await _refuse(status, sentence(), receive, send)
        # The browser's upload field shows the status alone: the page says the sentence.
        if session not in self.uploads.refused:
            self.uploads.refused[session] = sentence
            await _run_again(session)

    async def _receive(
        self, session: str, size: int, scope: Scope, receive: Receive, send: Send
    ) -> None:
        arriving, senders = self.uploads.arriving, self.uploads.senders
        arriving[session] += size
        senders[session] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            arriving[session] -= size
            senders[session] -= 1
            if not senders[session]:
                del arriving[session], senders[session]


def _announced(scope: Scope) -> int:
    """Bytes of a request's body; the most that Streamlit takes where it does not say."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return st.get_option("server.maxUploadSize") * MB


async def _refuse(status: int, sentence: str, receive: Receive, send: Send) -> None:
    body = sentence.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    # Browsers read an answer when they have sent everything, and take a connection that is closed
    # before for a broken one: hear the rest, and keep none of it.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            while (await receive()).get("more_body"):
                pass
    await send({"type": "http.response.body", "body": b""})


async def _run_again(session: str) -> None:
    """Run a visitor's page once more, as soon as it is not running."""
    until = time.monotonic() + DRAIN_S
    while (running := runtime.get_instance().get_app_session(session)) is not None:
        if running._state is AppSessionState.APP_NOT_RUNNING:
            running.request_rerun(running._client_state)
            return
        if time.monotonic() > until:
            return
        await asyncio.sleep(0.1)


def refusal() -> str:
    """Why this visitor's last upload was refused, said once; "" if none was."""
    context = get_script_run_ctx()
    sentence = _uploads.refused.pop(context.session_id, None) if context else None
    return sentence() if sentence else ""


def middleware() -> list[Middleware]:
    """What stands before Streamlit's own routes. Ends the process where a limit is no number."""
    try:
        _uploads.per_visitor = MB * whole_number("SMALL_PLATES_UPLOAD_MB_PER_VISITOR", 80)
        _uploads.together = MB * whole_number("SMALL_PLATES_UPLOAD_MB", 500)
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    return [Middleware(BoundedUploads, uploads=_uploads)]


@contextlib.asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Set Streamlit up, greet, and tidy up as long as the server runs."""
    del app
    # Starlette would receive a file of more than a megabyte in a temporary file on the disk.
    MultiPartParser.spool_max_size = (st.get_option("server.maxUploadSize") + 1) * MB
    # To know its own address, Streamlit would ask a service on the internet: when it starts, and
    # whenever somebody connects from another site, while everybody else waits.
    net_util.get_external_ip = lambda: None
    # A folder named `pages` is not Streamlit's first kind of app: a link to a page goes through
    # app.py, before its first run too.
    PagesManager.uses_pages_directory = False
    AppSession.request_rerun = _request_rerun  # type: ignore[method-assign, assignment]
    _greet()
    photos.warm(1)  # a process of its own, which starts while the pages are read
    tasks = [asyncio.create_task(_tidy_up())]
    if os.environ.get("SMALL_PLATES_PREWARM") != "0":
        tasks.append(asyncio.create_task(prewarm()))
    else:
        gc.enable()
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        networks.end_sessions()


_request_rerun_of_streamlit = AppSession.request_rerun


def _request_rerun(session: AppSession, client_state: ClientState | None) -> None:
    """Draw the whole page where a session that has drawn nothing is asked for a section.

    A page that stayed open while its server was started again asks so, whatever is touched, and
    Streamlit would ignore it for ever.
    """
    if client_state is not None and not session._fragment_storage._fragments:  # type: ignore[attr-defined]
        client_state.fragment_id = ""
    _request_rerun_of_streamlit(session, client_state)


def _greet() -> None:
    """Say the address, and open it in a browser where there is a screen."""
    address = st.get_option("server.address") or "localhost"
    url = server_util.get_url(server_util.get_display_address(address))
    print(_("Small Plates is at {url}").format(url=url), flush=True)
    if not st.get_option("server.headless"):
        asyncio.get_running_loop().call_soon(cli_util.open_browser, url)


class _Prewarming:
    """The client of a session that no browser shows: it hears when a run has ended."""

    client_context = None

    def __init__(self) -> None:
        self.finished = asyncio.Event()

    def write_forward_msg(self, msg: ForwardMsg) -> None:
        if msg.WhichOneof("type") == "script_finished":
            self.finished.set()


async def prewarm() -> None:
    """Open every page once in each language, Home first, while nobody else's page runs; then the
    settings of each that cost most to draw first.

    So no visitor waits for imports, charts' specifications or results read from files. What is in
    memory then stays for ever: the garbage collector, off since app.py was imported, need not look
    at it again.
    """
    try:
        await asyncio.to_thread(importlib.import_module, "pages.home")  # its first visitor's, too
        server = runtime.get_instance()
        while server.state is RuntimeState.INITIAL:
            await asyncio.sleep(0.05)
        for code in available_languages():
            client = _Prewarming()
            session = server.connect_session(client, user_info={})
            try:
                listed = [(page, "") for page in frame.entries()]
                listed += [(page, each) for page, _none in listed for each in page.prepared]
                for page, setting in listed:
                    while _others_run(session):
                        await asyncio.sleep(0.1)
                    client.finished.clear()
                    message = BackMsg()
                    message.rerun_script.page_name = "" if page.key == "home" else page.key
                    message.rerun_script.query_string = f"lang={code}&{setting}".rstrip("&")
                    server.handle_backmsg(session, message)
                    await asyncio.wait_for(client.finished.wait(), PREWARM_S)
                    gc.enable()
            finally:
                server.close_session(session)
        gc.collect()
        gc.freeze()
        print(_("Every page was opened once: no visitor waits for its preparation."), flush=True)
    except Exception:  # the server serves without it, only slower
        _log.exception("pages could not be opened beforehand")
    finally:
        gc.enable()


def _others_run(session: str) -> bool:
    return any(
        info.session.id != session and info.session._state is AppSessionState.APP_IS_RUNNING
        for info in runtime.get_instance()._session_mgr.list_active_sessions()
    )


_waiting: dict[str, AppSession] = {}
"""The sessions without a connection, as `end_closed_sessions` last saw them."""


async def _tidy_up() -> None:
    last = time.monotonic()
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            end_closed_sessions()
            await asyncio.to_thread(room.forget_old)
            await asyncio.to_thread(_forget_old_networks)
            if time.monotonic() > last + FREE_EVERY_S:
                await asyncio.to_thread(give_memory_back)  # what photos' answers were computed in
                last = time.monotonic()
        except Exception:  # whatever it was: a timer that has ended would keep photos for ever
            _log.exception("sessions could not be tidied up")


def _forget_old_networks() -> None:
    from core.own.network import forget_old  # ONNX Runtime comes with it

    forget_old()


def end_closed_sessions() -> None:
    """Forget the sessions that no visitor may come back to, with their uploads and pictures."""
    server = runtime.get_instance()
    # Its table of sessions without a connection hides those whose time is up, and lets go of
    # them when it is next written to.
    table = server._session_mgr._session_storage._cache  # type: ignore[attr-defined]
    ended = {info.session.id: info.session for _id, info in table.expire()}
    waiting = {info.session.id: info.session for info in table.values()}
    for key, session in _waiting.items():
        if key not in waiting and not server.is_active_session(key):
            ended[key] = session  # let go of already, while another visitor came or went
    _waiting.clear()
    _waiting.update(waiting)
    for session in ended.values():
        session.shutdown()
        # Streamlit's loop holds the session that it served last until it serves another.
        session.session_state.clear()
        session._fragment_storage.clear()
    if ended:
        server.media_file_mgr.remove_orphaned_files()
        gc.collect()  # an error about a photo holds it in a cycle; 0.1 s, when somebody has left
        give_memory_back()
    for left in [session for session in _uploads.refused if not server.is_active_session(session)]:
        del _uploads.refused[left]


def _manager() -> MemoryUploadedFileManager:
    manager = runtime.get_instance().uploaded_file_mgr
    assert isinstance(manager, MemoryUploadedFileManager)
    return manager
