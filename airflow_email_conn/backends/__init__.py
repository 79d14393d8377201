"""The only mail I/O: one module per protocol, behind the protocols of `base`."""
