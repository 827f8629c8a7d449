"""Back ends on embeddings: LDA, PLDA, cosine, score normalisation, calibration. Without torch."""
