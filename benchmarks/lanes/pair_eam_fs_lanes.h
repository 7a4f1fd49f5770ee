#ifndef LMP_PAIR_EAM_FS_LANES_H
#define LMP_PAIR_EAM_FS_LANES_H
#include "pair_eam_fs.h"
#include <vector>
namespace LAMMPS_NS {
class PairEAMFSLanes : public PairEAMFS {
 public:
  PairEAMFSLanes(class LAMMPS *);
  void compute(int, int) override;
  void init_style() override;
 private:
  int knots = 0;
  double rstep = 0;               // knots in 1 A
  double *table = nullptr;        // [itype][jtype][knot][12]: rho at i, rho at j, z2
  double *rows = nullptr, *push = nullptr, *fps = nullptr;
  int *kept = nullptr;
  size_t room = 0, room_kept = 0;
  std::vector<size_t> first;
};
}
#endif
