"""The HTTP API and the page.

Enters: a ``Service``. Leaves: a FastAPI application; ``make_server``
serves it.

=====================  ================================================================
``GET /``              The page
``GET /about``         Rates, voices and limits
``POST /tokenize``     Form with ``file`` and, perhaps, ``text`` -> words, codes, times,
                       F0, voice
``POST /speak``        ``SpeakRequest`` -> audio, times, F0
``POST /continue``     ``ContinueRequest`` -> audio while it is made
``POST /v1/audio/speech``  ``SpeechRequest`` -> audio while it is made
=====================  ================================================================

An error is ``{"error": {"message": ...}}``: 400 what the model refuses, 411 and 413 a
request without or above a length, 422 a wrong form, 429 a full line.
"""

from importlib.resources import files
from typing import Annotated

import uvicorn
from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from espnet2_taste.demo.requests import (
    MAX_CHARACTERS,
    ContinueRequest,
    SpeakRequest,
    SpeechRequest,
)
from espnet2_taste.demo.service import MEDIA_TYPES, Service
from espnet2_taste.demo.worker import Busy, Worker

PAGE = {"/": ("page.html", "text/html"), "/page.js": ("page.js", "text/javascript")}
LOCAL = ["127.0.0.1", "localhost"]


def make_app(service: Service, hosts: list[str]) -> FastAPI:
    """Build the application.

    Args:
        service: The model.
        hosts: Names under which it is asked for; other ones are refused, so that no
            page on the web can reach it through a name of its own.

    Returns:
        The application.
    """
    app = FastAPI(title="espnet2_taste", docs_url=None, redoc_url=None)
    app.add_middleware(SizeLimit, most=service.limits.size)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    add_errors(app)
    for path, (name, kind) in PAGE.items():
        content = (files(__package__) / name).read_bytes()
        page = Response(content, media_type=kind)
        app.router.add_route(path, lambda _, page=page: page, ["GET"])
    add_functions(app, service)
    return app


def add_functions(app: FastAPI, service: Service) -> None:
    """Add what the model does; see the top of this file."""
    worker = Worker(service.limits.queue)

    @app.get("/about")
    async def about() -> dict:
        return service.about()

    @app.post("/tokenize")
    async def tokenize(
        file: Annotated[UploadFile, File()],
        text: Annotated[str | None, Form(max_length=MAX_CHARACTERS)] = None,
    ) -> dict:
        data = await file.read()
        return await worker.run(lambda: service.tokenize(data, text))

    @app.post("/speak")
    async def speak(request: SpeakRequest) -> dict:
        return await worker.run(lambda: service.speak(request))

    @app.post("/continue")
    async def continue_(request: ContinueRequest) -> StreamingResponse:
        pieces = await worker.stream(lambda: service.continue_(request))
        return StreamingResponse(
            pieces, 200, None, MEDIA_TYPES[request.response_format]
        )

    @app.post("/v1/audio/speech")
    async def say(request: SpeechRequest) -> StreamingResponse:
        pieces = await worker.stream(lambda: service.say(request))
        return StreamingResponse(
            pieces, 200, None, MEDIA_TYPES[request.response_format]
        )


def add_errors(app: FastAPI) -> None:
    """Say in one form what was wrong with a request."""

    async def refused(request: Request, error: Exception) -> JSONResponse:
        return problem(429 if isinstance(error, Busy) else 400, str(error))

    app.add_exception_handler(ValueError, refused)
    app.add_exception_handler(Busy, refused)

    @app.exception_handler(HTTPException)
    async def wrong(request: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return problem(422, f"{place}: {first['msg']}")


def problem(status: int, message: str) -> JSONResponse:
    """An error as the API gives it."""
    line = " ".join(message.encode("utf-8", "replace").decode().split())
    return JSONResponse({"error": {"message": line}}, status)


class SizeLimit:
    """Refuses requests whose length is not given or too large, before they are read.

    Args:
        app: What is behind it.
        most: Bytes.
    """

    def __init__(self, app, most: int):
        self.app = app
        self.most = most

    async def __call__(self, scope, receive, send) -> None:
        """See the ASGI specification."""
        answer = self.app
        if scope["type"] == "http" and scope["method"] == "POST":
            found = dict(scope["headers"]).get(b"content-length", b"")
            if not found.isdigit():
                answer = problem(411, "the request has no Content-Length")
            elif int(found) > self.most:
                size = found.decode()[:20]
                answer = problem(
                    413, f"the request has {size} bytes, expected at most {self.most}"
                )
        await answer(scope, receive, send)


def make_server(service: Service, host: str) -> uvicorn.Server:
    """Build what serves the application on a bound socket, see ``Server.run``.

    Args:
        service: The model.
        host: Address of the socket.
    """
    app = make_app(service, LOCAL if host in LOCAL else ["*"])
    return uvicorn.Server(uvicorn.Config(app, log_level="error"))
