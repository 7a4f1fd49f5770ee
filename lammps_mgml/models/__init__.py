"""Softness models: data, checked before use, and what turns features into scores.

::

    model file (JSON, "card")
        |  model.load_model: size, JSON, checksum, versions            -> ModelError
        |  checks: types, lengths, ranges of each entry                -> ModelError
        v
    SoftnessModel
        features (n, n_features) --scorer--> margins (n,) --calibration--> S^q (n,) in [0, 1]

=============== ====================================================================
``model``       the file: reading, writing, checking; ``SoftnessModel``
``scorers``     what a scorer is, and the registry of the kinds of scorers
``forest``      boosted trees of LightGBM (entry "trees" of the file)
``linear``      weights for each element's own sites (entry "linear")
``calibration`` from margins to probabilities, and the prior shift
``checks``      checks that the others share; each names the entry and its range
``*.mgml``      the shipped models
=============== ====================================================================

To add a kind of model, write one file with a class that has ``@register`` and the members of
``scorers.Scorer``, and add the file's name to the line of imports in ``model``.  Its entry in a
model file is a JSON value under a name of its own.

A model file is data from outside: whatever it holds, the answer is a SoftnessModel or one
ModelError, within a second and 200 MB.
"""
