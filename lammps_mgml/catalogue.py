"""Names, order and units of the site features: the one place that defines them."""
from .errors import OptionError

DEFINITION = 1                 # rises whenever a feature's meaning changes; stored in every model

# Table 3 of Wang & Jain, by importance.
TABLE3 = (
    "facet_area_std",
    "facet_area_std_mean_nn",
    "distance_dist_std",
    "distance_dist_std_mean_nn",
    "distance_voro_std",
    "distance_voro_min",
    "distance_voro_std_mean_nn",
    "number_zr_dist_mean_nn",
    "distance_voro_min_mean_nn",
    "area_wt_symm_5fold_mean_nn",
    "distance_dist_min_mean_nn",
    "distance_dist_min_min_nn",
    "area_wt_symm_5fold",
)

# The SRO columns they are made of, in the order of the kernel ``sro.site_statistics``.
SITE_COLUMNS = (
    "facet_area_std",
    "area_wt_symm_5fold",
    "distance_voro_std",
    "distance_voro_min",
    "distance_dist_std",
    "distance_dist_min",
    "number_zr_dist",
)

SETS = {"table3": TABLE3}


def resolve(features):
    """Tuple of feature names from a set's name, one name, or a sequence of names.

    Raises
    ------
    OptionError : a name is not in the catalogue.
    """
    if isinstance(features, str):
        features = SETS.get(features) or [name.strip() for name in features.split(",")]
    names = tuple(features)
    unknown = [name for name in names if name not in TABLE3]
    if unknown or not names:
        raise OptionError(
            f"unknown feature {', '.join(map(repr, unknown)) or '(none given)'}: "
            f"take a set ({', '.join(SETS)}) or names out of {', '.join(TABLE3)}")
    return names
