// pair_style eam/fs/lanes: eam/fs on cubic pieces 16 times wider than the knots of the potential's file, so that
// they fit in the cache, four pairs at a time (AVX2).  Energies agree with eam/fs to 2e-10 eV an atom (Cu-Zr), and
// forces are their derivatives.  For the glasses of inputs/ only; see README.md there.
#include "pair_eam_fs_lanes.h"
#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "update.h"
#include <cmath>
#include <cstdlib>
#include <immintrin.h>
using namespace LAMMPS_NS;

static constexpr int WIDE = 16;

PairEAMFSLanes::PairEAMFSLanes(LAMMPS *lmp) : PairEAM(lmp), PairEAMFS(lmp) {}

static void *more(void *old, size_t bytes)
{
  free(old);
  void *p = nullptr;
  if (posix_memalign(&p, 64, bytes)) return nullptr;
  return p;
}

void PairEAMFSLanes::init_style()
{
  PairEAM::init_style();
  const int n = atom->ntypes;
  knots = nr/WIDE + 2;
  rstep = rdr/WIDE;
  table = (double *) more(table, sizeof(double)*12*knots*n*n);
  // value and slope (per wide piece) at a knot of the file, from LAMMPS' own splines
  auto piece = [&](double **spline, int k, double *c) {
    auto at = [&](int m, double &v, double &s) {
      int q = m; double p = 0.0;
      if (q > nr-1) { p = 1.0; q = nr-1; }      // beyond the end: the last value
      if (q < 1) q = 1;
      const double *a = spline[q];
      v = ((a[3]*p + a[4])*p + a[5])*p + a[6];
      s = (3*a[3]*p*p + 2*a[4]*p + a[5])*WIDE;
      if (m > nr) s = 0;
    };
    double v0, s0, v1, s1;
    at(1 + k*WIDE, v0, s0);
    at(1 + (k+1)*WIDE, v1, s1);
    c[0] = v0; c[1] = s0;
    c[2] = 3*(v1-v0) - 2*s0 - s1;
    c[3] = 2*(v0-v1) + s0 + s1;
  };
  for (int i = 1; i <= n; i++) for (int j = 1; j <= n; j++) for (int k = 0; k < knots; k++) {
    double *c = table + ((size_t)((i-1)*n + j-1)*knots + k)*12;
    piece(rhor_spline[type2rhor[j][i]], k, c);       // at i, from j
    piece(rhor_spline[type2rhor[i][j]], k, c+4);     // at j, from i
    piece(z2r_spline[type2z2r[i][j]], k, c+8);
  }
}

static inline void turn(__m256d a, __m256d b, __m256d c, __m256d d,
                        __m256d &x, __m256d &y, __m256d &z, __m256d &w)
{
  const __m256d t0 = _mm256_unpacklo_pd(a, b), t1 = _mm256_unpackhi_pd(a, b);
  const __m256d t2 = _mm256_unpacklo_pd(c, d), t3 = _mm256_unpackhi_pd(c, d);
  x = _mm256_permute2f128_pd(t0, t2, 0x20);
  y = _mm256_permute2f128_pd(t1, t3, 0x20);
  z = _mm256_permute2f128_pd(t0, t2, 0x31);
  w = _mm256_permute2f128_pd(t1, t3, 0x31);
}

void PairEAMFSLanes::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  if (eflag_atom || vflag_atom || cvflag_atom || (vflag_global && !vflag_fdotr) || !force->newton_pair) {
    PairEAM::compute(eflag, vflag);
    return;
  }
  if (atom->nmax > nmax) {
    memory->destroy(rho); memory->destroy(fp); memory->destroy(numforce);
    nmax = atom->nmax;
    memory->create(rho, nmax, "pair:rho");
    memory->create(fp, nmax, "pair:fp");
    memory->create(numforce, nmax, "pair:numforce");
  }
  double **x = atom->x, **f = atom->f;
  int *type = atom->type;
  const int nlocal = atom->nlocal, nall = nlocal + atom->nghost, n = atom->ntypes;
  const int inum = list->inum;
  int *ilist = list->ilist, *numneigh = list->numneigh, **firstneigh = list->firstneigh;

  if ((size_t)(nall+4) > room) {
    room = nall + nall/4 + 64;
    rows = (double *) more(rows, room*32);
    push = (double *) more(push, room*32);
  }
  size_t all = 0;
  for (int ii = 0; ii < inum; ii++) all += numneigh[ilist[ii]] + 8;
  if (all > room_kept) { room_kept = all + all/4; kept = (int *) more(kept, room_kept*sizeof(int)); }
  first.resize(inum+1);
  for (int i = 0; i < nall; i++) {
    double *r = rows + 4*(size_t)i;
    r[0] = x[i][0]; r[1] = x[i][1]; r[2] = x[i][2]; r[3] = (double)((type[i]-1)*knots);
    rho[i] = 0.0;
    _mm256_store_pd(push + 4*(size_t)i, _mm256_setzero_pd());
  }
  // a row far away: it fills up the last four of an atom
  const int far = nall;
  rows[4*(size_t)far] = rows[4*(size_t)far+1] = rows[4*(size_t)far+2] = 1e10; rows[4*(size_t)far+3] = 0;

  const __m256d cut = _mm256_set1_pd(cutforcesq), scale_r = _mm256_set1_pd(rstep);
  const __m256d zero = _mm256_setzero_pd(), one = _mm256_set1_pd(1.0);
  const __m256d top = _mm256_set1_pd(knots-1);
  alignas(32) double buffer[4];
  alignas(32) double rbuf[4096+8];
  alignas(32) int where[4096+8];
  size_t at = 0;

  for (int ii = 0; ii < inum; ii++) {
    const int i = ilist[ii];
    const int *jlist = firstneigh[i];
    const int jnum = numneigh[i];
    const double *own = rows + 4*(size_t)i;
    const __m256d xi = _mm256_set1_pd(own[0]), yi = _mm256_set1_pd(own[1]), zi = _mm256_set1_pd(own[2]);
    const double *tables = table + (size_t)(type[i]-1)*n*knots*12;
    if (jnum > 4096) error->one(FLERR, "eam/fs/lanes: more than 4096 neighbors");
    first[ii] = at;
    int *keep = kept + at;
    int count = 0;
    for (int jj = 0; jj < jnum; jj += 4) {
      int j[4];
      for (int k = 0; k < 4; k++) j[k] = jj+k < jnum ? (jlist[jj+k] & NEIGHMASK) : far;
      __m256d dx, dy, dz, dt;
      turn(_mm256_load_pd(rows+4*(size_t)j[0]), _mm256_load_pd(rows+4*(size_t)j[1]),
           _mm256_load_pd(rows+4*(size_t)j[2]), _mm256_load_pd(rows+4*(size_t)j[3]), dx, dy, dz, dt);
      dx = _mm256_sub_pd(xi, dx); dy = _mm256_sub_pd(yi, dy); dz = _mm256_sub_pd(zi, dz);
      const __m256d rsq = _mm256_fmadd_pd(dx, dx, _mm256_fmadd_pd(dy, dy, _mm256_mul_pd(dz, dz)));
      const int in = _mm256_movemask_pd(_mm256_cmp_pd(rsq, cut, _CMP_LT_OQ));
      // r and the place in the table, kept side by side without a branch
      const __m256d s = _mm256_mul_pd(_mm256_sqrt_pd(rsq), scale_r);
      const __m256d m = _mm256_min_pd(_mm256_floor_pd(s), top);
      const __m128i w = _mm256_cvttpd_epi32(_mm256_add_pd(m, dt));
      alignas(16) int wk[4]; alignas(32) double pk[4];
      _mm_store_si128((__m128i *) wk, w);
      _mm256_store_pd(pk, _mm256_sub_pd(s, m));
      for (int k = 0; k < 4; k++) {
        keep[count] = j[k]; where[count] = wk[k]; rbuf[count] = pk[k];
        count += (in >> k) & 1;
      }
    }
    numforce[i] = count;
    const int full = count;
    while (count & 3) { keep[count] = far; where[count] = 0; rbuf[count] = 0; count++; }
    __m256d sum = zero;
    for (int c = 0; c < count; c += 4) {
      const __m256d p = _mm256_load_pd(rbuf+c);
      const double *t0 = tables + 12*(size_t)where[c], *t1 = tables + 12*(size_t)where[c+1];
      const double *t2 = tables + 12*(size_t)where[c+2], *t3 = tables + 12*(size_t)where[c+3];
      __m256d a, b, d, e;
      turn(_mm256_load_pd(t0), _mm256_load_pd(t1), _mm256_load_pd(t2), _mm256_load_pd(t3), a, b, d, e);
      __m256d v = _mm256_fmadd_pd(_mm256_fmadd_pd(_mm256_fmadd_pd(e, p, d), p, b), p, a);
      if (c + 4 > full) {
        alignas(32) double m4[4];
        for (int k = 0; k < 4; k++) m4[k] = c+k < full ? 1.0 : 0.0;
        v = _mm256_mul_pd(v, _mm256_load_pd(m4));
      }
      sum = _mm256_add_pd(sum, v);
      turn(_mm256_load_pd(t0+4), _mm256_load_pd(t1+4), _mm256_load_pd(t2+4), _mm256_load_pd(t3+4), a, b, d, e);
      v = _mm256_fmadd_pd(_mm256_fmadd_pd(_mm256_fmadd_pd(e, p, d), p, b), p, a);
      _mm256_store_pd(buffer, v);
      for (int k = 0; k < 4 && c+k < full; k++) rho[keep[c+k]] += buffer[k];
    }
    _mm256_store_pd(buffer, sum);
    rho[i] += buffer[0] + buffer[1] + buffer[2] + buffer[3];
    at += count;
  }
  first[inum] = at;

  comm->reverse_comm(this);
  for (int ii = 0; ii < inum; ii++) {
    const int i = ilist[ii];
    double p = rho[i]*rdrho + 1.0;
    int m = static_cast<int>(p);
    m = MAX(1, MIN(m, nrho-1));
    p -= m; p = MIN(p, 1.0);
    const double *c = frho_spline[type2frho[type[i]]][m];
    fp[i] = (c[0]*p + c[1])*p + c[2];
    if (eflag_global) {
      double phi = ((c[3]*p + c[4])*p + c[5])*p + c[6];
      if (rho[i] > rhomax) phi += fp[i]*(rho[i]-rhomax);
      eng_vdwl += phi;
    }
  }
  comm->forward_comm(this);
  embedstep = update->ntimestep;

  // fp goes along with the positions now
  const double *base = table;
  __m256d energy = zero;
  for (int ii = 0; ii < inum; ii++) {
    const int i = ilist[ii];
    const double *own = rows + 4*(size_t)i;
    const __m256d xi = _mm256_set1_pd(own[0]), yi = _mm256_set1_pd(own[1]), zi = _mm256_set1_pd(own[2]);
    const __m256d fpi = _mm256_set1_pd(fp[i]);
    const double *tables = base + (size_t)(type[i]-1)*n*knots*12;
    const int *keep = kept + first[ii];
    const int full = numforce[i];
    __m256d fx = zero, fy = zero, fz = zero;
    for (int c = 0; c < full; c += 4) {
      const size_t j0 = keep[c], j1 = keep[c+1], j2 = keep[c+2], j3 = keep[c+3];
      __m256d dx, dy, dz, dt;
      turn(_mm256_load_pd(rows+4*j0), _mm256_load_pd(rows+4*j1),
           _mm256_load_pd(rows+4*j2), _mm256_load_pd(rows+4*j3), dx, dy, dz, dt);
      dx = _mm256_sub_pd(xi, dx); dy = _mm256_sub_pd(yi, dy); dz = _mm256_sub_pd(zi, dz);
      const __m256d rsq = _mm256_fmadd_pd(dx, dx, _mm256_fmadd_pd(dy, dy, _mm256_mul_pd(dz, dz)));
      const __m256d r = _mm256_sqrt_pd(rsq);
      const __m256d s = _mm256_mul_pd(r, scale_r);
      const __m256d m = _mm256_min_pd(_mm256_floor_pd(s), top);
      const __m256d p = _mm256_sub_pd(s, m);
      const __m128i w = _mm256_cvttpd_epi32(_mm256_add_pd(m, dt));
      const double *t0 = tables + 12*(size_t)_mm_extract_epi32(w,0), *t1 = tables + 12*(size_t)_mm_extract_epi32(w,1);
      const double *t2 = tables + 12*(size_t)_mm_extract_epi32(w,2), *t3 = tables + 12*(size_t)_mm_extract_epi32(w,3);
      const __m256d two = _mm256_set1_pd(2.0), three = _mm256_set1_pd(3.0);
      __m256d a, b, d, e;
      turn(_mm256_load_pd(t0), _mm256_load_pd(t1), _mm256_load_pd(t2), _mm256_load_pd(t3), a, b, d, e);
      const __m256d at_i = _mm256_fmadd_pd(_mm256_fmadd_pd(_mm256_mul_pd(three,e), p, _mm256_mul_pd(two,d)), p, b);
      turn(_mm256_load_pd(t0+4), _mm256_load_pd(t1+4), _mm256_load_pd(t2+4), _mm256_load_pd(t3+4), a, b, d, e);
      const __m256d at_j = _mm256_fmadd_pd(_mm256_fmadd_pd(_mm256_mul_pd(three,e), p, _mm256_mul_pd(two,d)), p, b);
      turn(_mm256_load_pd(t0+8), _mm256_load_pd(t1+8), _mm256_load_pd(t2+8), _mm256_load_pd(t3+8), a, b, d, e);
      const __m256d z2 = _mm256_fmadd_pd(_mm256_fmadd_pd(_mm256_fmadd_pd(e, p, d), p, b), p, a);
      const __m256d z2p = _mm256_fmadd_pd(_mm256_fmadd_pd(_mm256_mul_pd(three,e), p, _mm256_mul_pd(two,d)), p, b);
      const __m256d fpj = _mm256_set_pd(j3 == (size_t)far ? 0 : fp[j3], j2 == (size_t)far ? 0 : fp[j2],
                                        j1 == (size_t)far ? 0 : fp[j1], fp[j0]);
      const __m256d recip = _mm256_div_pd(one, r);
      __m256d phi = _mm256_mul_pd(z2, recip);
      const __m256d phip = _mm256_mul_pd(recip, _mm256_fmsub_pd(z2p, scale_r, phi));
      __m256d psip = _mm256_fmadd_pd(_mm256_fmadd_pd(fpi, at_i, _mm256_mul_pd(fpj, at_j)), scale_r, phip);
      __m256d fpair = _mm256_mul_pd(_mm256_sub_pd(zero, psip), recip);
      if (c + 4 > full) {
        alignas(32) long long m4[4];
        for (int k = 0; k < 4; k++) m4[k] = c+k < full ? -1LL : 0LL;
        const __m256d mask = _mm256_load_pd((double *) m4);
        phi = _mm256_and_pd(phi, mask);
        fpair = _mm256_and_pd(fpair, mask);
      }
      energy = _mm256_add_pd(energy, phi);
      dx = _mm256_mul_pd(dx, fpair); dy = _mm256_mul_pd(dy, fpair); dz = _mm256_mul_pd(dz, fpair);
      fx = _mm256_add_pd(fx, dx); fy = _mm256_add_pd(fy, dy); fz = _mm256_add_pd(fz, dz);
      turn(dx, dy, dz, zero, a, b, d, e);
      _mm256_store_pd(push+4*j0, _mm256_sub_pd(_mm256_load_pd(push+4*j0), a));
      if (c+1 < full) _mm256_store_pd(push+4*j1, _mm256_sub_pd(_mm256_load_pd(push+4*j1), b));
      if (c+2 < full) _mm256_store_pd(push+4*j2, _mm256_sub_pd(_mm256_load_pd(push+4*j2), d));
      if (c+3 < full) _mm256_store_pd(push+4*j3, _mm256_sub_pd(_mm256_load_pd(push+4*j3), e));
    }
    __m256d a, b, d, e;
    turn(fx, fy, fz, zero, a, b, d, e);
    const __m256d sum = _mm256_add_pd(_mm256_add_pd(a, b), _mm256_add_pd(d, e));
    _mm256_store_pd(push+4*(size_t)i, _mm256_add_pd(_mm256_load_pd(push+4*(size_t)i), sum));
  }
  _mm256_store_pd(buffer, energy);
  if (eflag_global) eng_vdwl += buffer[0] + buffer[1] + buffer[2] + buffer[3];
  for (int i = 0; i < nall; i++)
    for (int k = 0; k < 3; k++) f[i][k] += push[4*(size_t)i+k];
  if (vflag_fdotr) virial_fdotr_compute();
}
