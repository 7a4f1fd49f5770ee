"""Non-affine displacement and its reference."""
