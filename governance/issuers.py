"""Token issuers and their keys: who may vouch for which key ID.

Several issuers may share a key ID, so each ID has a list. ``constraint`` binds tokens of a key to
an issuer; it comes from the key's own ``issuer`` field and may only narrow what the issuer is:
the same host or one below it.
"""

from urllib.parse import urlsplit

from governance.jwk import JwkError, public_key_of_jwk
from governance.scripting import HostError
from ledger.codec.canonical import b64encode
from ledger.kv.tx import Tx
from ledger.tables.service import JWT_ISSUERS, JWT_SIGNING_KEYS

KEYS_MAX = 1000
"""Most keys of one key set."""


def set_keys(tx: Tx, issuer: str, jwks: object) -> None:
    """Replace all keys of an issuer.

    Args:
        tx: Transaction to write through.
        issuer: A registered issuer.
        jwks: Key set: ``{"keys": [JWK …]}``.

    Raises:
        HostError: the issuer is unknown, the set is empty or too large, or a key is none.
    """
    if not tx.table(JWT_ISSUERS).has(issuer):
        raise HostError(f"issuer {issuer} is not registered")
    rows = _rows(issuer, jwks)
    remove_keys(tx, issuer)
    table = tx.table(JWT_SIGNING_KEYS)
    for kid, row in rows.items():
        others = table.get(kid) or []
        table.put(kid, [*others, row])


def remove_keys(tx: Tx, issuer: str) -> None:
    """Remove all keys of an issuer, and IDs that have no key left."""
    table = tx.table(JWT_SIGNING_KEYS)
    for kid, rows in list(table.items()):
        left = [row for row in rows if row.get("issuer") != issuer]
        if not left:
            table.remove(kid)
        elif len(left) != len(rows):
            table.put(kid, left)


def _rows(issuer: str, jwks: object) -> dict[str, dict[str, str]]:
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(keys, list) or not keys:
        raise HostError("got a key set without keys, want an object with a list named keys")
    if len(keys) > KEYS_MAX:
        raise HostError(f"got {len(keys)} keys, want at most {KEYS_MAX}")
    rows: dict[str, dict[str, str]] = {}
    for jwk in keys:
        try:
            kid, der = public_key_of_jwk(jwk)
        except JwkError as error:
            raise HostError(str(error)) from error
        row = {"public_key": b64encode(der), "issuer": issuer}
        constraint = jwk.get("issuer")
        if constraint is not None:
            row["constraint"] = _constraint(issuer, constraint)
        rows[kid] = row
    return rows


def _constraint(issuer: str, constraint: object) -> str:
    if not isinstance(constraint, str):
        raise HostError("got a key whose issuer is no text")
    own, narrowed = _host(issuer), _host(constraint)
    if narrowed is None or own is None or (narrowed != own and not narrowed.endswith("." + own)):
        raise HostError(
            f"got a key for issuer {constraint[:120]!r}, want the host of {issuer} or one below it"
        )
    return constraint


def _host(url: str) -> str | None:
    try:
        return urlsplit(url if "//" in url else f"//{url}").hostname
    except ValueError:
        return None
