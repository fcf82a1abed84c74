"""The coordinators of groups (and, later, of transactions): machines without I/O, and the shells that run them."""
