"""What the standard ``ssl`` module cannot do, asked of the very libssl that it uses.

Three things: accept any client certificate, take a private key from memory instead of a file,
and turn off the server-side session cache. The functions are those of OpenSSL's public API;
what rests on CPython is only where an ``SSLContext`` keeps its ``SSL_CTX *``: in the first field
behind the object header, so since Python 2.6. ``available`` refuses interpreters on which this
was not tried, and ``tls.self_test`` proves the outcome at every start.
"""

import ctypes
import functools
import ssl
import sys

from ledger.base.errors import FormatError, UnavailableError
from ledger.enclave.tls_types import Identity

_TRIED = ((3, 11), (3, 14))
"""First and last minor version whose object layout was looked at."""

# Commands of SSL_CTX_ctrl, from openssl/ssl.h; unchanged from OpenSSL 1.1.1 to 3.5.
_SET_SESSION_CACHE_MODE = 44
_ADD_CHAIN_CERTIFICATE = 89
_CACHE_OFF = 0
_TAKE_REFERENCE = 1

_VerifyCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def _say_yes(_store: object, _argument: object) -> int:
    return 1


_accept_any = _VerifyCallback(_say_yes)
"""Accepts every chain. Kept by the module for good: contexts hold a bare pointer to it."""


def available() -> bool:
    """Say whether this interpreter is one whose layout is known and whose libssl is reachable."""
    if sys.implementation.name != "cpython" or not _TRIED[0] <= sys.version_info[:2] <= _TRIED[1]:
        return False
    try:
        _library()
    except UnavailableError:
        return False
    return True


def accept_any_client(context: ssl.SSLContext) -> None:
    """Make the context accept every client certificate. Only for contexts of RPC servers."""
    _library().SSL_CTX_set_cert_verify_callback(_native(context), _accept_any, None)


def disable_session_cache(context: ssl.SSLContext) -> None:
    """Resume from tickets only: the cache would keep up to 20,480 sessions of clients."""
    _library().SSL_CTX_ctrl(_native(context), _SET_SESSION_CACHE_MODE, _CACHE_OFF, None)


def load_identity(context: ssl.SSLContext, identity: Identity) -> None:
    """Give the context its certificate chain and private key, from memory.

    Raises:
        FormatError: the PEM does not parse, holds no certificate, or the key does not match.
    """
    library, target = _library(), _native(context)
    first, *others = _read_certificates(identity.chain_pem)
    try:
        if library.SSL_CTX_use_certificate(target, first) != 1:
            raise FormatError("got a certificate that TLS does not take")
        for other in others:
            library.SSL_CTX_ctrl(target, _ADD_CHAIN_CERTIFICATE, _TAKE_REFERENCE, other)
    finally:
        for certificate in (first, *others):
            library.X509_free(certificate)
    _use_key(target, identity.key_pem)
    library.ERR_clear_error()


def _use_key(target: ctypes.c_void_p, pem: bytes) -> None:
    library = _library()
    source = library.BIO_new_mem_buf(pem, len(pem))
    # Without a callback the last argument is the password: an encrypted key fails, no prompt.
    key = library.PEM_read_bio_PrivateKey(source, None, None, b"")
    library.BIO_free(source)
    if not key:
        library.ERR_clear_error()
        raise FormatError("got no private key in PEM, want one that is not encrypted")
    taken = library.SSL_CTX_use_PrivateKey(target, key)
    library.EVP_PKEY_free(key)
    if taken != 1 or library.SSL_CTX_check_private_key(target) != 1:
        library.ERR_clear_error()
        raise FormatError("got a private key that does not belong to the certificate")


def _read_certificates(pem: bytes) -> list[int]:
    """Return pointers to the certificates of a PEM text, at least one; the caller frees them."""
    library = _library()
    source = library.BIO_new_mem_buf(pem, len(pem))
    found: list[int] = []
    while certificate := library.PEM_read_bio_X509(source, None, None, None):
        found.append(certificate)
    library.BIO_free(source)
    library.ERR_clear_error()
    if len(found) != pem.count(b"-----BEGIN CERTIFICATE-----") or not found:
        for certificate in found:
            library.X509_free(certificate)
        raise FormatError(f"got {len(found)} readable certificates in PEM, want one and its chain")
    return found


def _native(context: ssl.SSLContext) -> ctypes.c_void_p:
    """Return the ``SSL_CTX *`` of a context, valid as long as the context is referenced."""
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value
    assert pointer is not None, "a context has its SSL_CTX from the start"
    return ctypes.c_void_p(pointer)


@functools.cache
def _library() -> ctypes.CDLL:
    """Return the libssl of the interpreter with the types of the functions used.

    Raises:
        UnavailableError: the ``ssl`` module is built in, or its library hides its functions.
    """
    import _ssl  # noqa: PLC0415 - private, so only touched where it is needed

    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[type | None, list[type]]] = {
        "SSL_CTX_set_cert_verify_callback": (None, [pointer, _VerifyCallback, pointer]),
        "SSL_CTX_ctrl": (ctypes.c_long, [pointer, number, ctypes.c_long, pointer]),
        "SSL_CTX_use_certificate": (number, [pointer, pointer]),
        "SSL_CTX_use_PrivateKey": (number, [pointer, pointer]),
        "SSL_CTX_check_private_key": (number, [pointer]),
        "BIO_new_mem_buf": (pointer, [text, number]),
        "BIO_free": (number, [pointer]),
        "PEM_read_bio_X509": (pointer, [pointer, pointer, pointer, pointer]),
        "PEM_read_bio_PrivateKey": (pointer, [pointer, pointer, pointer, text]),
        "X509_free": (None, [pointer]),
        "EVP_PKEY_free": (None, [pointer]),
        "ERR_clear_error": (None, []),
    }
    try:
        library = ctypes.CDLL(_ssl.__file__)
        for name, (result, arguments) in signatures.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (AttributeError, OSError) as error:
        raise UnavailableError(f"the interpreter's libssl cannot be reached: {error}") from error
    return library
