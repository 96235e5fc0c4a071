"""Models: popularity, trending, item-item, ALS, content and new items; arrays in, arrays out, synchronous and pure."""
