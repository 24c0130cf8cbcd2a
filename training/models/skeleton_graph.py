"""Who is whose neighbour on the body: the graph of a layout, as matrices."""

import numpy as np
from numpy.typing import NDArray

from amr_edge.skeleton import Layout

CENTRE = "upper_spine"  # what ST-GCN calls the gravity centre; a layout without it is looked at from its root


def degrees(layout: Layout) -> NDArray[np.int64]:
    """(V,) bones at each joint.

    >>> from amr_edge.skeleton import PENN13
    >>> degrees(PENN13).tolist()[:4]
    [2, 3, 3, 2]
    """
    return np.bincount(np.asarray(layout.bones, dtype=np.int64).ravel(), minlength=len(layout))


def distances(layout: Layout) -> NDArray[np.int64]:
    """(V,) bones between each joint and the centre of the body."""
    center = layout.joints.index(CENTRE) if CENTRE in layout.joints else layout.root
    found = np.full(len(layout), -1, dtype=np.int64)
    found[center] = 0
    edge = [center]
    while edge:
        joint = edge.pop()
        for pair in layout.bones:
            if joint in pair:
                other = pair[0] + pair[1] - joint
                if found[other] < 0:
                    found[other] = found[joint] + 1
                    edge.append(other)
    return found


def partitions(layout: Layout) -> NDArray[np.float32]:
    """Adjacency partitions of joints: self, outwards and inwards.

    Entry (k, v, w) is the weight of what joint w hears from joint v. Subset 0 is the joint itself, 1 its neighbours
    that are nearer to the centre of the body, 2 those that are farther. What a joint hears sums to 1.

    Args:
        layout: The skeleton.

    Returns:
        (3, V, V).

    Source:
        ST-GCN (Yan et al., AAAI 2018), the spatial configuration partitioning.
    """
    V, far = len(layout), distances(layout)
    weight = (1 / (1 + degrees(layout))).astype(np.float32)  # (V,) of each thing that a joint hears
    found = np.zeros((3, V, V), dtype=np.float32)
    found[0] = np.diag(weight)
    for one, other in layout.bones:
        for source, target in ((one, other), (other, one)):
            found[1 if far[source] < far[target] else 2, source, target] = weight[target]
    return found
