"""The trusted process: TLS, HTTP and sessions on inherited sockets, and the link to the host."""
