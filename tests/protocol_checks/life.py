"""The process: connection file, transports, signals, control, shutdown, debugger, environment."""

import hashlib
import hmac
import json
import os
import signal
import socket
import stat
import subprocess

import zmq
from support import wait_for

from protocol_checks.catalogue import OnlyHere, Section
from protocol_checks.subject import CHANNELS, PATIENCE, Client, Subject, read_file

files = Section("Connection file")
transports = Section("Transports and heartbeat")
control = Section("Control: usage, interrupt, shutdown")
debug = Section("Debugger")
names = Section("What libraries find")
registration = Section("Registration file (JEP 66)")

PORTS = {f"{name}_port" for name in CHANNELS}


# --- connection file ------------------------------------------------------------------------------
@files("ports of 0 are chosen and written back; all other keys stay", [True, True])
def ports_are_written(k: Subject):
    after = json.loads(k.file.read_text())
    others = {key: value for key, value in k.given.items() if key not in PORTS}
    return [all(after[port] > 0 for port in PORTS), others.items() <= after.items()]


@files("keys it does not know survive", {"x": [1]}, start={"file": {"unknown": {"x": [1]}}})
def unknown_keys(k):
    return json.loads(k.file.read_text())["unknown"]


@files("the file is its owner's alone", "0o600")
def file_mode(k):
    return oct(stat.S_IMODE(k.file.stat().st_mode) & 0o777)


@files("a file whose ports are all given is not written", True)
def given_file_is_left(k):
    path = k.folder / "given.json"
    given = {**k.info, "transport": "ipc", "ip": str(k.folder / "given")}
    given.update({port: n for n, port in enumerate(sorted(PORTS), 1)})
    text = json.dumps(given)
    path.write_text(text)
    with k.sibling("-f", str(path)):
        client = Client(given)
        try:
            client.reply(client.send("kernel_info_request"))
            return path.read_text() == text
        finally:
            client.close()


@files("a file that is not there is made, with a key, and taken away at the end", [True, True])
def file_is_made(k):
    path = k.folder / "made.json"
    with k.sibling("-f", str(path)) as process:
        info = wait_for(lambda: read_file(path), "the file is made", PATIENCE)
        client = Client(info)
        try:
            client.reply(client.send("kernel_info_request"))
            client.send("shutdown_request", {"restart": False}, "control")
            process.wait(PATIENCE)
        finally:
            client.close()
    return [len(info["key"]) >= 32, not path.exists()]


@files("a relative name is looked for in the working folder", True)
def relative_to_the_folder(k):
    path = k.folder / "here.json"
    path.write_text(json.dumps(k.given))
    with k.sibling("-f", "here.json"):
        return wait_for(lambda: read_file(path), "ports are filled in", PATIENCE) is not None


@files("… and then in Jupyter's runtime folder", True)
def relative_to_runtime(k):
    runtime = k.folder / "runtime"
    runtime.mkdir(exist_ok=True)
    path = runtime / "there.json"
    path.write_text(json.dumps(k.given))
    with k.sibling("-f", "there.json"):
        return wait_for(lambda: read_file(path), "ports are filled in", PATIENCE) is not None


@files("without -f the file is kernel-<pid>.json in the runtime folder", True)
def no_file(k):
    with k.sibling() as process:
        path = k.folder / "runtime" / f"kernel-{process.pid}.json"
        return wait_for(lambda: read_file(path), "the file is made", PATIENCE) is not None


@files("a file that is no JSON ends the start with status 1", 1)
def broken_file(k):
    path = k.folder / "broken.json"
    path.write_text("{")
    with k.sibling("-f", str(path)) as process:
        return process.wait(PATIENCE)


@files("a given port that is taken ends the start", True)
def taken_port(k):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = k.folder / "taken.json"
        path.write_text(json.dumps({**k.given, "shell_port": taken.getsockname()[1]}))
        with k.sibling("-f", str(path)) as process:
            return process.wait(PATIENCE) != 0


@files(
    "ports of the command line come before those of the file",
    4321,
    start={"file": {"transport": "ipc", "ip": "{folder}/socket"}, "arguments": ("--shell=4321",)},
)
def ports_by_arguments(k):
    return json.loads(k.file.read_text())["shell_port"]


@files("JPY_SESSION_NAME is __session__", "'/a/notebook.ipynb'", own=True)
def session_name(k):
    k.environment["JPY_SESSION_NAME"] = "/a/notebook.ipynb"
    path = k.folder / "named.json"
    path.write_text(json.dumps(k.given))
    with k.sibling("-f", str(path)):
        client = Client(wait_for(lambda: read_file(path), "ports", PATIENCE))
        try:
            k.wait_until_subscribed(client)
            return client.run("__session__").value
        finally:
            client.close()


@files("get_connection_file() is its path", True)
def connection_file_name(k):
    code = "from ipykernel.connect import get_connection_file\nget_connection_file()"
    return os.path.realpath(k.run(code).value.strip("'")) == os.path.realpath(k.file)


# --- transports -----------------------------------------------------------------------------------
@transports(
    "ipc: a port is the end of a path",
    ["2", True],
    start={"file": {"transport": "ipc", "ip": "{folder}/socket"}},
)
def ipc(k):
    paths = [k.folder / f"socket-{k.info[f'{name}_port']}" for name in CHANNELS]
    return [k.run("1 + 1").value, all(stat.S_ISSOCK(path.stat().st_mode) for path in paths)]


@transports(
    "ipc without ip: beside the connection file",
    True,
    start={"file": {"transport": "ipc", "ip": None}},
)
def ipc_default(k):
    return k.run("1").content["status"] == "ok" and k.info["ip"].endswith("-ipc")


@transports("CURVE: a client with the keys is served", "2", start={"curve": True})
def curve(k):
    return k.run("1 + 1").value


@transports("CURVE: a client without them is not", False, start={"curve": True})
def curve_refuses(k):
    plain = k.another()
    plain.send("kernel_info_request")
    k.run("pass")
    answered = plain.sockets["shell"].poll(500)
    return bool(answered)


@transports("CURVE: a client with other keys is not", False, start={"curve": True})
def curve_refuses_strangers(k):
    public, secret = (part.decode() for part in zmq.curve_keypair())
    other = Client(
        {**k.info, "curve_publickey": public, "curve_secretkey": secret}, server=public.encode()
    )
    k.clients.append(other)
    other.send("kernel_info_request")
    k.run("pass")
    return bool(other.sockets["shell"].poll(500))


@transports("the heartbeat gives back what it gets, frame by frame", [b"ping", b"", b"\x00\xff"])
def heartbeat(k):
    k.sockets["hb"].send_multipart([b"ping", b"", b"\x00\xff"])
    assert k.sockets["hb"].poll(60_000)
    return k.sockets["hb"].recv_multipart()


@transports("it beats while a cell computes", b"beat")
def heartbeat_while_busy(k):
    cell = k.execute("import time\nprint('runs', flush=True)\ntime.sleep(1)")
    k.wait_for_stream(cell)
    k.sockets["hb"].send(b"beat")
    assert k.sockets["hb"].poll(60_000)
    beat = k.sockets["hb"].recv()
    k.collect(cell)
    return beat


@transports("two clients each get their own replies and all that is published", ["1", "2", True])
def two_clients(k):
    other = k.another()
    k.wait_until_subscribed(other)
    mine, theirs = k.execute("1"), other.execute("2")
    values = [k.collect(mine).value, other.collect(theirs).value]
    return [*values, bool(k.published(theirs))]


# --- control --------------------------------------------------------------------------------------
@control("usage_reply has the process and the machine", [True, True, True])
def usage(k):
    content = k.ask("usage_request", {}, "control").content
    return [content["pid"] == k.process.pid, bool(content["hostname"]), content["cpu_count"] > 0]


@control("usage_reply measures the kernel", [True, True])
def usage_measures(k):
    content = k.ask("usage_request", {}, "control").content
    return ["kernel_memory" in content, "kernel_cpu" in content]


@control("interrupt_request stops a loop", ["ok", "KeyboardInterrupt"])
def interrupt_loop(k):
    cell = k.execute("print('runs', flush=True)\nwhile True: pass")
    k.wait_for_stream(cell)
    status = k.ask("interrupt_request", {}, "control").content["status"]
    return [status, k.collect(cell).content["ename"]]


@control("… and a sleep", "KeyboardInterrupt")
def interrupt_sleep(k):
    cell = k.execute("import time\nprint('runs', flush=True)\ntime.sleep(100)")
    k.wait_for_stream(cell)
    k.ask("interrupt_request", {}, "control")
    return k.collect(cell).content["ename"]


@control("… and an awaited sleep", "CancelledError")
def interrupt_await(k):
    cell = k.execute("import asyncio\nprint('runs', flush=True)\nawait asyncio.sleep(2)")
    k.wait_for_stream(cell)
    k.ask("interrupt_request", {}, "control")
    return k.collect(cell).content["ename"]


@control("SIGINT does the same", "KeyboardInterrupt")
def interrupt_signal(k):
    cell = k.execute("print('runs', flush=True)\nwhile True: pass")
    k.wait_for_stream(cell)
    os.killpg(k.process.pid, signal.SIGINT)
    return k.collect(cell).content["ename"]


@control("an idle kernel is not moved by either", ["ok", "3"])
def interrupt_idle(k):
    status = k.ask("interrupt_request", {}, "control").content["status"]
    os.killpg(k.process.pid, signal.SIGINT)
    return [status, k.run("1 + 2").value]


@control("an interrupt takes children of the cell with it", True)
def interrupt_children(k):
    cell = k.execute(
        "print('runs', flush=True)\nimport subprocess; subprocess.run(['sleep', '100'])"
    )
    k.wait_for_stream(cell)
    k.ask("interrupt_request", {}, "control")
    return k.collect(cell).content["status"] == "error"


@control(
    "shutdown on control: reply, a copy on iopub, exit status 0",
    [{"status": "ok", "restart": False}, True, 0],
    own=True,
)
def shutdown(k):
    request = k.send("shutdown_request", {"restart": False}, "control")
    reply = k.reply(request, "control")["content"]
    copy = wait_for(lambda: shutdown_copy(k), "the copy on iopub", PATIENCE)
    return [reply, copy["content"] == reply, k.ended()]


def shutdown_copy(k):
    message = k.receive("iopub", 1)
    return message if message and message["msg_type"] == "shutdown_reply" else None


@control("the copy's topic is kernel.<ident>.shutdown", True, own=True)
def shutdown_topic(k):
    k.send("shutdown_request", {"restart": True}, "control")
    copy = wait_for(lambda: shutdown_copy(k), "the copy on iopub", PATIENCE)
    return copy["idents"][0].startswith(b"kernel.") and copy["idents"][0].endswith(b".shutdown")


@control("restart is given back", True, own=True)
def shutdown_restart(k):
    request = k.send("shutdown_request", {"restart": True}, "control")
    return k.reply(request, "control")["content"]["restart"]


@control("shutdown on shell is accepted too", ["ok", 0], own=True)
def shutdown_on_shell(k):
    request = k.send("shutdown_request", {"restart": False})
    return [k.reply(request)["content"]["status"], k.ended()]


@control("shutdown while a cell runs ends the process", "gone", own=True)
def shutdown_while_busy(k):
    cell = k.execute("import time\nprint('runs', flush=True)\ntime.sleep(100)")
    k.wait_for_stream(cell)
    request = k.send("shutdown_request", {"restart": False}, "control")
    k.reply(request, "control")
    try:
        k.process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(k.process.pid, signal.SIGTERM)  # as a manager does after 2.5 s
        k.process.wait(PATIENCE)
    return "gone"


@control("atexit handlers run at a shutdown", "ran", own=True)
def atexit_runs(k):
    k.run("import atexit; atexit.register(lambda: open('atexit', 'w').write('ran'))")
    k.send("shutdown_request", {"restart": False}, "control")
    k.ended()
    return (k.folder / "atexit").read_text()


@control("exit ends the process with status 0", 0, own=True)
def exit_ends(k):
    k.run("exit")
    return k.ended()


@control("SIGTERM ends it at once", -signal.SIGTERM, own=True)
def terminated(k):
    k.process.terminate()
    return k.ended()


@control("subshell requests are answered", ["list_subshell_reply"])
def subshells(k):
    return [k.ask("list_subshell_request", {}, "control").reply["msg_type"]]


@control(
    "a request for a subshell that is not there gets an error reply",
    ["error", "UnknownSubshellError"],
)
def unknown_subshell(k):
    content = k.collect(k.execute("1", header={"subshell_id": "nosuch"})).content
    return [content["status"], content["ename"]]


# --- debugger -------------------------------------------------------------------------------------
def dap(k, command, **arguments):
    request = {"type": "request", "seq": 1, "command": command, "arguments": arguments}
    return k.ask("debug_request", request, "control").content


@debug(
    "debugInfo before it starts",
    [
        "breakpoints",
        "copyToGlobals",
        "exceptionPaths",
        "hashMethod",
        "hashSeed",
        "isStarted",
        "richRendering",
        "stoppedThreads",
        "tmpFilePrefix",
        "tmpFileSuffix",
    ],
)
def debug_info(k):
    return sorted(dap(k, "debugInfo")["body"])


@debug("… and its constants", [False, "Murmur2", 3339675911, ".py", True, True])
def debug_constants(k):
    body = dap(k, "debugInfo")["body"]
    return [
        body[name]
        for name in (
            "isStarted",
            "hashMethod",
            "hashSeed",
            "tmpFileSuffix",
            "richRendering",
            "copyToGlobals",
        )
    ]


@debug("a cell's file is <prefix><murmur2 of its code><suffix>", True)
def cell_file(k):
    body = dap(k, "debugInfo")["body"]
    name = k.run("import inspect\ninspect.currentframe().f_code.co_filename").value.strip("'")
    return name.startswith(body["tmpFilePrefix"]) and name.endswith(".py")


@debug("the file's folder is named after ipykernel and the pid, as libraries expect", True)
def cell_folder(k):
    return dap(k, "debugInfo")["body"]["tmpFilePrefix"].endswith(f"/ipykernel_{k.process.pid}/")


@debug("what needs a started debugger gets an empty reply", {})
def not_started(k):
    return dap(k, "stackTrace", threadId=1)


@debug("inspectVariables works before it starts", ["a_global"])
def inspect_variables(k):
    k.run("a_global = 5")
    found = dap(k, "inspectVariables")["body"]["variables"]
    return [one["name"] for one in found if one["name"] == "a_global"]


@debug("modules has no envelope", ["body"])
def debug_modules(k):
    return sorted(key for key in dap(k, "modules") if key == "body" or key == "success")


@debug("initialize, attach, configurationDone, disconnect", [True, True, True], own=True)
def debug_session(k):
    first = dap(k, "initialize", clientID="check", adapterID="", pathFormat="path")
    attach = k.send(
        "debug_request",
        {"type": "request", "seq": 2, "command": "attach", "arguments": {}},
        "control",
    )
    done = k.send(
        "debug_request", {"type": "request", "seq": 3, "command": "configurationDone"}, "control"
    )
    answers = [k.collect(request, "control").content for request in (attach, done)]
    last = dap(k, "disconnect", restart=False, terminateDebuggee=False)
    return [first["success"], all(one["success"] for one in answers), last["success"]]


# --- names ----------------------------------------------------------------------------------------
@names("the shell's class", "\"<class 'ipykernel.zmqshell.ZMQInteractiveShell'>\"")
def shell_class(k):
    return k.run("str(type(get_ipython()))").value


@names("the application's configuration", "True")
def app_config(k):
    return k.run("'IPKernelApp' in get_ipython().config").value


@names("modules that say 'notebook' by being loaded", "(True, True)")
def loaded_modules(k):
    return k.run(
        "import sys\n('ipykernel' in sys.modules, 'ipykernel.zmqshell' in sys.modules)"
    ).value


ATTRIBUTES = """
session iopub_socket iopub_thread stdin_socket shell_stream control_stream shell_handlers
control_handlers msg_types control_msg_types comm_manager shell user_ns user_module parent config
log ident int_id io_loop eventloop get_parent set_parent send_response execution_count do_shutdown
do_execute do_complete do_inspect do_history do_is_complete pre_handler_hook post_handler_hook
should_handle raw_input getpass implementation implementation_version language_info banner
help_links kernel_info debugger _allow_stdin _parent_header _parent_ident _publish_status _topic
"""
MODULES = """
zmqshell ipkernel kernelbase kernelapp iostream displayhook comm comm.comm comm.manager compiler
connect jsonutil eventloops debugger control thread subshell_manager embed inprocess kernelspec
"""


@names("the kernel's class and its attributes", "('IPythonKernel', [])")
def kernel_object(k):
    return k.run(
        f"k = get_ipython().kernel\n(type(k).__name__, "
        f"[name for name in {ATTRIBUTES.split()} if not hasattr(k, name)])"
    ).value


@names("modules under ipykernel that libraries import", "[]")
def importable(k):
    return k.run(
        "import importlib\nbad = []\n"
        f"for name in {MODULES.split()}:\n"
        "    try: importlib.import_module('ipykernel.' + name)\n"
        "    except ImportError as error: bad.append((name, str(error)))\n"
        "bad"
    ).value


@names("a message sent by hand is published", ["display_data"])
def session_send(k):
    code = (
        "k = get_ipython().kernel\n"
        "_ = k.session.send(k.iopub_socket, 'display_data',"
        " {'data': {'text/plain': 'by hand'}, 'metadata': {}, 'transient': {}},"
        " parent=k.get_parent())"
    )
    return k.run(code).shown


@names("the environment of child processes", "['xterm-color', '1', '1', 'cat', 'cat']")
def child_environment(k):
    wanted = "TERM CLICOLOR FORCE_COLOR PAGER GIT_PAGER"
    return k.run(f"import os\n[os.environ[name] for name in '{wanted}'.split()]").value


@names("the matplotlib backend", "'module://matplotlib_inline.backend_inline'")
def backend(k):
    return k.run("os.environ['MPLBACKEND']").value


@names("names of the namespace", "[]")
def namespace(k):
    wanted = "In Out _ __ ___ _i _ii _iii _dh _oh exit quit get_ipython open __builtin__"
    return k.run(f"[name for name in '{wanted}'.split() if name not in globals()]").value


@names("__main__ is the namespace, and has no __file__", "(True, False)")
def main_module(k):
    return k.run("import __main__\n(vars(__main__) is globals(), '__file__' in globals())").value


@names("sys.ps1 is there, which is how programs see an interactive Python", "True")
def prompts(k):
    return k.run("import sys; hasattr(sys, 'ps1')").value


@names("the loop of the main thread runs, between cells too", "'later'")
def loop_between_cells(k):
    k.run(
        "import asyncio\nseen = []\n"
        "_ = asyncio.get_running_loop().call_later(0.01, seen.append, 'later')"
    )
    k.run("await asyncio.sleep(0.1)")
    return k.run("seen[0]").value


@names("context variables live from cell to cell", "5")
def context_variables(k):
    k.run("import contextvars\nv = contextvars.ContextVar('v')\n_ = v.set(5)")
    return k.run("v.get()").value


@names("%connect_info prints the connection file", True)
def connect_info(k):
    return k.info["key"] in k.run("%connect_info").text()


@names("%autosave shows JavaScript and a line", ["display_data", "stdout"])
def autosave(k):
    return k.run("%autosave 60").shown


@names("handlers are a live table: a new entry is served", "mine\n")
def live_handlers(k):
    k.run(
        "def mine(stream, ident, parent): print('mine')\n"
        "get_ipython().kernel.shell_handlers['mine_request'] = mine"
    )
    return k.ask("mine_request", {}, replies=False).text()


@names("run_cell may be replaced on the shell", "wrapped\n")
def wrapped_run_cell(k):
    k.run(
        "ip = get_ipython()\nbefore = ip.run_cell\n"
        "def wrapper(*a, **o):\n    print('wrapped')\n    return before(*a, **o)\n"
        "ip.run_cell = wrapper"
    )
    text = k.run("pass").text()
    k.run("del ip.run_cell")
    return text


# --- registration (JEP 66) ------------------------------------------------------------------------
NOT_IN_IPYKERNEL = OnlyHere("ipykernel 7.4 knows connection files only")


class Registry:
    """Who starts kernels, as JEP 66 has it: a ROUTER that is told their ports."""

    def __init__(self, k: Subject) -> None:
        self.k = k
        self.key = "a key of the registry"
        self.socket = k.context.socket(zmq.ROUTER)
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.path = k.folder / "registration.json"
        self.path.write_text(
            json.dumps(
                {
                    "kernel_id": "an-id",
                    "transport": "tcp",
                    "registration_ip": "127.0.0.1",
                    "registration_port": port,
                    "signature_scheme": "hmac-sha256",
                    "key": self.key,
                }
            )
        )

    def sign(self, content: bytes) -> bytes:
        return hmac.new(self.key.encode(), content, hashlib.sha256).hexdigest().encode()

    def registered(self) -> tuple[bytes, dict]:
        """The identity of a kernel, and what it says of itself, its signature checked."""
        assert self.socket.poll(PATIENCE * 1000), "no kernel registered"
        identity, delimiter, signature, content = self.socket.recv_multipart()
        assert (delimiter, signature) == (b"<IDS|MSG>", self.sign(content))
        return identity, json.loads(content)

    def answer(self, identity: bytes, signature: bytes | None = None) -> None:
        content = b'{"status": "ok"}'
        signed = self.sign(content) if signature is None else signature
        self.socket.send_multipart([identity, b"<IDS|MSG>", signed, content])


@registration(
    "a kernel with a registration file says its id and five ports, as strings",
    "control_port hb_port iopub_port kernel_id shell_port stdin_port, an-id, True",
    ipykernel=NOT_IN_IPYKERNEL,
)
def registers(k):
    registry = Registry(k)
    with k.sibling("-f", str(registry.path)):
        content = registry.registered()[1]
    ports = [value for key, value in content.items() if key.endswith("_port")]
    whole = all(isinstance(port, str) and int(port) > 0 for port in ports)
    return f"{' '.join(sorted(content))}, {content['kernel_id']}, {whole}"


@registration("acknowledged, it serves", "42", ipykernel=NOT_IN_IPYKERNEL)
def serves_when_acknowledged(k):
    registry = Registry(k)
    with k.sibling("-f", str(registry.path)):
        identity, content = registry.registered()
        registry.answer(identity)
        ports = {key: int(value) for key, value in content.items() if key.endswith("_port")}
        other = {"transport": "tcp", "ip": "127.0.0.1", "key": registry.key, **ports}
        client = Client(other)
        k.clients.append(client)
        k.wait_until_subscribed(client)
        return client.run("6 * 7").value


@registration(
    "its connection file is in the runtime folder, and goes with it",
    [True, False],
    ipykernel=NOT_IN_IPYKERNEL,
)
def file_of_a_registered_kernel(k):
    registry = Registry(k)
    path = k.folder / "runtime" / "kernel-an-id.json"
    with k.sibling("-f", str(registry.path)) as process:
        registry.answer(registry.registered()[0])
        info = wait_for(lambda: read_file(path), "the connection file", PATIENCE)
        client = Client(info)
        k.clients.append(client)
        client.reply(client.send("kernel_info_request"))
        client.send("shutdown_request", {"restart": False}, "control")
        process.wait(PATIENCE)
        return [info["key"] == registry.key, path.exists()]


@registration(
    "an acknowledgement with a wrong signature is none: it ends",
    True,
    ipykernel=NOT_IN_IPYKERNEL,
)
def wrong_acknowledgement(k):
    registry = Registry(k)
    with k.sibling("-f", str(registry.path)) as process:
        registry.answer(registry.registered()[0], b"0" * 64)
        return process.wait(PATIENCE) != 0
