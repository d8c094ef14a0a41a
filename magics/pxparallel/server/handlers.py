"""Routes under `/pxcluster/`: each is one command of pxcluster, every one behind the login."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from jupyter_server.auth.decorator import authorized, ws_authenticated
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from jupyter_server.utils import to_os_path
from tornado import web, websocket
from tornado.ioloop import IOLoop

from .feed import EventFeed
from .program import Answer, Program, problem

ID = r"(?P<cluster>[A-Za-z0-9._-]{1,64})"


class BadRequest(Exception):
    """A value in the request that cannot be meant."""


def whole(value: Any, what: str) -> int:
    """A whole number from JSON or from a query string."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise BadRequest(f"{what} must be a whole number, not {value!r}.")


class ClusterHandler(APIHandler):
    """Runs pxcluster and passes its answer on."""

    auth_resource = "pxcluster"

    async def pxcluster(self, *args: str, ok: int = 200) -> None:
        """Answer with what `pxcluster ARGS --json` says."""
        program: Program = self.settings["pxcluster_program"]
        self.send(await program.run(*args), ok)

    def send(self, answer: Answer, ok: int = 200) -> None:
        """Answer with JSON; `ok` is the status to use for success."""
        self.set_status(ok if answer.status == 200 else answer.status)
        if self.get_status() == 204:
            self.finish()
        else:
            self.finish(json.dumps(answer.body))

    def body(self) -> dict[str, Any]:
        """The request's JSON object; an empty body is an empty object."""
        try:
            body = json.loads(self.request.body or b"{}")
        except ValueError as error:
            raise BadRequest(f"The request is not JSON: {error}.") from None
        if not isinstance(body, dict):
            raise BadRequest("The request must be a JSON object.")
        return body

    def engines(self) -> Sequence[str]:
        """`--engines 0,3` when the request names engines, else nothing."""
        engines = self.body().get("engines")
        if engines is None:
            return ()
        if not isinstance(engines, list) or not engines:
            raise BadRequest("engines must be a list of numbers.")
        return ("--engines", ",".join(str(whole(e, "An engine")) for e in engines))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say what is wrong with a request in the shape of every other error."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, BadRequest):
            self.send(Answer(422, problem("usage", str(error))))
        else:
            super().write_error(status_code, **kwargs)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """A bad value is the client's affair and needs no traceback in the server's log."""
        if not isinstance(value, BadRequest):
            super().log_exception(typ, value, tb)


class ListHandler(ClusterHandler):
    """All clusters; a new one."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List."""
        await self.pxcluster("list")

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Start one; the answer comes as soon as it is there, its engines follow as events."""
        body = self.body()
        name = body.get("id")
        if name is not None and (not isinstance(name, str) or not name or name.startswith("-")):
            raise BadRequest(f"A cluster cannot be named {name!r}.")
        args = ["start", *([name] if name else []), "--no-wait"]
        if body.get("n") is not None:
            args += ["-n", str(whole(body["n"], "The number of engines"))]
        await self.pxcluster(*args, *self._where(body), ok=202)

    def _where(self, body: dict[str, Any]) -> list[str]:
        """The options that say where engines run, and whether dead ones are replaced."""
        args = []
        engines, cwd = body.get("engines"), body.get("cwd")
        if engines is not None:
            if not isinstance(engines, str) or not engines or engines.startswith("-"):
                raise BadRequest(f"Engines are not started by {engines!r}.")
            args += ["--engines", engines]
        if body.get("restart"):
            args.append("--restart")
        if cwd is not None:
            args += self._folder(cwd)
        return args

    def _folder(self, path: Any) -> list[str]:
        """The option for a folder of the server's; nothing for one that is no folder of the host,
        as those of other drives are.
        """
        if not isinstance(path, str) or ".." in path.split("/"):
            raise BadRequest(f"{path!r} is no folder of this server.")
        root = os.path.expanduser(getattr(self.contents_manager, "root_dir", None) or "")
        folder = to_os_path(path, root) if root else ""
        return ["--cwd", folder] if folder and os.path.isdir(folder) else []


class OneHandler(ClusterHandler):
    """One cluster: see it, scale it, stop it."""

    @web.authenticated
    @authorized
    async def get(self, cluster: str) -> None:
        """Its state, with its engines."""
        await self.pxcluster("status", cluster)

    @web.authenticated
    @authorized
    async def patch(self, cluster: str) -> None:
        """Another number of engines."""
        n = whole(self.body().get("n"), "The number of engines")
        await self.pxcluster("scale", cluster, "-n", str(n), ok=202)

    @web.authenticated
    @authorized
    async def delete(self, cluster: str) -> None:
        """Stop it, and answer when it is gone."""
        await self.pxcluster("stop", cluster, ok=204)


class ActionHandler(ClusterHandler):
    """Interrupt or restart all or some of a cluster's engines."""

    @web.authenticated
    @authorized
    async def post(self, cluster: str, action: str) -> None:
        """Do it; the effect is seen in the events."""
        await self.pxcluster(action, cluster, *self.engines(), ok=202)


class LogsHandler(ClusterHandler):
    """The end of a log: the controller's, or an engine's."""

    @web.authenticated
    @authorized
    async def get(self, cluster: str) -> None:
        """`?engine=K&tail=N`."""
        args = ["--tail", str(whole(self.get_query_argument("tail", "500"), "tail"))]
        engine = self.get_query_argument("engine", None)
        if engine is not None:
            args += ["--engine", str(whole(engine, "engine"))]
        await self.pxcluster("logs", cluster, *args)


class LaunchersHandler(ClusterHandler):
    """Where engines can run."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List."""
        await self.pxcluster("launchers")


class EventsHandler(WebSocketMixin, websocket.WebSocketHandler, JupyterHandler):
    """Every change of every cluster, as it happens."""

    auth_resource = "pxcluster"

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Open the socket, for who is logged in and may read."""
        if not await self._may_read():
            raise web.HTTPError(403)
        await super().get(*args, **kwargs)

    async def _may_read(self) -> bool:
        allowed = self.authorizer.is_authorized(self, self.current_user, "read", "pxcluster")
        return allowed if isinstance(allowed, bool) else await allowed

    @property
    def feed(self) -> EventFeed:
        """The stream shared by all."""
        return self.settings["pxcluster_feed"]

    def open(self, *args: Any, **kwargs: Any) -> None:
        """Listen."""
        super().open(*args, **kwargs)
        self.feed.add(self._tell)

    def _tell(self, text: str) -> None:
        if self.ws_connection is not None and not self.ws_connection.is_closing():
            self.write_message(text)

    def on_message(self, message: str | bytes) -> None:
        """Nothing is asked through the socket."""

    def on_close(self) -> None:
        """Listen no more."""
        super().on_close()
        IOLoop.current().add_callback(self.feed.remove, self._tell)


def routes() -> list[tuple[str, type]]:
    """Every route of the Cluster tab."""
    one = rf"/pxcluster/clusters/{ID}"
    return [
        (r"/pxcluster/clusters", ListHandler),
        (one, OneHandler),
        (rf"{one}/(?P<action>interrupt|restart)", ActionHandler),
        (rf"{one}/logs", LogsHandler),
        (r"/pxcluster/launchers", LaunchersHandler),
        (r"/pxcluster/events", EventsHandler),
    ]
