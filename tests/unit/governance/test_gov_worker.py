"""Scripts in their own process: the loop goes on, and nothing a script does stops the node."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from governance.scripting import (
    DEFAULT_LIMITS,
    FailureKind,
    HostError,
    ScriptCall,
    ScriptLimits,
    ScriptOutcome,
)
from ledger.base.errors import FormatError
from ledger.crypto.cose_governance import MessageType
from ledger.launch import script_worker_wire as wire
from ledger.launch.script_runner import QUEUE_MAX, ProcessScriptRunner, start_keeper
from ledger.launch.script_worker_wire import (
    FRAME_SIZE_MAX,
    End,
    FrameBuffer,
    Run,
    decode_to_node,
    decode_to_script,
    encode,
)
from ledger.testing.app_client import Answer
from tests.unit.governance.gov_kit import COSE_HEADERS, VERSION, YES, Consortium, action, person

DEADLINE_S = 60.0
SLOW = ScriptLimits(cpu_seconds_max=60, wall_ms_max=1000)


def echo(name: str, arguments: list[Any]) -> object:
    if name == "kv.clear":
        raise HostError("no clearing today")
    return [name, arguments]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - the condition is not ours to signal
            await asyncio.sleep(0.001)


class Bench:
    """A runner on the loop of the test."""

    def __init__(self, runner: ProcessScriptRunner, lost: list[str]) -> None:
        self.runner = runner
        self.lost = lost

    def begin(
        self,
        source: str,
        *arguments: object,
        limits: ScriptLimits = DEFAULT_LIMITS,
    ) -> "asyncio.Future[ScriptOutcome]":
        future: asyncio.Future[ScriptOutcome] = asyncio.get_running_loop().create_future()
        call = ScriptCall("ballot", source, "f", arguments, limits)
        self.runner.start(call, echo, future.set_result)
        return future

    async def run(self, source: str, *arguments: object, **limits: int) -> ScriptOutcome:
        return await asyncio.wait_for(
            self.begin(source, *arguments, limits=ScriptLimits(**limits)), DEADLINE_S
        )


@contextlib.asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    lost: list[str] = []
    runner = ProcessScriptRunner(start_keeper(), asyncio.get_running_loop(), lost.append)
    try:
        yield Bench(runner, lost)
    finally:
        runner.close()


def test_values_calls_and_failures_cross_the_processes() -> None:
    async def body() -> None:
        async with bench() as it:
            value = {"a": [1, 2.5, None, True, "ü"]}
            assert (await it.run("def f(x): return x", value)).value == value
            called = await it.run("def f(): return kv.put('t', 'k', {'v': 1})")
            assert called.value == ["kv.put", ["t", "k", {"v": 1}]]
            refused = await it.run("def f(): fail('no')")
            assert refused.failure is not None
            assert (refused.failure.kind, refused.failure.reason) == (FailureKind.REFUSED, "no")
            told = await it.run("def f(): kv.clear('t')")
            assert told.failure is not None
            assert told.failure.reason == "no clearing today"
            huge = await it.run("def f(): return 1 << 70")
            assert huge.failure is not None
            assert "cannot be passed on" in huge.failure.reason
            assert not it.lost

    asyncio.run(body())


def test_steps_are_those_of_the_interpreter_in_any_process() -> None:
    source = "def f():\n  for x in range(123456): pass\n  kv.get('t')"

    async def body() -> list[int]:
        async with bench() as it:
            return [(await it.run(source)).steps for _ in range(2)]

    assert asyncio.run(body()) == [124016, 124016]


F = "def f():\n"
ATTACKS = {
    "string repeated": F + "  return len('a' * 2000000000)",
    "string beyond an int": F + "  return len('a' * 10000000000)",
    "list repeated": F + "  return len([0] * 1000000000)",
    "string doubled": F + "  x = 'a'\n  for i in range(60): x = x + x\n  return len(x)",
    "list doubled": F + "  x = [1]\n  for i in range(60): x = x + x\n  return len(x)",
    "dicts": F + "  x = {}\n  for i in range(100000000): x[i] = str(i)\n  return len(x)",
    "billion steps": F + "  for i in range(1000000000): pass",
    "billion steps in a comprehension": F + "  return len([i for i in range(1000000000)])",
    "steps while it loads": "x = [i for i in range(1000000000)]\ndef f(): pass",
    "recursion": F + "  return f()",
    "tree recursion": "def g(n): return g(n - 1) + g(n - 1) if n else 1\ndef f(): return g(60)",
    "squaring": F + "  x = 3\n  for i in range(60): x = x * x\n  return True",
    "shifting": F + "  x = 1\n  for i in range(60): x = x << 1000000\n  return str(x)",
    "deep data printed": F + "  x = []\n  for i in range(1000000): x = [x]\n  return str(x)",
    "deep data returned": F + "  x = []\n  for i in range(1000000): x = [x]\n  return x",
    "deep data to the node": F + "  x = []\n  for i in range(2000): x = [x]\n  return kv.get(x)",
    "large value returned": F + "  return 'a' * 30000000",
    "large value to the node": F + "  return kv.get('a' * 30000000)",
    "brackets": "x = " + "(" * 100_000 + ")" * 100_000,
    "operators": "x = " + "-" * 100_000 + "1",
    "a megabyte": "# " + "a" * 1_000_000,
    "a megabyte of statements": "x = 1\n" * 170_000,
    "calls to the node": F + "  for i in range(1000000): kv.get('t')",
    "sorting": F + "  return sorted(list(range(100000000)), reverse=True)[0]",
    "replacing": F + "  x = 'a' * 10000\n  for i in range(60): x = x.replace('a', 'aa')",
    "joining": F + "  return len(','.join(['a' * 1000000] * 100000))",
    "formatting": F + "  x = '%s'\n  for i in range(60): x = x % (x + '%s')",
    "json": F + "  return json.decode('[' * 1000000)",
    "host without arguments": F + "  return _host(3, 4)",
}


FAILED = {FailureKind.ERROR, FailureKind.LIMIT, FailureKind.RESOURCE}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_a_failed_script_and_the_next_one_runs(name: str) -> None:
    """Processor time is bounded at 1 s here; everything else is at its default."""

    async def body() -> None:
        async with bench() as it:
            outcome = await it.run(ATTACKS[name], cpu_seconds_max=1)
            assert outcome.failure is not None
            assert outcome.failure.kind in FAILED
            assert len(outcome.failure.reason) < 3000
            assert (await it.run("def f(): return 7")).value == 7
            assert not it.lost

    asyncio.run(body())


def test_a_script_that_takes_too_long_is_stopped() -> None:
    async def body() -> None:
        async with bench() as it:
            await it.run("def f(): pass")
            begun = time.monotonic()
            outcome = await it.run(ATTACKS["squaring"], wall_ms_max=200, cpu_seconds_max=60)
            assert outcome.failure is not None
            assert outcome.failure.reason == "resources ran out: the script took more than 200 ms"
            assert outcome.failure.kind is FailureKind.RESOURCE
            assert time.monotonic() - begun < 30
            assert (await it.run("def f(): return 7")).value == 7

    asyncio.run(body())


def test_the_loop_goes_on_while_a_script_runs() -> None:
    async def body() -> int:
        async with bench() as it:
            await it.run("def f(): pass")
            future = it.begin(ATTACKS["squaring"], limits=SLOW)
            turns = 0
            async with asyncio.timeout(DEADLINE_S):
                while not future.done():
                    turns += 1
                    await asyncio.sleep(0.001)
            return turns

    assert asyncio.run(body()) > 20


def test_too_many_that_wait_are_turned_away() -> None:
    async def body() -> None:
        async with bench() as it:
            futures = [it.begin("def f(): pass") for _ in range(QUEUE_MAX + 1)]
            outcomes = await asyncio.wait_for(asyncio.gather(*futures), DEADLINE_S)
            failed = [each.failure for each in outcomes if each.failure is not None]
            assert [failure.kind for failure in failed] == [FailureKind.UNAVAILABLE]
            assert f"{QUEUE_MAX} scripts are waiting" in failed[0].reason

    asyncio.run(body())


def test_without_a_keeper_scripts_are_unavailable() -> None:
    async def body() -> None:
        lost: list[str] = []
        keeper = start_keeper()
        runner = ProcessScriptRunner(keeper, asyncio.get_running_loop(), lost.append)
        it = Bench(runner, lost)
        await it.run("def f(): pass")
        running = it.begin(ATTACKS["squaring"], limits=SLOW)
        await asyncio.sleep(0)
        keeper.process.kill()
        outcome = await asyncio.wait_for(running, DEADLINE_S)
        assert outcome.failure is not None
        assert outcome.failure.kind is FailureKind.UNAVAILABLE
        late = await it.run("def f(): pass")
        assert late.failure is not None
        assert late.failure.kind is FailureKind.UNAVAILABLE
        assert lost == ["the process that runs scripts is gone"]
        runner.close()

    asyncio.run(body())


def facts_of(pid: int) -> tuple[bytes, bytes]:
    folder = Path("/proc") / str(pid)
    return folder.joinpath("environ").read_bytes(), folder.joinpath("cmdline").read_bytes()


def test_the_process_has_nothing_but_its_socket() -> None:
    """Starlark has no way out; what a way out would find is checked on the keeper itself."""

    async def body() -> None:
        keeper = start_keeper()
        runner = ProcessScriptRunner(keeper, asyncio.get_running_loop(), lambda _: None)
        await Bench(runner, []).run("def f(): pass")
        environment, command = facts_of(keeper.process.pid)
        assert environment == b""
        assert command.split(b"\0")[1] == b"-I"
        runner.close()

    asyncio.run(body())


def test_a_consortium_decides_over_the_process_while_others_are_served() -> None:
    async def body() -> None:
        async with bench() as it:
            service = Consortium(runner=it.runner)
            proposed = {"actions": [action("set_user", cert=person("user0").pem)]}

            async def post(path: str, message: bytes) -> Answer:
                call = service.caller.start(
                    "POST", f"/gov{path}{VERSION}", body=message, headers=COSE_HEADERS
                )
                await until(call.done)
                return call.result()

            created = await post(
                "/members/proposals:create",
                service.message("alice", MessageType.PROPOSAL, proposed),
            )
            proposal_id = created.json()["proposalId"]

            def ballot(name: str, source: str) -> tuple[str, bytes]:
                path = f"/members/proposals/{proposal_id}/ballots/{person(name).id}:submit"
                payload = {"ballot": source}
                message = service.message(
                    name, MessageType.BALLOT, payload, proposal_id=proposal_id
                )
                return path, message

            slow = asyncio.create_task(
                post(*ballot("alice", "def vote(p, by): return len([0] * 1000000000) > 1"))
            )
            await asyncio.sleep(0)
            assert service.get("/service/info").status == 200
            described = (await slow).json()
            assert described["proposalState"] == "Open"
            reason = described["voteFailures"][person("alice").id]["reason"]
            assert "bytes of memory" in reason
            assert (await post(*ballot("bob", YES))).json()["proposalState"] == "Open"
            assert (await post(*ballot("carol", YES))).json()["proposalState"] == "Accepted"

    asyncio.run(body())


class TestWire:
    @pytest.mark.parametrize(
        "message",
        [
            Run("n", "s", "f", [1, {"a": None}], ScriptLimits()),
            wire.Answer([1]),
            wire.Answer(refusal="no"),
        ],
    )
    def test_messages_to_a_script(self, message: Run | wire.Answer) -> None:
        [body] = FrameBuffer().feed(encode(message))
        assert decode_to_script(body) == message

    @pytest.mark.parametrize(
        "message",
        [wire.Call("n", []), End(3, "v"), End(3, None, FailureKind.LIMIT, "r", "t")],
    )
    def test_messages_to_the_node(self, message: wire.Call | End) -> None:
        frame = encode(message)
        buffer = FrameBuffer()
        bodies = [body for byte in frame for body in buffer.feed(bytes((byte,)))]
        assert [decode_to_node(body) for body in bodies] == [message]

    @pytest.mark.parametrize(
        "body", [b"", b"\x00", b"\xc1", encode(wire.Answer(1))[4:], b"\x91\xa3run"]
    )
    def test_other_bytes_are_refused(self, body: bytes) -> None:
        with pytest.raises(FormatError):
            decode_to_node(body)

    def test_a_frame_is_bounded(self) -> None:
        with pytest.raises(FormatError):
            FrameBuffer().feed((FRAME_SIZE_MAX + 1).to_bytes(4, "little"))
        with pytest.raises(FormatError):
            encode(wire.Answer("a" * (FRAME_SIZE_MAX + 1)))
