"""A front end that debugs, as JupyterLab does over the control channel."""

import time
from queue import Empty


class Lab:
    """A front end that debugs."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.client = kernel.client
        self.number = 0

    def ask(self, command, **arguments):
        """Send one debug_request; the content of its reply."""
        self.number += 1
        content = {
            "type": "request",
            "seq": self.number,
            "command": command,
            "arguments": arguments,
        }
        message = self.client.session.msg("debug_request", content)
        self.client.control_channel.send(message)
        end = time.monotonic() + 40
        while True:
            reply = self.client.get_control_msg(timeout=max(0.1, end - time.monotonic()))
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                assert reply["msg_type"] == "debug_reply"
                return reply["content"]

    def good(self, command, **arguments):
        """``ask``, which must succeed; the body of the answer."""
        reply = self.ask(command, **arguments)
        assert reply.get("success"), reply
        return reply.get("body", {})

    def begin(self):
        """From nothing to a debugger that is attached."""
        self.good("initialize", clientID="test", adapterID="", linesStartAt1=True)
        self.good("attach")

    def stop_at(self, code, *lines):
        """Set breakpoints in a cell that will be run."""
        path = self.good("dumpCell", code=code)["sourcePath"]
        breakpoints = [{"line": line} for line in lines]
        body = self.good("setBreakpoints", source={"path": path}, breakpoints=breakpoints)
        assert [one["line"] for one in body["breakpoints"]] == list(lines)
        return path

    def event(self, name, timeout=40):
        """Wait for a debug_event."""
        end = time.monotonic() + timeout
        while True:
            assert time.monotonic() < end, f"no event {name}"
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            if message["msg_type"] == "debug_event" and message["content"]["event"] == name:
                return message["content"]["body"]
