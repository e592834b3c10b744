"""For authors of adapters: the conformance suite, the base of simulators, and the bundles to try with."""
