"""Conditions of requests."""

import pytest

from ledger.app import App, Context, HttpError, no_auth
from ledger.app.etags import Verdict, judge
from ledger.testing.app_client import AppClient

TAG, OTHER = "ab12", "cd34"


def verdict(headers: dict[str, str], current: str | None) -> Verdict | HttpError:
    app = App("a", auth=[no_auth])
    found: list[Verdict | HttpError] = []

    @app.get("/x")
    def endpoint(ctx: Context) -> None:
        try:
            found.append(judge(ctx, current))
        except HttpError as problem:
            found.append(problem)

    AppClient(app).anonymous().get("/x", headers=headers)
    return found[0]


@pytest.mark.parametrize(
    ("headers", "current", "expected"),
    [
        ({}, TAG, Verdict.PROCEED),
        ({}, None, Verdict.PROCEED),
        ({"if-match": f'"{TAG}"'}, TAG, Verdict.PROCEED),
        ({"if-match": f'"{OTHER}"'}, TAG, Verdict.FAILED),
        ({"if-match": f'"{OTHER}", "{TAG}"'}, TAG, Verdict.PROCEED),
        ({"if-match": f'"{OTHER}","{TAG}"'}, TAG, Verdict.PROCEED),
        ({"if-match": f'"{TAG}"'}, None, Verdict.FAILED),
        ({"if-match": "*"}, TAG, Verdict.PROCEED),
        ({"if-match": " * "}, TAG, Verdict.PROCEED),
        ({"if-match": "*"}, None, Verdict.FAILED),
        ({"if-none-match": f'"{TAG}"'}, TAG, Verdict.NOT_MODIFIED),
        ({"if-none-match": f'"{OTHER}"'}, TAG, Verdict.PROCEED),
        ({"if-none-match": f'"{TAG}"'}, None, Verdict.PROCEED),
        ({"if-none-match": "*"}, TAG, Verdict.NOT_MODIFIED),
        ({"if-none-match": "*"}, None, Verdict.PROCEED),
    ],
)
def test_judge(headers: dict[str, str], current: str | None, expected: Verdict) -> None:
    assert verdict(headers, current) is expected


@pytest.mark.parametrize(
    "headers",
    [
        {"if-match": "*", "if-none-match": "*"},
        {"if-match": ""},
        {"if-match": TAG},
        {"if-match": '""'},
        {"if-match": f'W/"{TAG}"'},
        {"if-match": '"AB12"'},
        {"if-match": f'"{TAG}",'},
        {"if-match": f'"{TAG}" "{OTHER}"'},
        {"if-none-match": '"xyz"'},
        {"if-none-match": f'*, "{TAG}"'},
    ],
)
def test_refuses(headers: dict[str, str]) -> None:
    problem = verdict(headers, TAG)
    assert isinstance(problem, HttpError)
    assert (problem.status, problem.code) == (400, "InvalidHeaderValue")
