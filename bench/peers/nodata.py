"""Which of a tile's 4,096 chips are real throughout: rasterio's dataset_mask, a strip of two rows of chips at a time."""

import numpy as np
import rasterio
from rasterio.windows import Window
from rounds import serve, task

path = task()["path"]


def work():
    real = 0
    with rasterio.open(path) as raster:
        for row in range(32):
            mask = raster.dataset_mask(window=Window(512, 512 * (row + 1), 16384, 512))
            # the least of each column first: numpy does that several times faster than both axes at once
            real += int(np.count_nonzero(mask.reshape(2, 256, 16384).min(1).reshape(2, 64, 256).min(2)))
    return 1, f"{real} of 4096 chips are real throughout"


serve(f"rasterio {rasterio.__version__}, GDAL {rasterio.__gdal_version__}", work)
