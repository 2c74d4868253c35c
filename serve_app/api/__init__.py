"""HTTP: one router a resource, wire models, one table of errors. Never imports ray."""
