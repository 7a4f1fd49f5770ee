#include "pair_eam_fs_lanes.h"
#include "lammps.h"
#include <cstring>
using namespace LAMMPS_NS;
struct Plugin { const char *version, *style, *name, *info, *author; void *creator, *handle; };
using Register = void (*)(Plugin *, void *);
static Pair *make(LAMMPS *lmp) { return new PairEAMFSLanes(lmp); }
extern "C" void lammpsplugin_init(void *p, void *handle, void *registrar)
{
  auto *lmp = (LAMMPS *) p;
  static Plugin plugin;
  plugin = {lmp->version, "pair", "eam/fs/lanes", "eam/fs in lanes v1", "lammps_mgml", (void *) &make, handle};
  ((Register) registrar)(&plugin, lmp);
}
