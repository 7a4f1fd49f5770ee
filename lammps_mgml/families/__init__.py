"""Families of site features, one file each."""
