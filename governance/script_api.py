"""The functions that scripts may call, version 1: a prelude that is evaluated before them.

Everything goes through one native function, ``_host(name, arguments)``; what it may touch is
decided where it is answered, never here, so a script that calls it directly gains nothing.
"""

PRELUDE_NAME = "script_api.star"

PRELUDE = """
# Tables. Keys and values have the types of the table: text, or whatever JSON can say.
# The key of a table with a single value is None.
def _kv_get(table, key = None):
    return _host("kv.get", [table, key])
def _kv_has(table, key = None):
    return _host("kv.has", [table, key])
def _kv_put(table, key, value):
    return _host("kv.put", [table, key, value])
def _kv_remove(table, key = None):
    return _host("kv.remove", [table, key])
def _kv_clear(table):
    return _host("kv.clear", [table])
def _kv_keys(table):
    return _host("kv.keys", [table])
def _kv_items(table):
    return _host("kv.items", [table])
def _kv_size(table):
    return _host("kv.size", [table])
def _kv_put_bytes(table, key_base64, value_base64):
    return _host("kv.put_bytes", [table, key_base64, value_base64])
def _kv_remove_bytes(table, key_base64):
    return _host("kv.remove_bytes", [table, key_base64])
kv = struct(
    get = _kv_get,
    has = _kv_has,
    put = _kv_put,
    remove = _kv_remove,
    clear = _kv_clear,
    keys = _kv_keys,
    items = _kv_items,
    size = _kv_size,
    put_bytes = _kv_put_bytes,
    remove_bytes = _kv_remove_bytes,
)

# Digests, certificates, keys. The *_problem functions answer None, or what is wrong.
def _crypto_sha256(text):
    return _host("crypto.sha256", [text])
def _crypto_sha256_base64(data):
    return _host("crypto.sha256_base64", [data])
def _crypto_certificate_problem(pem):
    return _host("crypto.certificate_problem", [pem])
def _crypto_certificate_id(pem):
    return _host("crypto.certificate_id", [pem])
def _crypto_certificate_bundle_problem(pem):
    return _host("crypto.certificate_bundle_problem", [pem])
def _crypto_encryption_key_problem(pem):
    return _host("crypto.encryption_key_problem", [pem])
def _crypto_jwk_problem(jwk):
    return _host("crypto.jwk_problem", [jwk])
crypto = struct(
    sha256 = _crypto_sha256,
    sha256_base64 = _crypto_sha256_base64,
    certificate_problem = _crypto_certificate_problem,
    certificate_id = _crypto_certificate_id,
    certificate_bundle_problem = _crypto_certificate_bundle_problem,
    encryption_key_problem = _crypto_encryption_key_problem,
    jwk_problem = _crypto_jwk_problem,
)

# Text.
def _text_base64_encode(text):
    return _host("text.base64_encode", [text])
def _text_base64_decode(data):
    return _host("text.base64_decode", [data])
def _text_is_hex(text, bytes_count = None):
    return _host("text.is_hex", [text, bytes_count])
def _text_url_problem(url):
    return _host("text.url_problem", [url])
def _text_time_problem(time):
    return _host("text.time_problem", [time])
text = struct(
    base64_encode = _text_base64_encode,
    base64_decode = _text_base64_decode,
    is_hex = _text_is_hex,
    url_problem = _text_url_problem,
    time_problem = _text_time_problem,
)

# The time of a run is the time its message says it was made, in seconds since 1970.
def _clock_created_at():
    return _host("clock.created_at", [])
clock = struct(created_at = _clock_created_at)

# Scripts about scripts.
def _script_constitution_problem(source):
    return _host("script.constitution_problem", [source])
def _script_limits_problem(limits):
    return _host("script.limits_problem", [limits])
script = struct(
    constitution_problem = _script_constitution_problem,
    limits_problem = _script_limits_problem,
    api_version = 1,
)

# Rules have changed, so what is being voted on under the old ones is dropped.
def _proposals_drop_open(but):
    return _host("proposals.drop_open", [but])
proposals = struct(drop_open = _proposals_drop_open)

# Token issuers.
def _jwt_set_keys(issuer, jwks):
    return _host("jwt.set_keys", [issuer, jwks])
def _jwt_remove_keys(issuer):
    return _host("jwt.remove_keys", [issuer])
jwt = struct(set_keys = _jwt_set_keys, remove_keys = _jwt_remove_keys)

# What only the node can do, because it holds the keys. For apply alone.
def _node_open_service(next_service_identity, previous_service_identity = None):
    return _host("node.open_service", [next_service_identity, previous_service_identity])
def _node_refresh_recovery_shares():
    return _host("node.refresh_recovery_shares", [])
def _node_rekey_ledger():
    return _host("node.rekey_ledger", [])
def _node_give_state_digest(member_id):
    return _host("node.give_state_digest", [member_id])
def _node_latest_ledger_secret_seqno():
    return _host("node.latest_ledger_secret_seqno", [])
def _node_endorse(node_id, valid_from, validity_period_days = None):
    return _host("node.endorse", [node_id, valid_from, validity_period_days])
def _node_renew_service_certificate(valid_from, validity_period_days = None):
    return _host("node.renew_service_certificate", [valid_from, validity_period_days])
def _node_trigger_ledger_chunk():
    return _host("node.trigger_ledger_chunk", [])
def _node_trigger_snapshot():
    return _host("node.trigger_snapshot", [])
node = struct(
    open_service = _node_open_service,
    refresh_recovery_shares = _node_refresh_recovery_shares,
    rekey_ledger = _node_rekey_ledger,
    give_state_digest = _node_give_state_digest,
    latest_ledger_secret_seqno = _node_latest_ledger_secret_seqno,
    endorse = _node_endorse,
    renew_service_certificate = _node_renew_service_certificate,
    trigger_ledger_chunk = _node_trigger_ledger_chunk,
    trigger_snapshot = _node_trigger_snapshot,
)
"""
