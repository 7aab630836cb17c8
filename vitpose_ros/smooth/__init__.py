"""From measured joints to published ones: filters, the gate for outliers, gaps, prediction."""
