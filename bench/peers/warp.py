"""
Map tiles as rio-tiler makes them: a WarpedVRT onto the tile's own 256 pixels, bilinear, then GDAL's PNG; on two threads.

A WarpedVRT never takes an overview by itself; here the one that gdalwarp would take is opened, which is faster than what
rio-tiler does (a VRT in full resolution, read at a smaller size).
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from math import atan, cos, exp, floor, log2, pi

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from rounds import serve, task

asked = task()
wanted, cold, zlevel = (asked[key] for key in ("tiles", "cold", "zlevel"))
HALF = pi * 6378137
mine = threading.local()


PIXEL = 20480000 / 2**26


def raster(path, metres):
    """Its level just finer than wanted; stays open for as long as its thread lives: a round where it is cold, else all."""
    level = min(6, floor(log2(max(1, metres / PIXEL))))
    if (path, level) not in mine.rasters:
        mine.rasters[path, level] = rasterio.open(path, **({"overview_level": level - 1} if level else {}))
    return mine.rasters[path, level]


def tile(request):
    (z, x, y), paths = request
    side = 2 * HALF / 2**z
    place = rasterio.Affine(side / 256, 0, x * side - HALF, 0, -side / 256, HALF - y * side)
    metres = side / 256 * cos(2 * atan(exp((HALF - y * side) / 6378137)) - pi / 2)
    pixels, mask = np.zeros((3, 256, 256), np.uint8), np.zeros((256, 256), np.uint8)
    for path in paths:
        form = {"crs": "EPSG:3857", "transform": place, "width": 256, "height": 256, "resampling": Resampling.bilinear}
        with WarpedVRT(raster(path, metres), **form) as vrt:
            read, real = vrt.read((1, 2, 3)), vrt.dataset_mask()
        new = (real > 0) & (mask == 0)
        pixels, mask = (read, real) if new.all() else (np.where(new, read, pixels), np.where(new, real, mask))
        if mask.all():
            break
    bands = pixels if mask.all() else np.concatenate([pixels, mask[None]])
    with MemoryFile() as memory:
        with memory.open(driver="PNG", width=256, height=256, count=len(bands), dtype="uint8", zlevel=zlevel) as png:
            png.write(bands)
        return len(memory.read())


def begin():
    mine.rasters = {}


def pool():
    return ThreadPoolExecutor(2, initializer=begin)


warm = None if cold else pool()


def work():
    if warm:
        sizes = list(warm.map(tile, wanted))
    else:
        with pool() as now:
            sizes = list(now.map(tile, wanted))
    return len(sizes), None


serve(f"rasterio {rasterio.__version__}, GDAL {rasterio.__gdal_version__}, PNG level {zlevel}, 2 threads", work)
