"""The registry of the families of features: names, sets, order, and what a request takes.

123 short-range (SRO) and 623 medium-range (MRO) features for two elements, as Wang & Jain count
them in their Tables 1 and 2; for K elements 111 + 6 K and 563 + 30 K.  Others beyond the paper.
"""
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .errors import OptionError
from .families import neighbours
from .families.averages import NEAR, averages_plan
from .families.bond_order import BondOrder
from .families.composition import Composition
from .families.densities import Densities
from .families.distances import Distances
from .families.facets import Facets
from .families.family import Family, Feature, Means, Set
from .families.neighbours import ListPlan
from .families.stiffness import Stiffness
from .families.strained import Strained
from .families.vibrations import Vibrations
from .system.arrays import Floats, Ints

PAPER_ELEMENTS = ("Cu", "Zr")  # of what is listed without any
DEFINITION = 1                 # rises whenever a feature's meaning changes; stored in every model

# In the order in which they work: the facets first, since they drop the small ones.
FAMILIES: list[Family] = [
    Facets(),
    Distances(),
    BondOrder(),
    Composition(),
    Densities(),
    Vibrations(),
    Stiffness(),
    Strained(),
]

# The paper's sets in the order of its tables; they come before all others.
PAPER = (
    "cn", "voronoi_idx", "motifs", "voronoi_area_volume", "symm_idx", "weighted_symm_idx", "boop_q",
    "boop_w", "csro", "facet_area_stats", "subpoly_vol_stats", "distance_stats",
    "cn_stats_nn", "voronoi_idx_stats_nn", "motifs_stats_nn", "voronoi_area_volume_stats_nn",
    "avg_symm_idx_nn", "symm_idx_stats_nn", "weighted_symm_idx_stats_nn", "boop_q_stats_nn",
    "boop_w_stats_nn", "boop_q_coarse", "boop_w_coarse", "csro_stats_nn",
    "facet_area_stats_stats_nn", "subpoly_vol_stats_stats_nn", "distance_stats_stats_nn",
    "structural_difference")
TITLES = {"SRO": "short-range features of the paper", "MRO": "medium-range features of the paper"}

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


def register(family: Family) -> None:
    """Add a family to the registry of this process, as a line of FAMILIES would.

    Raises
    ------
    OptionError : a feature or a set of it is there already, or has no Set.
    """
    own = tuple(family.features(PAPER_ELEMENTS))
    there = by_name()
    for f in own:
        if f.name in there:
            raise OptionError(f"feature {f.name} is there already")
        if f.set not in family.sets:
            raise OptionError(f"feature {f.name} is of set {f.set}, which its family does not tell")
    for name in set(family.sets) & set(set_names()):
        raise OptionError(f"a set {name} is there already")
    FAMILIES.append(family)
    _forget()


def unregister(family: Family) -> None:
    """Take a family out of the registry again."""
    FAMILIES.remove(family)
    _forget()


def _forget() -> None:
    for cached in (_catalogue, _plan):
        cached.cache_clear()


@lru_cache(maxsize=32)
def _catalogue(elements: tuple[str, ...]) -> tuple[dict[str, Feature], dict[str, Family]]:
    """({name: Feature} in order, {name: Family})."""
    place = {name: k for k, name in enumerate(PAPER)}

    def in_order(features: Iterable[Feature]) -> list[Feature]:
        return sorted(features, key=lambda f: place.get(f.set, len(place)))
    owner = {f: family for family in FAMILIES for f in family.features(elements)}
    own = in_order(owner)
    base = {f.name: owner[f] for f in own}
    plain = [f for f in own if not f.statistic]
    more = neighbours.over_neighbours(plain, _sets())
    known = {f.name: f for f in in_order([*own, *more])}
    return known, {name: base.get(name) or base[f.base] for name, f in known.items()}


def _sets() -> dict[str, Set]:
    """{name: Set} of all families."""
    return {name: group for family in FAMILIES for name, group in family.sets.items()}


def by_name(elements: Iterable[str] = PAPER_ELEMENTS) -> dict[str, Feature]:
    """{name: Feature} of the paper's features in its order, then of all others."""
    return _catalogue(tuple(elements))[0]


def catalogue(elements: Iterable[str] = PAPER_ELEMENTS) -> tuple[Feature, ...]:
    """The paper's features for these element symbols, in its order: a tuple of Feature."""
    return tuple(f for f in by_name(elements).values() if f.set in PAPER)


def set_names(elements: Iterable[str] = PAPER_ELEMENTS) -> tuple[str, ...]:
    """Names of the paper's 28 sets, in its order, then the others."""
    return tuple(dict.fromkeys(f.set for f in by_name(elements).values()))


def resolve(features: str | Iterable[str],
            elements: Iterable[str] = PAPER_ELEMENTS) -> tuple[str, ...]:
    """Tuple of feature names from sets and names: one text with commas, or a sequence.

    Besides the sets there are ``table3`` (the paper's 13), ``sro``, ``mro``, ``all`` (the
    paper's 746), ``pair`` (the densities), and so on: all features of one order.

    Raises
    ------
    OptionError : a name is neither, one comes twice, or none is given.
    """
    elements = tuple(elements)
    known = by_name(elements)
    orders = {order.lower() for order in titles()}
    sets = set_names(elements)
    asked = features.split(",") if isinstance(features, str) else features
    names: list[str] = []
    for word in (str(word).strip() for word in asked):
        if word == "table3":
            names += TABLE3
        elif word == "all":
            names += [f.name for f in catalogue(elements)]
        elif word in sets:
            names += [f.name for f in known.values() if f.set == word]
        elif word in orders:
            names += [f.name for f in known.values() if f.order.lower() == word]
        else:
            names.append(word)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        like = _like(unknown, (*known, *sets, "table3"))
        raise OptionError(f"unknown feature {', '.join(map(repr, unknown)) or '(none given)'} for "
                          f"elements {' '.join(elements)}{like}; mgml features lists them all, "
                          f"by set")
    return tuple(dict.fromkeys(names))


def _like(unknown: list[str], words: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(unknown[0], words, 3) if unknown else []
    return f": did you mean {' or '.join(near)}?" if near else ""


# Texts


def titles() -> dict[str, str]:
    """{order: what its features are}."""
    return {**TITLES, **{family.order: family.title for family in FAMILIES
                         if family.order not in TITLES}}


def set_texts() -> dict[str, str]:
    """{set: what it is}."""
    out: dict[str, str] = {}
    for family in FAMILIES:
        for name, group in family.sets.items():
            out |= {name: group.text, **neighbours.texts(name, group, family.order)}
    return out


def inputs() -> dict[str, str]:
    """{name: what it is} of all that features may need besides the structure."""
    return {name: text for family in FAMILIES for name, text in family.inputs.items()}


def read_input(name: str, value: Any) -> Any:
    """An input as users give it -> as ``pipeline.site_features`` takes it; None stays None.

    Raises
    ------
    OptionError : no such input, or a wrong value.
    """
    for family in FAMILIES:
        if name in family.inputs:
            return None if value is None else family.read_input(name, value)
    raise OptionError(f"unknown input {name}: there are {', '.join(inputs())}")


# What a request takes


@dataclass(frozen=True)
class Task:
    """What one family does for a request.

    plan : made by the family.  columns : names of those of its own table, if they are averaged.
    averages : for each level (columns, features), see ``averages``.
    """

    family: Family
    plan: Any
    columns: tuple[str, ...]
    averages: tuple[Ints, ...]


@dataclass(frozen=True)
class Plan:
    """What must be computed for the features asked for: nothing else, and each thing once.

    names : of the features.  tasks : Task of each family that has work, in the registry's order.
    columns : those of the common table, from which ``lists`` (see ``neighbours``) makes features.
    uses_neighbours : whether any of these takes the values of neighbours.
    rows : kinds of neighbours whose values are taken, of these columns or of tables to be averaged.
    means : for each column the field of Means that normalises it, or "".
    needs : names of the inputs, each with the first feature that takes it.
    """

    names: tuple[str, ...]
    tasks: tuple[Task, ...]
    columns: tuple[str, ...]
    lists: dict[str, ListPlan]
    uses_neighbours: bool
    rows: frozenset[str]
    means: tuple[str, ...]
    needs: dict[str, str]

    def scales(self, means: Means) -> Floats:
        """(n_columns,) factors that normalise the columns."""
        return np.array([1.0 / getattr(means, name) if name else 1.0 for name in self.means])


def plan(names: Iterable[str], elements: Iterable[str]) -> Plan:
    """Plan for a tuple of names of features; KeyError if there is none of that name."""
    return _plan(tuple(names), tuple(elements))


@lru_cache(maxsize=64)
def _plan(names: tuple[str, ...], elements: tuple[str, ...]) -> Plan:
    known, family_of = _catalogue(elements)
    asked = {k: known[name] for k, name in enumerate(names)}
    its = {family: {k: f for k, f in asked.items() if family_of[f.name] is family}
           for family in FAMILIES}
    columns = {family: tuple(family.columns(list(its[family].values()), elements))
               for family in FAMILIES}
    needed = {name for family in FAMILIES if not family.averaged for name in columns[family]}
    common = neighbours.in_order([name for name in known if name in needed], known)
    at_common = {name: k for k, name in enumerate(common)}
    tasks = []
    for family in FAMILIES:
        if not (family.always or its[family]):
            continue
        own: tuple[str, ...] = ()
        averages: tuple[Ints, ...] = ()
        at = at_common
        if family.averaged:
            own = columns[family]
            at = {name: k for k, name in enumerate(own)}
            averages = averages_plan(at, its[family])
        tasks.append(Task(family, family.plan(at, its[family], elements), own, averages))
    over = {k: f for k, f in asked.items() if not family_of[f.name].averaged
            and f.statistic not in family_of[f.name].made_here}
    rows = {f.neighbours or "voro" for f in over.values() if f.statistic}
    if any(len(task.averages) > 1 for task in tasks):
        rows.add(NEAR)
    return Plan(
        names, tuple(tasks), common, neighbours.neighbours_plan(common, over, known),
        any(f.statistic for f in over.values()), frozenset(rows),
        tuple(known[n].mean for n in common),
        {need: f.name for f in reversed(asked.values()) for need in f.needs})


def needs(names: Iterable[str], elements: Iterable[str]) -> set[str]:
    """Set of the inputs that the features ``names`` take besides the structure, as {"load"}."""
    return set(plan(names, elements).needs)


def reach(names: Iterable[str], elements: Iterable[str], parameters: Mapping[str, float]) -> float:
    """A, the distance from an atom within which all others must be known for its features."""
    most = max(2.0 * parameters["open_radius"], parameters["near_cutoff"],
               *(task.family.farthest(parameters) for task in plan(names, elements).tasks))
    return 1.001 * most                     # atoms at that distance itself do not matter
