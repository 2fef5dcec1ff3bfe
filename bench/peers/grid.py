"""Ids to cells: bounds by plain arithmetic, corners through GDAL's binding of PROJ, one transformation a zone kept."""

import functools
import re

from osgeo import gdal, osr
from rounds import serve, task

osr.UseExceptions()
SQUARE = re.compile(r"(?:MXRA-)?Z(\d{1,2})-([0-3]{12})")
SIDE = 20_480_000 / 2**12


@functools.cache
def to_lon_lat(epsg):
    utm, wgs84 = osr.SpatialReference(), osr.SpatialReference()
    utm.ImportFromEPSG(epsg)
    wgs84.ImportFromEPSG(4326)
    wgs84.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return osr.CoordinateTransformation(utm, wgs84)


def parse_cell(text):
    zone, quadkey = SQUARE.fullmatch(text).groups()
    north = quadkey < "2"
    column = int("".join("1" if digit in "13" else "0" for digit in quadkey), 2)
    row = int("".join("1" if digit in "23" else "0" for digit in quadkey), 2)
    left = -9_740_000 + column * SIDE
    top = 10_240_000 - row * SIDE + (0 if north else 10_000_000)
    right, low = left + SIDE, top - SIDE
    epsg = (32600 if north else 32700) + int(zone)
    corners = to_lon_lat(epsg).TransformPoints([(left, top), (left, low), (right, low), (right, top)])
    first = corners[0][0]
    ring = [(x - 360 * round((x - first) / 360), y) for x, y, _ in corners]
    return {
        "id": f"Z{int(zone):02}-{quadkey}",
        "zone": int(zone),
        "hemisphere": "N" if north else "S",
        "quadkey": quadkey,
        "epsg": epsg,
        "cellBounds": (left, low, right, top),
        "tileBounds": (left - 156.25, low - 156.25, right + 156.25, top + 156.25),
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
    }


ids = task()["ids"]


def work():
    lats = sum(parse_cell(text)["geometry"]["coordinates"][0][0][1] for text in ids)
    return len(ids), f"north-west corners at {lats / len(ids):.6f}° in the mean"


serve(f"Python and PROJ by GDAL {gdal.__version__}, 1 thread", work)
