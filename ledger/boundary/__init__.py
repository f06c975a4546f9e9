"""What crosses between host and enclave: messages with schema, direction, bounds; their framing.

``messages`` says what a message is, ``to_host`` and ``to_enclave`` list them by direction,
``settings`` is the part of the configuration that the enclave gets, ``frames`` turns messages
into bytes and back. Nothing here touches a socket.

Invariant: a byte string from the other side gives messages of the right direction or
``FormatError``; what is buffered while waiting for the rest of a frame is bounded.
"""
