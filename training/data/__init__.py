"""From a store to training batches on the device: views, augmentation, label subsets.

Reading files belongs in `amr_edge.data`.
"""
