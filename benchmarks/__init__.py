"""What the service costs and how fast it is, measured; not part of the package."""
