"""Cuts a tile into chips of 256 px, JPEG in 4:2:0: rasterio reads a strip of two rows of chips, Pillow encodes, on two threads."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import numpy as np
import PIL
import rasterio
from PIL import Image
from rasterio.windows import Window
from rounds import serve, task

asked = task()
path, chips, folder, quality = (asked[key] for key in ("path", "chips", "folder", "quality"))
strips = [list(group) for _, group in groupby(sorted(chips), lambda chip: chip // 128)]
mine = threading.local()


def cut(strip):
    """All chips of one strip, from the columns of blocks that hold any."""
    row = strip[0] // 128
    left = min(chip % 64 for chip in strip) // 2 * 512
    right = (max(chip % 64 for chip in strip) // 2 + 1) * 512
    pixels = mine.raster.read(window=Window(512 + left, 512 * (row + 1), right - left, 512))
    for chip in strip:
        y, x = chip // 64 % 2 * 256, chip % 64 * 256 - left
        square = np.ascontiguousarray(pixels[:, y : y + 256, x : x + 256].transpose(1, 2, 0))
        Image.fromarray(square).save(f"{folder}/{chip}.jpg", quality=quality, subsampling="4:2:0")
    return len(strip)


def work():
    os.makedirs(folder)
    with ThreadPoolExecutor(2, initializer=lambda: setattr(mine, "raster", rasterio.open(path))) as pool:
        cut_now = sum(pool.map(cut, strips))
    return len(chips), f"{cut_now} chips cut"


versions = f"rasterio {rasterio.__version__}, GDAL {rasterio.__gdal_version__}, Pillow {PIL.__version__}"
serve(f"{versions}, 2 threads", work, lambda: shutil.rmtree(folder))
