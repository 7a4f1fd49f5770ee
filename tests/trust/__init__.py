"""The table of trust: ``make trust`` runs real decks on real LAMMPS and writes docs/trust.md."""
