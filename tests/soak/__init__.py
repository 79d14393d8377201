"""Long fault runs: `poe soak`."""
