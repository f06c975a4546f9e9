"""The processes that run members' scripts: a keeper, and the script process it forks.

The node starts the keeper before it locks itself down. The keeper has imported the interpreter,
does nothing else, and forks a *script process* when told to, so a script that takes its process
down (memory, time, a stack overflow) costs a fork of a few milliseconds and nothing of the node.

    control socket (datagrams, kept in order)          script socket (frames)
    node ──"start"──▶ keeper: forks                    node ──Run──▶ script process
    node ◀─"started" + script socket── keeper          node ◀─Call── script process
    node ──"stop"───▶ keeper: kills                    node ──Answer▶ script process
    node ◀─"ended …"─ keeper: it died, and how         node ◀─End─── script process

A script process has no environment, no files but its socket, cannot open or write any, and runs
each script under its own bounds of address space and processor time.
"""

import contextlib
import gc
import math
import os
import resource
import select
import signal
import socket

from governance.interpreter import run
from governance.scripting import (
    FailureKind,
    HostError,
    ScriptCall,
    ScriptFailure,
    ScriptLimits,
    ScriptOutcome,
)
from ledger.base.errors import FormatError
from ledger.launch.last_word import LastWord
from ledger.launch.script_worker_wire import (
    BROKEN_EXIT_STATUS,
    CONTROL_SIZE_MAX,
    ENDED,
    LENGTH_SIZE,
    PROTOCOL_EXIT_STATUS,
    START,
    STARTED,
    STOP,
    Answer,
    Call,
    End,
    Run,
    ToNode,
    ToScript,
    body_size,
    decode_to_script,
    encode,
)


def main(control_fd: int, last_word_argument: str) -> None:
    """Be the keeper until the node closes the control socket.

    Args:
        control_fd: Our end of it.
        last_word_argument: For when that is because the host was killed; empty without a host.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the node decides when scripts end
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _warm_up()
    gc.collect()
    gc.freeze()
    last_word = LastWord.parse(last_word_argument) if last_word_argument else None
    _Keeper(socket.socket(fileno=control_fd), last_word).serve()
    if last_word is not None:
        last_word.say()


def _warm_up() -> None:
    """Take every path of the interpreter once: what is imported late cannot be opened later."""
    source = """
def talk(value):
    return [json.decode(json.encode(value)), kv.get("table"), value]
def refuse(value):
    fail(value)
"""

    def host(name: str, arguments: list[object]) -> object:
        if arguments[1] is None:
            return {"name": name, "arguments": arguments}
        raise HostError("no")

    value = {"list": [1, 1.5, None, True], "text": "ü", "object": {}}
    answered = run(ScriptCall("warm", source, "talk", (value,)), host)
    refused = run(ScriptCall("warm", source, "refuse", (value,)), host)
    broken = run(ScriptCall("warm", "def", "refuse", (value,)), host)
    assert answered.failure is None, "the interpreter runs scripts"
    assert refused.failure is not None, "the interpreter lets scripts fail"
    assert broken.failure is not None, "the interpreter refuses what does not parse"


class _Keeper:
    """Forks one script process at a time and says how it ended."""

    def __init__(self, control: socket.socket, last_word: LastWord | None) -> None:
        self._control = control
        self._last_word = last_word
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._child: int | None = None
        self._child_fd: int | None = None

    def serve(self) -> None:
        """Serve until the control socket is closed."""
        # A node that ends without having read everything closes it with an error.
        with contextlib.suppress(OSError):
            while all(self._react(fd) for fd, _ in self._poll.poll()):
                continue
        self._kill()

    def _react(self, fd: int) -> bool:
        """Do what is to be done; False when the control socket is closed."""
        if fd == self._child_fd:
            self._reap()
            return True
        return self._obey()

    def _obey(self) -> bool:
        command = self._control.recv(CONTROL_SIZE_MAX)
        if command == START and self._child is None:
            self._start()
        elif command == STOP:
            self._kill()
        return bool(command)

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        child = os.fork()
        if child == 0:
            theirs.close()
            self._control.close()
            if self._last_word is not None:
                self._last_word.close()
            _serve_scripts(ours)
        ours.close()
        self._child = child
        self._child_fd = os.pidfd_open(child)
        self._poll.register(self._child_fd, select.POLLIN)
        socket.send_fds(self._control, [STARTED], [theirs.fileno()])
        theirs.close()

    def _kill(self) -> None:
        if self._child is not None:
            os.kill(self._child, signal.SIGKILL)

    def _reap(self) -> None:
        assert self._child is not None, "only a child is waited for"
        assert self._child_fd is not None, "a child has a descriptor"
        _, status = os.waitpid(self._child, 0)
        self._poll.unregister(self._child_fd)
        os.close(self._child_fd)
        self._child = self._child_fd = None
        self._control.send(ENDED + str(os.waitstatus_to_exitcode(status)).encode())


def _serve_scripts(connection: socket.socket) -> None:
    """Run scripts one after the other until the node closes the socket. Never returns."""
    status = BROKEN_EXIT_STATUS  # the interpreter panics when it cannot have more memory
    try:
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        _Scripts(connection).serve()
        status = 0
    except (OSError, FormatError):
        status = PROTOCOL_EXIT_STATUS
    finally:
        os._exit(status)


class _Scripts:
    """The script process's end of the script socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._memory = os.open("/proc/self/statm", os.O_RDONLY)
        self._hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))

    def serve(self) -> None:
        while True:
            message = self._receive()
            if message is None:
                return
            if not isinstance(message, Run):
                raise FormatError("got an answer without a call, want a script to run")
            self._send(_end_of(self._run(message)))

    def _run(self, message: Run) -> ScriptOutcome:
        call = ScriptCall(
            name=message.name,
            source=message.source,
            function=message.function,
            arguments=tuple(message.arguments),
            limits=message.limits,
        )
        self._bound(call.limits)
        try:
            outcome = run(call, self._call)
        except MemoryError:
            reason = f"the script used more than {call.limits.memory_bytes_max} bytes of memory"
            outcome = ScriptOutcome(failure=ScriptFailure(FailureKind.RESOURCE, reason))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (self._hard, self._hard))
        return outcome

    def _bound(self, limits: ScriptLimits) -> None:
        """Bound address space and processor time from what is used now."""
        pages = int(os.pread(self._memory, 64, 0).split()[0])
        most = pages * resource.getpagesize() + limits.memory_bytes_max
        resource.setrlimit(resource.RLIMIT_AS, (most, self._hard))
        usage = resource.getrusage(resource.RUSAGE_SELF)
        seconds = math.ceil(usage.ru_utime + usage.ru_stime) + limits.cpu_seconds_max
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))

    def _call(self, name: str, arguments: list[object]) -> object:
        try:
            frame = encode(Call(name, arguments))
        except FormatError as error:
            raise HostError(str(error)) from error
        self._connection.sendall(frame)
        message = self._receive()
        if not isinstance(message, Answer):
            os._exit(PROTOCOL_EXIT_STATUS)
        if message.refusal is not None:
            raise HostError(message.refusal)
        return message.value

    def _send(self, message: ToNode) -> None:
        try:
            frame = encode(message)
        except FormatError as error:
            frame = encode(End(0, kind=FailureKind.ERROR, reason=str(error)))
        self._connection.sendall(frame)

    def _receive(self) -> ToScript | None:
        prefix = self._exactly(LENGTH_SIZE)
        if prefix is None:
            return None
        body = self._exactly(body_size(prefix))
        return None if body is None else decode_to_script(body)

    def _exactly(self, size: int) -> bytes | None:
        """Return that many bytes, None when the node is gone."""
        data = bytearray()
        while len(data) < size:
            part = self._connection.recv(size - len(data))
            if not part:
                return None
            data += part
        return bytes(data)


def _end_of(outcome: ScriptOutcome) -> End:
    failure = outcome.failure
    if failure is None:
        return End(outcome.steps, outcome.value)
    return End(outcome.steps, None, failure.kind, failure.reason, failure.trace)
