"""What one rank knows: box, atoms, domain, threads."""
