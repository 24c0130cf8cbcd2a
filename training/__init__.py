"""From recordings to weights: masked pre-training, fine-tuning, evaluation. Everything here may use torch."""
