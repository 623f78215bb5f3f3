"""One larger Parquet file of several, by copying their column chunks byte for byte and merging their footers."""
