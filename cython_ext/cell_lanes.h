/* Voronoi cells in vectors of four doubles: the planes, decisions, sums and so the bits of
   cell_avx512.h, for any processor.

   The layout is that of cell_avx512.h: up to 32 planes and 32 vertices, a vertex is a place and the
   three planes that meet there (bytes), a plane has a mask of its vertices, and the edge of planes
   a, b joins the two vertices in  on[a] & on[b].  New vertices take the lowest free places.  The
   vectors are those of GCC and Clang, which split them where the processor's are shorter.

   This file is read once for each instruction set, by cell_cutters.h, which sets LANES_NAME(f), the
   name of f there, LANES_TARGET, the attribute of its functions, and the vectors that the processor
   compares at once: LANES_DOUBLES and LANES_LONGS, LANES_FLOATS and LANES_INTS. */
#define LANES_FN LANES_TARGET static inline
#define N_DOUBLES ((int)(sizeof(LANES_DOUBLES) / 8))
#define N_FLOATS ((int)(sizeof(LANES_FLOATS) / 4))
#define DOUBLES(a, k) (*(const LANES_DOUBLES *)((a) + (k)))
#define FLOATS(a, k) (*(LANES_FLOATS *)((a) + (k)))

LANES_FN uint32_t LANES_NAME(any_place)(const LANES_LONGS *found)
{
    const LANES_LONGS m = *found;
    int64_t bits = m[0] | m[1];
    int k;
    for (k = 2; k < N_DOUBLES; k++)
        bits |= m[k];
    return (uint32_t)bits;
}

LANES_FN uint32_t LANES_NAME(any_atom)(const LANES_INTS *found)
{
    const LANES_INTS m = *found;
    int32_t bits = (m[0] | m[1]) | (m[2] | m[3]);
    int k;
    for (k = 4; k < N_FLOATS; k++)
        bits |= m[k];
    return (uint32_t)bits;
}

/* (x + y) + z, the order of every dot product here. */
LANES_FN double LANES_NAME(sum3)(const V4 *a)
{
    const V4 m = *a;
    return m[0] + m[1] + m[2];
}

/* Places of the block's atoms within the search radius, nearest first; their number, or -1 for too
   many or two at the same distance. */
LANES_FN int LANES_NAME(nearest)(const CellSearch *search, int32_t place, float fx, float fy,
                                 float fz, int32_t *sorted)
{
    float key[CELL_CANDIDATES + 32];
    int32_t found[CELL_CANDIDATES], rank[CELL_CANDIDATES + 32];
    float d2[32];
    int64_t s, sum = 0;
    int m = 0, i, v, g;
    for (s = 0; s < search->block_size; s += 32) {
        const int64_t left = search->block_size - s;
        uint32_t take;
        LANES_INTS inside = {0};
        for (g = 0; g < 32; g += N_FLOATS) {
            const LANES_FLOATS dx = FLOATS(search->block_x + s, g) - fx;
            const LANES_FLOATS dy = FLOATS(search->block_y + s, g) - fy;
            const LANES_FLOATS dz = FLOATS(search->block_z + s, g) - fz;
            const LANES_FLOATS r2 = dx * dx + dy * dy + dz * dz;
            FLOATS(d2, g) = r2;
            inside |= (r2 < search->search_sq) & *(const LANES_INTS *)(ATOM_BIT + g);
        }
        take = LANES_NAME(any_atom)(&inside);
        if (left < 32)
            take &= (1u << left) - 1;
        for (; take; take &= take - 1) {
            const int b = __builtin_ctz(take);
            const int32_t at = search->block_place[s + b];
            if (at == place)
                continue;
            if (m == CELL_CANDIDATES)
                return -1;
            key[m] = d2[b];
            found[m++] = at;
        }
    }
    /* rank: how many are nearer; two at one distance would have the same */
    for (i = 0; i < 32; i++)
        key[m + i] = 3e38f;
    for (v = 0; v < m; v += 4 * N_FLOATS) {
        const LANES_FLOATS k0 = FLOATS(key + v, 0), k1 = FLOATS(key + v, N_FLOATS);
        const LANES_FLOATS k2 = FLOATS(key + v, 2 * N_FLOATS), k3 = FLOATS(key + v, 3 * N_FLOATS);
        LANES_INTS r0 = {0}, r1 = r0, r2 = r0, r3 = r0;
        for (i = 0; i < m; i++) {      /* a comparison that holds is -1 */
            const float k = key[i];
            r0 -= k < k0;
            r1 -= k < k1;
            r2 -= k < k2;
            r3 -= k < k3;
        }
        *(LANES_INTS *)(rank + v) = r0;
        *(LANES_INTS *)(rank + v + N_FLOATS) = r1;
        *(LANES_INTS *)(rank + v + 2 * N_FLOATS) = r2;
        *(LANES_INTS *)(rank + v + 3 * N_FLOATS) = r3;
    }
    for (i = 0; i < m; i++)
        sum += rank[i];
    if (2 * sum != (int64_t)m * (m - 1))
        return -1;
    for (i = 0; i < m; i++)
        sorted[rank[i]] = found[i];
    return m;
}

LANES_FN void LANES_NAME(put_vertex)(LanesCell *c, int t, uint32_t code, const V4 *at)
{
    const V4 v = *at;
    c->vertex[t] = v;
    c->x[t] = v[0];
    c->y[t] = v[1];
    c->z[t] = v[2];
    c->corner[t] = code;
}

LANES_FN void LANES_NAME(put_plane)(LanesCell *c, int p, double x, double y, double z)
{
    c->plane_yzx[p] = (V4){y, z, x, 0.0};
    c->plane_zxy[p] = (V4){z, x, y, 0.0};
}

/* Finds the candidates, their planes and the near list, and starts from the cube. */
LANES_FN void LANES_NAME(start)(LanesCell *c, const CellSearch *search, int32_t place, float fx,
                                float fy, float fz)
{
    static const int8_t wall[CELL_WALLS][3] = {{1, 0, 0}, {-1, 0, 0}, {0, 1, 0}, {0, -1, 0},
                                               {0, 0, 1}, {0, 0, -1}};
    static const uint8_t corner[8][3] = {{0, 2, 4}, {0, 5, 2}, {0, 4, 3}, {0, 3, 5},
                                         {1, 4, 2}, {1, 2, 5}, {1, 3, 4}, {1, 5, 3}};
    const double x = search->x[place], y = search->y[place], z = search->z[place];
    const double w = search->open_radius;
    int32_t sorted[CELL_CANDIDATES];
    int s, k, m = LANES_NAME(nearest)(search, place, fx, fy, fz, sorted);

    c->state = CELL_REFUSED;
    c->reach_sq = 0.0;
    if (m < 0)
        return;
    c->n_candidates = m;
    c->n_near = 0;
    for (s = 0; s < m; s++) {
        const int32_t at = sorted[s], number = search->atom[at];
        const double rx = search->x[at] - x, ry = search->y[at] - y, rz = search->z[at] - z;
        const double d2 = rx * rx + ry * ry + rz * rz;
        if (d2 < search->same_sq)
            return;
        c->px[s] = rx;
        c->py[s] = ry;
        c->pz[s] = rz;
        c->offset[s] = 0.5 * d2;
        c->atom[s] = number;
        c->near_list[c->n_near] = number;
        c->n_near += d2 < search->near_sq;
    }
    for (k = 0; k < CELL_PLACES; k++)
        c->x[k] = c->y[k] = c->z[k] = 0.0;
    for (k = 0; k < CELL_PLANES; k++)
        c->on[k] = 0;
    for (k = 0; k < CELL_WALLS; k++)
        LANES_NAME(put_plane)(c, k, wall[k][0], wall[k][1], wall[k][2]);
    for (k = 0; k < 8; k++) {
        const V4 at = {k & 4 ? -w : w, k & 2 ? -w : w, k & 1 ? -w : w, 0.0};
        const uint32_t a = corner[k][0], b = corner[k][1], d = corner[k][2];
        LANES_NAME(put_vertex)(c, k, a | b << 8 | d << 16, &at);
        c->on[a] |= 1u << k;
        c->on[b] |= 1u << k;
        c->on[d] |= 1u << k;
    }
    c->alive = 0xff;
    c->n_tried = 0;
    c->n_used = 8;
    c->reach_sq = -1.0;
    c->n_planes = CELL_WALLS;
    c->state = CELL_CLIPPING;
}

/* The farthest vertex, squared. */
LANES_FN double LANES_NAME(farthest)(const LanesCell *c)
{
    const LANES_LONGS alive = (LANES_LONGS){0} + (int64_t)c->alive;
    LANES_DOUBLES most = {0.0};
    double best = 0.0;
    int t;
    for (t = 0; t < c->n_used; t += N_DOUBLES) {
        const LANES_DOUBLES x = DOUBLES(c->x, t), y = DOUBLES(c->y, t), z = DOUBLES(c->z, t);
        const LANES_DOUBLES r2 = x * x + y * y + z * z;
        const LANES_LONGS bit = *(const LANES_LONGS *)(PLACE_BIT + t);
        const LANES_LONGS take = (r2 > most) & ((alive & bit) == bit);
        most = (LANES_DOUBLES)(((LANES_LONGS)r2 & take) | ((LANES_LONGS)most & ~take));
    }
    for (t = 0; t < N_DOUBLES; t++)
        best = most[t] > best ? most[t] : best;
    return best;
}

/* Tries the next candidate: clip() of convex_cell.pxd. */
LANES_FN void LANES_NAME(clip)(LanesCell *c, double tolerance)
{
    const int s = c->n_tried;
    const double px = c->px[s], py = c->py[s], pz = c->pz[s];
    const double at_plane = c->offset[s], limit = at_plane + tolerance;
    const V4 normal = {px, py, pz, 0.0};
    const int p = c->n_planes, n_used = c->n_used;
    LANES_DOUBLES height[CELL_PLACES / N_DOUBLES];
    V4 end[16];
    double down[16];
    LANES_LONGS above = {0}, beyond = above;
    uint32_t gone, kept, over, unused, on_p, corner[16];
    uint64_t edges = 0;
    int t, k, n_new;

    if (s > 10) {                      /* the stop of cut_cell: nothing farther can cut */
        if (c->reach_sq < 0.0)
            c->reach_sq = LANES_NAME(farthest)(c);
        if (!(MGML_STOP_SQ * c->reach_sq >= 2.0 * at_plane)) {
            c->state = CELL_DONE;
            return;
        }
    }
    c->n_tried = s + 1;
    for (t = 0; t < n_used; t += N_DOUBLES) {
        const LANES_DOUBLES x = DOUBLES(c->x, t), y = DOUBLES(c->y, t), z = DOUBLES(c->z, t);
        const LANES_DOUBLES h = px * x + py * y + pz * z;
        height[t / N_DOUBLES] = h;
        above |= (h > at_plane) & *(const LANES_LONGS *)(PLACE_BIT + t);
    }
    over = LANES_NAME(any_place)(&above) & c->alive;
    if (!over)
        return;
    for (t = 0; t < n_used; t += N_DOUBLES)
        beyond |= (height[t / N_DOUBLES] > limit) & *(const LANES_LONGS *)(PLACE_BIT + t);
    gone = LANES_NAME(any_place)(&beyond) & c->alive;
    if (over != gone || p == CELL_PLANES || __builtin_popcount(gone) > 16) {
        c->state = CELL_REFUSED;       /* a tie, or no room */
        return;
    }
    kept = c->alive & ~gone;

    /* The rim of the hole: edges of a vertex that goes, the other end of which stays.  A bit for each:
       first those of corners a, b of all vertices, then those of b, d, then those of d, a. */
    for (k = 0; k < CELL_PLANES; k++)
        c->on[k] &= kept;
    for (k = 0; gone; k++, gone &= gone - 1) {
        const uint32_t code = c->corner[t = __builtin_ctz(gone)];
        const uint32_t a = c->on[code & 0xff], b = c->on[code >> 8 & 0xff], d = c->on[code >> 16 & 0xff];
        edges |= (uint64_t)((a & b) != 0) << k | (uint64_t)((b & d) != 0) << (16 + k)
                 | (uint64_t)((d & a) != 0) << (32 + k);
        corner[k] = (code & 0xffffff) | code << 24;
        end[k] = c->vertex[t];
        down[k] = at_plane - ((const double *)height)[t];
    }
    n_new = __builtin_popcountll(edges);
    if (n_new > 16 || n_new + __builtin_popcount(kept) > CELL_PLACES) {
        c->state = CELL_REFUSED;
        return;
    }

    /* A new vertex where each meets the plane, at the lowest free place. */
    LANES_NAME(put_plane)(c, p, px, py, pz);
    c->offset_of[p] = at_plane;
    c->source[p] = c->atom[s];
    c->n_planes = p + 1;
    unused = ~kept;
    for (; edges; edges &= edges - 1, unused &= unused - 1) {
        const int j = __builtin_ctzll(edges);
        const uint32_t pair = corner[j & 15] >> (j >> 4) * 8 & 0xffff, bit = unused & -unused;
        const uint32_t a = pair & 0xff, b = pair >> 8;
        const V4 along = c->plane_yzx[a] * c->plane_zxy[b] - c->plane_zxy[a] * c->plane_yzx[b];
        const V4 part = normal * along;
        const V4 fresh = end[j & 15] + down[j & 15] / LANES_NAME(sum3)(&part) * along;
        LANES_NAME(put_vertex)(c, __builtin_ctz(unused), pair | (uint32_t)p << 16, &fresh);
        c->on[a] |= bit;
        c->on[b] |= bit;
    }
    on_p = ~kept & ~unused;
    c->on[p] = on_p;
    c->alive = kept | c->on[p];
    c->n_used = (35 - __builtin_clz(c->alive | 1)) & ~3;
    c->reach_sq = -1.0;
}

/* Areas, edges and volume; 0: the cell is not closed, or refused. */
LANES_FN int LANES_NAME(measure)(const LanesCell *c, const CellSearch *search, CellOutput *out)
{
    double row[CELL_PLACES][6];        /* x y z x y 0 of each vertex: a cross product in vectors */
    double area[CELL_PLANES + 8], d2[CELL_PLANES + 8], part[CELL_PLANES + 8];
    double total[8] = {0, 0, 0, 0, 0, 0, 0, 0}, volume[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    int edges[CELL_PLANES];
    int32_t number[CELL_PLANES];
    double surface, tiny;
    int n = 0, k, l, p, at = 0;

    if (c->state != CELL_DONE || !(MGML_STOP_SQ * c->reach_sq <= search->closed_sq))
        return 0;
    for (p = 0; p < CELL_WALLS; p++)
        if (c->on[p])
            return 0;
    for (k = 0; k < c->n_used; k++) {
        row[k][0] = row[k][3] = c->x[k];
        row[k][1] = row[k][4] = c->y[k];
        row[k][2] = c->z[k];
        row[k][5] = 0.0;
    }
    for (; p < c->n_planes; p++) {     /* around each polygon, vertex by vertex */
        const uint32_t on = c->on[p];
        const int count = __builtin_popcount(on);
        uint32_t seen = 0, several = 0, none = 0;
        int t, start;
        const double *u;
        V4 sum = {0.0, 0.0, 0.0, 0.0};
        if (!on)
            continue;
        t = start = 31 - __builtin_clz(on);
        u = row[t];
        for (k = 0; k < count; k++) {
            /* of the corners a, b, c the facet's own is followed by the plane to turn to */
            const uint32_t here = 1u << t, code = c->corner[t], apart = code ^ (uint32_t)p * 0x010101;
            const uint32_t next = !(apart & 0xff) ? code >> 8 : !(apart & 0xff00) ? code >> 16 : code;
            const uint32_t other = on & c->on[next & 0xff] & ~here;
            const double *v;
            seen |= here;
            several |= other & (other - 1);
            none += other < 1;
            t = __builtin_ctz(other | 1u << 31);
            v = row[t];
            sum += *(const LooseV4 *)(v + 1) * *(const LooseV4 *)(u + 2)
                   - *(const LooseV4 *)(v + 2) * *(const LooseV4 *)(u + 1);
            u = v;
        }
        if (several || none || seen != on || t != start)
            return 0;                  /* not one closed polygon */
        part[n] = 0.5 * (sum[0] * c->plane_yzx[p][2] + sum[1] * c->plane_yzx[p][0]
                         + sum[2] * c->plane_yzx[p][1]);
        d2[n] = 2.0 * c->offset_of[p];
        number[n] = c->source[p];
        edges[n++] = count;
    }
    for (k = n; k < n + 7; k++) {
        part[k] = 0.0;
        d2[k] = 1.0;
    }
    for (k = 0; k < n; k += 8)         /* the sums of eight lanes */
        for (l = 0; l < 8; l++) {
            area[k + l] = part[k + l] / sqrt(d2[k + l]);
            total[l] += area[k + l];
            volume[l] += part[k + l];
        }
    surface = ((total[0] + total[4]) + (total[2] + total[6]))
              + ((total[1] + total[5]) + (total[3] + total[7]));
    if (!(surface > 0.0))
        return 0;
    tiny = search->facet_floor * surface;
    for (k = 0; k < n; k++) {
        out->neighbour[at] = number[k];
        out->edges[at] = (uint8_t)edges[k];
        out->area[at] = area[k];
        at += area[k] > tiny && edges[k] > 2;
    }
    out->n_facets = at;
    out->volume = (((volume[0] + volume[4]) + (volume[2] + volume[6]))
                   + ((volume[1] + volume[5]) + (volume[3] + volume[7]))) / 6.0;
    out->n_near = c->n_near;
    for (k = 0; k < c->n_near; k++)
        out->near_list[k] = c->near_list[k];
    return 1;
}

/* Clips n cells until each is done or refused. */
LANES_TARGET static void LANES_NAME(cut)(LanesCell *cells, int n, double tolerance)
{
    LanesCell *c;
    for (c = cells; c < cells + n; c++) {
        while (c->state == CELL_CLIPPING && c->n_tried < c->n_candidates)
            LANES_NAME(clip)(c, tolerance);
        if (c->state == CELL_CLIPPING)
            c->state = CELL_DONE;
        if (c->state == CELL_REFUSED)
            c->reach_sq = 0.0;
        else if (c->reach_sq < 0.0)
            c->reach_sq = LANES_NAME(farthest)(c);
    }
}
#undef LANES_FN
#undef N_DOUBLES
#undef N_FLOATS
#undef DOUBLES
#undef FLOATS
#undef LANES_DOUBLES
#undef LANES_LONGS
#undef LANES_FLOATS
#undef LANES_INTS
#undef LANES_NAME
#undef LANES_TARGET
