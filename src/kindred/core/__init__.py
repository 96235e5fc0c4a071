"""The nouns of Kindred: ids, events, queries, candidates, slates, traces, bundles, errors, clock and rng."""
