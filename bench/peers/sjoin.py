"""Which elements lie in which chips, and (where asked) how much of each they cover: geopandas' sjoin, then shapely's intersections, in UTM."""

import json

import geopandas
import numpy as np
import shapely
from rounds import serve, task
from shapely.geometry import box, shape

asked = task()
with open(asked["path"]) as file:
    shapes = [shape(feature["geometry"]) for feature in json.load(file)["features"]]
west, south, east, north = asked["bounds"]
side = (east - west) / 64
squares = [
    box(west + column * side, north - (row + 1) * side, west + (column + 1) * side, north - row * side)
    for row in range(64)
    for column in range(64)
]
elements = geopandas.GeoDataFrame(geometry=geopandas.GeoSeries(shapes))
chips = geopandas.GeoDataFrame(geometry=geopandas.GeoSeries(squares))


def work():
    elements.geometry.values._sindex = chips.geometry.values._sindex = None  # each round builds its index, as ours does
    pairs = geopandas.sjoin(elements, chips, predicate="intersects")
    if not asked["shares"]:
        return len(chips), None
    ours = elements.geometry.iloc[pairs.index].reset_index(drop=True)
    theirs = chips.geometry.iloc[pairs["index_right"]].reset_index(drop=True)
    parts = ours.intersection(theirs)
    area, length = parts.area, parts.length
    kept = (area > 1e-5) | ((area == 0) & ((length > 1e-7) | (parts.geom_type == "Point")))
    return len(chips), f"{len(elements)} elements in {int(np.count_nonzero(kept))} places of chips, {area.sum() / 1e6:.3f} km²"


does = "sjoin and intersection" if asked["shares"] else "sjoin"
serve(f"geopandas {geopandas.__version__}, shapely {shapely.__version__}: {does}", work)
