"""Frames, signatures and headers: what every message has, and which are dropped."""

import json
import re
import uuid

from protocol_checks.catalogue import Differs, Section
from protocol_checks.subject import DELIMITER, Subject

frames = Section("Frames")
signatures = Section("Signatures and replays")
headers = Section("Headers")
malformed = Section("Malformed messages")


def info_request(k: Subject, **parts):
    return k.frames(k.message("kernel_info_request", {}, **parts))


# --- frames ---------------------------------------------------------------------------------------
@frames("a reply is delimiter, signature and four JSON frames", 6)
def reply_frames(k):
    return len(k.ask("kernel_info_request").reply["frames"])


@frames("what stands before the delimiter comes back before the reply", [b"one", b"two"])
def routing_frames(k):
    message = k.message("kernel_info_request")
    k.send_raw([b"one", b"two", *k.frames(message)])
    return k.reply(message)["idents"]


@frames("an identity that is no text is as good as any", [b"\xff\x00\xfe"])
def binary_identity(k):
    message = k.message("kernel_info_request")
    k.send_raw([b"\xff\x00\xfe", *k.frames(message)])
    return k.reply(message)["idents"]


@frames("text goes out in UTF-8, not escaped", True)
def unescaped(k):
    x = k.run("print('\N{SNOWMAN} \N{PILE OF POO}')")
    return "\N{SNOWMAN} \N{PILE OF POO}".encode() in x.messages[2]["frames"][-1]


@frames("frames after the fourth are buffers; empty and many ones too", [0, 1, 70000, 0, 3] * 5)
def buffers_in(k):
    define_echo(k)
    buffers = [bytes(size) for size in [0, 1, 70000, 0, 3] * 5]
    k.ask("comm_open", {"comm_id": "b1", "target_name": "echo", "data": {}}, replies=False)
    x = k.ask("comm_msg", {"comm_id": "b1", "data": {}}, replies=False, buffers=buffers)
    [back] = [m for m in x.messages if m["msg_type"] == "comm_msg"]
    return [len(buffer) for buffer in back["buffers"]]


def define_echo(k):
    k.run(
        "from comm import get_comm_manager\n"
        "def opened(comm, message):\n"
        "    def got(m):\n"
        "        comm.send(m['content']['data'], buffers=m['buffers'])\n"
        "    comm.on_msg(got)\n"
        "get_comm_manager().register_target('echo', opened)"
    )


@frames("a cell of 8 MB is a cell", "8000000")
def big_cell(k):
    return k.run(f"len('{'x' * 8_000_000}')").value


# --- signatures -----------------------------------------------------------------------------------
@signatures("signatures are 64 lower-case hexadecimal digits", True)
def signature_form(k):
    reply = k.ask("kernel_info_request").reply
    return bool(re.fullmatch(rb"[0-9a-f]{64}", reply["frames"][1]))


@signatures("a wrong signature is dropped without a word", [True, True])
def wrong_signature(k):
    bad = [k.frames(k.message("kernel_info_request"), b"0" * 64) for _ in range(2)]
    return [k.is_ignored(bad[0], "shell"), k.is_ignored(bad[1], "control")]


@signatures("so is none at all", True)
def no_signature(k):
    return k.is_ignored(k.frames(k.message("kernel_info_request"), b""))


@signatures("so is the first half of the right one", True)
def half_a_signature(k):
    good = info_request(k)
    return k.is_ignored([good[0], good[1][:32], *good[2:]])


@signatures("so is the right one in capitals", True)
def capital_signature(k):
    while True:
        good = info_request(k)
        if good[1].upper() != good[1]:
            return k.is_ignored([good[0], good[1].upper(), *good[2:]])


@signatures(
    "it covers header, parent, metadata and content: a change in each is noticed", [True] * 4
)
def signature_covers(k):
    seen = []
    for at in range(2, 6):
        good = info_request(k)
        good[at] = good[at] + b" "
        seen.append(k.is_ignored(good))
    return seen


@signatures("it does not cover buffers", "4")
def signature_spares_buffers(k):
    message = k.message("execute_request", {"code": "2 + 2"})
    k.send_raw([*k.frames(message), b"not signed"])
    return k.collect(message).value


@signatures("a message that comes again is dropped", True)
def replay(k):
    good = info_request(k)
    k.send_raw(good)
    return k.is_ignored(good)


@signatures("also when it comes again on another channel", True)
def replay_elsewhere(k):
    good = info_request(k)
    k.send_raw(good)
    k.settle()
    return k.is_ignored(good, "control")


@signatures("with an empty key nothing is checked", ["ok", b""], start={"file": {"key": ""}})
def empty_key(k):
    message = k.message("kernel_info_request")
    k.send_raw(k.frames(message, b"whatever"))
    reply = k.reply(message)
    return [reply["content"]["status"], reply["frames"][1]]


@signatures(
    "signature_scheme names any hash: sha512",
    "ok",
    start={"file": {"signature_scheme": "hmac-sha512"}},
)
def sha512(k):
    return k.run("pass").content["status"]


# --- headers --------------------------------------------------------------------------------------
@headers("the parent of a reply is the request's header as it came, unknown keys too", True)
def parent_is_the_header(k):
    x = k.ask("kernel_info_request", header={"colour": "green", "n": [1, {"a": None}]})
    return x.reply["parent_header"] == x.request["header"]


@headers("every message of a cell has that parent", True)
def parents_of_a_cell(k):
    x = k.run("print(1); display(2); 3")
    return all(m["parent_header"] == x.request["header"] for m in [*x.messages, x.reply])


@headers("a header has these keys", "date msg_id msg_type session username version")
def header_keys(k):
    return " ".join(sorted(k.ask("kernel_info_request").reply["header"]))


@headers("msg_id is <session>_<pid>_<number>", True)
def message_id_form(k):
    header = k.run("pass").reply["header"]
    session, pid, number = header["msg_id"].rsplit("_", 2)
    return session == header["session"] and pid == str(k.process.pid) and number.isalnum()


@headers("session is 8 and 24 hexadecimal digits", True)
def session_form(k):
    session = k.run("pass").reply["header"]["session"]
    return bool(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{24}", session))


@headers("all messages of a kernel have one session", 1)
def one_session(k):
    x = k.run("print(1); display(2); 3")
    y = k.ask("kernel_info_request", channel="control")
    return len({m["header"]["session"] for m in [*x.messages, x.reply, *y.messages, y.reply]})


@headers("no msg_id is used twice", True)
def ids_are_unique(k):
    x = k.run("for n in range(100): display(n)")
    y = k.ask("kernel_info_request", channel="control")
    ids = [m["header"]["msg_id"] for m in [*x.messages, x.reply, *y.messages, y.reply]]
    return len(set(ids)) == len(ids)


@headers("date is UTC, with microseconds and a Z", True)
def date_form(k):
    dates = [m["header"]["date"] for m in k.run("display(1)").messages]
    return all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", date) for date in dates)


@headers("version is jupyter_client's 5.4", {"5.4"})
def header_version(k):
    x = k.run("display(1)")
    return {m["header"]["version"] for m in [*x.messages, x.reply]}


@headers("a msg_id may be long", True)
def long_message_id(k):
    wanted = "x" * 5000
    return (
        k.ask("kernel_info_request", header={"msg_id": wanted}).reply["parent_header"]["msg_id"]
        == wanted
    )


@headers("a request without session, username and date is served", "ok")
def bare_header(k):
    message = {"header": {"msg_id": uuid.uuid4().hex, "msg_type": "kernel_info_request"}}
    k.send_raw(k.frames(message))
    return k.reply(message)["content"]["status"]


@headers("a subshell_id of null is the main shell", "ok")
def null_subshell(k):
    return k.run("pass", header={"subshell_id": None}).content["status"]


@headers("a restarted kernel has another session, which is how front ends notice", True, own=True)
def session_after_restart(k):
    before = k.run("pass").reply["header"]["session"]
    other = Subject(k.program, {name: k.environment[name] for name in k.watched})
    try:
        return other.run("pass").reply["header"]["session"] != before
    finally:
        other.shut_down()


SPILLS = "a traceback of its own is printed into the next cell"


# --- malformed messages ---------------------------------------------------------------------------
@malformed("no delimiter: dropped", True, ipykernel=Differs(False, SPILLS))
def no_delimiter(k):
    return k.is_ignored(info_request(k)[1:])


@malformed("too few frames behind the delimiter: dropped, however few", [True] * 5)
def too_few_frames(k):
    return [k.is_ignored(info_request(k)[: 1 + n]) for n in range(5)]


@malformed("frames of nothing: dropped", True, ipykernel=Differs(False, SPILLS))
def empty_frames(k):
    return k.is_ignored([b"", b"", b""])


@malformed("a header that is no JSON: dropped", True)
def header_no_json(k):
    return k.is_ignored(k.frames({"header": b"{'msg_id': 1}", "content": {}}))


@malformed("a header that is no object: dropped", [True] * 3)
def header_no_object(k):
    return [k.is_ignored(k.frames({"header": part})) for part in (b"[]", b"1", b"null")]


@malformed("a header without msg_type: dropped", True)
def header_without_type(k):
    return k.is_ignored(k.frames({"header": {"msg_id": uuid.uuid4().hex}}))


ANSWERED = "here the header can be read, so the sender is told what is wrong"


def answer_to(k, content):
    """What comes back for an execute_request with that content."""
    k.settle()
    request = {**k.message("execute_request"), "content": content}
    k.send_raw(k.frames(request))
    k.catch_up()
    mine = [m for m in k.kept["shell"] if m["parent_header"] == request["header"]]
    return mine[0]["content"]["status"] if mine else "nothing"


@malformed("content that is no JSON: dropped", "nothing")
def content_no_json(k):
    return answer_to(k, b"{")


@malformed("content that is no UTF-8", "error")
def content_no_utf8(k):
    return answer_to(k, b'{"code": "\xff\xfe"}')


@malformed("content nested 100,000 deep", "error", ipykernel=Differs("nothing", ANSWERED))
def content_deep(k):
    return answer_to(k, b'{"code":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


@malformed("content that is a list: dropped", "nothing")
def content_list(k):
    return answer_to(k, b"[1]")


@malformed(
    "an unknown type on shell: busy and idle, no reply",
    ["busy", "idle"],
)
def unknown_type(k):
    return k.ask("no_such_request", {}, replies=False).kinds


@malformed("an unknown type on control: busy and idle, no reply", ["busy", "idle"])
def unknown_type_on_control(k):
    return k.ask("no_such_request", {}, "control", replies=False).kinds


@malformed("a reply sent to a kernel is an unknown type", ["busy", "idle"])
def reply_as_request(k):
    return k.ask("execute_reply", {"status": "ok"}, replies=False).kinds


@malformed(
    "an execute_request without code gets an error reply",
    "error",
    ipykernel=Differs("no reply", "the sender would wait for ever; here every request is answered"),
)
def no_code(k):
    return status_or_nothing(k, "execute_request", {})


@malformed(
    "a complete_request without code gets an error reply",
    "error",
    ipykernel=Differs("no reply", "the sender would wait for ever; here every request is answered"),
)
def nothing_to_complete(k):
    return status_or_nothing(k, "complete_request", {})


def status_or_nothing(k, kind, content):
    request = k.send(kind, content)
    k.published(request)
    k.catch_up()
    replies = [
        m for m in k.kept["shell"] if m["parent_header"]["msg_id"] == request["header"]["msg_id"]
    ]
    return replies[0]["content"]["status"] if replies else "no reply"


@malformed("after all of that the kernel computes", "42")
def still_there(k):
    for junk in (b"", b"\0", DELIMITER, json.dumps({}).encode()):
        for channel in ("shell", "control", "stdin"):
            k.send_raw([junk], channel)
    return k.run("6 * 7").value
