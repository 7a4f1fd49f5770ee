"""Bits that tell of an atom why a value of it is missing: the column i_site."""
OPEN_CELL = 1          # the cell reaches beyond the open radius: surface, void, wall
NO_FEATURES = 2        # a feature is undefined, as next to an open cell
NO_REFERENCE = 4       # no reference position, or a reference partner is lost: D2 undefined
UNKNOWN_TYPE = 8       # the atom's type is none of the model's elements
NOT_EVALUATED = 16     # this step was not evaluated: values of the present structure are missing
NOT_IN_REFERENCE = 32  # the atom was not there when the reference was taken
