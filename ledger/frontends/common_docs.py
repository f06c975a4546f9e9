"""OpenAPI operations of the common endpoints."""

from typing import Any


def _parameter(name: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema}


def _json_response(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "200": {
            "description": "Success.",
            "content": {"application/json": {"schema": schema}},
        }
    }


_TX_ID_SCHEMA = {"type": "string", "pattern": "^[0-9]+\\.[0-9]+$"}
_TX_ID_PARAMETER = _parameter("transaction_id", _TX_ID_SCHEMA, required=True)

COMMIT = {
    "summary": "Last committed transaction",
    "description": "ID of the newest transaction that is committed, and the views before it.",
    "parameters": [
        _parameter("view_history", {"type": "boolean"}, required=False),
        _parameter("view_history_since", {"type": "integer", "minimum": 1}, required=False),
    ],
    "responses": _json_response(
        {
            "type": "object",
            "required": ["transaction_id"],
            "properties": {
                "transaction_id": _TX_ID_SCHEMA,
                "view_history": {"type": "array", "items": _TX_ID_SCHEMA},
            },
        }
    ),
}
TX = {
    "summary": "Status of a transaction",
    "description": "Whether a transaction is Unknown, Pending, Committed or Invalid here.",
    "parameters": [_TX_ID_PARAMETER],
    "responses": _json_response(
        {
            "type": "object",
            "required": ["transaction_id", "status"],
            "properties": {
                "transaction_id": _TX_ID_SCHEMA,
                "status": {
                    "type": "string",
                    "enum": ["Unknown", "Pending", "Committed", "Invalid"],
                },
            },
        }
    ),
}
RECEIPT = {
    "summary": "Receipt of a transaction",
    "description": "Proof that a committed transaction is part of the ledger.",
    "parameters": [_TX_ID_PARAMETER],
    "responses": _json_response({"type": "object"}),
}
COSE = {
    "summary": "COSE receipt of a transaction",
    "description": "The same proof as a COSE Sign1 message with an inclusion proof.",
    "parameters": [_TX_ID_PARAMETER],
    "responses": {
        "200": {
            "description": "Success.",
            "content": {"application/cose": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
}
API = {
    "summary": "OpenAPI document",
    "description": "This document.",
    "responses": _json_response({"type": "object"}),
}
