"""One suite for each protocol of the package, run by every implementation."""
