"""Common questions to a service: is it open, is this committed, prove it."""

import asyncio
import time
from typing import Any

from ledger.base.errors import UnavailableError, VerificationError
from ledger.base.ids import TxId
from ledger.client.session import Answer, RefusedError, Session
from ledger.crypto.certificate import Certificate
from ledger.receipts.verify import VerifiedReceipt, verify

_POLL_FIRST_S = 0.005
_POLL_LONGEST_S = 0.5


class Polling:
    """Pauses between looks, growing up to half a second, until a deadline."""

    def __init__(self, timeout_s: float) -> None:
        self._deadline = time.monotonic() + timeout_s
        self._pause_s = _POLL_FIRST_S

    async def pause(self, what: str) -> None:
        """Wait before the next look.

        Raises:
            UnavailableError: the deadline has passed.
        """
        if time.monotonic() >= self._deadline:
            raise UnavailableError(f"gave up waiting: {what}")
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 1.5, _POLL_LONGEST_S)


class Service:
    """A service as seen through a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def network(self) -> dict[str, Any]:
        """Return ``/node/network``: status, certificate, view, primary."""
        answer = (await self._session.get("/node/network")).expect(200)
        network: dict[str, Any] = answer.json()
        return network

    async def status_of(self, tx_id: TxId) -> str:
        """Return Unknown, Pending, Committed or Invalid."""
        answer = await self._session.get(f"/node/tx?transaction_id={tx_id}")
        return str(answer.expect(200).json()["status"])

    async def wait_for_commit(self, tx_id: TxId, timeout_s: float = 30.0) -> None:
        """Wait until a transaction is committed.

        Raises:
            VerificationError: it became invalid: the service rolled it back.
            UnavailableError: neither in time.
        """
        polling = Polling(timeout_s)
        while True:
            status = await self.status_of(tx_id)
            if status == "Committed":
                return
            if status == "Invalid":
                raise VerificationError(f"transaction {tx_id} is invalid, want it committed")
            await polling.pause(f"transaction {tx_id} is {status}")

    async def receipt(self, tx_id: TxId, timeout_s: float = 30.0) -> bytes:
        """Return the JSON receipt of a committed transaction, as the service gives it.

        Raises:
            RefusedError: there is none.
            UnavailableError: not in time.
        """
        return await self._when_fetched(f"/app/receipt?transaction_id={tx_id}", timeout_s)

    async def verified_receipt(self, tx_id: TxId, timeout_s: float = 30.0) -> VerifiedReceipt:
        """Return what the receipt of a transaction proves, after verifying it.

        Raises:
            VerificationError: the receipt is not true or of another transaction.
        """
        data = await self.receipt(tx_id, timeout_s)
        return verify(data, Certificate.parse(self._session.service_certificate), tx_id=tx_id)

    async def wait_until_open(self, timeout_s: float = 30.0) -> None:
        """Wait until the application answers.

        Raises:
            UnavailableError: not in time.
        """
        await self._when_status("/app/commit", 200, timeout_s)

    async def wait_until_governable(self, timeout_s: float = 30.0) -> None:
        """Wait until the service can be governed. A node that starts may refuse connections.

        Raises:
            UnavailableError: not in time.
        """
        await self._when_status("/node/ready/gov", 204, timeout_s)

    async def wait_until_part_of_network(self, timeout_s: float = 60.0) -> None:
        """Wait until the node that answers takes part in its service. It may still be joining.

        Raises:
            UnavailableError: not in time.
        """
        polling = Polling(timeout_s)
        while True:
            try:
                state = (await self._session.get("/node/state")).expect(200).json()["state"]
            except (UnavailableError, RefusedError) as error:
                state = str(error)
            if state == "PartOfNetwork":
                return
            await polling.pause(f"the node is {state}, want PartOfNetwork")

    async def _when_status(self, path: str, status: int, timeout_s: float) -> None:
        polling = Polling(timeout_s)
        while True:
            try:
                answer = await self._session.get(path)
            except UnavailableError as error:
                got = str(error)
            else:
                if answer.status == status:
                    return
                got = f"{path} answers {answer.status}"
            await polling.pause(f"{got}, want {status}")

    async def _when_fetched(self, path: str, timeout_s: float) -> bytes:
        polling = Polling(timeout_s)
        while True:
            answer: Answer = await self._session.get(path)
            if answer.status == 200:
                return answer.body
            if answer.status != 202:
                answer.expect(200)
            await polling.pause(f"{path} is not ready")
