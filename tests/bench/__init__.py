"""`make bench`: certbroker measured beside other clients of the same CA, and what a quiet night costs."""
