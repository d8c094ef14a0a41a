"""The extension application: its one setting, its routes, its end."""

from __future__ import annotations

from jupyter_server.extension.application import ExtensionApp
from traitlets import Unicode

from .feed import EventFeed
from .handlers import routes
from .program import Program


class ClusterServer(ExtensionApp):
    """Serves `/pxcluster/…` for the Cluster tab."""

    name = "pxcluster"

    program = Unicode(
        "",
        help="Path of the program pxcluster. Empty: beside the server's Python, then on PATH.",
    ).tag(config=True)

    def initialize_settings(self) -> None:
        """Share one program and one feed among all handlers."""
        program = Program(self.program, cwd=self.serverapp.root_dir)
        self.settings["pxcluster_program"] = program
        self.settings["pxcluster_feed"] = EventFeed(program, self.log)
        where, tried = program.find()
        if where:
            self.log.info("Cluster tab: using %s", where)
        else:
            self.log.warning("Cluster tab: pxcluster not found; looked at %s", ", ".join(tried))

    def initialize_handlers(self) -> None:
        """Add the routes."""
        self.handlers.extend(routes())

    async def stop_extension(self) -> None:
        """End the event stream with the server."""
        await self.settings["pxcluster_feed"].close()
