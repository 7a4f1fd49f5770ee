"""Strikes one rank: an exception at the n-th call or return of a function of lammps_mgml.

Python imports this at its start where the folder is on PYTHONPATH, also within ``lmp``.
"""
import os
import sys
import time


def _strike():
    kind, folder = os.environ["TRUST_KIND"], os.environ["TRUST_FOLDER"]
    rank = os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK", "0"))
    if rank != os.environ["TRUST_RANK"] and kind != "count":
        return
    at, seen = int(os.environ["TRUST_AT"]), 0
    inside = os.sep + "lammps_mgml" + os.sep

    def watch(frame, event, argument):
        nonlocal seen
        if event not in ("call", "return") or inside not in frame.f_code.co_filename:
            return
        seen += 1
        if kind == "count" or seen != at:
            return
        sys.setprofile(None)
        name = frame.f_code.co_filename.split(inside)[1]
        with open(os.path.join(folder, "struck"), "w") as file:
            file.write(f"{name}:{frame.f_code.co_name} ({event}) {time.time()}")
        if kind == "InputError":
            from lammps_mgml.errors import InputError as error
        else:
            error = getattr(__import__("builtins"), kind)
        raise error(f"injected fault in {frame.f_code.co_name}")

    sys.setprofile(watch)
    if kind == "count" and rank == "0":
        import atexit

        def tell():
            with open(os.path.join(folder, "calls"), "w") as file:
                file.write(str(seen // 2))
        atexit.register(tell)


if "TRUST_KIND" in os.environ:
    _strike()
