"""What the scores are worth: metrics, confidence intervals, tables, plots. Without torch."""
