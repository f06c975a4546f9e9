"""A network of our own: one namespace for clients, one for each node, cut and healed at will.

Addresses exist in these namespaces only; the machine's own network is not touched. Needs the right
to make network namespaces, else the test is skipped.
"""

import asyncio
import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_CLONE_NEWNET = 0x40000000
_NETWORK = "10.77.0"


class Namespaces:
    """Clients at ``10.77.0.254`` and nodes at ``10.77.0.1`` and up, each in its namespace."""

    def __init__(self, nodes: int) -> None:
        self._outer = f"quorate-{os.getpid()}"
        self._count = nodes
        self._cuts: set[tuple[int, int]] = set()

    def address(self, node: int) -> str:
        return f"{_NETWORK}.{node + 1}"

    def prefix(self, node: int) -> tuple[str, ...]:
        """Return what stands in front of a command that runs where a node is."""
        ip = shutil.which("ip")
        assert ip is not None
        return (ip, "netns", "exec", self._name(node))

    def _name(self, node: int) -> str:
        return f"{self._outer}-{node}"

    def make(self) -> None:
        _ip("netns", "add", self._outer)
        _ip("-n", self._outer, "link", "set", "lo", "up")
        _ip("-n", self._outer, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._outer, "address", "add", f"{_NETWORK}.254/24", "dev", "bridge")
        _ip("-n", self._outer, "link", "set", "bridge", "up")
        for node in range(self._count):
            name = self._name(node)
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
            _ip(
                "-n", self._outer, "link", "add", f"node{node}", "type", "veth",
                "peer", "name", "eth0", "netns", name,
            )  # fmt: skip
            _ip("-n", self._outer, "link", "set", f"node{node}", "master", "bridge", "up")
            _ip("-n", name, "address", "add", f"{self.address(node)}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")

    def remove(self) -> None:
        for name in [self._name(node) for node in range(self._count)] + [self._outer]:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)

    def cut(self, first: int, second: int) -> None:
        """Lose every packet between two nodes, without telling anybody; clients reach both."""
        for sender, receiver in ((first, second), (second, first)):
            self._cuts.add((sender, receiver))
            _ip("-n", self._name(sender), "route", "add", "blackhole", self.address(receiver))

    def heal(self) -> None:
        """Undo all cuts."""
        for sender, receiver in self._cuts:
            _ip("-n", self._name(sender), "route", "delete", "blackhole", self.address(receiver))
        self._cuts.clear()

    def run(self, scenario: Coroutine[Any, Any, None]) -> None:
        """Run a scenario as a client: in a thread of its own, which stays in that namespace."""
        problems: list[BaseException] = []

        def inside() -> None:
            try:
                with open(f"/run/netns/{self._outer}", "rb") as namespace:  # noqa: PTH123
                    libc = ctypes.CDLL(None, use_errno=True)
                    if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "cannot enter the namespace")
                asyncio.run(scenario)
            except BaseException as error:  # noqa: BLE001 - handed to the test's thread
                problems.append(error)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if problems:
            raise problems[0]


@contextmanager
def namespaces(nodes: int) -> Iterator[Namespaces]:
    """Make the network; skips the test where that is not permitted."""
    if shutil.which("ip") is None:
        pytest.skip("there is no ip command to make network namespaces with")
    made = Namespaces(nodes)
    try:
        try:
            made.make()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces cannot be made here: {error.stderr.strip()}")
        yield made
    finally:
        made.remove()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, check=True, text=True)
