"""What lies in each of several rectangles of an extract, as Overpass answers: pyosmium, in one reading."""

import importlib.metadata
import math

import osmium
from rounds import serve, task

given = task()
boxes = [
    (math.floor(w * 1e7), math.floor(s * 1e7), math.ceil(e * 1e7), math.ceil(n * 1e7)) for w, s, e, n in given["boxes"]
]


def crosses(a, b, box):
    """Whether a segment touches a rectangle (Liang and Barsky 1984)."""
    enter, leave = 0.0, 1.0
    for axis in (0, 1):
        step = b[axis] - a[axis]
        for slope, room in ((-step, a[axis] - box[axis]), (step, box[axis + 2] - a[axis])):
            if slope == 0:
                if room < 0:
                    return False
            elif slope < 0:
                enter = max(enter, room / slope)
            else:
                leave = min(leave, room / slope)
    return enter <= leave


class Cells(osmium.SimpleHandler):
    def __init__(self):
        super().__init__()
        self.kept = [({}, {}, {}) for _ in boxes]

    def node(self, n):
        x, y = n.location.x, n.location.y
        for (w, s, e, north), kept in zip(boxes, self.kept):
            if w <= x <= e and s <= y <= north:
                kept[0][n.id] = (x, y, dict(n.tags))

    def way(self, way):
        line = [(n.location.x, n.location.y) if n.location.valid() else None for n in way.nodes]
        known = [place for place in line if place]
        if not known:
            return
        xs, ys = [x for x, _ in known], [y for _, y in known]
        pairs = [(a, b) for a, b in zip(line, line[1:] or line) if a and b]
        for box, kept in zip(boxes, self.kept):
            if max(xs) < box[0] or min(xs) > box[2] or max(ys) < box[1] or min(ys) > box[3]:
                continue
            if any(crosses(a, b, box) for a, b in pairs):
                kept[1][way.id] = ([n.ref for n in way.nodes], line, dict(way.tags))

    def relation(self, r):
        members = [(m.type, m.ref, m.role) for m in r.members]
        for nodes, ways, relations in self.kept:
            if any(ref in (nodes if kind == "n" else ways) for kind, ref, _ in members if kind != "r"):
                relations[r.id] = (members, dict(r.tags))


def work():
    cells = Cells()
    cells.apply_file(given["path"], locations=True)
    counts = [sum(len(kept[kind]) for kept in cells.kept) for kind in range(3)]
    return given["elements"], f"{', '.join(map(str, counts))} nodes, ways, relations"


serve(f"pyosmium {importlib.metadata.version('osmium')}", work)
