"""Ray Serve: the deployments, and the backends over their handles."""
