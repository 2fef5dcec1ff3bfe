"""Nearest rows by cosine, one question at a time: faiss where every row is looked at, with or without a filter; hnswlib where not."""

import time

import numpy as np
from rounds import serve, task

asked = task()
what, width, k = (asked[key] for key in ("what", "width", "k"))
values = np.fromfile(asked["path"], dtype=np.float32).reshape(-1, width)
questions = values[asked["questions"]]


def flat():
    import faiss

    faiss.omp_set_num_threads(asked["threads"])
    index = faiss.IndexFlatIP(width)
    index.add(values)
    return faiss, index


def recall(found, truth):
    return np.mean([len(np.intersect1d(mine, true)) / k for mine, true in zip(found, truth)])


def exact():
    faiss, index = flat()
    return f"faiss {faiss.__version__} IndexFlatIP", lambda question: index.search(question[None], k)


def filtered():
    faiss, index = flat()
    parameters = faiss.SearchParameters(sel=faiss.IDSelectorBatch(np.arange(0, len(values), asked["every"], dtype=np.int64)))
    return f"faiss {faiss.__version__} IndexFlatIP, IDSelector", lambda question: index.search(question[None], k, params=parameters)


def approximate():
    import hnswlib

    _, exactly = flat()
    truth = exactly.search(questions, k)[1]
    index = hnswlib.Index(space="ip", dim=width)
    index.init_index(max_elements=len(values), ef_construction=100, M=16)
    index.set_num_threads(asked["threads"])
    start = time.perf_counter()
    index.add_items(values)
    built = time.perf_counter() - start
    ef = 16
    index.set_ef(ef)
    while recall(index.knn_query(questions, k)[0], truth) < 0.98 and ef < 4096:
        ef *= 2
        index.set_ef(ef)
    reached = recall(index.knn_query(questions, k)[0], truth)
    return f"hnswlib, M 16, ef {ef}: recall@{k} {reached:.3f}, built in {built:.0f} s", lambda question: index.knn_query(question[None], k)


name, search = {"exact": exact, "filtered": filtered, "approximate": approximate}[what]()


def work():
    for question in questions:
        search(question)
    return len(questions), None


serve(name, work)
