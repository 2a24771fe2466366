"""The pages, signing in and out, and the static files; what is public is here, and nothing of a run is in it.

Static files are also served below `static-TAG/`, where TAG comes from their content: pages refer to them there, and
browsers keep them for a year. Relative imports between them stay within that folder, so each page loads one version.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import html
import mimetypes
import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from loghook.server.access import Access
from loghook.server.accounts import Revoked
from loghook.server.answers import Problem, accepts_gzip
from loghook.server.sign_in import SignIn

__all__ = ["Pages"]

UI = Path(__file__).with_name("ui")
PLOTLY = "plotly.min.js"
KEPT = "public, max-age=31536000, immutable"
REFERENCE = re.compile(r'((?:src|href)="(?:\{\{root\}\}|(?:\.\./)*))static/')
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
LARGEST_FORM = 16 * 1024
BEST = 9
UNKNOWN_KEY = "This server does not know that key."


@dataclass(slots=True)
class File:
    """A static file. Its compressed form is made once, when it is first asked for."""

    path: Path
    packed: bytes | None = field(default=None, repr=False)

    def compressed(self) -> bytes:
        """The content, gzip."""
        if self.packed is None:
            self.packed = gzip.compress(self.path.read_bytes(), BEST, mtime=0)
        return self.packed


class Pages:
    """The handlers of what a browser opens.

    Args:
        access: who may see a page.
        sign_in: checks an email and its password.
        ui: folder of the pages, with a folder `static` in it.
    """

    def __init__(self, access: Access, sign_in: SignIn, ui: Path = UI) -> None:
        self._access = access
        self._sign_in = sign_in
        self._ui = ui
        static = ui / "static"
        self._files = {path.name: File(path) for path in sorted(static.glob("*")) if path.is_file()}
        plotly = _plotly()
        if plotly is not None:
            self._files[PLOTLY] = File(plotly)
        self._tag = _tag(file.path for file in self._files.values())
        self._pages: dict[str, str] = {}

    async def runs(self, request: Request, account: int) -> Response:
        """GET /: the list of runs."""
        return HTMLResponse(self._page("list"), headers={"Cache-Control": "no-store"})

    async def run(self, request: Request, account: int) -> Response:
        """GET /runs/{run}: the page of a run. Whether there is such a run, its script finds out."""
        return HTMLResponse(self._page("run"), headers={"Cache-Control": "no-store"})

    async def sign_in(self, request: Request) -> Response:
        """GET /sign-in: the form, or, with the token of the printed link, the way in."""
        token = request.query_params.get("token")
        if token is None:
            return self._form("")
        account = self._access.accounts.of_link(token)
        if account is None:
            return self._form("This link is no longer good: a server that starts anew prints a new one.", 401)
        return await self._enter(request, account)

    async def sign_in_by_form(self, request: Request) -> Response:
        """POST /sign-in: a key, or an email and a password, from the form."""
        form = await _form(request)
        key, email = form.get("key", "").strip(), form.get("email", "").strip()
        if email:
            try:
                account = await self._sign_in.sign_in(request, email, form.get("password", ""))
            except Problem as error:
                answer = self._form(f"{error.sentence[0].upper()}{error.sentence[1:]}.", error.status)
                answer.headers.update(error.headers)
                return answer
            return await self._enter(request, account)
        known = self._access.accounts.of_key(key) if key else None
        if known is None:
            return self._form(UNKNOWN_KEY, 401)
        try:
            return await self._enter(request, known, key)
        except Revoked:
            return self._form(UNKNOWN_KEY, 401)

    async def sign_out(self, request: Request) -> Response:
        """POST /sign-out: ends the session."""
        response = RedirectResponse("sign-in", 303)
        await asyncio.to_thread(self._access.end, request, response)
        return response

    async def static(self, request: Request) -> Response:
        """GET /static/{name} and /static-TAG/{name}."""
        file = self._files.get(request.path_params["name"])
        if file is None:
            raise Problem(404, "there is no such file")
        tag = request.path_params.get("tag")
        headers = {"Cache-Control": KEPT if tag == self._tag else "no-cache", "Vary": "Accept-Encoding"}
        headers["ETag"] = f'W/"{self._tag}"'
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        kind = TYPES.get(file.path.suffix) or mimetypes.guess_type(file.path.name)[0] or "application/octet-stream"
        if accepts_gzip(request):
            content = await asyncio.to_thread(file.compressed)
            headers["Content-Encoding"] = "gzip"
        else:
            content = await asyncio.to_thread(file.path.read_bytes)
        return Response(content, media_type=kind, headers=headers)

    def error(self, request: Request, error: Problem) -> Response:
        """The page for an error, where a browser asked for a page."""
        title = {404: "Not found", 405: "Not possible"}.get(error.status, "Something went wrong")
        depth = request.url.path.count("/") - 1
        words = {"title": title, "status": str(error.status), "message": error.sentence, "root": "../" * depth or "./"}
        return HTMLResponse(self._page("error", **words), error.status, error.headers)

    async def _enter(self, request: Request, account: int, key: str | None = None) -> Response:
        response = RedirectResponse(_inside(request.query_params.get("next", "")), 303, {"Cache-Control": "no-store"})
        await asyncio.to_thread(self._access.begin, request, response, account, key)
        return response

    def _form(self, message: str, status: int = 200) -> Response:
        return HTMLResponse(self._page("sign-in", message=message), status, {"Cache-Control": "no-store"})

    def _page(self, name: str, **words: str) -> str:
        text = self._pages.get(name)
        if text is None:
            text = (self._ui / f"{name}.html").read_text(encoding="utf-8")
            text = self._pages[name] = REFERENCE.sub(rf"\1static-{self._tag}/", text)
        for word, value in words.items():
            text = text.replace("{{" + word + "}}", html.escape(value))
        return text


def _plotly() -> Path | None:
    """plotly.js as the installed package has it; found without importing the package, which takes a second."""
    found = find_spec("plotly")
    folders = found.submodule_search_locations if found else None
    for folder in folders or ():
        path = Path(folder) / "package_data" / PLOTLY
        if path.is_file():
            return path
    return None


def _tag(paths: object) -> str:
    digest = hashlib.sha256()
    for path in paths:  # type: ignore[attr-defined]
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _inside(target: str) -> str:
    """Where to go after signing in: a page of this server, as a relative URL; the list of runs for anything else."""
    return target if re.fullmatch(r"runs/[A-Za-z0-9._-]{1,128}(\?[!-~]{0,2000})?", target) else "./"


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_FORM:
            raise Problem(413, "this form is too large", {"Connection": "close"})
    return dict(parse_qsl(body.decode("utf-8", "replace")))
