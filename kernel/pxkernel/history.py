"""IPython's history database, opened late and written in batches.

IPython wakes its writer thread at every cell, and the next cell then waits for the same lock while
sqlite commits. Here the writer waits a moment after it was woken and takes all that came meanwhile:
one wake and one commit for many cells, and none that waits for it. Readers (%history,
history_request) write out first, as in IPython, so nobody sees less. The database itself is opened
when the first line is to be written or somebody reads: a kernel that runs nothing leaves no session
in it, and start-up does not pay.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import Any

from IPython.core import history

BATCH_SECONDS = 0.25
MOST_AT_ONCE = 1000
"""A number further ahead than this many cells was set by hand, and leaves no gap in ``In``."""


class BatchingThread(history.HistorySavingThread):
    """The writer: gives cells ``BATCH_SECONDS`` to gather after the first of them."""

    def __init__(self, manager: HistoryManager) -> None:
        super().__init__(manager)
        self.stopping = threading.Event()
        self.save_flag = _GatheringFlag(self.stopping)
        # A debugger leaves this thread alone.
        self.pydev_do_not_trace = True
        self.is_pydev_daemon_thread = True

    def run(self) -> None:
        """Open the database here, off the main thread: the first commit waits for the disk."""
        # An interrupt is for the main thread, whose wait would not end if it came here.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        self.save_flag.wait()
        manager = self.history_manager()
        if manager is None or self._stop_now:
            return
        manager.open()
        if manager.using_thread:
            del manager
            super().run()

    def stop(self) -> None:
        """End the thread at once, also while it gathers."""
        self.stopping.set()
        super().stop()


class _GatheringFlag(threading.Event):
    """An event whose ``wait`` returns a moment after ``set``, or at once when stopping."""

    def __init__(self, stopping: threading.Event) -> None:
        super().__init__()
        self._stopping = stopping

    def wait(self, timeout: float | None = None) -> bool:
        done = super().wait(timeout)
        if done:
            self._stopping.wait(BATCH_SECONDS)
        return done


def _insert(conn: Any, table: str, columns: int, session: int, lines: list[Any]) -> None:
    """One transaction for all lines."""
    if lines:
        places = ", ".join("?" * columns)
        with conn:
            conn.executemany(
                f"INSERT INTO {table} VALUES ({places})", [(session, *line) for line in lines]
            )


def _place(inputs: Any, number: int, text: str) -> None:
    """Put a cell's text at its number, or where that is taken, or far away, at the end."""
    if number - len(inputs) <= MOST_AT_ONCE:
        inputs.extend([""] * (number - len(inputs)))
    if number < len(inputs) and not inputs[number]:
        inputs[number] = text
    else:
        inputs.append(text)


class HistoryManager(history.HistoryManager):
    """IPython's manager; database, session number and writer thread come with the first use."""

    # The last inputs: plain attributes, nobody watches them.
    _i00 = _i = _ii = _iii = ""
    _connection: Any = None
    _session: int = 0
    _opening = False
    _ready = False

    def init_db(self) -> None:
        """At construction nothing happens; later it opens (and re-opens a corrupt file)."""
        if self._opening or not self.enabled:
            super().init_db()

    @property
    def _finalizer(self) -> Any:
        return self.__dict__.get("_closer")

    @_finalizer.setter
    def _finalizer(self, finalizer: Any) -> None:
        # The shell closes the database at exit, after having written what waits. The finalizer's
        # own turn at exit would come earlier, and while the writer is still opening it.
        finalizer.atexit = False
        self.__dict__["_closer"] = finalizer

    def new_session(self, conn: Any = None) -> None:
        """A session row; none at construction."""
        if conn is not None or self._connection is not None:
            super().new_session(conn)

    def open(self) -> None:
        """Open the database and begin a session in it, once. From any thread."""
        with self._open_lock:
            if self._opening or self._connection is not None:
                return
            self._opening = True
            try:
                self.init_db()
                self.new_session()
            except Exception as error:
                self.log.error(
                    "history in %s cannot be used (%s): this session's history stays in memory",
                    self.hist_file,
                    error,
                )
                self._switch_to_memory_history()
                self.using_thread = False
            finally:
                self._opening = False

    def __init__(self, shell: Any, config: Any = None, **traits: Any) -> None:
        # Not the base's own __init__: it would open the database and start the thread.
        self._open_lock = threading.RLock()
        self._write_lock = threading.RLock()
        self._inputs_lock = threading.Lock()
        history.HistoryAccessor.__init__(self, shell=shell, config=config, **traits)
        self.db_input_cache_lock = threading.Lock()
        self.db_output_cache_lock = threading.Lock()
        self.using_thread = self.enabled and str(self.hist_file) != ":memory:"
        history.HistoryManager._instances.add(self)
        self._ready = True

    # ``db`` and ``session_number`` are plain attributes in IPython; here the first look opens.
    @property
    def db(self) -> Any:
        if self._ready and (self._connection is None or self._opening):
            self.open()  # or wait for whoever is opening it
        return self._connection

    @db.setter
    def db(self, connection: Any) -> None:
        self._connection = connection

    @property
    def session_number(self) -> int:
        if self._session == 0 and self._ready and (self._connection is None or self._opening):
            self.open()
        return self._session

    @session_number.setter
    def session_number(self, number: int) -> None:
        self._session = number

    @property
    def save_thread(self) -> Any:
        return self.__dict__.get("_writer")

    @save_thread.setter
    def save_thread(self, thread: Any) -> None:
        self.__dict__["_writer"] = thread

    def store_inputs(self, line_num: int, source: str, source_raw: str | None = None) -> None:
        """Keep a cell at its own place in ``In``.

        IPython appends; but of two shells that run at once, the one with the later number may be
        the first to come here.
        """
        raw = (source if source_raw is None else source_raw).rstrip("\n")
        source = source.rstrip("\n")
        if self._exit_re.match(raw.strip()):
            return  # exit and quit are not kept
        with self._inputs_lock:
            _place(self.input_hist_parsed, line_num, source)
            _place(self.input_hist_raw, line_num, raw)
            with self.db_input_cache_lock:
                self.db_input_cache.append((line_num, source, raw))
                if len(self.db_input_cache) >= self.db_cache_size:
                    self._wake_writer()
            self._iii, self._ii, self._i, self._i00 = self._ii, self._i, self._i00, raw
            names = {"_i": self._i, "_ii": self._ii, "_iii": self._iii, f"_i{line_num}": raw}
        if self.shell is not None:
            self.shell.push(names, interactive=False)

    def _wake_writer(self) -> None:
        if self.using_thread:
            self._restart_thread_if_stopped()
            flag = self.save_flag
            if flag is not None and not flag.is_set():  # else it has not looked yet
                flag.set()

    def _restart_thread_if_stopped(self) -> None:
        if self.save_thread is None and self.using_thread:
            self.save_thread = BatchingThread(self)
            self.save_thread.start()

    def writeout_cache(self, conn: Any = None) -> None:
        """Write what waits; nothing is opened when nothing waits."""
        if not self.enabled or (
            conn is None and self._connection is None and not self.db_input_cache
        ):
            return
        with self._write_lock:
            self._write_inputs(self.db if conn is None else conn)
            self._write_outputs(self.db if conn is None else conn)

    def _write_inputs(self, conn: Any) -> None:
        """IPython holds its lock while sqlite commits, and the next cell waits for that lock."""
        import sqlite3

        with self.db_input_cache_lock:
            lines, self.db_input_cache = self.db_input_cache, []
        try:
            _insert(conn, "history", 4, self.session_number, lines)
        except sqlite3.IntegrityError:
            self.new_session(conn)
            print(
                "Lines of this session are in the history database already: it goes on as session "
                f"{self.session_number}."
            )
            with contextlib.suppress(sqlite3.IntegrityError):
                _insert(conn, "history", 4, self.session_number, lines)

    def _write_outputs(self, conn: Any) -> None:
        import sqlite3

        with self.db_output_cache_lock:
            lines, self.db_output_cache = self.db_output_cache, []
        try:
            _insert(conn, "output_history", 3, self.session_number, lines)
        except sqlite3.IntegrityError:
            print("Outputs of these lines are in the history database already: none was added.")

    def end_session(self) -> None:
        """Close the session row, if there is one.

        A database that cannot be written (many kernels end at once, a full disk) must not keep the
        shell from closing it: the writer would go on while Python is taken down around it.
        """
        if self._connection is None and not self.db_input_cache:
            return
        try:
            super().end_session()
        except Exception as error:
            self.log.error("the end of this session is not in the history: %s", error)

    def close(self) -> None:
        """Stop the writer and close the database if it was opened.

        The lock: sqlite must not see a connection closed while the writer is still opening it.
        """
        writer = self.save_thread
        self._stop_save_thread()
        if writer is not None and writer is not threading.current_thread() and writer.is_alive():
            writer.join()  # an interrupt may have cut the first join short
        with self._open_lock:
            self._opening = True  # nothing opens it again
            if self._connection is not None:
                self._connection.close()
