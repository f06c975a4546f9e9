"""What crosses between host and enclave: messages with schema, direction and size bound, and their framing."""
