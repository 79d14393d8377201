"""Pure translation between bytes and values: opens nothing, waits for nothing, reads no clock."""
