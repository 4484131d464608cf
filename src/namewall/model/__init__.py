"""Values only: labels, names, nets, identities, flows, errors. Imports nothing of ours, does no I/O."""
