"""launchpad, its peers and the physical limit, measured side by side: `scripts/bench`."""
