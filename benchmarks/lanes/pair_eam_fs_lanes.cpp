// pair_style eam/fs/lanes: eam/fs on cubic pieces 16 times wider than the knots of the potential's file, so that
// they fit in the cache, four pairs at a time (AVX2) or eight (AVX-512).  Energies agree with eam/fs to 2e-10 eV an atom (Cu-Zr), and
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

// Vectors of LANES doubles: GCC's own operators, and intrinsics where they have no word for it.
#ifdef __AVX512F__
static constexpr int LANES = 8;
typedef __m512d Lanes;
static inline Lanes all(double x) { return _mm512_set1_pd(x); }
static inline Lanes load(const double *x) { return _mm512_load_pd(x); }
static inline void store(double *to, Lanes x) { _mm512_store_pd(to, x); }
static inline Lanes root(Lanes x) { return _mm512_sqrt_pd(x); }
static inline Lanes lower(Lanes x) { return _mm512_floor_pd(x); }
static inline Lanes least(Lanes x, Lanes y) { return _mm512_min_pd(x, y); }
static inline Lanes only(Lanes x, int n) { return _mm512_maskz_mov_pd((1 << n) - 1, x); }
static inline double sum_of(Lanes x) { return _mm512_reduce_add_pd(x); }
static inline void whole(int *to, Lanes x) { _mm256_store_si256((__m256i *) to, _mm512_cvttpd_epi32(x)); }

static inline Lanes two(const double *a, const double *b)
{
  return _mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_load_pd(a)), _mm256_load_pd(b), 1);
}

// rows of four doubles into four columns
template <class Row> static inline void turn(Row row, Lanes &x, Lanes &y, Lanes &z, Lanes &w)
{
  const Lanes a = two(row(0), row(2)), b = two(row(1), row(3)), c = two(row(4), row(6)), d = two(row(5), row(7));
  const Lanes t0 = _mm512_unpacklo_pd(a, b), t1 = _mm512_unpackhi_pd(a, b);
  const Lanes t2 = _mm512_unpacklo_pd(c, d), t3 = _mm512_unpackhi_pd(c, d);
  x = _mm512_shuffle_f64x2(t0, t2, 0x88);
  y = _mm512_shuffle_f64x2(t1, t3, 0x88);
  z = _mm512_shuffle_f64x2(t0, t2, 0xdd);
  w = _mm512_shuffle_f64x2(t1, t3, 0xdd);
}

static inline void back(Lanes x, Lanes y, Lanes z, __m256d *row)
{
  const Lanes zero = all(0.0);
  const Lanes a = _mm512_unpacklo_pd(x, y), b = _mm512_unpackhi_pd(x, y);
  const Lanes c = _mm512_unpacklo_pd(z, zero), d = _mm512_unpackhi_pd(z, zero);
  for (int h = 0; h < 2; h++) {
    const __m256d p = h ? _mm512_extractf64x4_pd(a, 1) : _mm512_castpd512_pd256(a);
    const __m256d q = h ? _mm512_extractf64x4_pd(c, 1) : _mm512_castpd512_pd256(c);
    const __m256d r = h ? _mm512_extractf64x4_pd(b, 1) : _mm512_castpd512_pd256(b);
    const __m256d s = h ? _mm512_extractf64x4_pd(d, 1) : _mm512_castpd512_pd256(d);
    row[4*h] = _mm256_permute2f128_pd(p, q, 0x20);
    row[4*h+1] = _mm256_permute2f128_pd(r, s, 0x20);
    row[4*h+2] = _mm256_permute2f128_pd(p, q, 0x31);
    row[4*h+3] = _mm256_permute2f128_pd(r, s, 0x31);
  }
}
#else
static constexpr int LANES = 4;
typedef __m256d Lanes;
static inline Lanes all(double x) { return _mm256_set1_pd(x); }
static inline Lanes load(const double *x) { return _mm256_load_pd(x); }
static inline void store(double *to, Lanes x) { _mm256_store_pd(to, x); }
static inline Lanes root(Lanes x) { return _mm256_sqrt_pd(x); }
static inline Lanes lower(Lanes x) { return _mm256_floor_pd(x); }
static inline Lanes least(Lanes x, Lanes y) { return _mm256_min_pd(x, y); }
static inline Lanes only(Lanes x, int n)
{
  const Lanes k = _mm256_set_pd(3, 2, 1, 0);
  return _mm256_and_pd(x, _mm256_cmp_pd(k, all(n), _CMP_LT_OQ));
}
static inline double sum_of(Lanes x) { return x[0] + x[1] + x[2] + x[3]; }
static inline void whole(int *to, Lanes x) { _mm_store_si128((__m128i *) to, _mm256_cvttpd_epi32(x)); }

static inline void turn(__m256d a, __m256d b, __m256d c, __m256d d, Lanes &x, Lanes &y, Lanes &z, Lanes &w)
{
  const __m256d t0 = _mm256_unpacklo_pd(a, b), t1 = _mm256_unpackhi_pd(a, b);
  const __m256d t2 = _mm256_unpacklo_pd(c, d), t3 = _mm256_unpackhi_pd(c, d);
  x = _mm256_permute2f128_pd(t0, t2, 0x20);
  y = _mm256_permute2f128_pd(t1, t3, 0x20);
  z = _mm256_permute2f128_pd(t0, t2, 0x31);
  w = _mm256_permute2f128_pd(t1, t3, 0x31);
}

// rows of four doubles into four columns
template <class Row> static inline void turn(Row row, Lanes &x, Lanes &y, Lanes &z, Lanes &w)
{
  turn(_mm256_load_pd(row(0)), _mm256_load_pd(row(1)), _mm256_load_pd(row(2)), _mm256_load_pd(row(3)), x, y, z, w);
}

static inline void back(Lanes x, Lanes y, Lanes z, __m256d *row)
{
  turn(x, y, z, all(0.0), row[0], row[1], row[2], row[3]);
}
#endif

static inline Lanes cubic(Lanes a, Lanes b, Lanes c, Lanes d, Lanes p) { return ((d*p + c)*p + b)*p + a; }
static inline Lanes slope(Lanes b, Lanes c, Lanes d, Lanes p) { return (3.0*d*p + 2.0*c)*p + b; }

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
    fps = (double *) more(fps, room*8);
  }
  size_t most = 0;
  for (int ii = 0; ii < inum; ii++) most += numneigh[ilist[ii]] + 2*LANES;
  if (most > room_kept) { room_kept = most + most/4; kept = (int *) more(kept, room_kept*sizeof(int)); }
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

  const Lanes cut = all(cutforcesq), scale_r = all(rstep), top = all(knots-1);
  alignas(64) double rbuf[4096+LANES], buffer[LANES];
  alignas(64) int where[4096+LANES];
  size_t at = 0;

  for (int ii = 0; ii < inum; ii++) {
    const int i = ilist[ii];
    const int *jlist = firstneigh[i];
    const int jnum = numneigh[i];
    const double *own = rows + 4*(size_t)i;
    const Lanes xi = all(own[0]), yi = all(own[1]), zi = all(own[2]);
    const double *tables = table + (size_t)(type[i]-1)*n*knots*12;
    if (jnum > 4096) error->one(FLERR, "eam/fs/lanes: more than 4096 neighbors");
    first[ii] = at;
    int *keep = kept + at;
    int count = 0;
    for (int jj = 0; jj < jnum; jj += LANES) {
      alignas(32) int j[LANES];
      for (int k = 0; k < LANES; k++) j[k] = jj+k < jnum ? (jlist[jj+k] & NEIGHMASK) : far;
      Lanes dx, dy, dz, dt;
      turn([&](int k) { return rows + 4*(size_t)j[k]; }, dx, dy, dz, dt);
      dx = xi - dx; dy = yi - dy; dz = zi - dz;
      const Lanes rsq = dx*dx + (dy*dy + dz*dz);
      // r and the place in the table, kept side by side without a branch
      const Lanes s = root(rsq)*scale_r;
      const Lanes m = least(lower(s), top);
#ifdef __AVX512F__
      const __mmask8 in = _mm512_cmp_pd_mask(rsq, cut, _CMP_LT_OQ);
      _mm256_mask_compressstoreu_epi32(keep+count, in, _mm256_load_si256((__m256i *) j));
      _mm256_mask_compressstoreu_epi32(where+count, in, _mm512_cvttpd_epi32(m + dt));
      _mm512_mask_compressstoreu_pd(rbuf+count, in, s - m);
      count += __builtin_popcount(in);
#else
      const int in = _mm256_movemask_pd(_mm256_cmp_pd(rsq, cut, _CMP_LT_OQ));
      alignas(32) int wk[LANES]; alignas(64) double pk[LANES];
      whole(wk, m + dt);
      store(pk, s - m);
      for (int k = 0; k < LANES; k++) {
        keep[count] = j[k]; where[count] = wk[k]; rbuf[count] = pk[k];
        count += (in >> k) & 1;
      }
#endif
    }
    numforce[i] = count;
    const int full = count;
    while (count % LANES) { keep[count] = far; where[count] = 0; rbuf[count] = 0; count++; }
    Lanes sum = all(0.0);
    for (int c = 0; c < count; c += LANES) {
      const Lanes p = load(rbuf+c);
      Lanes a, b, d, e;
      turn([&](int k) { return tables + 12*(size_t)where[c+k]; }, a, b, d, e);
      sum += only(cubic(a, b, d, e, p), full-c < LANES ? full-c : LANES);
      turn([&](int k) { return tables + 12*(size_t)where[c+k] + 4; }, a, b, d, e);
      store(buffer, cubic(a, b, d, e, p));
      for (int k = 0; k < LANES && c+k < full; k++) rho[keep[c+k]] += buffer[k];
    }
    rho[i] += sum_of(sum);
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
  for (int i = 0; i < nall; i++) fps[i] = fp[i];
  fps[far] = 0.0;
  Lanes energy = all(0.0);
  for (int ii = 0; ii < inum; ii++) {
    const int i = ilist[ii];
    const double *own = rows + 4*(size_t)i;
    const Lanes xi = all(own[0]), yi = all(own[1]), zi = all(own[2]), fpi = all(fp[i]);
    const double *tables = table + (size_t)(type[i]-1)*n*knots*12;
    const int *keep = kept + first[ii];
    const int full = numforce[i];
    Lanes fx = all(0.0), fy = fx, fz = fx;
    for (int c = 0; c < full; c += LANES) {
      const int *j = keep + c, here = full-c < LANES ? full-c : LANES;
      Lanes dx, dy, dz, dt, a, b, d, e;
      turn([&](int k) { return rows + 4*(size_t)j[k]; }, dx, dy, dz, dt);
      dx = xi - dx; dy = yi - dy; dz = zi - dz;
      const Lanes r = root(dx*dx + (dy*dy + dz*dz));
      const Lanes s = r*scale_r;
      const Lanes m = least(lower(s), top);
      const Lanes p = s - m;
      alignas(32) int where[LANES];
      whole(where, m + dt);
      turn([&](int k) { return tables + 12*(size_t)where[k]; }, a, b, d, e);
      const Lanes at_i = slope(b, d, e, p);
      turn([&](int k) { return tables + 12*(size_t)where[k] + 4; }, a, b, d, e);
      const Lanes at_j = slope(b, d, e, p);
      turn([&](int k) { return tables + 12*(size_t)where[k] + 8; }, a, b, d, e);
      const Lanes z2 = cubic(a, b, d, e, p), z2p = slope(b, d, e, p);
      alignas(64) double fj[LANES];
      for (int k = 0; k < LANES; k++) fj[k] = fps[j[k]];
      const Lanes recip = 1.0/r;
      const Lanes phi = z2*recip;
      const Lanes phip = recip*(z2p*scale_r - phi);
      const Lanes psip = (fpi*at_i + load(fj)*at_j)*scale_r + phip;
      const Lanes fpair = only(-psip*recip, here);
      energy += only(phi, here);
      dx *= fpair; dy *= fpair; dz *= fpair;
      fx += dx; fy += dy; fz += dz;
      __m256d row[LANES];
      back(dx, dy, dz, row);
      for (int k = 0; k < LANES; k++) {            // of the far row nobody reads
        double *to = push + 4*(size_t)j[k];
        _mm256_store_pd(to, _mm256_load_pd(to) - row[k]);
      }
    }
    double *to = push + 4*(size_t)i;
    to[0] += sum_of(fx); to[1] += sum_of(fy); to[2] += sum_of(fz);
  }
  if (eflag_global) eng_vdwl += sum_of(energy);
  for (int i = 0; i < nall; i++)
    for (int k = 0; k < 3; k++) f[i][k] += push[4*(size_t)i+k];
  if (vflag_fdotr) virial_fdotr_compute();
}
