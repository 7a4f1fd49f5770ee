// Voronoi cells of a periodic box by Voro++, for benchmarks/cells.py, which compiles and runs it.
//
//   voropp IN OUT REPEATS
//
// IN: doubles: number of atoms, 3 edge lengths, positions.  Of each cell it takes neighbours, facet
// areas, edge counts and volume.  Prints the CPU seconds of each repeat, container included.
// OUT: for each atom volume, facets, facets larger than 1e-9 of its surface, edges of those.
#include <voro++/voro++.hh>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    FILE* in = std::fopen(argv[1], "rb");
    double head[4];
    if (!in || std::fread(head, 8, 4, in) != 4) return 2;
    const int n = int(head[0]);
    std::vector<double> x(3 * n), out(4 * n), areas;
    if (std::fread(x.data(), 24, n, in) != std::size_t(n)) return 2;
    std::fclose(in);
    std::vector<int> neighbours, orders;
    // 2 atoms a block: of 1 to 8 the fastest for this glass (8 takes a third longer)
    const double side = std::cbrt(head[1] * head[2] * head[3] * 2.0 / n);
    int blocks[3];
    for (int k = 0; k < 3; k++) blocks[k] = std::max(1, int(head[k + 1] / side + 0.5));
    for (int repeat = 0; repeat < std::atoi(argv[3]); repeat++) {
        const std::clock_t began = std::clock();
        voro::container box(0, head[1], 0, head[2], 0, head[3], blocks[0], blocks[1], blocks[2],
                            true, true, true, 8);
        for (int i = 0; i < n; i++) box.put(i, x[3 * i], x[3 * i + 1], x[3 * i + 2]);
        voro::c_loop_all loop(box);
        voro::voronoicell_neighbor cell;
        if (loop.start()) do {
            if (!box.compute_cell(cell, loop)) continue;
            cell.neighbors(neighbours);
            cell.face_areas(areas);
            cell.face_orders(orders);
            double* row = &out[4 * loop.pid()];
            double surface = 0;
            for (double a : areas) surface += a;
            row[0] = cell.volume();
            row[1] = double(areas.size());
            row[2] = row[3] = 0;
            for (std::size_t k = 0; k < areas.size(); k++)
                if (areas[k] > 1e-9 * surface) {
                    row[2] += 1;
                    row[3] += orders[k];
                }
        } while (loop.inc());
        std::printf("%.6f\n", double(std::clock() - began) / CLOCKS_PER_SEC);
    }
    FILE* to = std::fopen(argv[2], "wb");
    if (!to || std::fwrite(out.data(), 32, n, to) != std::size_t(n)) return 2;
    return std::fclose(to);
}
