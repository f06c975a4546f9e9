"""Answers leave in the order of their requests, whenever they come."""

from itertools import permutations

import pytest

from ledger.enclave.answers import HELD_SIZE_MAX, OWED_MAX, AnswerQueue
from ledger.endpoints.request import Request
from tests.unit.enclave.edge_support import Plain

SESSION = Plain().session


def requests(count: int) -> list[Request]:
    return [Request("GET", f"/{number}", "", {}, b"", SESSION) for number in range(count)]


def room(queue: AnswerQueue) -> bool:
    return queue.has_room


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_every_order_of_completion(order: tuple[int, ...]) -> None:
    queue = AnswerQueue()
    asked = requests(4)
    for request in asked:
        queue.owed[request] = None
    taken = b""
    for done, number in enumerate(order, start=1):
        queue.complete(asked[number], b"%d" % number)
        taken += queue.take()
        finished = set(order[:done])
        front = next((n for n in range(4) if n not in finished), 4)
        assert taken == b"0123"[:front]
    assert taken == b"0123"
    assert room(queue)


def test_answer_at_once_waits_behind_a_late_one() -> None:
    queue = AnswerQueue()
    first, second, third = requests(3)
    queue.add(first, b"1")
    queue.owed[second] = None
    queue.add(third, b"3")
    assert queue.take() == b"1"
    queue.complete(second, b"2")
    assert queue.take() == b"23"
    assert queue.take() == b""


def test_room_ends_with_the_number_of_answers_owed() -> None:
    queue = AnswerQueue()
    asked = requests(OWED_MAX)
    for request in asked:
        assert room(queue)
        queue.owed[request] = None
    assert not room(queue)
    queue.complete(asked[0], b"")
    assert room(queue)


def test_room_ends_with_the_size_of_the_answers_held() -> None:
    queue = AnswerQueue()
    late, big, small = requests(3)
    queue.owed[late] = None
    queue.add(big, bytes(HELD_SIZE_MAX - 1))
    assert room(queue)
    queue.add(small, b"x")
    assert not room(queue)
    queue.complete(late, b"")
    assert room(queue)
    assert len(queue.take()) == HELD_SIZE_MAX


def test_what_came_later_can_be_dropped() -> None:
    queue = AnswerQueue()
    asked = requests(4)
    queue.owed[asked[0]] = None
    queue.owed[asked[1]] = None
    queue.add(asked[2], bytes(HELD_SIZE_MAX))
    queue.drop_behind(asked[1])
    assert list(queue.owed) == asked[:2]
    assert room(queue)
    queue.drop_behind(asked[3])
    assert list(queue.owed) == asked[:2]
    queue.clear()
    assert not queue.owed


def test_request_is_answered_once() -> None:
    queue = AnswerQueue()
    first, second = requests(2)
    queue.owed[first] = None
    queue.owed[second] = None
    queue.complete(second, b"2")
    with pytest.raises(AssertionError, match="answered once"):
        queue.complete(second, b"2")
